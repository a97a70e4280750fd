#define MOEXRAY_KERNEL_SET row_kernels_avx2
#define MOEXRAY_KERNEL_NAME "avx2"
#define MOEXRAY_KERNEL_BITS "float32-fma"
#define MOEXRAY_KERNEL_WIDTH 8
#define MOEXRAY_KERNEL_ROWS 2
#define MOEXRAY_KERNEL_COLUMNS 3

#include "row_kernels.inc"
