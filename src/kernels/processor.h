#pragma once

namespace moexray::kernels {

// What processor and operating system allow together.
bool has_avx2();
bool has_avx512();       ///< F, BW, VL and DQ
bool has_avx512_bf16();  ///< vdpbf16ps
/// Tiles of bfloat16: the processor has them, the operating system saves them, and the kernel
/// granted this process their use (asked for at the first call).
bool has_amx_bf16();

}  // namespace moexray::kernels
