#include "record_grid.h"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;

constexpr std::int64_t max_position = std::numeric_limits<std::int32_t>::max();
constexpr std::int64_t max_grid_layer = 4095;
constexpr std::int64_t max_slot = 4095;

std::string place_text(std::int64_t pos, int layer) {
  return "position " + std::to_string(pos) + ", layer " + std::to_string(layer);
}

}  // namespace

RecordGrid::Cell* RecordGrid::cell_at(std::int64_t pos, std::int64_t layer,
                                      const std::string& where) {
  if (pos < 0 || pos > max_position) {
    fail_at("wrong position", where, "0 or more", std::to_string(pos));
  }
  if (layer < 0 || layer > max_grid_layer) {
    fail_at("wrong layer", where, "0 to " + std::to_string(max_grid_layer), std::to_string(layer));
  }
  const auto number = static_cast<int>(layer);
  if (std::find(dropped_.begin(), dropped_.end(), number) != dropped_.end()) {
    if (std::find(seen_dropped_.begin(), seen_dropped_.end(), number) == seen_dropped_.end()) {
      seen_dropped_.push_back(number);
    }
    return nullptr;
  }
  return &cells_[{pos, number}];
}

void RecordGrid::add(std::int64_t pos, std::int64_t layer, std::span<const std::int32_t> experts,
                     std::span<const float> weights, const std::string& where) {
  Cell* cell = cell_at(pos, layer, where);
  if (cell == nullptr) return;
  if (!weights.empty() && weights.size() != experts.size()) {
    fail_at("not as many weights as experts", where, std::to_string(experts.size()),
            std::to_string(weights.size()));
  }
  cell->experts.insert(cell->experts.end(), experts.begin(), experts.end());
  cell->weights.insert(cell->weights.end(), weights.begin(), weights.end());
}

void RecordGrid::add_slot(std::int64_t pos, std::int64_t layer, std::int64_t slot,
                          std::int32_t expert, float weight, const std::string& where) {
  Cell* cell = cell_at(pos, layer, where);
  if (slot < 0 || slot > max_slot) {
    fail_at("wrong slot", where, "0 to " + std::to_string(max_slot), std::to_string(slot));
  }
  if (cell == nullptr) return;
  const auto at = static_cast<std::size_t>(slot);
  if (cell->experts.size() <= at) {
    cell->experts.resize(at + 1, -1);
    cell->weights.resize(at + 1, 0);
  }
  if (cell->experts[at] != -1) {
    fail_at("a slot is given twice: " + place_text(pos, static_cast<int>(layer)), where, {},
            "slot " + std::to_string(slot));
  }
  cell->experts[at] = expert;
  cell->weights[at] = weight;
}

// What positions a layer lacks that others have.
std::string RecordGrid::hole(const std::map<int, std::vector<std::int64_t>>& positions) const {
  std::set<std::int64_t> all;
  for (const auto& [layer, own] : positions) all.insert(own.begin(), own.end());
  for (const auto& [layer, own] : positions) {
    if (own.size() == all.size()) continue;
    std::vector<std::int64_t> missing;
    std::set_difference(all.begin(), all.end(), own.begin(), own.end(),
                        std::back_inserter(missing));
    std::string text = "layer " + std::to_string(layer) + " lacks " +
                       std::to_string(missing.size()) + " of " + std::to_string(all.size()) +
                       " positions, " + std::to_string(missing.front()) + " to " +
                       std::to_string(missing.back());
    if (layer == positions.rbegin()->first) {
      text +=
          " (llama.cpp computes the last layer only for tokens whose logits are asked for: "
          "--drop-layers " +
          std::to_string(layer) + " goes on without it)";
    }
    return text;
  }
  const std::int64_t n_wanted = *all.rbegin() - *all.begin() + 1;
  if (static_cast<std::int64_t>(all.size()) == n_wanted) return {};
  std::int64_t expected = *all.begin();
  for (const std::int64_t pos : all) {
    if (pos != expected) break;
    ++expected;
  }
  return "no record of position " + std::to_string(expected) + " at any layer";
}

void RecordGrid::finish(RecordedPrompt& prompt, int top_k) {
  for (const int dropped : dropped_) {
    if (std::find(seen_dropped_.begin(), seen_dropped_.end(), dropped) != seen_dropped_.end()) {
      continue;
    }
    fail_at("--drop-layers names a layer that is not there", prompt.where, {},
            std::to_string(dropped));
  }
  const std::map<Key, Cell> cells = std::exchange(cells_, {});
  seen_dropped_.clear();
  if (cells.empty()) fail_at("no record is left", prompt.where);
  std::map<int, std::vector<std::int64_t>> positions;
  std::size_t k = static_cast<std::size_t>(top_k);
  const bool has_weights = !cells.begin()->second.weights.empty();
  for (const auto& [key, cell] : cells) {
    positions[key.second].push_back(key.first);
    if (top_k == 0) k = std::max(k, cell.experts.size());
  }
  for (const auto& [key, cell] : cells) {
    if (cell.experts.size() != k) {
      fail_at("another number of experts: " + place_text(key.first, key.second), prompt.where,
              std::to_string(k), std::to_string(cell.experts.size()));
    }
    if (cell.weights.size() != (has_weights ? k : 0)) {
      fail_at("some experts have weights and others have not: " + place_text(key.first, key.second),
              prompt.where);
    }
  }
  for (const auto& [layer, own] : positions) prompt.layers.push_back(layer);
  prompt.first_pos = cells.begin()->first.first;
  prompt.hole = hole(positions);
  if (!prompt.hole.empty()) return;
  std::string bytes;
  bytes.reserve(cells.size() * k * sizeof(std::int32_t));
  for (const auto& [key, cell] : cells) {
    bytes.append(reinterpret_cast<const char*>(cell.experts.data()), k * sizeof(std::int32_t));
    prompt.weights.insert(prompt.weights.end(), cell.weights.begin(), cell.weights.end());
  }
  const auto n_layers = static_cast<std::int64_t>(positions.size());
  prompt.ids = IdArray(
      std::move(bytes), Item::i32,
      {static_cast<std::int64_t>(cells.size()) / n_layers, n_layers, static_cast<std::int64_t>(k)});
}

}  // namespace moexray::imports
