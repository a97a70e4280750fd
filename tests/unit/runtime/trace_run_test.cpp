#include "moexray/runtime/trace_run.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>
#include <thread>

#include "moexray/core/file.h"
#include "moexray/core/forward_tokens.h"
#include "moexray/core/sha256.h"
#include "moexray/runtime/trace_summary.h"
#include "moexray/trace/reader.h"
#include "support/expect_error.h"
#include "support/fake_model.h"
#include "support/fake_tokenizer.h"
#include "support/file_size_limit.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::FakeModel;
using test::FakeTokenizer;

constexpr int n_test_prompts = 11;

// More ids than the tokenizer knows, as checkpoints with a padded embedding have.
FakeModel make_model() {
  FakeModel::Options options;
  options.vocab_size = 264;
  options.eos = FakeTokenizer::eos_id;
  return FakeModel(options);
}

std::string prompts_text() {
  std::string text;
  for (int i = 0; i < n_test_prompts; ++i) {
    text += "{\"id\":\"p" + std::to_string(i) + "\",\"category\":\"c" + std::to_string(i % 3) +
            "\",\"prompt\":\"" + std::string(static_cast<std::size_t>(1 + i * 7 % 10), 'a') + "é" +
            std::to_string(i) + "\"}\n";
  }
  return text;
}

PromptSet prompts_from(const std::string& text) {
  std::istringstream in(text);
  return read_prompts(in, "prompts.jsonl");
}

TraceSettings test_settings() {
  TraceSettings settings;
  settings.generation.max_new_tokens = 7;
  settings.batch = 3;
  settings.memory_bytes = 1 << 30;
  settings.prompts_name = "prompts.jsonl";
  return settings;
}

class TraceRun : public testing::Test {
 protected:
  TraceJob plan(const TraceSettings& settings, const std::string& text = prompts_text()) {
    const FakeModel model = make_model();
    const auto chat_template = make_chat_template("none", tokenizer_);
    TraceJob job = plan_trace(settings, prompts_from(text), model.config(), "router", tokenizer_,
                              *chat_template, stop_);
    job.manifest.instruction_set = "portable";
    job.manifest.model.weights_xxh3 = "xxh3-128:" + std::string(32, '0');
    return job;
  }

  fs::path directory(const std::string& name) const { return temporary_.path() / name; }

  void trace(const TraceSettings& settings, const std::string& name, bool resume = false) {
    FakeModel model = make_model();
    trace(settings, name, resume, model);
  }

  void trace(const TraceSettings& settings, const std::string& name, bool resume,
             FakeModel& model) {
    const TraceJob job = plan(settings);
    const TraceOutput output{directory(name), resume ? TraceStart::resume : TraceStart::fresh};
    output.check(job.manifest);
    TraceWriter writer = output.open(job);
    run_trace(job, writer, model, tokenizer_, stop_);
  }

  std::map<std::string, std::string> files(const std::string& name) const {
    std::map<std::string, std::string> result;
    for (const auto& entry : fs::directory_iterator(directory(name))) {
      result[entry.path().filename().string()] = read_file(entry.path(), 1 << 30);
    }
    return result;
  }

  FakeTokenizer tokenizer_;
  std::atomic<bool> stop_ = false;
  test::TemporaryDirectory temporary_;
};

// Compares every record of a trace with what the model's routers decide.
class RoutingCheck : public EventVisitor {
 public:
  explicit RoutingCheck(const TraceSet& traces)
      : traces_(traces), n_records(traces.prompts.size()) {}

  void on_record(std::size_t prompt_index, const RoutingRecord& record) override {
    const TracePrompt& prompt = traces_.prompts[prompt_index];
    const auto pos = static_cast<std::size_t>(record.pos);
    const auto expected =
        model_.expected_routing(std::span(prompt.token_ids).first(pos + 1), record.layer);
    EXPECT_TRUE(std::equal(record.experts.begin(), record.experts.end(), expected.experts.begin(),
                           expected.experts.end()))
        << prompt.id << " layer " << record.layer << " pos " << record.pos;
    for (std::size_t i = 0; i < record.weights.size(); ++i) {
      EXPECT_NEAR(record.weights[i], expected.weights[i], 1e-5);
    }
    EXPECT_EQ(record.type == TokenType::prompt, record.pos < prompt.n_prompt_tokens);
    EXPECT_EQ(record.token_id, prompt.token_ids[pos]);
    ++n_records[prompt_index];
  }

 private:
  const TraceSet& traces_;
  FakeModel model_ = make_model();

 public:
  std::vector<std::int64_t> n_records;
};

void expect_complete(const fs::path& directory, std::size_t n_prompts) {
  ReadOptions options;
  options.n_threads = 1;
  const TraceSet traces = open_traces(std::span(&directory, 1), options);
  ASSERT_EQ(traces.prompts.size(), n_prompts);
  RoutingCheck check(traces);
  read_events(traces, check, options);
  for (std::size_t i = 0; i < n_prompts; ++i) {
    const TracePrompt& prompt = traces.prompts[i];
    const std::int64_t n_tokens =
        n_forward_tokens(prompt.n_prompt_tokens, prompt.n_generated_tokens);
    EXPECT_EQ(check.n_records[i], n_tokens * 3);
    EXPECT_EQ(prompt.n_events, n_tokens * 3 * 2);
    EXPECT_EQ(prompt.tokens.size(), prompt.token_ids.size());
    EXPECT_EQ(prompt.finish_reason,
              prompt.token_ids.back() == FakeTokenizer::eos_id ? "eos" : "length");
  }
}

std::vector<std::pair<std::string, TraceSettings>> all_forms() {
  std::vector<std::pair<std::string, TraceSettings>> forms;
  TraceSettings settings = test_settings();
  forms.emplace_back("grouped", settings);
  settings.events = EventsForm::flat;
  forms.emplace_back("flat", settings);
  settings.compress = true;
  settings.generation.do_sample = true;
  forms.emplace_back("flat-compressed-sampled", settings);
  settings = test_settings();
  settings.generation.router_logits = true;
  settings.generation.ignore_eos = true;
  forms.emplace_back("logits", settings);
  settings.compress = true;
  settings.batch = 0;
  settings.generation.max_new_tokens = 0;
  forms.emplace_back("prompt-alone", settings);
  return forms;
}

TEST_F(TraceRun, RecordsEveryDecisionInEveryForm) {
  for (const auto& [name, settings] : all_forms()) {
    SCOPED_TRACE(name);
    trace(settings, name);
    expect_complete(directory(name), n_test_prompts);
  }
}

TEST_F(TraceRun, ResumesToTheSameBytesWhereverItIsStopped) {
  for (const auto& [name, settings] : all_forms()) {
    FakeModel model = make_model();
    trace(settings, name, false, model);
    const auto whole = files(name);
    const auto n_passes = static_cast<std::int64_t>(model.pass_rows.size());
    ASSERT_GT(n_passes, 0);
    for (std::int64_t at = 0; at < n_passes; ++at) {
      SCOPED_TRACE(name + " stopped at pass " + std::to_string(at));
      const std::string part = name + "-" + std::to_string(at);
      FakeModel failing = make_model();
      failing.on_forward = [&](std::int64_t pass) {
        if (pass == at) throw Error(ErrorKind::runtime, "struck");
      };
      expect_error(ErrorKind::runtime, "struck", [&] { trace(settings, part, false, failing); });
      TraceSettings other_plan = settings;
      // The recorded plan is followed, whatever is asked for now; without a prompt there is none.
      if (fs::exists(directory(part))) other_plan.batch = 5;
      trace(other_plan, part, true);
      EXPECT_EQ(files(part), whole);
    }
  }
}

TEST_F(TraceRun, ARunWithoutAPromptLeavesNothing) {
  const TraceJob job = plan(test_settings());
  const auto fail_at = [&](std::int64_t at, TraceWriter writer) {
    FakeModel model = make_model();
    model.on_forward = [&](std::int64_t pass) {
      if (pass == at) throw Error(ErrorKind::runtime, "struck");
    };
    expect_error(ErrorKind::runtime, "struck",
                 [&] { run_trace(job, writer, model, tokenizer_, stop_); });
  };
  const auto create = [&](const fs::path& path) {
    return TraceWriter::create(path, job.manifest, false);
  };
  fail_at(2, create(directory("new") / "deep"));
  EXPECT_FALSE(fs::exists(directory("new")));
  fs::create_directory(directory("mine"));
  fail_at(2, create(directory("mine")));
  EXPECT_TRUE(fs::is_empty(directory("mine")));
  // What has a prompt stays.
  fail_at(12, create(directory("begun")));
  EXPECT_TRUE(fs::exists(directory("begun") / "manifest.json"));
  const auto begun = files("begun");
  fail_at(0, TraceWriter::resume(directory("begun"), job.manifest, job.prompts));
  EXPECT_EQ(files("begun"), begun);
}

TEST_F(TraceRun, AnInterruptSaysHowFarItCame) {
  FakeModel model = make_model();
  model.on_forward = [&](std::int64_t pass) { stop_ = pass == 9; };
  expect_error(ErrorKind::interrupted, "of 11 prompts on disk",
               [&] { trace(test_settings(), "stopped", false, model); });
  stop_ = false;
  trace(test_settings(), "stopped", true);
  trace(test_settings(), "whole");
  EXPECT_EQ(files("stopped"), files("whole"));
}

std::int64_t n_lines(const fs::path& path) {
  const std::string text = read_file(path, 1 << 30);
  return std::count(text.begin(), text.end(), '\n');
}

// One batch is written while the next is computed; what came before it is on disk.
TEST_F(TraceRun, BatchesReachTheDiskWhileLaterOnesAreComputed) {
  TraceSettings settings = test_settings();
  settings.generation.ignore_eos = true;
  const std::int64_t n_passes = settings.generation.max_new_tokens;  // of a batch
  const fs::path prompts = directory("t") / "prompts.jsonl";
  FakeModel model = make_model();
  int n_looks = 0;
  model.on_forward = [&](std::int64_t pass) {
    const std::int64_t n_computed = pass / n_passes * settings.batch;
    EXPECT_LE(n_lines(prompts), n_computed);
    if (pass % n_passes == 0) {
      EXPECT_GE(n_lines(prompts), n_computed - settings.batch);
      return;
    }
    // The computation stands still here; the batch before gets to the disk all the same.
    const auto limit = std::chrono::steady_clock::now() + std::chrono::minutes(1);
    while (n_lines(prompts) < n_computed && std::chrono::steady_clock::now() < limit) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    EXPECT_EQ(n_lines(prompts), n_computed);
    ++n_looks;
  };
  trace(settings, "t", false, model);
  EXPECT_EQ(n_looks, 4 * (n_passes - 1));
  EXPECT_EQ(n_lines(prompts), n_test_prompts);
}

TEST_F(TraceRun, AFullDiskEndsTheRunAndLosesOnlyBatchesInWork) {
  FakeModel model = make_model();
  trace(test_settings(), "whole", false, model);
  const auto whole = files("whole");
  const std::size_t n_passes = model.pass_rows.size();
  const std::size_t size = whole.at("events-00000.jsonl").size();
  for (const std::size_t part : {size / 8, size / 3, size / 2, size - 1}) {
    FakeModel failing = make_model();
    const std::string name = "full-" + std::to_string(part);
    {
      const test::FileSizeLimit full(part);
      expect_error(ErrorKind::runtime, "events-00000.jsonl: cannot write",
                   [&] { trace(test_settings(), name, false, failing); });
    }
    EXPECT_LE(failing.pass_rows.size(), n_passes);
    trace(test_settings(), name, true);
    EXPECT_EQ(files(name), whole);
  }
}

TEST_F(TraceRun, ShardsTogetherAreTheWhole) {
  trace(test_settings(), "whole");
  std::string events;
  std::vector<std::string> completions;
  std::vector<fs::path> parts;
  for (int i = 0; i < 3; ++i) {
    TraceSettings settings = test_settings();
    settings.shard = {i, 3};
    const std::string name = "part-" + std::to_string(i);
    trace(settings, name);
    parts.push_back(directory(name));
    events += files(name).at("events-00000.jsonl");
  }
  EXPECT_EQ(events, files("whole").at("events-00000.jsonl"));
  const TraceSet together = open_traces(parts, {});
  const fs::path whole_path = directory("whole");
  const TraceSet whole = open_traces(std::span(&whole_path, 1), {});
  ASSERT_EQ(together.prompts.size(), whole.prompts.size());
  for (std::size_t i = 0; i < whole.prompts.size(); ++i) {
    EXPECT_EQ(together.prompts[i].id, whole.prompts[i].id);
    EXPECT_EQ(together.prompts[i].completion, whole.prompts[i].completion);
  }
}

TEST_F(TraceRun, AnEmptyShardIsFinishedAtOnce) {
  TraceSettings settings = test_settings();
  settings.shard = {0, 50};
  const TraceJob job = plan(settings);
  EXPECT_TRUE(job.prompts.empty());
  EXPECT_TRUE(TraceWriter::create(directory("empty"), job.manifest, false).finished());
  EXPECT_NE(trace_summary(directory("empty")).find("0 prompts traced"), std::string::npos);
}

TEST_F(TraceRun, TakesTheFirstPromptsOnly) {
  TraceSettings settings = test_settings();
  settings.limit = 4;
  trace(settings, "limited");
  expect_complete(directory("limited"), 4);
}

TEST_F(TraceRun, RefusesToResumeOtherWork) {
  trace(test_settings(), "one");
  TraceSettings other = test_settings();
  other.generation.seed = 1;
  expect_error(ErrorKind::data, "seed", [&] { trace(other, "one", true); });
  other = test_settings();
  other.dtype = "float32";
  expect_error(ErrorKind::data, "dtype", [&] { trace(other, "one", true); });
}

struct NamedPolicy : RoutingPolicy {
  explicit NamedPolicy(std::string name) : name_(std::move(name)) {}
  std::string canonical() const override { return name_; }
  std::string name_;
};

TEST_F(TraceRun, APolicyIsPartOfTheRun) {
  TraceSettings settings = test_settings();
  settings.generation.policy = std::make_shared<NamedPolicy>("mask 0/1");
  EXPECT_EQ(plan(settings).manifest.routing_policy, "mask 0/1");
  trace(settings, "one");
  expect_error(ErrorKind::data, "routing_policy", [&] { trace(test_settings(), "one", true); });
  for (const char* name : {"", "none"}) {
    settings.generation.policy = std::make_shared<NamedPolicy>(name);
    expect_error(ErrorKind::usage, "a text of its own", [&] { plan(settings); });
  }
}

TEST_F(TraceRun, TellsHowFarItHasCome) {
  const TraceJob job = plan(test_settings());
  const TraceOutput output{directory("t"), TraceStart::resume};
  EXPECT_FALSE(output.is_finished(job));
  TraceWriter writer = output.open(job);
  FakeModel model = make_model();
  std::vector<TraceProgress> seen;
  run_trace(job, writer, model, tokenizer_, stop_,
            [&](const TraceProgress& now) { seen.push_back(now); });
  ASSERT_EQ(seen.size(), model.pass_rows.size());
  for (std::size_t i = 1; i < seen.size(); ++i) EXPECT_GT(seen[i].n_done, seen[i - 1].n_done);
  EXPECT_FALSE(seen.front().seconds_left);  // no generated token has been timed
  EXPECT_TRUE(seen.back().seconds_left);
  EXPECT_GE(seen.back().n_expected, seen.back().n_done);
  EXPECT_TRUE(output.is_finished(job));
  EXPECT_FALSE(TraceOutput({directory("t"), TraceStart::replace}).is_finished(job));
}

TEST_F(TraceRun, RecordsWhatComputes) {
  TraceManifest manifest;
  record_backend({"bfloat16", "cuda:3", 0, "plain"}, {"libtorch 9", "blas", false, "avx2"},
                 manifest);
  EXPECT_EQ(manifest.device, "cuda");
  EXPECT_EQ(manifest.backend, "libtorch 9");
  EXPECT_EQ(manifest.kernels, "plain");
  EXPECT_EQ(manifest.bits, "libtorch 9, cuda");
  EXPECT_EQ(manifest.instruction_set, "avx2");
}

TEST_F(TraceRun, SummarisesWhatIsOnDisk) {
  trace(test_settings(), "one");
  const std::string text = trace_summary(directory("one"));
  EXPECT_TRUE(text.starts_with("11 prompts traced with fake in ")) << text;
  EXPECT_NE(text.find("3 layers, top-2 of 8 experts"), std::string::npos) << text;
  EXPECT_NE(text.find("manifest.json, prompts.jsonl, events-00000.jsonl ("), std::string::npos);
}

TEST_F(TraceRun, PlansAsTheManifestSays) {
  const TraceJob job = plan(test_settings());
  EXPECT_EQ(job.manifest.batch, 3);
  EXPECT_EQ(job.manifest.plan, (std::vector<std::int64_t>{3, 3, 3, 2}));
  EXPECT_EQ(job.manifest.n_prompts, 11);
  EXPECT_EQ(job.manifest.generation.template_name, "none");
  EXPECT_EQ(job.manifest.generation.template_date, "");
  EXPECT_EQ(job.generation.n_candidates, FakeTokenizer::eos_id + 1);
  EXPECT_EQ(job.manifest.model.router_sha256, "router");
  EXPECT_EQ(job.manifest.n_shard_prompts, 11);
  EXPECT_EQ(job.manifest.generation.eos_token_ids, (std::vector<TokenId>{FakeTokenizer::eos_id}));
  EXPECT_EQ(job.generation.eos_token_ids, (std::vector<TokenId>{FakeTokenizer::eos_id}));
}

TEST_F(TraceRun, RecordsWhatTheShardsTogetherTrace) {
  TraceSettings settings = test_settings();
  settings.limit = 9;
  settings.shard = {1, 2};
  settings.generation.max_new_tokens = 0;
  const TraceManifest manifest = plan(settings).manifest;
  EXPECT_EQ(manifest.n_prompts, 5);
  EXPECT_EQ(manifest.n_shard_prompts, 9);
  // Where nothing is generated, no token ends anything.
  EXPECT_TRUE(manifest.generation.eos_token_ids.empty());
}

TEST_F(TraceRun, RecordsWhatBecameOfThePrompts) {
  const auto hash_of = [&](const std::string& text) {
    return plan(test_settings(), text).manifest.prompt_ids_sha256;
  };
  EXPECT_EQ(hash_of("{\"prompt\":\"hi\"}\n{\"prompt\":\"A\"}\n"), sha256_hex("104 105\n65\n"));
  EXPECT_EQ(hash_of("{\"prompt\":\"hi\",\"id\":\"x\"}"), sha256_hex("104 105\n"));
}

TEST_F(TraceRun, ListsAllPromptsThatCannotBeTraced) {
  TraceSettings settings = test_settings();
  const std::string text = R"({"prompt":"fine"})"
                           "\n"
                           R"({"id":"long","prompt":")" +
                           std::string(250, 'x') +
                           "\"}\n"
                           R"({"prompt":"fine too"})"
                           "\n"
                           R"({"id":"longer","prompt":")" +
                           std::string(1000, 'x') + "\"}\n";
  try {
    plan(settings, text);
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::data);
    EXPECT_STREQ(error.what(),
                 "2 prompts cannot be traced:\n"
                 "  prompts.jsonl:2: prompt \"long\": too long: expected at most 256 tokens, "
                 "found 250 and 7 new ones\n"
                 "  prompts.jsonl:4: prompt \"longer\": too long: expected at most 256 tokens, "
                 "found 1000 and 7 new ones");
  }
  settings.generation.max_new_tokens = 6;
  expect_error(ErrorKind::data, "1 prompt cannot", [&] { plan(settings, text); });
}

TEST_F(TraceRun, BoundsTheListOfFailures) {
  std::string text;
  for (int i = 0; i < 30; ++i) text += "{\"prompt\":\"" + std::string(300, 'x') + "\"}\n";
  expect_error(ErrorKind::data, "30 prompts cannot", [&] { plan(test_settings(), text); });
  expect_error(ErrorKind::data, "and 10 more", [&] { plan(test_settings(), text); });
}

TEST(DecodeCompletion, ShowsCutCharactersAndSkipsUnknownIds) {
  const FakeTokenizer tokenizer;
  const std::vector<TokenId> prompt = {'h', 'i'};
  const auto decode = [&](std::vector<TokenId> ids) {
    return decode_completion(tokenizer, prompt, ids);
  };
  EXPECT_EQ(decode({}), "");
  EXPECT_EQ(decode({' ', 'y', FakeTokenizer::eos_id}), " y");
  EXPECT_EQ(decode({0xC3, 0xA9}), "é");
  EXPECT_EQ(decode({'a', 0xC3}), "a\uFFFD");
  EXPECT_EQ(decode({'a', 263, 'b'}), "ab");
}

}  // namespace
}  // namespace moexray
