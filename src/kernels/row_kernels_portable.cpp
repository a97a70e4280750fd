#define MOEXRAY_KERNEL_SET row_kernels_portable
#define MOEXRAY_KERNEL_NAME "portable"
#define MOEXRAY_KERNEL_BITS "float32-portable"
#define MOEXRAY_KERNEL_TILE 2

#include "row_kernels.inc"
