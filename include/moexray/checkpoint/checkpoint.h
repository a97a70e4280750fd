#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/checkpoint/config.h"
#include "moexray/core/file.h"

namespace moexray {

enum class WeightType { bf16, f16, f32 };

/// "BF16", "F16", "F32": as in safetensors headers.
std::string_view name_of(WeightType type);
std::size_t size_of(WeightType type);

/// A weight as it lies in a mapped file: row-major, little-endian. Valid as long as its Checkpoint.
/// `bytes` may start at any address: files align their tensors by custom, not by rule, so whoever
/// reads elements of more than one byte checks the alignment and copies where it is wrong.
struct TensorView {
  WeightType type = WeightType::f32;
  std::vector<std::int64_t> shape;
  std::span<const std::byte> bytes;  ///< exactly product(shape) · size_of(type)
};

/// A Hugging Face checkpoint directory: config.json and safetensors files, single or sharded
/// (model.safetensors, or model.safetensors.index.json with its shards), memory-mapped and not
/// copied.
class Checkpoint {
 public:
  /// Opens and checks everything that can be checked without reading the weights: headers (SPEC:
  /// 100 MB, offsets inside the file, no overlap, no duplicates, sizes that agree with shape and
  /// type), the shard index (plain names, every tensor where the index says), and every tensor of
  /// the architecture with the shape that the config demands. Buffers of old checkpoints
  /// (`rotary_emb.inv_freq`) are ignored, and with a notice in the config those of multi-token
  /// prediction (prefix `mtp.`, and the `num_nextn_predict_layers` layers behind the last). With
  /// tied embeddings `lm_head.weight` may be there if it equals the embedding, as transformers
  /// demands too; it is not listed in `tensors()`. Fused experts are listed as if they were
  /// separate, each matrix a view into the fused tensor.
  /// @throws Error (data) that lists all missing, extra and mis-shaped tensors together.
  /// @param table the architectures to choose from; its rows must outlive the checkpoint.
  explicit Checkpoint(const std::filesystem::path& directory,
                      std::span<const Architecture> table = architectures());

  const std::filesystem::path& directory() const { return directory_; }
  const ModelConfig& config() const { return config_; }
  const std::vector<MappedFile>& files() const { return files_; }  ///< of weights
  ExpertLayout expert_layout() const { return expert_layout_; }
  /// How many tensors of each type the files hold for the model.
  const std::map<WeightType, std::int64_t>& n_stored_tensors() const { return n_stored_tensors_; }
  /// The model's weights, without a head that is tied to the embedding; the tensor of each is
  /// tensor(slot.name).
  const std::vector<WeightSlot>& weights() const { return weights_; }
  /// @throws Error (data) if there is no tensor of that name.
  const TensorView& tensor(std::string_view name) const;
  const std::map<std::string, TensorView, std::less<>>& tensors() const { return tensors_; }
  /// SHA-256 over the router weights' bytes in layer order, lower-case hex.
  std::string router_sha256() const;

 private:
  std::filesystem::path directory_;
  ModelConfig config_;
  std::vector<MappedFile> files_;
  ExpertLayout expert_layout_ = ExpertLayout::separate;
  std::map<WeightType, std::int64_t> n_stored_tensors_;
  std::vector<WeightSlot> weights_;
  std::map<std::string, TensorView, std::less<>> tensors_;
};

/// True if the directory has weights: `model.safetensors` or `model.safetensors.index.json`.
bool has_weights(const std::filesystem::path& directory);

}  // namespace moexray
