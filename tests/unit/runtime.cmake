moexray_test(runtime_test
  SOURCES runtime/batch_plan_test.cpp runtime/generate_test.cpp runtime/sampling_test.cpp
  PRIVATE moexray::runtime nlohmann_json::nlohmann_json)
