moexray_test(tokenize_cli_test
  SOURCES tokenize_test.cpp
  PRIVATE moexray::cli_support nlohmann_json::nlohmann_json)
if(TARGET moexray_sentencepiece)
  add_dependencies(tokenize_cli_test moexray_sentencepiece)
  target_compile_definitions(tokenize_cli_test PRIVATE MOEXRAY_HAS_SENTENCEPIECE)
endif()
