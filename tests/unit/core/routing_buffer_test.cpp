#include "moexray/core/routing_buffer.h"

#include <gtest/gtest.h>

#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/forward_tokens.h"
#include "support/expect_error.h"

namespace moexray {
namespace {

using test::expect_error;

TEST(RoutingBuffer, ChecksItsInput) {
  expect_error(ErrorKind::data, "impossible", [] { RoutingBuffer({1, 2, 3}, false); });
  expect_error(ErrorKind::data, "impossible", [] { RoutingBuffer({0, 2, 1}, false); });
  RoutingBuffer buffer({2, 4, 1}, false);
  const std::vector<float> weight{1};
  const auto append = [&](int layer, std::vector<ExpertId> experts) {
    buffer.append(layer, 1, experts, weight);
  };
  expect_error(ErrorKind::runtime, "wrong shape", [&] { append(2, {0}); });
  expect_error(ErrorKind::runtime, "wrong shape", [&] { append(0, {0, 1}); });
  expect_error(ErrorKind::data, "does not exist", [&] { append(0, {4}); });
  expect_error(ErrorKind::data, "does not exist", [&] { append(0, {-1}); });
  append(0, {3});
  EXPECT_FALSE(buffer.is_rectangular());
  EXPECT_EQ(buffer.n_positions(), 0);
  append(1, {2});
  EXPECT_TRUE(buffer.is_rectangular());
  EXPECT_EQ(buffer.experts(1, 0)[0], 2);
}

TEST(RoutingBuffer, KeepsWhatItIsAskedTo) {
  const std::vector<ExpertId> experts{3, 1};
  const std::vector<float> weights{0.75F, 0.25F};
  const std::vector<float> logits{0, 1, 2, 3};
  RoutingBuffer all({1, 4, 2}, true);
  all.append(0, 1, experts, weights, logits);
  EXPECT_EQ(all.weights(0, 0)[1], 0.25F);
  EXPECT_EQ(all.logits(0, 0).size(), 4U);
  RoutingBuffer bare({1, 4, 2}, false, false);
  bare.append(0, 1, experts);
  EXPECT_EQ(bare.experts(0, 0)[0], 3);
  EXPECT_FALSE(bare.has_weights());
  EXPECT_TRUE(bare.weights(0, 0).empty());
  EXPECT_TRUE(bare.logits(0, 0).empty());
  expect_error(ErrorKind::runtime, "wrong shape", [&] { all.append(0, 1, experts, {}, logits); });
}

TEST(ForwardTokens, TheLastGeneratedTokenIsNotFedBack) {
  EXPECT_EQ(n_forward_tokens(5, 0), 5);
  EXPECT_EQ(n_forward_tokens(5, 1), 5);
  EXPECT_EQ(n_forward_tokens(5, 4), 8);
}

}  // namespace
}  // namespace moexray
