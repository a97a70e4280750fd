#include "support/fused_checkpoint.h"

#include <deque>
#include <string>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/safetensors_writer.h"

namespace moexray::test {
namespace {

// The matrices of all experts behind one another: for each expert those that `names` give.
std::vector<std::byte> joined(const Checkpoint& checkpoint, const std::string& prefix,
                              const std::vector<std::string>& names) {
  std::vector<std::byte> bytes;
  for (int e = 0; e < checkpoint.config().num_experts; ++e) {
    for (const std::string& name : names) {
      const auto part =
          checkpoint.tensor(prefix + std::to_string(e) + "." + name + ".weight").bytes;
      bytes.insert(bytes.end(), part.begin(), part.end());
    }
  }
  return bytes;
}

}  // namespace

void write_fused_checkpoint(const std::filesystem::path& from, const std::filesystem::path& to) {
  const Checkpoint checkpoint(from);
  std::deque<std::vector<std::byte>> fused;
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : expected_tensors(checkpoint.config(), ExpertLayout::fused)) {
    const std::string_view name = spec.name;
    const std::size_t end = name.rfind('.') + 1;
    const std::string prefix(name.substr(0, end));
    if (name.ends_with(".gate_up_proj") || name.ends_with(".experts.down_proj")) {
      const bool is_down = name.ends_with("down_proj");
      fused.push_back(joined(checkpoint, prefix,
                             is_down ? std::vector<std::string>{"down_proj"}
                                     : std::vector<std::string>{"gate_proj", "up_proj"}));
      const WeightType type = checkpoint.tensor(prefix + "0.down_proj.weight").type;
      tensors.push_back({spec.name, std::string(name_of(type)), spec.shape, fused.back()});
    } else {
      const TensorView& view = checkpoint.tensor(name);
      tensors.push_back({spec.name, std::string(name_of(view.type)), spec.shape, view.bytes});
    }
  }
  std::filesystem::create_directories(to);
  for (const char* file : {"config.json", "generation_config.json"}) {
    if (std::filesystem::exists(from / file)) std::filesystem::copy_file(from / file, to / file);
  }
  write_safetensors(to / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace moexray::test
