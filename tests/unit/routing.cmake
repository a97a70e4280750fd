moexray_test(routing_test
  SOURCES routing/load_match_test.cpp routing/router_rule_test.cpp
  PRIVATE moexray::routing moexray::test_support)
