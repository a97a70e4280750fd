#include "moexray/trace/reader.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/trace/meta_values.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::MadeRun;
using test::read_trace;
using test::ReadTrace;
using test::TemporaryDirectory;
using test::write_trace;

class RoundTrip : public testing::TestWithParam<std::tuple<EventsForm, bool, bool>> {};

TEST_P(RoundTrip, ReadsWhatWasWritten) {
  MadeRun run;
  std::tie(run.events, run.router_logits, run.compress) = GetParam();
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "t", run);
  for (const int n_threads : {1, 3}) {
    ReadOptions options;
    options.n_threads = n_threads;
    const ReadTrace trace = read_trace({temporary.path() / "t"}, options);
    EXPECT_EQ(trace.records, test::expected_records(run));
    EXPECT_EQ(trace.set.shape, run.shape);
    EXPECT_TRUE(trace.set.notices.empty());
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, RoundTrip,
                         testing::Combine(testing::Values(EventsForm::grouped, EventsForm::flat),
                                          testing::Bool(), testing::Bool()));

// Keeps the logits of all records.
class LogitsVisitor : public EventVisitor {
 public:
  void on_record(std::size_t, const RoutingRecord&) override { ++n_without; }
  void on_record_with_logits(std::size_t prompt_index, const RoutingRecord& record,
                             std::span<const float> own) override {
    logits[{prompt_index, record.pos, record.layer}].assign(own.begin(), own.end());
  }
  std::map<std::tuple<std::size_t, std::int64_t, int>, std::vector<float>> logits;
  int n_without = 0;
};

TEST(Reader, GivesRouterLogitsToWhoAsksForThem) {
  for (const EventsForm form : {EventsForm::grouped, EventsForm::flat}) {
    MadeRun run;
    run.events = form;
    run.router_logits = true;
    const TemporaryDirectory temporary;
    write_trace(temporary.path() / "t", run);
    ReadOptions options;
    options.n_threads = 1;
    const TraceSet set = open_traces(std::vector{temporary.path() / "t"}, options);
    LogitsVisitor without;
    read_events(set, without, options);
    EXPECT_TRUE(without.logits.empty());
    options.router_logits = true;
    LogitsVisitor with;
    read_events(set, with, options);
    EXPECT_EQ(with.n_without, 0);
    EXPECT_EQ(static_cast<int>(with.logits.size()), without.n_without);
    const std::vector<Prompt> prompts = test::make_prompts(run);
    for (const auto& [key, logits] : with.logits) {
      const auto [index, pos, layer] = key;
      const FinishedPrompt finished = test::make_finished(run, prompts[index], index);
      const auto expected = finished.routing.logits(layer, pos);
      ASSERT_EQ(logits.size(), expected.size());
      // Written with six digits.
      for (std::size_t e = 0; e < logits.size(); ++e) {
        EXPECT_NEAR(logits[e], expected[e], 1e-5 * std::abs(expected[e]));
      }
    }
  }
}

TEST(Reader, GivesThePromptsAsWritten) {
  const MadeRun run;
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "t", run);
  const TraceSet set = read_trace({temporary.path() / "t"}).set;
  const std::vector<Prompt> prompts = test::make_prompts(run);
  ASSERT_EQ(set.prompts.size(), prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const FinishedPrompt finished = test::make_finished(run, prompts[i], i);
    const TracePrompt& read = set.prompts[i];
    EXPECT_EQ(read.id, prompts[i].id);
    EXPECT_EQ(read.category, prompts[i].category);
    EXPECT_EQ(read.text, prompts[i].messages.empty() ? prompts[i].text
                                                     : prompts[i].messages[0].content + "\n" +
                                                           prompts[i].messages[1].content);
    EXPECT_EQ(read.token_ids, finished.token_ids);
    EXPECT_EQ(read.tokens, finished.tokens);
    EXPECT_EQ(read.completion, finished.completion);
    EXPECT_EQ(read.meta_json, prompts[i].meta_json);
    EXPECT_EQ(read.n_prompt_tokens, finished.n_prompt_tokens);
    EXPECT_EQ(read.line, static_cast<std::int64_t>(i) + 1);
    EXPECT_EQ(read.n_events, finished.routing.n_positions() * 3 * 2);
  }
  EXPECT_EQ(set.prompts[0].events_file, "events-00000.jsonl");
  EXPECT_NE(set.prompts.back().events_file, "events-00000.jsonl");
}

TEST(Reader, LeavesTextsOutIfAskedTo) {
  const MadeRun run;
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "t", run);
  ReadOptions options;
  options.keep_texts = false;
  const ReadTrace trace = read_trace({temporary.path() / "t"}, options);
  EXPECT_EQ(trace.records, test::expected_records(run));
  const std::vector<Prompt> prompts = test::make_prompts(run);
  ASSERT_EQ(trace.set.prompts.size(), prompts.size());
  for (std::size_t i = 0; i < prompts.size(); ++i) {
    const TracePrompt& read = trace.set.prompts[i];
    EXPECT_EQ(read.id, prompts[i].id);
    EXPECT_EQ(read.category, prompts[i].category);
    EXPECT_FALSE(read.token_ids.empty());
    EXPECT_EQ(read.text + read.completion, "");
    EXPECT_EQ(read.tokens.capacity(), 0U);  // not only empty: their memory is free
    EXPECT_LT(read.text.capacity() + read.completion.capacity(), 64U);
  }
}

TEST(Reader, ReadsWideShapes) {
  for (const RoutingShape shape : {RoutingShape{1, 1, 1}, RoutingShape{2, 300, 300},
                                   RoutingShape{2, 65'536, 3}, RoutingShape{40, 20, 17}}) {
    MadeRun run;
    run.shape = shape;
    run.plan = {2};
    run.max_file_bytes = 1 << 20;
    const TemporaryDirectory temporary;
    write_trace(temporary.path() / "t", run);
    EXPECT_EQ(read_trace({temporary.path() / "t"}).records, test::expected_records(run));
  }
}

TEST(Reader, ReadsOnePrompt) {
  for (const bool compress : {false, true}) {
    MadeRun run;
    run.compress = compress;
    const TemporaryDirectory temporary;
    write_trace(temporary.path() / "t", run);
    const fs::path directory = temporary.path() / "t";
    const TraceSet set = open_traces(std::span(&directory, 1), {});
    test::KeepingVisitor visitor(set.prompts.size());
    read_prompt_events(set, 5, visitor, {});
    const auto expected = test::expected_records(run);
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_EQ(visitor.records[i], i == 5 ? expected[5] : decltype(expected[5]){});
    }
    expect_error(ErrorKind::usage, "no such prompt",
                 [&] { read_prompt_events(set, 8, visitor, {}); });
  }
}

TEST(Reader, ShardsTogetherAreTheWholeRun) {
  MadeRun whole;
  MadeRun first = whole;
  first.plan = {2, 2};
  first.shard = {0, 2};
  MadeRun second = whole;
  second.plan = {4};
  second.first_prompt = 4;
  second.shard = {1, 2};
  second.compress = true;
  second.events = EventsForm::flat;
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "a", first);
  write_trace(temporary.path() / "b", second);
  const ReadTrace both = read_trace({temporary.path() / "a", temporary.path() / "b"});
  EXPECT_EQ(both.records, test::expected_records(whole));
  EXPECT_EQ(both.set.prompts[4].part, 1U);
  EXPECT_EQ(both.set.manifests.size(), 2U);
  expect_error(ErrorKind::data, "already used in",
               [&] { read_trace({temporary.path() / "a", temporary.path() / "a"}); });
}

TEST(Reader, TakesCategoriesFromMeta) {
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "t", {});
  ReadOptions options;
  options.category_key = "meta.source";
  const fs::path directory = temporary.path() / "t";
  EXPECT_EQ(open_traces(std::span(&directory, 1), options).prompts[1].category, "s1");
  options.category_key = "meta.n";
  EXPECT_EQ(open_traces(std::span(&directory, 1), options).prompts[1].category, "1");
  options.category_key = "meta.none";
  EXPECT_EQ(open_traces(std::span(&directory, 1), options).prompts[1].category, "");
  options.category_key = "source";
  expect_error(ErrorKind::usage, "meta.KEY",
               [&] { open_traces(std::span(&directory, 1), options); });
}

TEST(Reader, TakesGroupsFromMeta) {
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "t", {});
  const fs::path directory = temporary.path() / "t";
  ReadOptions options;
  EXPECT_EQ(open_traces(std::span(&directory, 1), options).prompts[1].group, "");
  options.group_key = "meta.source";
  const TracePrompt grouped = open_traces(std::span(&directory, 1), options).prompts[1];
  EXPECT_EQ(grouped.group, "s1");
  EXPECT_NE(grouped.category, "s1");
  options.group_key = "meta.none";
  EXPECT_EQ(open_traces(std::span(&directory, 1), options).prompts[1].group, "");
  options.group_key = "source";
  expect_error(ErrorKind::usage, "no such group key",
               [&] { open_traces(std::span(&directory, 1), options); });
}

TEST(Reader, TakesOtherValuesFromMeta) {
  const TemporaryDirectory temporary;
  write_trace(temporary.path() / "t", {});
  const fs::path directory = temporary.path() / "t";
  const TraceSet traces = open_traces(std::span(&directory, 1), {});
  const std::vector<std::string> sources = meta_values(traces, "meta.source", "topic");
  ASSERT_EQ(sources.size(), traces.prompts.size());
  EXPECT_EQ(sources[1], "s1");
  EXPECT_EQ(meta_values(traces, "meta.n", "topic")[1], "1");
  EXPECT_EQ(meta_values(traces, "meta.none", "topic")[1], "");
  expect_error(ErrorKind::usage, "no such topic key",
               [&] { meta_values(traces, "source", "topic"); });
  TraceSet other = traces;
  other.prompts[1].meta_json = R"({"source":[1]})";
  expect_error(ErrorKind::data, "prompts.jsonl:2",
               [&] { meta_values(other, "meta.source", "topic"); });
}

TEST(Reader, RefusesAnUnfinishedTraceUnlessPartialIsAllowed) {
  const TemporaryDirectory temporary;
  const MadeRun run;
  const fs::path directory = temporary.path() / "t";
  {
    const std::vector<Prompt> prompts = test::make_prompts(run);
    TraceWriter writer = TraceWriter::create(directory, test::make_manifest(run), false);
    test::commit_rest(writer, run, prompts, 2);
  }
  expect_error(ErrorKind::data, "expected 8, found 5", [&] { read_trace({directory}); });
  ReadOptions options;
  options.allow_partial = true;
  auto expected = test::expected_records(run);
  expected.resize(5);
  const ReadTrace partial = read_trace({directory}, options);
  EXPECT_EQ(partial.records, expected);
  ASSERT_EQ(partial.set.notices.size(), 1U);
  EXPECT_NE(partial.set.notices[0].find("3 of 8"), std::string::npos);

  // A line that is cut off, and events that are.
  test::Snapshot files = test::snapshot(directory);
  files["prompts.jsonl"].resize(files["prompts.jsonl"].size() - 20);
  files["events-00000.jsonl"].resize(files["events-00000.jsonl"].size() / 2);
  test::restore(directory, files);
  expect_error(ErrorKind::data, "too short", [&] { read_trace({directory}); });
  const ReadTrace less = read_trace({directory}, options);
  ASSERT_LT(less.records.size(), 4U);
  ASSERT_GT(less.records.size(), 0U);
  expected.resize(less.records.size());
  EXPECT_EQ(less.records, expected);
}

TEST(Reader, NamesWhatIsMissing) {
  const TemporaryDirectory temporary;
  expect_error(ErrorKind::data, "no such directory", [&] { read_trace({"no/such"}); });
  expect_error(ErrorKind::data, "no manifest.json", [&] { read_trace({temporary.path()}); });
  expect_error(ErrorKind::usage, "no trace directory", [&] { read_trace({}); });
  const fs::path directory = temporary.path() / "t";
  write_trace(directory, {});
  fs::remove(directory / "events-00000.jsonl");
  expect_error(ErrorKind::data, "prompts.jsonl:1: no such events file",
               [&] { read_trace({directory}); });
  fs::remove(directory / "prompts.jsonl");
  expect_error(ErrorKind::data, "prompts.jsonl: no such file", [&] { read_trace({directory}); });
}

}  // namespace
}  // namespace moexray
