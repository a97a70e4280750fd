#include "progress.h"

#include <gtest/gtest.h>

namespace moexray::app {
namespace {

TEST(Progress, FormatsDurations) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(7.4), "0:07");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(750), "12:30");
  EXPECT_EQ(format_duration(3 * 3600 + 5 * 60 + 9), "3:05:09");
  EXPECT_EQ(format_duration(-1), "0:00");
  EXPECT_EQ(format_duration(1e300), "100000:00:00");
}

TEST(Progress, ShowsRateAndTimeLeft) {
  EXPECT_EQ(progress_line("tracing", "tokens", 50, 200, 10.0, 30.0, 8),
            "tracing [##......] 50/200 tokens, 5.0 tokens/s, 0:30 left");
  EXPECT_EQ(progress_line("tracing", "tokens", 50, 200, 10.0, 30.0, 0),
            "tracing: 50/200 tokens, 5.0 tokens/s, 0:30 left");
  EXPECT_EQ(progress_line("tracing", "tokens", 200, 200, 1.0, 0.0, 4),
            "tracing [####] 200/200 tokens, 200 tokens/s");
  EXPECT_EQ(progress_line("reading", "rows", 10, 0, 4.0, {}, 4), "reading 10 rows, 2.5 rows/s");
}

TEST(Progress, EvenWorkTakesAsLongAsBefore) {
  EXPECT_EQ(even_seconds_left(50, 200, 10.0), 30.0);
  EXPECT_EQ(even_seconds_left(0, 200, 10.0), std::nullopt);
  EXPECT_EQ(even_seconds_left(200, 200, 10.0), std::nullopt);
  EXPECT_EQ(even_seconds_left(10, 0, 10.0), std::nullopt);
  EXPECT_EQ(even_seconds_left(10, 20, 0.0), std::nullopt);
  EXPECT_EQ(progress_line("tracing", "tokens", 50, 200, 10.0, {}, 0),
            "tracing: 50/200 tokens, 5.0 tokens/s");
}

TEST(Progress, SaysNothingOfRatesBeforeThereIsOne) {
  EXPECT_EQ(progress_line("tracing", "tokens", 0, 200, 10.0, {}, 4), "tracing [....] 0/200 tokens");
  EXPECT_EQ(progress_line("tracing", "tokens", 300, 200, 10.0, {}, 4),
            "tracing [####] 300/200 tokens, 30.0 tokens/s");
}

}  // namespace
}  // namespace moexray::app
