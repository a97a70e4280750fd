moexray_test(sha256_test SOURCES core/sha256_test.cpp PRIVATE moexray::core)
