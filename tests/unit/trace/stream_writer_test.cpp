#include "moexray/trace/stream_writer.h"

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
using test::KeptRecord;
using test::snapshot;

constexpr RoutingShape shape{2, 4, 2};

// Routing of which nothing is known but the experts: no weights, ids, texts or generated tokens.
FinishedPrompt bare_prompt(const Prompt& prompt, std::int64_t n_prompt_tokens,
                           std::int64_t n_routed) {
  FinishedPrompt finished;
  finished.prompt = &prompt;
  finished.n_prompt_tokens = n_prompt_tokens;
  finished.routing = RoutingBuffer(shape, false, false);
  for (int layer = 0; layer < shape.n_layers; ++layer) {
    for (std::int64_t pos = 0; pos < n_routed; ++pos) {
      const auto first = static_cast<ExpertId>((pos + layer) % 4);
      finished.routing.append(layer, 1, std::vector<ExpertId>{first, (first + 1) % 4});
    }
  }
  return finished;
}

class StreamWriter : public testing::Test {
 protected:
  StreamWriter() {
    for (const char* id : {"a", "b", "c"}) {
      Prompt& prompt = prompts_.emplace_back();
      prompt.id = id;
      prompt.category = "x";
    }
  }

  fs::path directory() const { return temporary_.path() / "t"; }
  TraceStreamWriter create(bool force = false, const WriterOptions& options = {}) const {
    return TraceStreamWriter::create(directory(), bare_manifest(shape), force, options);
  }
  FinishedPrompt bare(std::size_t i) const {
    return bare_prompt(prompts_[i], 2, 2 + static_cast<std::int64_t>(i));
  }
  test::ReadTrace read(bool allow_partial = false) const {
    ReadOptions options;
    options.allow_partial = allow_partial;
    return test::read_trace({directory()}, options);
  }
  void write_all(TraceManifest manifest) const {
    TraceStreamWriter writer = TraceStreamWriter::create(directory(), std::move(manifest), true);
    for (std::size_t i = 0; i < prompts_.size(); ++i) writer.append(bare(i));
    writer.finish();
  }
  void expect_all() const {
    const test::ReadTrace trace = read();
    ASSERT_EQ(trace.records.size(), 3U);
    for (std::size_t i = 0; i < 3; ++i) {
      ASSERT_EQ(trace.records[i].size(), 2 * (2 + i));
      const KeptRecord& last = trace.records[i].back();
      const auto first = static_cast<ExpertId>((2 + i) % 4);
      EXPECT_EQ(last.experts, (std::vector<ExpertId>{first, (first + 1) % 4}));
      EXPECT_TRUE(last.weights.empty());
      EXPECT_EQ(last.token_id, -1);
      EXPECT_EQ(last.type, i == 0 ? TokenType::prompt : TokenType::generation);
    }
  }

  std::vector<Prompt> prompts_;
  test::TemporaryDirectory temporary_;
};

TEST_F(StreamWriter, LeavesOutWhatTheSourceDoesNotHave) {
  write_all(bare_manifest(shape));
  expect_all();
  const test::Snapshot files = snapshot(directory());
  ASSERT_EQ(files.size(), 3U);
  const std::string& events = files.at("events-00000.jsonl");
  EXPECT_EQ(events.substr(0, events.find('\n')),
            R"({"prompt_id":"a","layer":0,"pos":0,"type":"prompt","experts":[0,1]})");
  const std::string& lines = files.at("prompts.jsonl");
  const std::string start =
      R"({"id":"a","category":"x","n_prompt_tokens":2,"events_file":"events-00000.jsonl","offset":0,"n_bytes":)";
  EXPECT_EQ(lines.substr(0, start.size()), start);
  EXPECT_NE(lines.find("\"checksum\":\"xxh3:"), std::string::npos);
  EXPECT_NE(lines.find("\"line_checksum\":\"xxh3:"), std::string::npos);
  const std::string& manifest = files.at("manifest.json");
  for (const char* key : {"plan", "batch", "tokenizer", "generation", "bits", "name", "dtype",
                          "prompts_sha256", "shard", "finished"}) {
    EXPECT_EQ(manifest.find("\"" + std::string(key) + "\""), std::string::npos) << key;
  }
  const TraceManifest found = read_manifest(directory());
  EXPECT_EQ(found.n_prompts, 3);
  EXPECT_EQ(found.model.shape, shape);
  EXPECT_TRUE(found.absent.contains("plan"));
  EXPECT_EQ(manifest_to_json(found), manifest);
}

TEST_F(StreamWriter, WritesEveryForm) {
  TraceManifest manifest = bare_manifest(shape);
  manifest.events = EventsForm::flat;
  manifest.compress = true;
  write_all(manifest);
  expect_all();
  manifest.compress = false;
  write_all(manifest);
  expect_all();
  EXPECT_TRUE(
      snapshot(directory())
          .at("events-00000.jsonl")
          .starts_with(R"({"prompt_id":"a","layer":0,"pos":0,"type":"prompt","expert":0,"rank":0})"
                       "\n"));
}

TEST_F(StreamWriter, KeepsWhatTheSourceHas) {
  TraceManifest manifest = bare_manifest(shape);
  manifest.model.name = "theirs";
  manifest.absent.erase("model.name");
  TraceStreamWriter writer = TraceStreamWriter::create(directory(), manifest, false);
  prompts_[0].text = "hello";
  FinishedPrompt known = bare(0);
  known.n_generated_tokens = 1;
  known.token_ids = {5, 6, 7};
  known.is_template = {true, false};
  known.completion = "";
  writer.append(known);
  FinishedPrompt routed_only = bare(1);
  routed_only.token_ids = {5, 6, 7};  // of the tokens that were routed
  writer.append(routed_only);
  writer.finish();
  const test::ReadTrace trace = read();
  EXPECT_EQ(trace.set.model_name, "theirs");
  const TracePrompt& first = trace.set.prompts[0];
  EXPECT_EQ(first.text, "hello");
  EXPECT_EQ(first.n_generated_tokens, 1);
  EXPECT_EQ(first.n_template_tokens, 1);
  EXPECT_EQ(first.token_ids, (std::vector<TokenId>{5, 6, 7}));
  EXPECT_TRUE(trace.records[0][0].is_template);
  EXPECT_EQ(trace.records[0].back().token_id, 6);
  EXPECT_EQ(trace.set.prompts[1].n_generated_tokens, -1);
  EXPECT_EQ(trace.set.prompts[1].n_template_tokens, -1);
  EXPECT_EQ(trace.records[1].back().token_id, 7);
}

TEST_F(StreamWriter, IsNotFinishedBeforeItSaysSo) {
  {
    TraceStreamWriter writer = create();
    writer.append(bare(0));
    writer.commit();
    EXPECT_EQ(writer.n_committed_prompts(), 1U);
    writer.append(bare(1));  // never committed
  }
  expect_error(ErrorKind::data, "the trace is not finished", [&] { read(); });
  const test::ReadTrace part = read(true);
  EXPECT_EQ(part.records.size(), 1U);
  ASSERT_EQ(part.set.notices.size(), 1U);
  EXPECT_NE(part.set.notices[0].find("not finished"), std::string::npos);
  // `moexray trace --resume` does not take it for a run of its own.
  expect_error(ErrorKind::data, "cannot resume",
               [&] { TraceWriter::check_resume(directory(), test::make_manifest({})); });
  expect_error(ErrorKind::usage, "already holds results", [&] { create(); });
  write_all(bare_manifest(shape));
  expect_all();
}

TEST_F(StreamWriter, ReplacesATraceWithItsFirstPrompt) {
  write_all(bare_manifest(shape));
  const test::Snapshot old = snapshot(directory());
  {
    TraceStreamWriter writer = create(true);
    writer.discard_if_empty();
    EXPECT_EQ(snapshot(directory()), old);
  }
  EXPECT_EQ(snapshot(directory()), old);
  TraceStreamWriter writer = create(true);
  writer.finish();  // no prompts are a trace too
  EXPECT_TRUE(read().records.empty());
  EXPECT_EQ(read_manifest(directory()).n_prompts, 0);
}

TEST_F(StreamWriter, LeavesNothingWhereNoPromptCame) {
  TraceStreamWriter writer = create();
  writer.append(bare(0));
  writer.discard_if_empty();
  EXPECT_FALSE(fs::exists(directory()));
}

TEST_F(StreamWriter, AFailureCutsToTheLastCommit) {
  write_all(bare_manifest(shape));
  const test::Snapshot whole = snapshot(directory());
  fs::remove_all(directory());
  TraceStreamWriter writer = create();
  writer.append(bare(0));
  writer.commit();
  writer.append(bare(1));
  FinishedPrompt wrong = bare(2);
  wrong.n_prompt_tokens = 5;
  expect_error(ErrorKind::runtime, "prompt \"c\"", [&] { writer.append(wrong); });
  {
    const test::FileSizeLimit full(fs::file_size(directory() / "events-00000.jsonl") + 100);
    expect_error(ErrorKind::runtime, "cannot write", [&] { writer.append(bare(1)); });
  }
  writer.append(bare(1));
  writer.commit();
  writer.append(bare(2));
  writer.finish();
  expect_error(ErrorKind::runtime, "behind the end", [&] { writer.append(bare(0)); });
  expect_all();
  EXPECT_EQ(snapshot(directory()), whole);
}

TEST_F(StreamWriter, NoEventsStandUnderAnOldManifest) {
  write_all(bare_manifest(shape));
  TraceManifest other = bare_manifest(shape);
  other.model.name = "another";
  other.absent.erase("model.name");
  TraceStreamWriter writer = TraceStreamWriter::create(directory(), other, true, {});
  {
    const test::FileSizeLimit full(0);
    EXPECT_THROW(writer.append(bare(0)), Error);
  }
  writer.append(bare(0));
  writer.commit();
  EXPECT_EQ(read_manifest(directory()).model.name, "another");
}

TEST_F(StreamWriter, BeginsANewFileWithACommit) {
  TraceStreamWriter writer = create(false, {300});
  writer.append(bare(0));
  writer.append(bare(1));  // what is committed together stays together
  writer.commit();
  writer.append(bare(2));
  writer.finish();
  expect_all();
  const test::ReadTrace trace = read();
  EXPECT_EQ(trace.set.prompts[1].events_file, "events-00000.jsonl");
  EXPECT_EQ(trace.set.prompts[2].events_file, "events-00001.jsonl");
}

TEST_F(StreamWriter, RefusesContradictions) {
  TraceStreamWriter writer = create();
  const auto expect_refused = [&](const std::string& part, auto change) {
    FinishedPrompt prompt = bare(1);
    change(prompt);
    expect_error(ErrorKind::runtime, part, [&] { writer.append(prompt); });
  };
  expect_refused("no prompt", [](FinishedPrompt& p) { p.prompt = nullptr; });
  expect_refused("token ids", [](FinishedPrompt& p) { p.token_ids = {1}; });
  expect_refused("tokens", [](FinishedPrompt& p) { p.tokens = {"a"}; });
  expect_refused("template", [](FinishedPrompt& p) { p.is_template = {true}; });
  expect_refused("routed tokens", [](FinishedPrompt& p) { p.n_generated_tokens = 1; });
  expect_refused("prompt tokens", [](FinishedPrompt& p) { p.n_prompt_tokens = -1; });
  expect_refused("routed tokens",
                 [](FinishedPrompt& p) { p.routing = RoutingBuffer(shape, false, false); });
  expect_refused("routing shape",
                 [](FinishedPrompt& p) { p.routing = RoutingBuffer({1, 2, 1}, false); });
  TraceManifest planned = bare_manifest(shape);
  planned.plan = {3};
  expect_error(ErrorKind::data, "plan",
               [&] { TraceStreamWriter::create(temporary_.path() / "other", planned, false); });
}

}  // namespace
}  // namespace moexray
