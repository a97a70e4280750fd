#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "moexray/trace/writer.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::MadeRun;
using test::snapshot;
using test::Snapshot;
using test::TemporaryDirectory;

// A directory as a killed run may leave it: whatever was written last is cut at any byte.
class KilledRun : public testing::TestWithParam<std::tuple<EventsForm, bool>> {
 protected:
  KilledRun() {
    std::tie(run_.events, run_.compress) = GetParam();
    run_.plan = {2, 3, 1, 2, 4};
    if (run_.compress) run_.max_file_bytes = 900;
    test::write_trace(whole_path(), run_);
    whole_ = snapshot(whole_path());
  }
  fs::path whole_path() const { return temporary_.path() / "whole"; }
  fs::path path() const { return temporary_.path() / "t"; }

  void expect_resumes(const Snapshot& files) {
    test::restore(path(), files);
    test::finish_trace(path(), run_);
    ASSERT_EQ(snapshot(path()), whole_);
  }

  TemporaryDirectory temporary_;
  MadeRun run_;
  Snapshot whole_;
};

TEST_P(KilledRun, ResumesFromAnyCutOfThePromptList) {
  const std::string& prompts = whole_.at("prompts.jsonl");
  for (std::size_t size = 0; size <= prompts.size(); size += 401) {
    Snapshot files = whole_;
    files["prompts.jsonl"].resize(size);
    expect_resumes(files);
  }
}

TEST_P(KilledRun, ResumesFromRandomCutsOfAllFiles) {
  RandomStream random(5);
  ASSERT_GT(whole_.size(), 4U) << "the run should have several events files";
  for (int i = 0; i < 40; ++i) {
    Snapshot files = whole_;
    for (auto& [name, text] : files) {
      if (name != "manifest.json" && random.below(2) == 0) {
        text.resize(random.below(text.size() + 1));
      }
    }
    if (random.below(3) == 0) files.erase(std::prev(files.end(), 3));
    if (random.below(3) == 0) files["manifest.json.tmp-AbCdEf"] = "{";
    expect_resumes(files);
  }
}

TEST_P(KilledRun, ResumesBehindUncommittedBytes) {
  const std::string rubbish(700, '\0');
  Snapshot files = whole_;
  std::string& prompts = files["prompts.jsonl"];
  const std::size_t last_line = prompts.rfind('\n', prompts.size() - 2);
  prompts.resize(last_line + 1);
  files[run_.compress ? "events-00077.jsonl.zst" : "events-00077.jsonl"] = rubbish;
  expect_resumes(files);
  prompts += rubbish;
  expect_resumes(files);
  prompts += "\n";
  expect_resumes(files);
}

INSTANTIATE_TEST_SUITE_P(Forms, KilledRun,
                         testing::Combine(testing::Values(EventsForm::grouped, EventsForm::flat),
                                          testing::Bool()));

TEST(Resume, RecomputesAPartlyCommittedBatchWhole) {
  const TemporaryDirectory temporary;
  const MadeRun run;
  const fs::path directory = temporary.path() / "t";
  test::write_trace(directory, run);
  Snapshot files = snapshot(directory);
  // Keep 4 lines: one batch of 2, and 2 of the next 3.
  std::size_t end = 0;
  for (int i = 0; i < 4; ++i) end = files["prompts.jsonl"].find('\n', end) + 1;
  files["prompts.jsonl"].resize(end);
  test::restore(directory, files);
  const TraceWriter writer = TraceWriter::resume(directory, test::make_manifest(run),
                                                 test::make_prompts(run), {run.max_file_bytes});
  EXPECT_EQ(writer.n_committed_batches(), 1U);
  EXPECT_EQ(writer.n_committed_prompts(), 2U);
  EXPECT_EQ(writer.resume_state().n_cut_prompts, 2U);
  EXPECT_EQ(test::read_trace({directory}, {true, {}, 0}).records.size(), 2U);
}

TEST(Resume, StartsAfreshWhereNothingWasBegun) {
  const MadeRun run;
  const TemporaryDirectory temporary;
  test::write_trace(temporary.path() / "whole", run);
  const fs::path directory = temporary.path() / "t";
  const Snapshot whole = snapshot(temporary.path() / "whole");
  test::finish_trace(directory, run);
  EXPECT_EQ(snapshot(directory), whole);
  test::restore(directory, {{"prompts.jsonl", ""}, {"manifest.json.tmp-aB3dE6", "{"}});
  test::finish_trace(directory, run);
  EXPECT_EQ(snapshot(directory), whole);
  test::restore(directory, {{"other.txt", ""}});
  expect_error(ErrorKind::data, "no manifest.json", [&] { test::finish_trace(directory, run); });
}

TEST(Resume, FollowsTheRecordedPlan) {
  const MadeRun run;
  const TemporaryDirectory temporary;
  const fs::path directory = temporary.path() / "t";
  test::write_trace(directory, run);
  TraceManifest wanted = test::make_manifest(run);
  wanted.batch = 8;
  wanted.plan = {8};
  const TraceWriter writer =
      TraceWriter::resume(directory, wanted, test::make_prompts(run), {run.max_file_bytes});
  EXPECT_EQ(writer.manifest().plan, run.plan);
  EXPECT_TRUE(writer.finished());
}

TEST(Resume, RefusesAnotherRun) {
  const MadeRun run;
  const TemporaryDirectory temporary;
  const fs::path directory = temporary.path() / "t";
  test::write_trace(directory, run);
  const Snapshot files = snapshot(directory);
  TraceManifest wanted = test::make_manifest(run);
  wanted.generation.seed = 4;
  expect_error(ErrorKind::data, "\"generation.seed\": expected 0, found 4",
               [&] { TraceWriter::resume(directory, wanted, test::make_prompts(run)); });
  EXPECT_EQ(snapshot(directory), files);
}

TEST(Resume, RefusesDamageThatNoKillLeaves) {
  const MadeRun run;
  const TemporaryDirectory temporary;
  const fs::path directory = temporary.path() / "t";
  test::write_trace(directory, run);
  Snapshot files = snapshot(directory);
  std::string& prompts = files["prompts.jsonl"];
  const std::size_t second_line = prompts.find('\n') + 1;
  prompts[second_line + 10] ^= 1;
  test::restore(directory, files);
  expect_error(ErrorKind::data, "prompts.jsonl:2: the line is damaged",
               [&] { test::finish_trace(directory, run); });
  EXPECT_EQ(snapshot(directory), files);
}

}  // namespace
}  // namespace moexray
