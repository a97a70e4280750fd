moexray_test(kernels_test
  SOURCES kernels/kernel_sets_test.cpp kernels/row_kernels_test.cpp
  PRIVATE moexray_kernels moexray::core moexray::test_support)
