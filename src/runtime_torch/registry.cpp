#include "registry.h"

#include "loader.h"
#include "moexray/core/error.h"
#include "torch_model.h"

namespace moexray::torch_runtime {
namespace {

using MakeModel = std::unique_ptr<Model> (*)(const Checkpoint&, at::ScalarType, const at::Device&,
                                             int, const kernels::KernelSet*);

std::unique_ptr<Model> make_olmoe(const Checkpoint& checkpoint, at::ScalarType dtype,
                                  const at::Device& device, int n_threads,
                                  const kernels::KernelSet* set) {
  return std::make_unique<TorchModel>(load_olmoe(checkpoint, dtype, device), dtype, device,
                                      n_threads, set);
}

struct Architecture {
  std::string_view name;
  MakeModel make;
};

constexpr Architecture architectures[] = {{"OlmoeForCausalLM", make_olmoe}};

}  // namespace

std::unique_ptr<Model> make_model(const Checkpoint& checkpoint, at::ScalarType dtype,
                                  const at::Device& device, int n_threads,
                                  const kernels::KernelSet* set) {
  for (const Architecture& architecture : architectures) {
    if (architecture.name == checkpoint.config().architecture)
      return architecture.make(checkpoint, dtype, device, n_threads, set);
  }
  throw Error(ErrorKind::data,
              {"no implementation of this architecture",
               (checkpoint.directory() / "config.json").string() + ": key \"architectures\"",
               "OlmoeForCausalLM", checkpoint.config().architecture});
}

}  // namespace moexray::torch_runtime
