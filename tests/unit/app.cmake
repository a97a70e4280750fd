moexray_test(app_test
  SOURCES app/analysis_frame_test.cpp app/cli_test.cpp app/cmd_busiest.cpp app/model_descriptor_test.cpp app/notices_test.cpp
          app/progress_test.cpp app/prompt_pages_test.cpp app/show_test.cpp app/verdict_test.cpp
  PRIVATE moexray_app moexray::test_support nlohmann_json::nlohmann_json)
