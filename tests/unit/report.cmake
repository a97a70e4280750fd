moexray_test(report_test
  SOURCES
    report/document_test.cpp report/figure_cases.cpp report/html_page_test.cpp report/html_table_test.cpp report/json_test.cpp
    report/npy_test.cpp report/output_test.cpp report/plot_test.cpp report/svg_file_test.cpp report/svg_test.cpp
    report/table_test.cpp
  PRIVATE moexray::report moexray::test_support nlohmann_json::nlohmann_json)
