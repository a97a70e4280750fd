#include <gtest/gtest.h>

#include <cmath>
#include <sstream>

#include "moexray/core/file.h"
#include "moexray/runtime/trace_run.h"
#include "moexray/trace/reader.h"
#include "moexray/trace/recording.h"
#include "support/expect_error.h"
#include "support/fake_model.h"
#include "support/fake_tokenizer.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::FakeModel;
using test::FakeTokenizer;

FakeModel model_of(int vocab_size, int max_positions = 200) {
  FakeModel::Options options;
  options.vocab_size = vocab_size;
  options.eos = FakeTokenizer::eos_id;
  options.max_positions = max_positions;
  return FakeModel(options);
}

class Replay : public testing::Test {
 protected:
  Replay() {
    settings_.generation.max_new_tokens = 6;
    settings_.generation.score = true;
    settings_.batch = 3;
    settings_.memory_bytes = 1 << 30;
  }

  static void complete(TraceJob& job) {
    job.manifest.instruction_set = "portable";
    job.manifest.model.weights_xxh3 = "xxh3-128:" + std::string(32, '0');
  }

  void run(TraceJob job, FakeModel& model, const std::string& name) {
    complete(job);
    TraceWriter writer = TraceOutput{directory(name)}.open(job);
    run_trace(job, writer, model, tokenizer_, stop_);
  }

  void trace(const std::string& name) {
    std::istringstream in(
        "{\"id\":\"a\",\"category\":\"c\",\"prompt\":\"one\",\"n\":3}\n"
        "{\"id\":\"b\",\"prompt\":\"twenty é\"}\n"
        "{\"id\":\"c\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"},"
        "{\"role\":\"assistant\",\"content\":\"yz\"}]}\n"
        "{\"id\":\"d\",\"prompt\":\"q\"}\n");
    FakeModel model = model_of(264);
    const auto chat_template = make_chat_template("none", tokenizer_);
    run(plan_trace(settings_, read_prompts(in, "p.jsonl"), model.config(), "router", tokenizer_,
                   *chat_template, stop_),
        model, name);
  }

  TraceJob plan(const std::string& name, FakeModel& model, const TraceSettings& settings) {
    const fs::path from = directory(name);
    return plan_replay(settings, read_recording(std::span(&from, 1)), model.config(), "router",
                       tokenizer_);
  }

  void replay(const std::string& from, const std::string& to, const TraceSettings& settings) {
    FakeModel model = model_of(264);
    run(plan(from, model, settings), model, to);
  }

  TraceSet opened(const std::string& name) const {
    const fs::path path = directory(name);
    return open_traces(std::span(&path, 1), {});
  }

  fs::path directory(const std::string& name) const { return temporary_.path() / name; }
  std::map<std::string, std::string> files(const std::string& name) const {
    return test::directory_contents(directory(name));
  }

  TraceSettings settings_;
  FakeTokenizer tokenizer_;
  std::atomic<bool> stop_ = false;
  test::TemporaryDirectory temporary_;
};

TEST_F(Replay, OfItsOwnTraceHasTheSameBytes) {
  for (const std::int64_t n_new : {0, 1, 6}) {
    for (const bool is_sampled : {false, true}) {
      settings_.generation.max_new_tokens = n_new;
      settings_.generation.do_sample = is_sampled;
      settings_.generation.max_tokens_per_pass = n_new == 6 ? 3 : 2048;
      const std::string name = std::to_string(n_new) + (is_sampled ? "s" : "g");
      trace(name);
      settings_.batch = 2;
      replay(name, name + "-again", settings_);
      settings_.batch = 3;
      auto whole = files(name), again = files(name + "-again");
      const TraceManifest a = read_manifest(directory(name));
      const TraceManifest b = read_manifest(directory(name + "-again"));
      EXPECT_EQ(b.generation.max_new_tokens, n_new);
      EXPECT_EQ(b.generation.do_sample, is_sampled);
      EXPECT_EQ(b.prompt_ids_sha256, a.prompt_ids_sha256);
      EXPECT_TRUE(a.replay.trace_sha256.empty());
      EXPECT_EQ(b.replay.trace_sha256.size(), 64U);
      EXPECT_EQ(b.prompts_sha256, b.replay.tokens_sha256);
      EXPECT_TRUE(a.score && b.score);
      whole.erase("manifest.json");
      again.erase("manifest.json");
      EXPECT_EQ(again, whole);
    }
  }
}

// ln p by its definition, from the logits that the model has after every prefix.
TEST_F(Replay, ScoresAreLogProbabilities) {
  settings_.generation.ignore_eos = true;  // takes a candidate away, and no probability
  settings_.generation.max_tokens_per_pass = 3;
  trace("t");
  const FakeModel model = model_of(264);
  const TraceSet traces = opened("t");
  ASSERT_EQ(traces.prompts.size(), 4U);
  for (const TracePrompt& prompt : traces.prompts) {
    ASSERT_EQ(prompt.logprobs.size() + 1, prompt.token_ids.size());
    for (std::size_t i = 0; i + 1 < prompt.token_ids.size(); ++i) {
      const auto logits = model.expected_logits(std::span(prompt.token_ids).first(i + 1));
      double sum = 0;
      for (const float logit : logits) sum += std::exp(static_cast<double>(logit));
      const auto next = static_cast<std::size_t>(prompt.token_ids[i + 1]);
      EXPECT_NEAR(prompt.logprobs[i], logits[next] - std::log(sum), 2e-5 * std::log(sum));
    }
  }
}

TEST_F(Replay, KeepsTokensWhateverTheModelWouldSay) {
  settings_.generation.score = false;
  trace("t");
  settings_.limit = 3;
  settings_.shard = {1, 2};
  settings_.generation.score = true;
  settings_.compress = true;
  replay("t", "part", settings_);
  const TraceSet whole = opened("t"), part = opened("part");
  ASSERT_EQ(part.prompts.size(), 2U);
  EXPECT_EQ(part.manifests[0].n_shard_prompts, 3);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(part.prompts[i].id, whole.prompts[i + 1].id);
    EXPECT_EQ(part.prompts[i].token_ids, whole.prompts[i + 1].token_ids);
    EXPECT_TRUE(whole.prompts[i + 1].logprobs.empty());
    EXPECT_EQ(part.prompts[i].logprobs.size() + 1, part.prompts[i].token_ids.size());
  }
}

TEST_F(Replay, IsPartOfWhatResumingCompares) {
  trace("t");
  FakeModel model = model_of(264);
  TraceJob job = plan("t", model, settings_);
  complete(job);
  TraceManifest other = job.manifest;
  other.replay.trace_sha256[0] = other.replay.trace_sha256[0] == '0' ? '1' : '0';
  expect_error(ErrorKind::data, "\"replay.trace_sha256\"",
               [&] { check_same_run(job.manifest, other, "manifest.json"); });
  other = job.manifest;
  other.score = false;
  expect_error(ErrorKind::data, "\"score\"",
               [&] { check_same_run(job.manifest, other, "manifest.json"); });
}

TEST_F(Replay, RefusesTokensThatTheModelDoesNotHave) {
  trace("t");
  FakeModel small = model_of(100);
  expect_error(ErrorKind::data,
               "prompts.jsonl:1: prompt \"a\": token 111 is outside the model's "
               "vocabulary of 100",
               [&] { plan("t", small, settings_); });
  FakeModel brief = model_of(264, 8);
  expect_error(ErrorKind::data, "too long", [&] { plan("t", brief, settings_); });

  // A tokenizer that calls a token by another name means another token.
  std::string lines = read_file(directory("t") / "prompts.jsonl", 1 << 20);
  const std::size_t at = lines.find("[\"b111\"");
  ASSERT_NE(at, std::string::npos);
  lines.replace(at, 7, "[\"b0\"");
  std::size_t sum = 0;
  while ((sum = lines.find(",\"line_checksum\"", sum)) != std::string::npos) {
    lines.erase(sum, lines.find('}', sum) - sum);
  }
  write_file_atomically(directory("t") / "prompts.jsonl", lines);
  FakeModel model = model_of(264);
  expect_error(ErrorKind::data, "expected \"b0\", found \"b111\"",
               [&] { plan("t", model, settings_); });
}

TEST_F(Replay, RefusesTracesWithoutTokenIds) {
  fs::create_directories(directory("bare"));
  write_file_atomically(directory("bare") / "manifest.json",
                        R"({"format":"moexray-trace","version":1,"model":{"n_layers":1,)"
                        R"("n_experts":4,"top_k":1},"n_prompts":1})");
  write_file_atomically(directory("bare") / "prompts.jsonl",
                        R"({"id":"p","category":"c","events_file":"e.jsonl"})"
                        "\n");
  write_file_atomically(directory("bare") / "e.jsonl",
                        R"({"prompt_id":"p","layer":0,"pos":0,"type":"prompt","experts":[1]})"
                        "\n");
  FakeModel model = model_of(264);
  expect_error(ErrorKind::data, "without token ids", [&] { plan("bare", model, settings_); });
}

TEST_F(Replay, ReadersRefuseScoresThatAreNone) {
  trace("t");
  const std::string lines = read_file(directory("t") / "prompts.jsonl", 1 << 20);
  const auto expect_refusal = [&](const std::string& from, const std::string& to,
                                  std::string_view what) {
    std::string changed = lines.substr(0, lines.find(",\"line_checksum\"")) + "}\n";
    changed += lines.substr(lines.find('\n') + 1);
    const std::size_t at = changed.find(from);
    ASSERT_NE(at, std::string::npos);
    changed.replace(at, from.size(), to);
    write_file_atomically(directory("t") / "prompts.jsonl", changed);
    expect_error(ErrorKind::data, what, [&] { opened("t"); });
  };
  expect_refusal("\"logprobs\":[", "\"logprobs\":[-1,", "wrong number of \"logprobs\"");
  expect_refusal("\"logprobs\":[-", "\"logprobs\":[", "none above 0");
  expect_refusal("\"logprobs\":[", "\"logprobs\":[\"x\",", "\"logprobs\"");
  expect_refusal("\"logprobs\"", "\"other\"", "missing key \"logprobs\"");
}

}  // namespace
}  // namespace moexray
