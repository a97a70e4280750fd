#include "moexray/trace/background_writer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <thread>
#include <utility>
#include <vector>

#include "moexray/core/error.h"
#include "support/expect_error.h"
#include "support/file_size_limit.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

using test::expect_error;
using test::MadeRun;
using test::snapshot;

class BackgroundWriting : public testing::Test {
 protected:
  BackgroundWriting() {
    run_.max_file_bytes = 1 << 20;
    prompts_ = test::make_prompts(run_);
    test::write_trace(temporary_.path() / "whole", run_);
  }

  std::filesystem::path directory() const { return temporary_.path() / "t"; }
  TraceWriter create() const {
    return TraceWriter::create(directory(), test::make_manifest(run_), false,
                               {run_.max_file_bytes});
  }
  std::vector<FinishedPrompt> batch(std::size_t number) const {
    std::size_t first = 0;
    for (std::size_t i = 0; i < number; ++i) first += static_cast<std::size_t>(run_.plan[i]);
    std::vector<FinishedPrompt> batch;
    for (std::size_t i = first; i < first + static_cast<std::size_t>(run_.plan[number]); ++i) {
      batch.push_back(test::make_finished(run_, prompts_[i], i));
    }
    return batch;
  }

  MadeRun run_;
  std::vector<Prompt> prompts_;
  test::TemporaryDirectory temporary_;
};

TEST_F(BackgroundWriting, GivesTheSameBytes) {
  TraceWriter writer = create();
  {
    BackgroundWriter background(writer);
    background.wait();  // nothing yet
    for (std::size_t i = 0; i < run_.plan.size(); ++i) background.commit_batch(batch(i));
  }
  EXPECT_TRUE(writer.finished());
  EXPECT_EQ(snapshot(directory()), snapshot(temporary_.path() / "whole"));
}

TEST_F(BackgroundWriting, BringsFailuresBackOnce) {
  TraceWriter writer = create();
  BackgroundWriter background(writer);
  {
    const test::FileSizeLimit full(100);
    background.commit_batch(batch(0));
    expect_error(ErrorKind::runtime, "cannot write", [&] { background.commit_batch(batch(1)); });
    background.wait();  // batch 1 was not begun
    background.commit_batch(batch(0));
    expect_error(ErrorKind::runtime, "cannot write", [&] {
      for (int i = 0; i < 10'000; ++i) {
        background.check();
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
    });
    background.wait();
  }
  EXPECT_EQ(writer.n_committed_batches(), 0U);
  background.commit_batch(batch(1));
  expect_error(ErrorKind::runtime, "plan", [&] { background.wait(); });
  for (std::size_t i = 0; i < run_.plan.size(); ++i) background.commit_batch(batch(i));
  background.wait();
  EXPECT_EQ(snapshot(directory()), snapshot(temporary_.path() / "whole"));
}

}  // namespace
}  // namespace moexray
