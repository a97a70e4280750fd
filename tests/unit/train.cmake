if(TARGET moexray_train_app)
  find_package(zstd REQUIRED)
  moexray_test(train_test SOURCES train/corpus_test.cpp
    PRIVATE moexray_train_app moexray::test_support zstd::libzstd_shared)
endif()
