#include "training_state.h"

#include <charconv>
#include <cstring>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/checkpoint/safetensors_writer.h"
#include "moexray/core/error.h"

namespace moexray::torch_runtime {
namespace {

TensorToWrite to_write(const std::string& name, const at::Tensor& tensor) {
  return {
      name,
      "F32",
      {tensor.numel()},
      std::as_bytes(std::span(tensor.data_ptr<float>(), static_cast<std::size_t>(tensor.numel())))};
}

void read_into(const SafetensorsFile& file, const std::string& name, at::Tensor& tensor) {
  const SafetensorsEntry& entry = file.at(name);
  if (entry.dtype != "F32" || entry.shape != std::vector<std::int64_t>{tensor.numel()}) {
    throw Error(ErrorKind::data,
                {"training state of another model", file.path().string() + ": tensor " + name,
                 std::to_string(tensor.numel()) + " values of type F32", entry.dtype});
  }
  const auto bytes = file.bytes(entry);
  std::memcpy(tensor.data_ptr<float>(), bytes.data(), bytes.size());
}

const std::string& metadata(const SafetensorsFile& file, const std::string& key) {
  const auto found = file.header().metadata.find(key);
  if (found == file.header().metadata.end()) {
    throw Error(ErrorKind::data, {"not a training state", file.path().string(),
                                  "metadata key \"" + key + "\"", "none"});
  }
  return found->second;
}

void require_run(const SafetensorsFile& file, const RunDescription& expected) {
  const auto found = RunDescription::parse(metadata(file, "run"), nullptr, false);
  for (const auto& [key, value] : expected.items()) {
    const bool has = found.is_object() && found.contains(key);
    if (!has || found[key] != value) {
      throw Error(ErrorKind::data,
                  {"training state of another run", file.path().string() + ": key \"" + key + "\"",
                   value.dump(), has ? found[key].dump() : "none"});
    }
  }
}

}  // namespace

void save_training_state(const std::filesystem::path& path, const Parameters& parameters,
                         const AdamW& optimiser, std::int64_t step, const RunDescription& run) {
  const TensorToWrite tensors[] = {to_write("values", parameters.values),
                                   to_write("first_moment", optimiser.first),
                                   to_write("second_moment", optimiser.second)};
  write_safetensors(path, tensors, {{"step", std::to_string(step)}, {"run", run.dump()}});
}

std::int64_t load_training_state(const std::filesystem::path& path, Parameters& parameters,
                                 AdamW& optimiser, const RunDescription& expected) {
  const SafetensorsFile file(path);
  require_run(file, expected);
  const std::string& text = metadata(file, "step");
  std::int64_t step = -1;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), step);
  if (code != std::errc() || end != text.data() + text.size() || step < 0) {
    throw Error(ErrorKind::data,
                {"bad training state", path.string() + ": metadata key \"step\"", "a count", text});
  }
  read_into(file, "values", parameters.values);
  read_into(file, "first_moment", optimiser.first);
  read_into(file, "second_moment", optimiser.second);
  return step;
}

}  // namespace moexray::torch_runtime
