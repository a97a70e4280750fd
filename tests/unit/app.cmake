moexray_test(app_test
  SOURCES app/cli_test.cpp app/progress_test.cpp
  PRIVATE moexray_app)
