moexray_test(trace_cli_test
  SOURCES confounds_model_test.cpp replay_cli_test.cpp shadow_cli_test.cpp trace_cli_test.cpp trace_faults_test.cpp
          trace_identity_test.cpp
  PRIVATE moexray::cli_support moexray::runtime moexray::trace nlohmann_json::nlohmann_json)
moexray_test(kernels_cli_test
  SOURCES kernels_cli_test.cpp
  PRIVATE moexray::cli_support moexray::runtime moexray::stats moexray::trace)
