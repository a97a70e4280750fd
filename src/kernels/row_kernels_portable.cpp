#define MOEXRAY_KERNEL_SET row_kernels_portable
#define MOEXRAY_KERNEL_NAME "portable"
#define MOEXRAY_KERNEL_BITS "float32-portable"
#define MOEXRAY_KERNEL_WIDTH 4
#define MOEXRAY_KERNEL_ROWS 2
#define MOEXRAY_KERNEL_COLUMNS 2

#include "row_kernels.inc"
