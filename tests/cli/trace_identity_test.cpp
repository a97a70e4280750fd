// Whether a run is what it claims to be: resuming, reading traces together, and runs that end
// before they begin.

#include <gtest/gtest.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <thread>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/checkpoint/weights_hash_cache.h"
#include "moexray/core/file.h"
#include "support/file_size_limit.h"
#include "support/files.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class TraceIdentity : public TraceCommand {
 protected:
  void SetUp() override {
    if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  }

  // A copy of the model in a directory of the same name.
  fs::path copy_model(const std::string& parent) const {
    const fs::path copy = path(parent) / "model";
    fs::create_directories(copy);
    fs::copy(model(), copy, fs::copy_options::recursive | fs::copy_options::overwrite_existing);
    return copy;
  }

  // One low bit of the last weight, which belongs to the output layer: the routers stay as they
  // are.
  static void flip_a_bit(const fs::path& directory) {
    const fs::path file = directory / "model.safetensors";
    std::string bytes = read_file(file, 1 << 28);
    bytes[bytes.size() - 4] ^= 1;
    write_file_atomically(file, bytes);
  }

  template <typename Change>
  static void change_config(const fs::path& directory, Change change) {
    json config = json::parse(read_file(directory / "config.json", 1 << 20));
    change(config);
    write_file_atomically(directory / "config.json", config.dump(7));
  }

  // A trace that was stopped by a full disk.
  void begin_trace(const std::string& name) const {
    const FileSizeLimit full(60'000);
    const CommandResult result = trace({"prompts.jsonl", "--batch", "1", "-o", name});
    EXPECT_EQ(result.exit_code, 1);
    const std::string lines = file_content(path(name) / "prompts.jsonl");
    EXPECT_NE(lines, "");
    EXPECT_LT(std::count(lines.begin(), lines.end(), '\n'), 12);
  }

  CommandResult resume(const fs::path& model_directory, const std::string& name) const {
    return trace({"prompts.jsonl", "--batch", "1", "-o", name, "--resume", "--quiet", "--model",
                  model_directory.string()});
  }

  void expect_no_resume(const fs::path& model_directory, const std::string& key) const {
    const auto before = files("t");
    const CommandResult result = resume(model_directory, "t");
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(holds(result.err, "cannot resume")) << result.err;
    EXPECT_TRUE(holds(result.err, "\"" + key + "\"")) << result.err;
    EXPECT_EQ(files("t"), before);
  }

  CommandResult signatures(std::vector<std::string> words) const {
    words.insert(words.begin(), "signatures");
    return run_moexray(words, {.input = {}, .working_directory = temporary_.path()});
  }

  void trace_to(const std::string& name, std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"-o", name, "--max-new-tokens", "2", "--quiet"});
    if (std::find(more.begin(), more.end(), "prompts.jsonl") == more.end() &&
        std::find(more.begin(), more.end(), "other.jsonl") == more.end()) {
      more.push_back("prompts.jsonl");
    }
    const CommandResult result = trace(more);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  void write_other_prompts() const {
    std::string text = prompts(12);
    text.insert(text.find("Number"), "Edited ");
    write("other.jsonl", text);
  }
};

TEST_F(TraceIdentity, ResumesWithTheRecordedModelOnly) {
  ASSERT_EQ(trace({"prompts.jsonl", "--batch", "1", "-o", "whole"}).exit_code, 0);
  begin_trace("t");
  const fs::path tuned = copy_model("tuned");
  flip_a_bit(tuned);
  expect_no_resume(tuned, "model.weights_xxh3");

  const fs::path changed = copy_model("changed");
  change_config(changed, [](json& config) { config["norm_topk_prob"] = true; });
  expect_no_resume(changed, "model.norm_topk_prob");
  copy_model("changed");
  change_config(changed, [](json& config) { config["rope_theta"] = 10001.0; });
  expect_no_resume(changed, "model.deciding_config_sha256");
  copy_model("changed");
  change_config(changed, [](json& config) { config["clip_qkv"] = 0.5; });
  expect_no_resume(changed, "model.deciding_config_sha256");
  copy_model("changed");
  write_file_atomically(changed / "generation_config.json", R"({"eos_token_id":[256,65]})");
  expect_no_resume(changed, "generation.eos_token_ids");
  fs::remove(changed / "generation_config.json");

  // The text of config.json, and keys that decide nothing, may change: the bytes do not.
  copy_model("changed");
  change_config(changed, [](json& config) { config["transformers_version"] = "99"; });
  const CommandResult result = resume(changed, "t");
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(files("t"), files("whole"));
  expect_no_resume(tuned, "model.weights_xxh3");  // nor when nothing is left to do
}

TEST_F(TraceIdentity, ResumesWithTheRecordedTokenizerOnly) {
  begin_trace("t");
  const fs::path changed = copy_model("changed");
  const std::string tokenizer = read_file(changed / "tokenizer.json", 1 << 26);
  write_file_atomically(changed / "tokenizer.json", tokenizer + "\n");
  expect_no_resume(changed, "tokenizer.sha256");
}

TEST_F(TraceIdentity, ResumesNoTraceOfUnknownWeights) {
  begin_trace("t");
  json manifest = json::parse(file_content(path("t") / "manifest.json"));
  EXPECT_TRUE(manifest["model"]["weights_xxh3"].get<std::string>().starts_with("xxh3-128:"));
  manifest.erase("checksum");
  manifest["model"].erase("weights_xxh3");
  write("t/manifest.json", manifest.dump());
  expect_no_resume(model(), "model.weights_xxh3");
  // What both have is compared first.
  const fs::path changed = copy_model("changed");
  change_config(changed, [](json& config) { config["norm_topk_prob"] = true; });
  expect_no_resume(changed, "model.norm_topk_prob");
}

// Weights of 102 MB are hashed once; afterwards the user's cache is believed, which a wrong entry
// shows.
TEST_F(TraceIdentity, LargeWeightsAreHashedOnce) {
  test::OlmoeConfig config = tiny_config();
  config.vocab_size = 800'000;
  write_tiny_checkpoint(model(), config);
  std::this_thread::sleep_for(WeightsHashCache::min_age);
  ::setenv("XDG_CACHE_HOME", path("cache").c_str(), 1);
  int n_traces = 0;
  const auto hash_after = [&](const std::vector<std::string>& flags) {
    const std::string name = "t" + std::to_string(n_traces++);
    std::vector<std::string> more = {"prompts.jsonl", "--limit", "1", "--max-new-tokens", "0"};
    more.insert(more.end(), {"-o", name});
    more.insert(more.end(), flags.begin(), flags.end());
    const CommandResult result = trace(more);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return json::parse(file_content(path(name) / "manifest.json"))["model"]["weights_xxh3"]
        .get<std::string>();
  };
  const std::string hash = hash_after({});
  const fs::path entry = fs::directory_iterator(path("cache") / "moexray/weights")->path();
  const std::string kept = file_content(entry);
  ASSERT_TRUE(kept.ends_with(hash + "\n")) << kept;
  const std::string wrong = "xxh3-128:" + std::string(32, '0');
  write_file_atomically(entry, kept.substr(0, kept.size() - hash.size() - 1) + wrong + "\n");
  EXPECT_EQ(hash_after({}), wrong);
  EXPECT_EQ(hash_after({"--rehash"}), hash);
  EXPECT_EQ(file_content(entry), kept);
  flip_a_bit(model());
  EXPECT_NE(hash_after({}), hash);
}

TEST_F(TraceIdentity, ShardsMustBeOfOnePromptsFile) {
  write_other_prompts();
  trace_to("s0", {"--shard", "0/2"});
  trace_to("s1", {"--shard", "1/2"});
  trace_to("edited", {"other.jsonl", "--shard", "1/2"});
  EXPECT_EQ(signatures({"s0", "s1"}).exit_code, 0);
  const CommandResult result = signatures({"s0", "edited", "-q"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_EQ(result.out, "");
  for (const char* part : {"prompts_sha256", "s0", "edited"}) {
    EXPECT_TRUE(holds(result.err, part)) << result.err;
  }
  trace_to("limited", {"--shard", "1/2", "--limit", "11"});
  EXPECT_TRUE(holds(signatures({"s0", "limited"}).err, "\"shard.n_prompts\": expected 12"));
}

TEST_F(TraceIdentity, WholeRunsOfDifferentPromptsMayBeReadTogether) {
  std::string text = prompts(4);
  for (std::size_t at = text.find("\"p"); at != std::string::npos; at = text.find("\"p", at + 3)) {
    if (text[at + 2] != 'r') text.insert(at + 1, "other-");
  }
  write("other.jsonl", text);
  trace_to("a");
  trace_to("b", {"other.jsonl"});
  const CommandResult result = signatures({"a", "b"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(holds(result.out, "16 prompts")) << result.out;
  EXPECT_FALSE(holds(result.err, "shard")) << result.err;
}

TEST_F(TraceIdentity, MissingShardsAreTold) {
  for (const char* index : {"0", "1", "3"}) {
    trace_to("s" + std::string(index), {"--shard", index + std::string("/4")});
  }
  const CommandResult result = signatures({"s0", "s1", "s3"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_TRUE(holds(result.err, "shard 2 of 4 is not among the traces")) << result.err;
  const CommandResult twice = signatures({"s0", "s1", "s1"});
  EXPECT_EQ(twice.exit_code, 1);
  EXPECT_TRUE(holds(twice.err, "shard 1 of 4 is already used in s1")) << twice.err;
}

TEST_F(TraceIdentity, TracesOfDifferentModelsAreNotOne) {
  trace_to("a", {"--shard", "0/2"});
  const fs::path other = copy_model("other");
  const auto expect_refused = [&](const std::string& key) {
    trace_to("b", {"--shard", "1/2", "--force", "--model", other.string()});
    const CommandResult result = signatures({"a", "b"});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(holds(result.err, "\"" + key + "\"")) << result.err;
    EXPECT_TRUE(holds(result.err, "b/manifest.json")) << result.err;
    EXPECT_TRUE(holds(result.err, "as in a")) << result.err;
  };
  trace_to("b", {"--shard", "1/2", "--model", other.string()});
  EXPECT_EQ(signatures({"a", "b"}).exit_code, 0);
  flip_a_bit(other);
  expect_refused("model.weights_xxh3");
  copy_model("other");
  change_config(other, [](json& config) { config["norm_topk_prob"] = true; });
  expect_refused("model.norm_topk_prob");
  copy_model("other");
  change_config(other, [](json& config) { config["rope_theta"] = 500.0; });
  expect_refused("model.deciding_config_sha256");
}

// Whatever ends a run before its first prompt: no directory appears, and none is changed.
class FailedStart : public TraceIdentity {
 protected:
  void SetUp() override {
    TraceIdentity::SetUp();
    if (IsSkipped()) return;
    trace_to("old");
    fs::create_directory(path("empty"));
  }

  void expect_nothing_left(const std::vector<std::string>& flags, std::string_view part) const {
    const auto old = files("old");
    const auto run = [&](std::vector<std::string> more) {
      more.insert(more.end(), flags.begin(), flags.end());
      const CommandResult result = trace(more);
      EXPECT_NE(result.exit_code, 0);
      EXPECT_TRUE(holds(result.err, part)) << result.err;
    };
    run({"-o", "new/deep"});
    EXPECT_FALSE(fs::exists(path("new")));
    run({"-o", "new", "--resume"});
    EXPECT_FALSE(fs::exists(path("new")));
    run({"-o", "empty"});
    EXPECT_TRUE(fs::is_empty(path("empty")));
    run({"-o", "old", "--force"});
    EXPECT_EQ(files("old"), old);
  }
};

TEST_F(FailedStart, WithoutTheDevice) {
  const CommandResult result = trace({"prompts.jsonl", "--device", "cuda", "-o", "probe"});
  if (result.exit_code == 0) GTEST_SKIP() << "there is a CUDA device here";
  EXPECT_EQ(result.exit_code, 1) << result.err;
  EXPECT_FALSE(fs::exists(path("probe")));
  expect_nothing_left({"prompts.jsonl", "--device", "cuda"}, "cuda");
  expect_nothing_left({"prompts.jsonl", "--device", "cuda:7"}, "cuda");
}

TEST_F(FailedStart, WithWeightsThatCannotBeRead) {
  const fs::path broken = copy_model("broken");
  const fs::path file = broken / "model.safetensors";
  fs::resize_file(file, fs::file_size(file) - 100);
  expect_nothing_left({"prompts.jsonl", "--model", broken.string()}, "model.safetensors");
  fs::remove(file);
  expect_nothing_left({"prompts.jsonl", "--model", broken.string()}, "no weights");
}

TEST_F(FailedStart, WithPromptsThatCannotBeTraced) {
  write("long.jsonl", R"({"prompt":")" + std::string(200, 'x') + "\"}\n");
  expect_nothing_left({"long.jsonl"}, "long.jsonl:1: ");
  expect_nothing_left({"missing.jsonl"}, "missing.jsonl");
  write("bad.jsonl", "{\"prompt\":1}\n");
  expect_nothing_left({"bad.jsonl"}, "bad.jsonl:1");
}

TEST_F(FailedStart, WhenInterruptedBeforeThereIsAPrompt) {
  for (const int number : {SIGINT, SIGTERM, SIGKILL}) {
    for (const int milliseconds : {5, 60}) {
      const auto old = files("old");
      for (const std::vector<std::string>& more :
           {std::vector<std::string>{"-o", "new"}, {"-o", "old", "--force"}}) {
        std::vector<std::string> command = words(more);
        command.insert(command.begin(), program_path().string());
        command.push_back("prompts.jsonl");
        RunningCommand running(command, {.input = {}, .working_directory = temporary_.path()});
        std::this_thread::sleep_for(std::chrono::milliseconds(milliseconds));
        running.send_signal(number);
        if (running.wait().exit_code == 0) GTEST_SKIP() << "this machine is too fast";
      }
      EXPECT_FALSE(fs::exists(path("new")));
      EXPECT_EQ(files("old"), old);
    }
  }
}

TEST_F(FailedStart, WhenTheModelFailsOnItsFirstPass) {
  const fs::path broken = copy_model("broken");
  const fs::path file = broken / "model.safetensors";
  std::string bytes = read_file(file, 1 << 26);
  for (int i = 0; i < 4000; ++i) bytes[bytes.size() - 1 - static_cast<std::size_t>(i)] = '\xff';
  write_file_atomically(file, bytes);
  EXPECT_EQ(trace({"prompts.jsonl", "-o", "new/deep", "--model", broken.string()}).exit_code, 1);
  EXPECT_FALSE(fs::exists(path("new")));
  EXPECT_EQ(trace({"prompts.jsonl", "-o", "empty", "--model", broken.string()}).exit_code, 1);
  EXPECT_TRUE(fs::is_empty(path("empty")));
  const auto old = files("old");
  const auto force = {"prompts.jsonl", "-o", "old", "--force", "--model", broken.c_str()};
  EXPECT_EQ(trace({force.begin(), force.end()}).exit_code, 1);
  EXPECT_EQ(files("old"), old);
}

TEST_F(FailedStart, TellsWhatIsWrongWithInputsBeforeOutputs) {
  expect_failure(1, "no-such-file.jsonl", {"no-such-file.jsonl", "-o", "old"});
  expect_failure(1, "no-such-model", {"prompts.jsonl", "-o", "old", "--model", "no-such-model"});
  expect_failure(2, "--resume to continue it or --force", {"prompts.jsonl", "-o", "old"});
}

}  // namespace
}  // namespace moexray::test
