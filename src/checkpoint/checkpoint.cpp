#include "moexray/checkpoint/checkpoint.h"

#include <algorithm>
#include <cstring>
#include <optional>
#include <set>
#include <system_error>
#include <utility>

#include "expert_layout.h"
#include "messages.h"
#include "moexray/checkpoint/locate.h"
#include "moexray/checkpoint/safetensors.h"
#include "moexray/core/error.h"
#include "moexray/core/sha256.h"
#include "moexray/core/wording.h"
#include "paths.h"
#include "shard_index.h"

namespace moexray {
namespace {

constexpr std::size_t max_listed = 20;
constexpr const char* single_file = "model.safetensors";
constexpr const char* index_file = "model.safetensors.index.json";

std::optional<WeightType> weight_type(std::string_view dtype) {
  for (const WeightType type : {WeightType::bf16, WeightType::f16, WeightType::f32}) {
    if (name_of(type) == dtype) return type;
  }
  return std::nullopt;
}

// Buffers that old versions of transformers saved and that are computed from the config.
bool is_ignored(std::string_view name) { return name.ends_with(".rotary_emb.inv_freq"); }

// Gathers what is wrong with a checkpoint, so that one error can tell it all.
class Problems {
 public:
  void add(std::string_view tensor, const std::string& what) { add_to(listed_, tensor, what); }
  // Told last: what is missing says more than what is too many.
  void add_extra(std::string_view tensor, const std::string& what) { add_to(extra_, tensor, what); }

  /// @param note how the checkpoint is laid out, where that is not the usual way
  void throw_if_any(const std::filesystem::path& directory, const std::string& note) const {
    if (n_found_ == 0) return;
    std::string what = std::to_string(n_found_) +
                       (n_found_ == 1 ? " tensor does not fit" : " tensors do not fit") +
                       " the config";
    if (!note.empty()) what += " (" + note + ")";
    what += ":";
    std::vector<std::string> lines = listed_;
    lines.insert(lines.end(), extra_.begin(), extra_.end());
    if (lines.size() > max_listed) lines.resize(max_listed);
    for (const std::string& line : lines) what += "\n  " + line;
    if (n_found_ > lines.size()) {
      what += "\n  and " + std::to_string(n_found_ - lines.size()) + " more";
    }
    throw Error(ErrorKind::data, {what, directory.string(), {}, {}});
  }

 private:
  void add_to(std::vector<std::string>& list, std::string_view tensor, const std::string& what) {
    ++n_found_;
    if (list.size() < max_listed) list.push_back(printable(tensor, 160) + ": " + what);
  }

  std::size_t n_found_ = 0;
  std::vector<std::string> listed_;
  std::vector<std::string> extra_;
};

// Compares the tensors of all files with what the config demands.
class Matcher {
 public:
  using Tensors = std::map<std::string, TensorView, std::less<>>;

  Matcher(const ShardIndex* index, const ExpertLayoutFinder& layout, const ModelConfig& config)
      : index_(index), layout_(layout) {
    const auto n_layers = static_cast<int>(config.spec.layers.size());
    for (int i = 0; i < config.n_prediction_layers; ++i) {
      prediction_layers_.push_back("model.layers." + std::to_string(n_layers + i) + ".");
    }
    for (const WeightSlot& slot : layout.slots()) expected_.emplace(slot.tensor, &slot);
  }

  void add_file(const MappedFile& file, const SafetensorsHeader& header) {
    const std::string shard = file.path().filename().string();
    for (const SafetensorsEntry& entry : header.tensors) {
      if (index_ != nullptr) compare_with_index(entry.name, shard);
      if (is_ignored(entry.name)) continue;
      if (is_of_prediction(entry.name)) {
        ++n_of_prediction_;
        continue;
      }
      const std::uint64_t begin = header.data_offset + entry.begin;
      add_tensor(entry, file.bytes().subspan(begin, entry.end - entry.begin));
    }
  }

  /// Tensors of multi-token prediction, which are passed over.
  std::size_t n_of_prediction() const { return n_of_prediction_; }

  /// Call it after the last file. Returns the tensors of the model.
  Tensors finish(const std::filesystem::path& directory) {
    if (index_ != nullptr) {
      for (const auto& [name, shard] : *index_) {
        if (!in_index_.contains(name)) {
          problems_.add(
              name, "the index puts it into " + printable(shard, 160) + ", which does not have it");
        }
      }
    }
    for (const auto& [name, slot] : expected_) {
      if (slot->required && !seen_.contains(name)) {
        problems_.add(name, "missing, expected " + describe_shape(slot->stored));
      }
    }
    check_tied();
    problems_.throw_if_any(directory, layout_.note());
    return std::move(tensors_);
  }

 private:
  void compare_with_index(const std::string& name, const std::string& shard) {
    const auto row = index_->find(name);
    if (row == index_->end()) {
      problems_.add(name, "in " + shard + ", but not in the index");
    } else if (row->second != shard) {
      problems_.add(name, "in " + shard + ", where the index says " + printable(row->second, 160));
    } else {
      in_index_.insert(row->first);
    }
  }

  bool is_of_prediction(std::string_view name) const {
    return name.starts_with("mtp.") ||
           std::any_of(prediction_layers_.begin(), prediction_layers_.end(),
                       [&](const std::string& prefix) { return name.starts_with(prefix); });
  }

  void add_tensor(const SafetensorsEntry& entry, std::span<const std::byte> bytes) {
    const auto spec = expected_.find(entry.name);
    if (spec == expected_.end()) {
      problems_.add_extra(entry.name, "not part of this model");
      return;
    }
    if (!seen_.insert(spec->first).second) {
      problems_.add(entry.name, "in more than one file");
      return;
    }
    const std::optional<WeightType> type = weight_type(entry.dtype);
    if (!type) {
      problems_.add(entry.name, "expected BF16, F16 or F32, found " + entry.dtype);
    } else if (entry.shape != spec->second->stored) {
      problems_.add(entry.name, "expected " + describe_shape(spec->second->stored) + ", found " +
                                    describe_shape(entry.shape));
    } else {
      tensors_.emplace(entry.name, TensorView{*type, entry.shape, bytes});
    }
  }

  Tensors::iterator find_role(WeightRole role) {
    for (const WeightSlot& slot : layout_.slots()) {
      if (slot.role == role) return tensors_.find(slot.tensor);
    }
    return tensors_.end();
  }

  // A tied head may be stored beside the embedding, if it is the same.
  void check_tied() {
    const auto head = find_role(WeightRole::head);
    const auto embedding = find_role(WeightRole::embedding);
    if (head == tensors_.end() || expected_.at(head->first)->required) return;
    if (embedding != tensors_.end()) {
      const TensorView& a = head->second;
      const TensorView& b = embedding->second;
      if (a.type != b.type || std::memcmp(a.bytes.data(), b.bytes.data(), a.bytes.size()) != 0) {
        problems_.add(head->first,
                      "differs from " + embedding->first + ", though tie_word_embeddings is true");
      }
    }
    tensors_.erase(head);
  }

  const ShardIndex* index_;
  const ExpertLayoutFinder& layout_;
  std::map<std::string, const WeightSlot*, std::less<>> expected_;
  std::vector<std::string> prediction_layers_;  // prefixes of their tensors
  std::size_t n_of_prediction_ = 0;
  std::set<std::string_view> seen_;      // keys of expected_
  std::set<std::string_view> in_index_;  // keys of *index_
  Tensors tensors_;
  Problems problems_;
};

std::vector<MappedFile> map_shards(const std::filesystem::path& directory,
                                   const ShardIndex& index) {
  std::set<std::string_view> names;
  for (const auto& [tensor, shard] : index) names.insert(shard);
  std::vector<std::string_view> missing;
  for (const std::string_view name : names) {
    if (!is_there(directory / name)) missing.push_back(name);
  }
  if (!missing.empty()) {
    throw Error(ErrorKind::data,
                {std::to_string(missing.size()) + " of " + std::to_string(names.size()) +
                     " files of weights are missing, " + in_quotes(missing.front()) +
                     " the first; download the model again to complete it",
                 directory.string(),
                 {},
                 {}});
  }
  std::vector<MappedFile> files;
  for (const std::string_view name : names) files.emplace_back(directory / name);
  return files;
}

}  // namespace

bool has_weights(const std::filesystem::path& directory) {
  return is_there(directory / single_file) || is_there(directory / index_file);
}

Checkpoint::Checkpoint(const std::filesystem::path& directory, std::span<const Architecture> table)
    : directory_(directory), config_(read_model_config(directory, table)) {
  if (!has_weights(directory)) {
    throw Error(ErrorKind::data,
                {"no weights", directory.string(), std::string(single_file) + " or " + index_file,
                 why_no_weights(directory)});
  }
  std::optional<ShardIndex> index;
  if (is_there(directory / single_file)) {
    files_.emplace_back(directory / single_file);
  } else {
    index = read_shard_index(directory / index_file);
    files_ = map_shards(directory, *index);
  }
  std::vector<SafetensorsHeader> headers;
  for (const MappedFile& file : files_) {
    headers.push_back(parse_safetensors_header(file.bytes(), file.path().string()));
  }
  ExpertLayoutFinder layout(config_, headers);
  Matcher matcher(index ? &*index : nullptr, layout, config_);
  for (std::size_t i = 0; i < files_.size(); ++i) matcher.add_file(files_[i], headers[i]);
  auto stored = matcher.finish(directory);
  for (const auto& [name, tensor] : stored) ++n_stored_tensors_[tensor.type];
  expert_layout_ = layout.layout();
  tensors_ = views_of_weights(layout.slots(), stored);
  if (const std::size_t n = matcher.n_of_prediction(); n > 0) {
    config_.notices.push_back(directory.string() + ": " +
                              counted(static_cast<std::int64_t>(n), "tensor") +
                              " of multi-token prediction passed over: the layers behind the last "
                              "do not change what the others compute");
  }
  weights_ = layout.take_slots();
  std::erase_if(weights_, [](const WeightSlot& slot) { return !slot.required; });
}

const TensorView& Checkpoint::tensor(std::string_view name) const {
  const auto row = tensors_.find(name);
  if (row == tensors_.end()) {
    throw Error(ErrorKind::data, {"no tensor " + in_quotes(name), directory_.string(), {}, {}});
  }
  return row->second;
}

std::string Checkpoint::router_sha256() const {
  Sha256 hash;
  for (const WeightSlot& slot : weights_) {
    if (slot.role == WeightRole::router) hash.update(tensor(slot.name).bytes);
  }
  return hash.finish_hex();
}

}  // namespace moexray
