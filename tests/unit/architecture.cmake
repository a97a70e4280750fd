moexray_test(architecture_test
  SOURCES architecture/config_reader_test.cpp architecture/rotary_test.cpp architecture/table_test.cpp
  PRIVATE moexray::architecture moexray::checkpoint moexray::test_support)
