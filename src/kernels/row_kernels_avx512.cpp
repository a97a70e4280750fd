#define MOEXRAY_KERNEL_SET row_kernels_avx512
#define MOEXRAY_KERNEL_NAME "avx512"
#define MOEXRAY_KERNEL_BITS "float32-fma"
#define MOEXRAY_KERNEL_WIDTH 16
#define MOEXRAY_KERNEL_ROWS 4
#define MOEXRAY_KERNEL_COLUMNS 4

#include "row_kernels.inc"
