#include "processor.h"

#include <cstdint>

#include "row_kernels.h"

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

namespace moexray::kernels {

#if defined(__x86_64__)
namespace {

struct Registers {
  unsigned a = 0, b = 0, c = 0, d = 0;
};

Registers cpuid(unsigned leaf, unsigned subleaf) {
  Registers r;
  if (__get_cpuid_count(leaf, subleaf, &r.a, &r.b, &r.c, &r.d) == 0) return {};
  return r;
}

bool has_bit(unsigned word, unsigned bit) { return (word >> bit & 1U) != 0; }

// The states that the operating system saves (XCR0); 0 without xgetbv.
std::uint64_t saved_states() {
  if (!has_bit(cpuid(1, 0).c, 27)) return 0;  // OSXSAVE
  unsigned low = 0, high = 0;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return std::uint64_t{high} << 32 | low;
}

bool ask_for_tiles() {
  constexpr unsigned amx_bf16 = 22, amx_tile = 24;  // of CPUID 7, EDX
  constexpr std::uint64_t tile_states = 3U << 17;   // XTILECFG and XTILEDATA
  const Registers features = cpuid(7, 0);
  if (!has_bit(features.d, amx_bf16) || !has_bit(features.d, amx_tile)) return false;
  if ((saved_states() & tile_states) != tile_states) return false;
  constexpr long request_permission = 0x1023;  // ARCH_REQ_XCOMP_PERM
  constexpr unsigned long tile_data = 18;
  return ::syscall(SYS_arch_prctl, request_permission, tile_data) == 0;
}

}  // namespace

bool has_avx2() { return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"); }

bool has_avx512() {
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
}

bool has_avx512_bf16() { return has_avx512() && __builtin_cpu_supports("avx512bf16"); }

bool has_amx_bf16() {
  static const bool granted = has_avx512() && ask_for_tiles();
  return granted;
}

const RowKernels& row_kernels() {
  if (has_avx512()) return row_kernels_avx512;
  if (has_avx2()) return row_kernels_avx2;
  return row_kernels_portable;
}

#else

bool has_avx2() { return false; }
bool has_avx512() { return false; }
bool has_avx512_bf16() { return false; }
bool has_amx_bf16() { return false; }

const RowKernels& row_kernels() { return row_kernels_portable; }

#endif

}  // namespace moexray::kernels
