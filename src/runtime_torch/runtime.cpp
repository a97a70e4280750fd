#include "runtime.h"

#include <link.h>
#include <torch/version.h>

#include <filesystem>
#include <system_error>

#include "kernels/kernel_sets.h"
#include "kernels/processor.h"
#include "kernels/row_kernels.h"
#include "loader.h"
#include "memory.h"
#include "moexray/core/error.h"
#include "moexray/core/system.h"
#include "torch_model.h"
#include "translate_errors.h"

namespace moexray::torch_runtime {
namespace {

// The path, links resolved, of the loaded library that provides BLAS; empty if libtorch contains
// its own.
std::string blas_library() {
  std::string found;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* result) {
        const std::filesystem::path path(info->dlpi_name);
        const std::string name = path.filename().string();
        for (const char* prefix : {"libblas.so", "libopenblas", "libmkl_rt", "libblis"}) {
          if (!name.starts_with(prefix)) continue;
          std::error_code code;
          const auto resolved = std::filesystem::canonical(path, code);
          *static_cast<std::string*>(result) = code ? path.string() : resolved.string();
          return 1;
        }
        return 0;
      },
      &found);
  return found;
}

// The widest instructions that float32 kernels or libtorch's bfloat16 products may use here.
std::string instruction_set() {
  if (kernels::has_amx_bf16()) return "amx_bf16";
  if (kernels::has_avx512_bf16()) return "avx512_bf16";
  return kernels::row_kernels().instruction_set;
}

at::ScalarType parse_dtype(const std::string& name) {
  if (name == "bfloat16") return at::kBFloat16;
  if (name == "float32") return at::kFloat;
  throw Error(ErrorKind::usage, {"unknown type of computation", {}, "bfloat16 or float32", name});
}

at::Device parse_device(const std::string& name) {
  if (name == "cpu") return at::Device(at::kCPU);
  const bool indexed = name.starts_with("cuda:") && name.size() > 5 && name.size() < 9 &&
                       name.find_first_not_of("0123456789", 5) == std::string::npos;
  if (name != "cuda" && !indexed)
    throw Error(ErrorKind::usage, {"unknown device", {}, "cpu, cuda or cuda:N", name});
  if (!at::hasCUDA()) {
    throw Error(ErrorKind::runtime,
                {"no CUDA device", "--device " + name, "a libtorch built with CUDA, and a device",
                 std::string("libtorch ") + TORCH_VERSION + " for the CPU, or no device"});
  }
  return at::Device(name);
}

class TorchRuntime : public Runtime {
 public:
  RuntimeInfo info() const override {
    const std::string library = blas_library();
    const std::string name = library.empty()
                                 ? (at::hasMKL() ? "MKL inside libtorch" : "inside libtorch")
                                 : std::filesystem::path(library).filename().string();
    // Debian's alternatives: the reference BLAS is …/blas/libblas.so.3, OpenBLAS
    // …/openblas-openmp/libblas.so.3.
    const bool is_reference = std::filesystem::path(library).parent_path().filename() == "blas";
    return {std::string("libtorch ") + TORCH_VERSION, is_reference ? "reference BLAS" : name,
            is_reference, instruction_set()};
  }

  void check(const ModelOptions& options) const override {
    with_translated_errors("use the device", [&] {
      parse_dtype(options.dtype);
      const at::Device device = parse_device(options.device);
      // A device of that number has to be there too: the smallest allocation tells.
      if (!device.is_cpu()) {
        const auto probe = at::empty({1}, at::TensorOptions(at::kFloat).device(device));
      }
    });
  }

  std::unique_ptr<Model> load(const Checkpoint& checkpoint, const ModelOptions& options) override {
    return with_translated_errors("load the model", [&] {
      const at::ScalarType dtype = parse_dtype(options.dtype);
      const at::Device device = parse_device(options.device);
      keep_freed_memory();
      const int n_threads = options.n_threads > 0 ? options.n_threads : available_threads();
      at::set_num_threads(n_threads);  // for conversions; every pass sets its own model's
      const bool has_set = device.is_cpu() && dtype == at::kBFloat16 && options.kernels != "plain";
      const kernels::KernelSet* set =
          has_set ? kernels::usable_kernel_set(options.kernels, kernels::WeightFormat::bfloat16)
                  : nullptr;
      if (has_set && set == nullptr) {
        throw Error(ErrorKind::runtime,
                    {"these kernels do not run on this processor", {}, {}, options.kernels});
      }
      return std::make_unique<TorchModel>(checkpoint.config(),
                                          load_decoder(checkpoint, dtype, device), dtype, device,
                                          n_threads, set);
    });
  }
};

}  // namespace

Runtime& runtime() {
  static TorchRuntime instance;
  return instance;
}

}  // namespace moexray::torch_runtime
