#include "moexray/runtime/batch_plan.h"

#include <gtest/gtest.h>

#include <limits>
#include <numeric>

#include "support/expect_error.h"

namespace moexray {
namespace {

using test::expect_error;

constexpr std::int64_t huge = std::numeric_limits<std::int64_t>::max();

TEST(PlanBatches, FollowsTheSizeAskedFor) {
  const std::vector<std::int64_t> n_tokens(10, 5);
  const BatchPlan plan = plan_batches(n_tokens, 4, 1, {1, 1});
  EXPECT_EQ(plan.batch, 4);
  EXPECT_EQ(plan.sizes, (std::vector<std::int64_t>{4, 4, 2}));
  EXPECT_EQ(plan_batches(n_tokens, 100, 1, {1, 1}).sizes, (std::vector<std::int64_t>{10}));
}

TEST(PlanBatches, FillsTheMemory) {
  const std::vector<std::int64_t> n_tokens = {10, 20, 30, 10, 10, 50};
  // Costs 110, 210, 310, 110, 110, 510.
  const SequenceCost cost{10, 10};
  EXPECT_EQ(plan_batches(n_tokens, 0, 1'360, cost).batch, 6);
  EXPECT_EQ(plan_batches(n_tokens, 0, 1'359, cost).batch, 5);
  EXPECT_EQ(plan_batches(n_tokens, 0, 850, cost).batch, 5);
  EXPECT_EQ(plan_batches(n_tokens, 0, 740, cost).batch, 4);
  EXPECT_EQ(plan_batches(n_tokens, 0, 739, cost).batch, 3);
  EXPECT_EQ(plan_batches(n_tokens, 0, 620, cost).batch, 2);
  EXPECT_EQ(plan_batches(n_tokens, 0, 510, cost).batch, 1);
  expect_error(ErrorKind::usage, "for prompt 6", [&] { plan_batches(n_tokens, 0, 509, cost); });
}

TEST(PlanBatches, KeepsEveryBatchWithinTheMemory) {
  std::vector<std::int64_t> n_tokens;
  for (int i = 0; i < 500; ++i) n_tokens.push_back(1 + (i * 7919) % 97);
  const SequenceCost cost{100, 50};
  for (const std::int64_t memory : {10'000, 50'000, 123'456, 1'000'000}) {
    const BatchPlan plan = plan_batches(n_tokens, 0, memory, cost);
    std::size_t i = 0;
    for (const std::int64_t size : plan.sizes) {
      std::int64_t bytes = 0;
      for (std::int64_t j = 0; j < size; ++j) bytes += n_tokens.at(i++) * 100 + 50;
      EXPECT_LE(bytes, memory);
    }
    EXPECT_EQ(i, n_tokens.size());
  }
}

TEST(PlanBatches, IsBoundedAndSafe) {
  EXPECT_EQ(plan_batches(std::vector<std::int64_t>(1'000, 1), 0, huge, {1, 1}).batch,
            max_auto_batch);
  EXPECT_TRUE(plan_batches({}, 8, 1, {1, 1}).sizes.empty());
  EXPECT_TRUE(plan_batches({}, 0, 1, {1, 1}).sizes.empty());
  expect_error(ErrorKind::usage, "does not fit", [] {
    plan_batches(std::vector<std::int64_t>{huge, huge}, 0, huge - 1, {huge, huge});
  });
}

TEST(SequenceCost, CountsCacheRoutingAndLogits) {
  ModelConfig config;
  LayerSpec layer;
  layer.attention.n_heads = layer.attention.n_kv_heads = 16;
  layer.attention.head_dim = 128;
  layer.mlp = MoeSpec{{64, 8, false}, {1'024}, {}};
  config.spec.vocab_size = 50'304;
  config.spec.hidden_size = 2'048;
  config.spec.layers.assign(16, layer);
  EXPECT_EQ(sequence_cost(config, "bfloat16", false).bytes_per_token, 16 * (2 * 2'048 * 2 + 48));
  EXPECT_EQ(sequence_cost(config, "float32", true).bytes_per_token,
            16 * (2 * 2'048 * 4 + 48 + 256));
  EXPECT_EQ(sequence_cost(config, "float32", true).bytes, 8 * 50'304);
  // A dense layer has a cache, and nothing is routed there.
  config.spec.layers[0].mlp = FeedForwardSpec{1'024};
  EXPECT_EQ(sequence_cost(config, "bfloat16", false).bytes_per_token, 16 * 2 * 2'048 * 2 + 15 * 48);
}

TEST(ParseMemorySize, TakesUnitsOf1024) {
  EXPECT_EQ(parse_memory_size("1"), 1);
  EXPECT_EQ(parse_memory_size("1048576"), 1 << 20);
  EXPECT_EQ(parse_memory_size("2K"), 2'048);
  EXPECT_EQ(parse_memory_size("512M"), std::int64_t{512} << 20);
  EXPECT_EQ(parse_memory_size("4G"), default_batch_memory_bytes);
  EXPECT_EQ(parse_memory_size("4GiB"), default_batch_memory_bytes);
  EXPECT_EQ(parse_memory_size("3TiB"), std::int64_t{3} << 40);
}

TEST(ParseMemorySize, RefusesEverythingElse) {
  for (const char* text :
       {"", "0", "0G", "-1", "+1", "G", "iB", "4iB", "4GB", "4g", "4 G", "4GiBx", "1.5G", "1e9",
        "9223372036854775808", "9007199254740992K", "8388608T", "4GG", "0x10"}) {
    SCOPED_TRACE(text);
    expect_error(ErrorKind::usage, "a size like 512M", [&] { parse_memory_size(text); });
  }
}

}  // namespace
}  // namespace moexray
