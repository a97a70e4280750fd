moexray_test(kernels_test SOURCES kernels/kernels_test.cpp PRIVATE moexray_kernels moexray::core)
