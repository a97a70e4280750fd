if(TARGET moexray_trace)
  moexray_test(shipped_prompts_test
    SOURCES prompts/shipped_prompts_test.cpp
    PRIVATE moexray::trace nlohmann_json::nlohmann_json)
  target_compile_definitions(shipped_prompts_test PRIVATE
    MOEXRAY_TEST_PROMPTS="${PROJECT_SOURCE_DIR}/prompts/paper80.jsonl"
    MOEXRAY_TEST_CROSSED_PROMPTS="${PROJECT_SOURCE_DIR}/prompts/crossed80.jsonl")
endif()
