#include "moexray/stats/signatures.h"

#include <gtest/gtest.h>

#include <limits>
#include <thread>

#include "moexray/core/random.h"
#include "stats_support.h"
#include "support/expect_error.h"

namespace moexray::stats {
namespace {

using test::expect_error;

struct Event {
  std::size_t prompt;
  int layer;
  std::int64_t pos;
  TokenType type;
  bool is_template;
  std::vector<ExpertId> experts;
  std::vector<float> weights;

  RoutingRecord record() const { return {layer, pos, type, is_template, -1, experts, weights}; }
};

// Prompt a: a template token, a prompt token and a generated one; prompt b: two prompt tokens.
std::vector<Event> small_trace() {
  const auto p = TokenType::prompt;
  const auto g = TokenType::generation;
  return {
      {0, 0, 0, p, true, {0, 1}, {0.5F, 0.25F}},   {0, 1, 0, p, true, {2, 3}, {0.5F, 0.25F}},
      {0, 0, 1, p, false, {1, 2}, {0.5F, 0.5F}},   {0, 1, 1, p, false, {2, 0}, {1.0F, 0.0F}},
      {0, 0, 2, g, false, {3, 1}, {0.75F, 0.25F}}, {0, 1, 2, g, false, {1, 2}, {0.5F, 0.25F}},
      {1, 0, 0, p, false, {0, 3}, {0.5F, 0.25F}},  {1, 1, 0, p, false, {3, 0}, {0.5F, 0.25F}},
      {1, 0, 1, p, false, {3, 2}, {0.5F, 0.25F}},  {1, 1, 1, p, false, {3, 1}, {0.5F, 0.25F}},
  };
}

constexpr RoutingShape small_shape{2, 4, 2};

Signatures accumulate(const std::vector<Event>& events, const Selection& selection,
                      const RoutingShape& shape = small_shape) {
  SignatureAccumulator accumulator(shape, {{"a", "x"}, {"b", "y"}}, selection);
  for (const Event& event : events) accumulator.add(event.prompt, event.record());
  return std::move(accumulator).finish();
}

void expect_row(const Signatures& signatures, Eigen::Index row,
                const std::vector<double>& expected) {
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(signatures.values(row, static_cast<Eigen::Index>(i)), expected[i], 1e-15)
        << "row " << row << ", column " << i;
  }
}

TEST(Signatures, CountsAllTokens) {
  const Signatures s = accumulate(small_trace(), {});
  ASSERT_EQ(s.size(), 2U);
  EXPECT_EQ(s.ids, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(s.categories, (std::vector<std::string>{"x", "y"}));
  EXPECT_EQ(s.n_tokens, (std::vector<std::int64_t>{3, 2}));
  expect_row(s, 0, {1.0 / 6, 3.0 / 6, 1.0 / 6, 1.0 / 6, 1.0 / 6, 1.0 / 6, 3.0 / 6, 1.0 / 6});
  expect_row(s, 1, {0.25, 0, 0.25, 0.5, 0.25, 0.25, 0, 0.5});
}

TEST(Signatures, GivesCountsBackThroughLayerSums) {
  const Signatures s = accumulate(small_trace(), {});
  EXPECT_EQ(s.layer_sums, (Matrix(2, 2) << 6, 6, 4, 4).finished());
  EXPECT_EQ(s.prompt_indices, (std::vector<std::size_t>{0, 1}));
}

TEST(Signatures, CountsPromptTokensWithoutTemplate) {
  const Signatures s =
      accumulate(small_trace(), {.tokens = TokenSelection::prompt, .exclude_template = true});
  EXPECT_EQ(s.n_tokens, (std::vector<std::int64_t>{1, 2}));
  expect_row(s, 0, {0, 0.5, 0.5, 0, 0.5, 0, 0.5, 0});
}

TEST(Signatures, SumsWeights) {
  const Signatures s = accumulate(small_trace(), {.weighted = true});
  expect_row(
      s, 0,
      {0.5 / 2.75, 1.0 / 2.75, 0.5 / 2.75, 0.75 / 2.75, 0, 0.5 / 2.5, 1.75 / 2.5, 0.25 / 2.5});
}

TEST(Signatures, NamesPromptsWithoutGeneratedTokens) {
  const Signatures s = accumulate(small_trace(), {.tokens = TokenSelection::generation});
  ASSERT_EQ(s.size(), 1U);
  EXPECT_EQ(s.ids[0], "a");
  ASSERT_EQ(s.left_out.size(), 1U);
  EXPECT_EQ(s.left_out[0].id, "b");
  EXPECT_EQ(s.left_out[0].reason, "no generated tokens");
  expect_row(s, 0, {0, 0.5, 0, 0.5, 0, 0.5, 0.5, 0});
}

TEST(Signatures, ClosesUpRowsOfPromptsLeftOut) {
  std::vector<Event> events = small_trace();
  for (Event& event : events) event.prompt = 1 - event.prompt;  // now "a" generates nothing
  const Signatures s = accumulate(events, {.tokens = TokenSelection::generation});
  ASSERT_EQ(s.size(), 1U);
  EXPECT_EQ(s.values.rows(), 1);
  EXPECT_EQ(s.ids[0], "b");
  EXPECT_EQ(s.categories[0], "y");
  EXPECT_EQ(s.prompt_indices, std::vector<std::size_t>{1});
  EXPECT_EQ(s.layer_sums, Matrix::Constant(1, 2, 2));
  expect_row(s, 0, {0, 0.5, 0, 0.5, 0, 0.5, 0.5, 0});
}

TEST(Signatures, RefusesALayerWithoutEvents) {
  std::vector<Event> events = small_trace();
  events.erase(events.begin() + 9);
  events.erase(events.begin() + 7);
  expect_error(ErrorKind::data, "prompt \"b\", layer 1: no routing events",
               [&] { accumulate(events, {}); });
  // A prompt that has tokens at some layers only is broken under every selection.
  expect_error(ErrorKind::data, "prompt \"b\", layer 1",
               [&] { accumulate(events, {.tokens = TokenSelection::prompt}); });
  events.resize(6);
  expect_error(ErrorKind::data, "prompt \"b\", layer 0", [&] { accumulate(events, {}); });
}

TEST(Signatures, RefusesATraceWithoutASelectedToken) {
  std::vector<Event> events = small_trace();
  for (Event& event : events) event.type = TokenType::prompt;
  expect_error(ErrorKind::data, "no prompt has a token left",
               [&] { accumulate(events, {.tokens = TokenSelection::generation}); });
}

TEST(Signatures, RefusesBadWeights) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -0.5F}) {
    std::vector<Event> events = small_trace();
    events[4].weights[1] = bad;
    expect_error(ErrorKind::data, "prompt \"a\", layer 0, position 2: router weight",
                 [&] { accumulate(events, {}); });
  }
  std::vector<Event> events = small_trace();
  events[3].weights.clear();
  EXPECT_NO_THROW(accumulate(events, {}));
  expect_error(ErrorKind::data, "no router weights recorded",
               [&] { accumulate(events, {.weighted = true}); });
  events[3].weights = {1.0F};
  expect_error(ErrorKind::data, "number of weights", [&] { accumulate(events, {}); });
  for (Event& event : events) event.weights = {0, 0};
  expect_error(ErrorKind::data, "sum to zero", [&] { accumulate(events, {.weighted = true}); });
}

TEST(Signatures, RefusesIdsOutOfRange) {
  std::vector<Event> events = small_trace();
  events[0].experts[0] = 4;
  expect_error(ErrorKind::data, "expert out of range: expected 0 to 3, found 4",
               [&] { accumulate(events, {}); });
  events[0].experts[0] = -1;
  expect_error(ErrorKind::data, "expert out of range", [&] { accumulate(events, {}); });
  events = small_trace();
  events[0].layer = 2;
  expect_error(ErrorKind::data, "layer out of range", [&] { accumulate(events, {}); });
  events = small_trace();
  events[0].prompt = 2;
  expect_error(ErrorKind::data, "prompt index", [&] { accumulate(events, {}); });
}

TEST(Signatures, RefusesImpossibleShapes) {
  for (const RoutingShape shape : {RoutingShape{0, 4, 2}, {2, 0, 1}, {2, 4, -1}, {2, 4, 5}}) {
    expect_error(ErrorKind::data, "impossible routing shape",
                 [&] { SignatureAccumulator(shape, {{"a", ""}}, {}); });
  }
  // Counts may be of an unknown k, events may not.
  SignatureAccumulator of_counts({2, 4, 0}, {{"a", ""}}, {});
  expect_error(ErrorKind::data, "impossible routing shape",
               [&] { of_counts.add(0, {0, 0, TokenType::prompt, false, -1, {}, {}}); });
  expect_error(ErrorKind::data, "do not fit into memory",
               [] { SignatureAccumulator({2000000000, 2000000000, 2}, {{"a", ""}}, {}); });
  expect_error(ErrorKind::data, "no prompts",
               [] { SignatureAccumulator(small_shape, {}, {}).finish(); });
}

TEST(Signatures, BlocksSumToOneWhateverTheThreads) {
  const RoutingShape shape{3, 16, 4};
  constexpr std::size_t n_prompts = 12;
  const auto feed = [&](SignatureAccumulator& accumulator, std::size_t prompt) {
    RandomStream random(prompt);
    for (int pos = 0; pos < 20; ++pos) {
      for (int layer = 0; layer < shape.n_layers; ++layer) {
        const auto first = static_cast<ExpertId>(random.below(13));
        const std::vector<ExpertId> experts{first, first + 1, first + 2, first + 3};
        accumulator.add(prompt, {layer, pos, TokenType::prompt, false, -1, experts, {}});
      }
    }
  };
  std::vector<PromptLabel> labels;
  for (std::size_t i = 0; i < n_prompts; ++i) labels.push_back({std::to_string(i), "c"});
  SignatureAccumulator one(shape, labels, {});
  SignatureAccumulator two(shape, labels, {});
  for (std::size_t i = 0; i < n_prompts; ++i) feed(one, i);
  {
    std::jthread odd([&] {
      for (std::size_t i = 1; i < n_prompts; i += 2) feed(two, i);
    });
    for (std::size_t i = 0; i < n_prompts; i += 2) feed(two, i);
  }
  const Signatures a = std::move(one).finish();
  const Signatures b = std::move(two).finish();
  EXPECT_EQ(a.values, b.values);
  for (Eigen::Index row = 0; row < a.values.rows(); ++row) {
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      EXPECT_NEAR(a.values.row(row).segment(layer * 16, 16).sum(), 1, 1e-14);
    }
  }
}

TEST(CategoryIndex, IsAlphabeticalAndComplete) {
  Signatures s = test::random_signatures({"b", "a", "b"}, 1);
  const CategoryIndex index = index_categories(s);
  EXPECT_EQ(index.names, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(index.of_prompt, (std::vector<int>{1, 0, 1}));
  EXPECT_EQ(index.n_prompts, (std::vector<std::int64_t>{1, 2}));
  s.categories[1] = "";
  expect_error(ErrorKind::data, "1 without: \"p1\"", [&] { index_categories(s); });
}

TEST(TokenSelection, HasNames) {
  for (const auto tokens :
       {TokenSelection::all, TokenSelection::prompt, TokenSelection::generation}) {
    EXPECT_EQ(parse_token_selection(name_of(tokens)), tokens);
  }
  expect_error(ErrorKind::usage, "found both", [] { parse_token_selection("both"); });
}

}  // namespace
}  // namespace moexray::stats
