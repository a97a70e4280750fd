moexray_test(command_line_cli_test
  SOURCES command_line_test.cpp completions_test.cpp man_page_test.cpp
  PRIVATE moexray::cli_support moexray_app)
