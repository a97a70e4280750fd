#include "parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace moexray::stats {
namespace {

TEST(ParallelFor, CallsEveryIndexOnce) {
  std::vector<std::atomic<int>> calls(1000);
  parallel_for(1000, 3, [&](int i) { ++calls[static_cast<std::size_t>(i)]; });
  for (const auto& n : calls) EXPECT_EQ(n, 1);
}

TEST(ParallelFor, EndsWithTheFirstErrorAndStartsNoMore) {
  std::atomic<int> n_calls{0};
  std::string caught;
  try {
    parallel_for(1'000'000, 3, [&](int i) {
      ++n_calls;
      // The first to fail is the slowest.
      if (i == 100) std::this_thread::sleep_for(std::chrono::milliseconds(20));
      if (i >= 100) throw std::runtime_error(std::to_string(i));
    });
  } catch (const std::runtime_error& error) {
    caught = error.what();
  }
  EXPECT_EQ(caught, "100");
  EXPECT_LE(n_calls, 103);
}

}  // namespace
}  // namespace moexray::stats
