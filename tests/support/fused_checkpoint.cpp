#include "support/fused_checkpoint.h"

#include <map>
#include <string>
#include <vector>

#include "moexray/checkpoint/checkpoint.h"
#include "moexray/checkpoint/safetensors_writer.h"

namespace moexray::test {

void write_fused_checkpoint(const std::filesystem::path& from, const std::filesystem::path& to,
                            std::span<const Architecture> table) {
  const Checkpoint checkpoint(from, table);
  // A tensor holds its weights one after the other.
  const std::vector<WeightSlot> slots = weight_slots(checkpoint.config(), ExpertLayout::fused);
  std::map<std::string, std::vector<std::byte>> bytes;
  std::map<std::string, WeightType> types;
  for (const WeightSlot& slot : slots) {
    if (!slot.required) continue;
    const TensorView& view = checkpoint.tensor(slot.name);
    bytes[slot.tensor].insert(bytes[slot.tensor].end(), view.bytes.begin(), view.bytes.end());
    types[slot.tensor] = view.type;
  }
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : stored_tensors(slots)) {
    tensors.push_back(
        {spec.name, std::string(name_of(types.at(spec.name))), spec.shape, bytes.at(spec.name)});
  }
  std::filesystem::create_directories(to);
  for (const char* file : {"config.json", "generation_config.json"}) {
    if (std::filesystem::exists(from / file)) std::filesystem::copy_file(from / file, to / file);
  }
  write_safetensors(to / "model.safetensors", tensors, {{"format", "pt"}});
}

}  // namespace moexray::test
