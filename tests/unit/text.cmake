find_package(ICU REQUIRED COMPONENTS uc)
find_package(zstd REQUIRED)
moexray_test(text_test
  SOURCES text/byte_level_test.cpp text/chat_template_test.cpp text/child_process_test.cpp
          text/configured_test.cpp
          text/fixtures.cpp text/jinja_text_test.cpp text/kinds_test.cpp text/names_test.cpp text/sentencepiece_test.cpp
          text/tokenizer_json_test.cpp text/unicode_test.cpp
  PRIVATE moexray::text moexray::modules moexray::test_support nlohmann_json::nlohmann_json
          zstd::libzstd_shared ICU::uc)
# Many tests look behind the public headers.
target_include_directories(text_test PRIVATE ${PROJECT_SOURCE_DIR}/src/text)
if(TARGET moexray_sentencepiece)
  add_dependencies(text_test moexray_sentencepiece)
  target_compile_definitions(text_test PRIVATE MOEXRAY_HAS_SENTENCEPIECE)
endif()
