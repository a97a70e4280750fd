#include "moexray/runtime/kernels.h"

#include "kernels/kernel_sets.h"
#include "kernels/row_kernels.h"
#include "moexray/core/error.h"
#include "moexray/core/system.h"
#include "moexray/core/wording.h"

namespace moexray {
namespace {

std::string usable_names() {
  std::string names;
  for (const kernels::KernelSet* set : kernels::usable_kernel_sets()) {
    names += (names.empty() ? "" : ", ") + std::string(set->name);
  }
  return names;
}

const kernels::KernelSet* usable_set(std::string_view name) {
  return kernels::usable_kernel_set(name, kernels::WeightFormat::bfloat16);
}

const kernels::KernelSet& set_of(const std::string& name) {
  if (const kernels::KernelSet* set = usable_set(name)) return *set;
  throw Error(ErrorKind::runtime, {"these kernels do not run on this processor", "--kernels",
                                   "fast, plain, " + usable_names(), name});
}

void require_known(const std::string& name) {
  std::string names;
  for (const std::string& known : kernel_names()) {
    if (name == known) return;
    names += (names.empty() ? "" : ", ") + known;
  }
  throw Error(ErrorKind::usage, {"unknown kernels", "--kernels", names, name});
}

}  // namespace

std::vector<std::string> kernel_names() {
  std::vector<std::string> names = {"fast", "plain"};
  for (const kernels::KernelSet& set : kernels::kernel_sets()) names.emplace_back(set.name);
  return names;
}

bool kernels_run_here(std::string_view name) {
  return name == "plain" || usable_set(name) != nullptr;
}

KernelChoice kernels_in_use(const ModelOptions& options, const RuntimeInfo& info) {
  require_known(options.kernels);
  const bool on_cpu = options.device == "cpu", is_bfloat16 = options.dtype == "bfloat16";
  const bool is_set = options.kernels != "fast" && options.kernels != "plain";
  if (is_set && !(on_cpu && is_bfloat16)) {
    throw Error(ErrorKind::usage, {"these kernels compute in bfloat16 on the CPU", "--kernels",
                                   "--dtype bfloat16 and --device cpu", options.kernels});
  }
  const std::string rows = kernels::row_kernels().bits;
  if (on_cpu && !is_bfloat16) return {kernels::row_kernels().instruction_set, rows};
  if (on_cpu && options.kernels != "plain") {
    const kernels::KernelSet& set = set_of(options.kernels);
    return {set.name, std::string(set.bits) + ", " + rows};
  }
  std::string bits = info.backend + ", ";
  if (!on_cpu) return {"plain", bits + "cuda"};
  const int n_threads = options.n_threads > 0 ? options.n_threads : available_threads();
  return {"plain", bits + info.blas + ", " + info.instruction_set + ", " + rows + ", " +
                       counted(n_threads, "thread")};
}

}  // namespace moexray
