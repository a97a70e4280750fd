moexray_test(stats_test
  SOURCES stats/accuracy_test_test.cpp stats/affordable_test.cpp stats/agreement_test.cpp stats/baselines_test.cpp stats/batched_integers_test.cpp stats/bootstrap_test.cpp
          stats/classify_test.cpp stats/common_positions_test.cpp stats/compared_prompts_test.cpp stats/conditional_poisson_test.cpp
          stats/confounds_test.cpp stats/crossed_test.cpp stats/expert_profile_test.cpp
          stats/expert_categories_test.cpp stats/expert_matching_test.cpp stats/experts_test.cpp stats/geometry_test.cpp stats/fold_models_test.cpp
          stats/folds_test.cpp stats/inference_test.cpp stats/information_test.cpp
          stats/label_shuffle_test.cpp stats/layers_test.cpp stats/lbfgs_test.cpp stats/load_test.cpp stats/logistic_test.cpp
          stats/neighbors_test.cpp stats/nested_cv_test.cpp stats/other_prompts_test.cpp
          stats/paired_prompts_test.cpp stats/paired_structure_test.cpp stats/paired_test.cpp stats/parallel_test.cpp stats/pca_test.cpp stats/permutation_tests_test.cpp
          stats/projection_cases.cpp stats/random_routers_test.cpp stats/rates_test.cpp stats/routed_tokens_test.cpp
          stats/routing_distance_test.cpp stats/row_coordinates_test.cpp stats/signatures_test.cpp
          stats/similarity_test.cpp stats/stats_support.cpp stats/token_statistics_test.cpp
          stats/tsne_objective_test.cpp stats/tsne_test.cpp stats/type_routing_test.cpp stats/units_test.cpp
          stats/usage_shift_test.cpp
  PRIVATE moexray::stats nlohmann_json::nlohmann_json)
# Some of it is internal to the library.
target_include_directories(stats_test PRIVATE ${PROJECT_SOURCE_DIR}/src/stats ${PROJECT_SOURCE_DIR}/bench ${PROJECT_SOURCE_DIR})

# Simulations, as what takes minutes elsewhere: `ctest -LE slow` leaves them out.
moexray_test(calibration_test OPTIMISED
  SOURCES stats/calibration_test.cpp stats/expert_calibration_test.cpp stats/inference_calibration_test.cpp
          stats/ladder_calibration_test.cpp stats/shadow_calibration_test.cpp stats/usage_calibration_test.cpp
  LABELS slow
  PRIVATE moexray::routing moexray::stats)
target_include_directories(calibration_test PRIVATE ${PROJECT_SOURCE_DIR}/src/stats ${PROJECT_SOURCE_DIR}/bench)
