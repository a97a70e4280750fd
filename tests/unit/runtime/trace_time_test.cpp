#include "runtime/trace_time.h"

#include <gtest/gtest.h>

namespace moexray {
namespace {

// 100 tokens/s in prompts, 10 tokens/s generated.
void add_prompts(TraceTime& time, std::int64_t n) {
  time.add_pass(TokenType::prompt, n, 0.01 * static_cast<double>(n));
}
void add_generated(TraceTime& time, std::int64_t n) {
  time.add_pass(TokenType::generation, n, 0.1 * static_cast<double>(n));
}

TEST(TraceTime, WeighsPromptsAndGeneratedTokensByTheirOwnRates) {
  TraceTime time({1000, 200});
  EXPECT_EQ(time.seconds_left(), std::nullopt);
  time.begin_batch({500, 100});
  add_prompts(time, 500);
  // Prompts alone say nothing of what takes most of the time.
  EXPECT_EQ(time.seconds_left(), std::nullopt);
  add_generated(time, 60);
  ASSERT_TRUE(time.seconds_left());
  EXPECT_NEAR(*time.seconds_left(), 5 + 14, 1e-9);
  add_generated(time, 40);
  time.end_batch();
  EXPECT_EQ(time.n_done(), 600);
  EXPECT_EQ(time.n_expected(), 1200);
  EXPECT_NEAR(*time.seconds_left(), 5 + 10, 1e-9);
  time.begin_batch({500, 100});
  add_prompts(time, 500);
  EXPECT_NEAR(*time.seconds_left(), 10, 1e-9);
  add_generated(time, 100);
  time.end_batch();
  EXPECT_NEAR(*time.seconds_left(), 0, 1e-9);
}

TEST(TraceTime, LearnsThatSequencesEndEarly) {
  TraceTime time({300, 3000});
  time.begin_batch({100, 1000});
  add_prompts(time, 100);
  add_generated(time, 250);
  EXPECT_NEAR(*time.seconds_left(), 2 + 275, 1e-9);
  time.end_batch();
  EXPECT_EQ(time.n_expected(), 350 + 200 + 500);
  EXPECT_NEAR(*time.seconds_left(), 2 + 50, 1e-9);
  time.begin_batch({100, 1000});
  add_prompts(time, 100);
  add_generated(time, 400);  // more than the first batch: none is expected of this one any more
  EXPECT_NEAR(*time.seconds_left(), 1 + 25, 1e-9);
  EXPECT_EQ(time.n_expected(), time.n_done() + 100 + 250);
}

TEST(TraceTime, NeedsNoRateForWhatIsNotAhead) {
  TraceTime time({200, 0});
  time.begin_batch({200, 0});
  add_prompts(time, 50);
  EXPECT_NEAR(*time.seconds_left(), 1.5, 1e-9);
  add_prompts(time, 150);
  time.end_batch();
  EXPECT_NEAR(*time.seconds_left(), 0, 1e-9);
  EXPECT_EQ(time.n_expected(), 200);
}

}  // namespace
}  // namespace moexray
