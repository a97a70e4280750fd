moexray_test(checkpoint_test
  SOURCES checkpoint/checkpoint_test.cpp checkpoint/config_test.cpp checkpoint/families_test.cpp checkpoint/locate_test.cpp
          checkpoint/safetensors_test.cpp checkpoint/safetensors_writer_test.cpp
          checkpoint/weights_hash_cache_test.cpp checkpoint/weights_hash_test.cpp
  PRIVATE moexray::checkpoint moexray::test_support nlohmann_json::nlohmann_json)
