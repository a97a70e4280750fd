moexray_test(stats_test
  SOURCES stats/classify_test.cpp stats/folds_test.cpp stats/lbfgs_test.cpp stats/logistic_test.cpp
          stats/signatures_test.cpp stats/similarity_test.cpp stats/stats_support.cpp
  PRIVATE moexray::stats nlohmann_json::nlohmann_json)
# The minimiser is internal to the library.
target_include_directories(stats_test PRIVATE ${PROJECT_SOURCE_DIR}/src/stats)
