moexray_test(model_cli_test
  SOURCES model_test.cpp
  PRIVATE moexray::cli_support moexray::checkpoint nlohmann_json::nlohmann_json)
