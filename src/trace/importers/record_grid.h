#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "importer.h"

namespace moexray::imports {

/// Puts records of single tokens and layers, which come in any order, together to the array of a
/// prompt. Layers are known by their numbers in the transformer.
class RecordGrid {
 public:
  /// @param dropped layers whose records are passed over
  explicit RecordGrid(const std::vector<int>& dropped) : dropped_(dropped) {}

  bool empty() const { return cells_.empty(); }
  /// Adds experts of a token at a layer, one or several, in the order of their ranks.
  /// @param weights as many, or none
  /// @throws Error (data) for numbers that are out of bounds.
  void add(std::int64_t pos, std::int64_t layer, std::span<const std::int32_t> experts,
           std::span<const float> weights, const std::string& where);
  /// The same where each expert has a slot of its own.
  void add_slot(std::int64_t pos, std::int64_t layer, std::int64_t slot, std::int32_t expert,
                float weight, const std::string& where);
  /// Fills in ids, weights, layers, first_pos, and `hole` where layers do not have the same
  /// positions. The grid is empty afterwards.
  /// @param top_k 0: as most experts as a token has
  /// @throws Error (data) for a token with another number of experts than k, one that was given
  /// twice, or some weights without others.
  void finish(RecordedPrompt& prompt, int top_k);

 private:
  struct Cell {
    std::vector<std::int32_t> experts;
    std::vector<float> weights;
  };
  using Key = std::pair<std::int64_t, int>;  // position, layer

  Cell* cell_at(std::int64_t pos, std::int64_t layer, const std::string& where);
  std::string hole(const std::map<int, std::vector<std::int64_t>>& positions) const;

  const std::vector<int>& dropped_;
  std::vector<int> seen_dropped_;
  std::map<Key, Cell> cells_;
};

}  // namespace moexray::imports
