if(TARGET moexray_trace)
  moexray_test(shipped_prompts_test
    SOURCES prompts/shipped_prompts_test.cpp
    PRIVATE moexray::trace)
  target_compile_definitions(shipped_prompts_test PRIVATE
    MOEXRAY_TEST_PROMPTS="${PROJECT_SOURCE_DIR}/prompts/paper80.jsonl")
endif()
