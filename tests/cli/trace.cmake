moexray_test(trace_cli_test
  SOURCES trace_cli_test.cpp trace_faults_test.cpp
  PRIVATE moexray::cli_support moexray::trace)
