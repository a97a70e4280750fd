#include "child_process.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

namespace moexray {
namespace {

TEST(ChildProcess, hands_back_what_the_work_said) {
  EXPECT_EQ(run_in_child([] { return std::string(); }, 10), "");
  EXPECT_EQ(run_in_child([] { return std::string("no"); }, 10), "no");
  EXPECT_EQ(run_in_child([] { return std::string(1'000'000, 'x'); }, 10).substr(0, 3), "xxx");
}

TEST(ChildProcess, a_death_is_a_message) {
  EXPECT_NE(run_in_child(
                []() -> std::string {
                  std::signal(SIGSEGV, SIG_DFL);
                  ::raise(SIGSEGV);
                  return "";
                },
                10)
                .find("died"),
            std::string::npos);
  EXPECT_NE(run_in_child([]() -> std::string { ::_exit(3); }, 10).find("status 3"),
            std::string::npos);
}

TEST(ChildProcess, work_without_end_is_stopped) {
  const auto start = std::chrono::steady_clock::now();
  const std::string message = run_in_child(
      []() -> std::string {
        while (true) std::this_thread::sleep_for(std::chrono::seconds(1));
      },
      1);
  EXPECT_NE(message.find("died"), std::string::npos);
  EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
}

}  // namespace
}  // namespace moexray
