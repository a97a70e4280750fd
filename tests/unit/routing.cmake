moexray_test(routing_test
  SOURCES routing/router_rule_test.cpp
  PRIVATE moexray::routing moexray::test_support)
