#include "moexray/core/expert_sets.h"

#include <algorithm>
#include <bit>

#include "moexray/core/error.h"

namespace moexray {
namespace {

std::size_t size_from(std::int64_t n) { return static_cast<std::size_t>(n); }

std::uint8_t byte_of(char c) { return static_cast<std::uint8_t>(c); }

}  // namespace

ExpertSets::ExpertSets(const RoutingShape& shape) : shape_(shape) {
  if (shape.n_layers < 1 || shape.top_k < 1 || shape.top_k > shape.n_experts ||
      shape.n_experts > max_experts) {
    throw Error(ErrorKind::data, "impossible routing shape");
  }
  layers_.resize(size_from(shape.n_layers));
}

std::size_t ExpertSets::bytes_per_set() const { return (size_from(shape_.n_experts) + 7) / 8; }

ExpertSets ExpertSets::from_bytes(const RoutingShape& shape, std::int64_t n_positions,
                                  std::string_view bytes) {
  ExpertSets sets(shape);
  const std::size_t n_set = sets.bytes_per_set();
  const std::size_t n_layer = size_from(std::max<std::int64_t>(n_positions, 0)) * n_set;
  if (n_positions < 0 || bytes.size() != n_layer * sets.layers_.size()) {
    throw Error(ErrorKind::data, {"sets of experts of the wrong size",
                                  {},
                                  std::to_string(n_layer * sets.layers_.size()) + " bytes",
                                  std::to_string(bytes.size())});
  }
  for (std::size_t layer = 0; layer < sets.layers_.size(); ++layer) {
    sets.layers_[layer] = bytes.substr(layer * n_layer, n_layer);
    for (std::int64_t pos = 0; pos < n_positions; ++pos) {
      const auto set = std::string_view(sets.layers_[layer]).substr(size_from(pos) * n_set, n_set);
      int n = 0;
      for (const char c : set) n += std::popcount(byte_of(c));
      const int n_last = shape.n_experts % 8;
      const bool is_beyond = n_last > 0 && (byte_of(set.back()) >> n_last) != 0;
      if (n == shape.top_k && !is_beyond) continue;
      throw Error(
          ErrorKind::data,
          {"a set of experts is damaged",
           "layer " + std::to_string(layer) + ", position " + std::to_string(pos),
           std::to_string(shape.top_k) + " of " + std::to_string(shape.n_experts) + " experts",
           std::to_string(n) + (is_beyond ? ", some of which do not exist" : "")});
    }
  }
  return sets;
}

void ExpertSets::append(int layer, std::int64_t n_rows, std::span<const ExpertId> experts) {
  const auto k = size_from(shape_.top_k);
  if (layer < 0 || layer >= shape_.n_layers || n_rows < 0 ||
      experts.size() != size_from(n_rows) * k) {
    throw Error(ErrorKind::runtime, "routing of the wrong shape was given to a set of experts");
  }
  std::string& sets = layers_[size_from(layer)];
  const std::size_t n_set = bytes_per_set();
  const std::size_t before = sets.size();
  sets.resize(before + size_from(n_rows) * n_set, '\0');
  for (std::size_t i = 0; i < experts.size(); ++i) {
    const ExpertId expert = experts[i];
    const bool exists = expert >= 0 && expert < shape_.n_experts;
    char* byte = exists ? &sets[before + i / k * n_set + size_from(expert) / 8] : nullptr;
    const auto bit = static_cast<std::uint8_t>(1U << (size_from(expert) % 8));
    if (!exists || (byte_of(*byte) & bit) != 0) {
      throw Error(ErrorKind::data, {"router chose an expert that does not exist, or one twice",
                                    {},
                                    "ids below " + std::to_string(shape_.n_experts) + ", each once",
                                    std::to_string(expert)});
    }
    *byte = static_cast<char>(byte_of(*byte) | bit);
  }
}

std::int64_t ExpertSets::n_positions() const {
  if (layers_.empty()) return 0;
  std::size_t n = layers_.front().size();
  for (const std::string& layer : layers_) n = std::min(n, layer.size());
  return static_cast<std::int64_t>(n / bytes_per_set());
}

bool ExpertSets::is_rectangular() const {
  return std::all_of(layers_.begin(), layers_.end(), [&](const std::string& layer) {
    return layer.size() == layers_.front().size();
  });
}

std::string ExpertSets::bytes() const {
  std::string all;
  for (const std::string& layer : layers_) all += layer;
  return all;
}

void ExpertSets::read(int layer, std::int64_t pos, std::span<std::uint16_t> experts) const {
  const std::size_t n_set = bytes_per_set();
  const char* set = layers_[size_from(layer)].data() + size_from(pos) * n_set;
  std::size_t n = 0;
  for (std::size_t i = 0; i < n_set; ++i) {
    for (unsigned bits = byte_of(set[i]); bits != 0 && n < experts.size(); bits &= bits - 1) {
      experts[n++] = static_cast<std::uint16_t>(i * 8 + size_from(std::countr_zero(bits)));
    }
  }
}

}  // namespace moexray
