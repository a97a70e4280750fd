#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <span>
#include <string>
#include <utility>

#include "moexray/routing/policy.h"

namespace moexray::test {

/// A routing policy that uses all it may: it lowers and raises the logits of the experts that its
/// row's token and position point at, adds a tenth of the hidden state to the first (in every other
/// layer, where it asks for it), and swaps the weights of the first two experts it gets.
struct ShiftingPolicy : RoutingPolicy {
  bool wants_hidden(int layer) const override { return layer % 2 == 0; }
  void on_logits(const RouterRow& row, std::span<float> logits) const override {
    EXPECT_EQ(row.hidden.empty(), !wants_hidden(row.layer));
    const std::size_t n = logits.size();
    logits[static_cast<std::size_t>(row.token_id) % n] -= 2;
    logits[static_cast<std::size_t>(row.pos) % n] += 1;
    for (const float h : row.hidden) logits[0] += 0.1F * h;
  }
  void on_choice(const RouterRow&, std::span<const float>, std::span<ExpertId>,
                 std::span<float> weights) const override {
    std::swap(weights[0], weights[1]);
  }
  std::string canonical() const override { return "shifting"; }
};

}  // namespace moexray::test
