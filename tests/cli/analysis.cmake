moexray_test(analysis_cli_test
  SOURCES analysis_test.cpp analysis_output_test.cpp analysis_support.cpp classify_cli_test.cpp
          compare_cli_test.cpp controls_cli_test.cpp experts_cli_test.cpp figures_cli_test.cpp import_cli_test.cpp inference_cli_test.cpp load_cli_test.cpp made_trace.cpp manners_cli_test.cpp
          odd_data_test.cpp output_safety_test.cpp
          project_cli_test.cpp report_page_test.cpp show_cli_test.cpp stats_cli_test.cpp
          stream_trace_test.cpp verdict_cli_test.cpp
  PRIVATE moexray::cli_support nlohmann_json::nlohmann_json moexray::core moexray::report moexray::trace)
