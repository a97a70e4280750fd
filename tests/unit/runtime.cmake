moexray_test(runtime_test
  SOURCES runtime/batch_plan_test.cpp runtime/generate_test.cpp runtime/modules_test.cpp runtime/replay_test.cpp runtime/sampling_test.cpp runtime/shadows_test.cpp
          runtime/trace_run_test.cpp runtime/trace_time_test.cpp
  PRIVATE moexray::runtime moexray::test_support nlohmann_json::nlohmann_json)
# The time that a trace will take is internal to the library.
target_include_directories(runtime_test PRIVATE ${PROJECT_SOURCE_DIR}/src)
