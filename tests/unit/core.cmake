moexray_test(core_test
  SOURCES core/core_test.cpp core/expert_sets_test.cpp core/file_kind_test.cpp core/file_test.cpp core/json_test.cpp core/routing_buffer_test.cpp
          core/sha256_test.cpp
  PRIVATE moexray::core moexray::test_support nlohmann_json::nlohmann_json)
