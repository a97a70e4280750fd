#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moexray/runtime/model.h"

namespace moexray {

/// What multiplies in a computation.
struct KernelChoice {
  /// A set of kernels ("amx_bf16", "avx512_bf16", "avx512", "avx2", "portable"), or "plain": the
  /// backend's own products.
  std::string name;
  /// Computations of one class give the same bits: "bf16-amx, float32-fma", "float32-fma", or for
  /// "plain" the backend with its version, the instructions of the processor and the threads.
  std::string bits;
};

/// What ModelOptions::kernels may be: "fast", "plain", and the names of the sets that this program
/// was built with, best first.
std::vector<std::string> kernel_names();

/// True for "fast", "plain" and the sets that run on this processor.
bool kernels_run_here(std::string_view name);

/// The kernels that a model loaded with these options computes with on this machine: float32 on the
/// CPU has kernels of its own; in bfloat16 there "fast" is the best set that runs here; other
/// devices are "plain".
/// @throws Error (usage) for a name that kernel_names() does not have, or a set's name where
///         neither bfloat16 nor the CPU computes; Error (runtime) naming those that run, for one
///         that does not run here.
KernelChoice kernels_in_use(const ModelOptions& options, const RuntimeInfo& info);

}  // namespace moexray
