# Small random traces, 200 of them; `random_traces_test --traces=3000` tries more.
moexray_test(random_traces_test
  SOURCES random_traces_test.cpp random_trace.cpp
  PRIVATE moexray::cli_support moexray_app nlohmann_json::nlohmann_json)
