moexray_test(trace_cli_test
  SOURCES trace_cli_test.cpp trace_faults_test.cpp
  PRIVATE moexray::cli_support moexray::trace)
moexray_test(kernels_cli_test
  SOURCES kernels_cli_test.cpp
  PRIVATE moexray::cli_support moexray::stats moexray::trace)
