#include "moexray/trace/writer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <limits>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "support/expect_error.h"
#include "support/file_size_limit.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::FileSizeLimit;
using test::MadeRun;
using test::snapshot;
using test::Snapshot;
using test::TemporaryDirectory;
using test::write_trace;

TEST(Writer, WritesTheDocumentedBytes) {
  const TemporaryDirectory temporary;
  Prompt prompt;
  prompt.id = "code-01";
  prompt.category = "code";
  prompt.text = "a\"b";
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.token_ids = {5, 7, 9, 2};
  finished.tokens = {"x", "a", "b", "</s>"};
  finished.n_prompt_tokens = 2;
  finished.n_generated_tokens = 2;
  finished.is_template = {true, false};
  finished.completion = "b";
  finished.finish_reason = "eos";
  finished.routing = RoutingBuffer({1, 4, 2}, false);
  finished.routing.append(0, 2, std::vector<ExpertId>{3, 0, 1, 2},
                          std::vector<float>{0.5F, 0.25F, 1.0F / 3, 1e-5F});
  finished.routing.append(0, 1, std::vector<ExpertId>{0, 3}, std::vector<float>{1.0F, 0.0F});
  MadeRun run;
  run.shape = {1, 4, 2};
  run.plan = {1};
  TraceWriter writer = TraceWriter::create(temporary.path(), test::make_manifest(run), false);
  writer.commit_batch(std::span(&finished, 1));
  const Snapshot files = snapshot(temporary.path());
  EXPECT_EQ(files.size(), 3U);
  EXPECT_EQ(
      files.at("events-00000.jsonl"),
      R"({"prompt_id":"code-01","layer":0,"pos":0,"type":"prompt","token_id":5,"template":true,"experts":[3,0],"weights":[0.5,0.25]})"
      "\n"
      R"({"prompt_id":"code-01","layer":0,"pos":1,"type":"prompt","token_id":7,"experts":[1,2],"weights":[0.333333,1e-05]})"
      "\n"
      R"({"prompt_id":"code-01","layer":0,"pos":2,"type":"generation","token_id":9,"experts":[0,3],"weights":[1,0]})"
      "\n");
  const std::string& line = files.at("prompts.jsonl");
  const std::string start =
      R"({"id":"code-01","category":"code","prompt":"a\"b","completion":"b","token_ids":[5,7,9,2],"tokens":["x","a","b","</s>"],)"
      R"("n_prompt_tokens":2,"n_template_tokens":1,"n_generated_tokens":2,"finish_reason":"eos","events_file":"events-00000.jsonl",)"
      R"("offset":0,"n_bytes":)" +
      std::to_string(files.at("events-00000.jsonl").size()) + R"(,"n_events":6,"checksum":"xxh3:)";
  EXPECT_EQ(line.substr(0, start.size()), start);
  EXPECT_NE(line.find(R"(","meta":{},"line_checksum":"xxh3:)"), std::string::npos);
  EXPECT_EQ(files.at("manifest.json"), manifest_to_json(test::make_manifest(run)));
  EXPECT_TRUE(writer.finished());
  EXPECT_EQ(writer.n_event_bytes(), files.at("events-00000.jsonl").size());
}

TEST(Writer, WritesFlatEventsWithLogitsOnce) {
  const TemporaryDirectory temporary;
  Prompt prompt;
  prompt.id = "a";
  prompt.text = "a";
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.token_ids = {5};
  finished.tokens = {"x"};
  finished.n_prompt_tokens = 1;
  finished.n_generated_tokens = 0;
  finished.routing = RoutingBuffer({1, 2, 2}, true);
  finished.routing.append(0, 1, std::vector<ExpertId>{1, 0}, std::vector<float>{0.75F, 0.25F},
                          std::vector<float>{-1.5F, 2.0F});
  MadeRun run;
  run.shape = {1, 2, 2};
  run.plan = {1};
  run.events = EventsForm::flat;
  run.router_logits = true;
  TraceWriter writer = TraceWriter::create(temporary.path(), test::make_manifest(run), false);
  writer.commit_batch(std::span(&finished, 1));
  EXPECT_EQ(
      snapshot(temporary.path()).at("events-00000.jsonl"),
      R"({"prompt_id":"a","layer":0,"pos":0,"type":"prompt","token_id":5,"expert":1,"rank":0,"weight":0.75,"router_logits":[-1.5,2]})"
      "\n"
      R"({"prompt_id":"a","layer":0,"pos":0,"type":"prompt","token_id":5,"expert":0,"rank":1,"weight":0.25})"
      "\n");
}

TEST(Writer, RefusesWhatDoesNotFit) {
  const TemporaryDirectory temporary;
  const MadeRun run;
  const std::vector<Prompt> prompts = test::make_prompts(run);
  TraceWriter writer = TraceWriter::create(temporary.path(), test::make_manifest(run), false);
  const auto batch_with = [&](auto change) {
    std::vector<FinishedPrompt> batch;
    for (std::size_t i = 0; i < 2; ++i) batch.push_back(test::make_finished(run, prompts[i], i));
    change(batch[1]);
    return batch;
  };
  const auto expect_refused = [&](ErrorKind kind, const std::string& part, auto change) {
    expect_error(kind, part, [&] { writer.commit_batch(batch_with(change)); });
  };
  expect_refused(ErrorKind::runtime, "number of tokens",
                 [](FinishedPrompt& p) { p.tokens.pop_back(); });
  expect_refused(ErrorKind::runtime, "prompt tokens",
                 [](FinishedPrompt& p) { p.n_prompt_tokens = 0; });
  expect_refused(ErrorKind::runtime, "template marks",
                 [](FinishedPrompt& p) { p.is_template.resize(99); });
  expect_refused(ErrorKind::runtime, "token ids",
                 [](FinishedPrompt& p) { p.token_ids.resize(99); });
  expect_refused(ErrorKind::runtime, "routed tokens", [](FinishedPrompt& p) {
    p.n_generated_tokens = 98;
    p.token_ids.resize(static_cast<std::size_t>(p.n_prompt_tokens) + 98);
    p.tokens.resize(p.token_ids.size());
  });
  // A planned trace has them all.
  expect_refused(ErrorKind::runtime, "token ids", [](FinishedPrompt& p) { p.token_ids.clear(); });
  expect_refused(ErrorKind::runtime, "number of generated tokens",
                 [](FinishedPrompt& p) { p.n_generated_tokens = -1; });
  expect_refused(ErrorKind::runtime, "routing shape",
                 [](FinishedPrompt& p) { p.routing = RoutingBuffer({1, 2, 1}, false); });
  expect_refused(ErrorKind::data, "not valid UTF-8",
                 [](FinishedPrompt& p) { p.completion = "\xff"; });
  const auto with_weight = [&](float weight) {
    return [&run, weight](FinishedPrompt& p) {
      const auto n = p.routing.n_positions();
      p.routing = RoutingBuffer(run.shape, false);
      for (int layer = 0; layer < 3; ++layer) {
        for (std::int64_t i = 0; i < n; ++i) {
          p.routing.append(layer, 1, std::vector<ExpertId>{0, 1}, std::vector<float>{1, weight});
        }
      }
    };
  };
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(), -0.5F}) {
    expect_refused(ErrorKind::data, "negative or not finite", with_weight(bad));
  }
  expect_error(ErrorKind::runtime, "plan", [&] { writer.commit_batch({}); });
  // Nothing of all this is left behind.
  test::commit_rest(writer, run, prompts);
  EXPECT_TRUE(writer.finished());
  EXPECT_EQ(test::read_trace({temporary.path()}).records, test::expected_records(run));
}

TEST(Writer, NeverOverwritesWithoutForce) {
  const TemporaryDirectory temporary;
  const MadeRun run;
  const fs::path directory = temporary.path() / "deep" / "t";
  write_trace(directory, run);
  const Snapshot files = snapshot(directory);
  const TraceManifest manifest = test::make_manifest(run);
  expect_error(ErrorKind::usage, "--force",
               [&] { TraceWriter::create(directory, manifest, false); });
  EXPECT_EQ(snapshot(directory), files);
  const std::vector<const char*> others = {"notes.txt",
                                           "events.jsonl",
                                           "events-1.jsonl",
                                           "events-00000.jsonl.bak",
                                           "manifest.json.tmp-mine",
                                           "prompts.jsonl~"};
  for (const char* name : others) test::write_text(directory / name, "mine");
  test::write_text(directory / "manifest.json.tmp-a1B2c3", "half a manifest");
  test::write_text(directory / "events-00007.jsonl", "of a longer run");
  fs::create_directories(directory / ".git");
  test::write_text(directory / ".git" / "HEAD", "mine");
  {
    // The old trace stays until there is a batch to put in its place.
    TraceWriter writer = TraceWriter::create(directory, manifest, true, {run.max_file_bytes});
    EXPECT_EQ(snapshot(directory / ".git").at("HEAD"), "mine");
    fs::remove_all(directory / ".git");
    EXPECT_EQ(snapshot(directory).at("events-00007.jsonl"), "of a longer run");
    writer.discard_if_empty();
    for (const auto& [name, text] : files) EXPECT_EQ(snapshot(directory).at(name), text);
    test::commit_rest(writer, run, test::make_prompts(run));
  }
  Snapshot replaced = snapshot(directory);
  for (const char* name : others) {
    EXPECT_EQ(replaced.at(name), "mine");
    replaced.erase(name);
  }
  EXPECT_EQ(replaced, files);

  const fs::path foreign = temporary.path() / "foreign";
  fs::create_directories(foreign);
  test::write_text(foreign / "manifest.json", "{\"format\":\"other\"}");
  for (const bool force : {false, true}) {
    expect_error(ErrorKind::usage, "not replaced",
                 [&] { TraceWriter::create(foreign, manifest, force); });
  }
  EXPECT_EQ(snapshot(foreign).size(), 1U);
  // A trace that another program made.
  test::write_text(foreign / "manifest.json", "{\"format\": \"moexray-trace\", \"version\": 1}");
  test::write_text(foreign / "prompts.jsonl", "{}\n");
  expect_error(ErrorKind::usage, "found manifest.json, prompts.jsonl",
               [&] { TraceWriter::create(foreign, manifest, true); });
  EXPECT_EQ(snapshot(foreign).at("prompts.jsonl"), "{}\n");
  expect_error(ErrorKind::usage, "not a directory",
               [&] { TraceWriter::create(foreign / "manifest.json", manifest, false); });
}

TEST(Writer, OneWriterAtATime) {
  const TemporaryDirectory temporary;
  const MadeRun run;
  const TraceManifest manifest = test::make_manifest(run);
  const std::vector<Prompt> prompts = test::make_prompts(run);
  const TraceWriter writer = TraceWriter::create(temporary.path(), manifest, false);
  expect_error(ErrorKind::runtime, "another program",
               [&] { TraceWriter::resume(temporary.path(), manifest, prompts); });
  expect_error(ErrorKind::runtime, "another program",
               [&] { TraceWriter::create(temporary.path(), manifest, true); });
}

TEST(Writer, AFullDiskLosesOnlyTheBatch) {
  for (const std::uint64_t limit :
       {std::uint64_t{900}, std::uint64_t{1500}, std::uint64_t{2500}, std::uint64_t{4000}}) {
    const TemporaryDirectory temporary;
    MadeRun run;
    run.max_file_bytes = 1 << 20;
    const std::vector<Prompt> prompts = test::make_prompts(run);
    write_trace(temporary.path() / "whole", run);
    const fs::path directory = temporary.path() / "t";
    std::size_t n_committed = 0;
    {
      TraceWriter writer =
          TraceWriter::create(directory, test::make_manifest(run), false, {run.max_file_bytes});
      const FileSizeLimit full(limit);
      expect_error(ErrorKind::runtime, directory.string() + "/",
                   [&] { test::commit_rest(writer, run, prompts); });
      n_committed = writer.n_committed_prompts();
    }
    ReadOptions options;
    options.allow_partial = true;
    EXPECT_EQ(test::read_trace({directory}, options).records.size(), n_committed);
    test::finish_trace(directory, run);
    EXPECT_EQ(snapshot(directory), snapshot(temporary.path() / "whole"));
  }
}

TEST(Writer, GoesOnWhenTheDiskHasRoomAgain) {
  const TemporaryDirectory temporary;
  MadeRun run;
  run.max_file_bytes = 1 << 20;
  const std::vector<Prompt> prompts = test::make_prompts(run);
  TraceWriter writer =
      TraceWriter::create(temporary.path(), test::make_manifest(run), false, {run.max_file_bytes});
  {
    const FileSizeLimit full(1500);
    EXPECT_THROW(test::commit_rest(writer, run, prompts), Error);
  }
  test::commit_rest(writer, run, prompts);
  EXPECT_EQ(test::read_trace({temporary.path()}).records, test::expected_records(run));
}

TEST(Writer, NamesAnUnwritableDirectory) {
  const TraceManifest manifest = test::make_manifest({});
  expect_error(ErrorKind::runtime, "/proc/moexray",
               [&] { TraceWriter::create("/proc/moexray", manifest, false); });
  TraceManifest wrong = manifest;
  wrong.plan = {1};
  const TemporaryDirectory temporary;
  expect_error(ErrorKind::data, "plan",
               [&] { TraceWriter::create(temporary.path(), wrong, false); });
}

}  // namespace
}  // namespace moexray
