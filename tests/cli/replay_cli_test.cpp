// Recorded tokens fed through a model again, as a user meets it.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/core/file.h"
#include "support/file_size_limit.h"
#include "support/files.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::vector<json> lines_of(const std::string& text) {
  std::vector<json> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(json::parse(line));
  return lines;
}

class ReplayCommand : public TraceCommand {
 protected:
  void SetUp() override {
    if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  }

  void trace_to(const std::string& name, std::vector<std::string> more) const {
    more.insert(more.begin(), {"prompts.jsonl", "-o", name, "--max-new-tokens", "5", "--quiet"});
    const CommandResult result = trace(more);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  // `trace --replay` without the flags that it refuses.
  CommandResult replay(std::vector<std::string> more) const {
    std::vector<std::string> all = {"trace", "--threads", "1", "--quiet"};
    if (std::find(more.begin(), more.end(), "--model") == more.end()) {
      all.insert(all.end(), {"--model", model().string()});
    }
    all.insert(all.end(), more.begin(), more.end());
    return run_moexray(all, {.input = {}, .working_directory = temporary_.path()});
  }
  void replay_to(const std::string& name, std::vector<std::string> more) const {
    more.insert(more.begin(), {"-o", name, "--dtype", "float32"});
    const CommandResult result = replay(more);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }

  void expect_refusal(std::string_view what, std::vector<std::string> more) const {
    const CommandResult result = replay(std::move(more));
    EXPECT_NE(result.exit_code, 0);
    EXPECT_TRUE(holds(result.err, what)) << result.err;
    EXPECT_FALSE(fs::exists(path("refused")));
  }
};

TEST_F(ReplayCommand, OfTheSameModelInFloat32HasTheSameBytes) {
  write("prompts.jsonl", prompts(9) +
                             R"({"id":"talk","meta":{"n":3},"messages":[)"
                             R"({"role":"user","content":"a"},)"
                             R"({"role":"assistant","content":"b"}]})" +
                             "\n");
  trace_to("sampled", {"--do-sample", "--seed", "3", "--score", "--batch", "4"});
  replay_to("again", {"--replay", "sampled", "--score", "--batch", "3"});
  auto recorded = files("sampled"), again = files("again");
  const json manifest = json::parse(again.at("manifest.json"));
  EXPECT_EQ(manifest["replay"]["trace_sha256"].get<std::string>().size(), 64U);
  EXPECT_EQ(manifest["generation"], json::parse(recorded.at("manifest.json"))["generation"]);
  EXPECT_EQ(manifest["score"], true);
  EXPECT_EQ(manifest["prompt_ids_sha256"],
            json::parse(recorded.at("manifest.json"))["prompt_ids_sha256"]);
  recorded.erase("manifest.json");
  again.erase("manifest.json");
  EXPECT_EQ(again, recorded);
}

TEST_F(ReplayCommand, ScoresSurviveCompressionShardsAndResuming) {
  trace_to("whole", {"--score"});
  const std::vector<json> lines = lines_of(files("whole").at("prompts.jsonl"));
  for (const json& line : lines) {
    ASSERT_EQ(line["logprobs"].size() + 1, line["token_ids"].size());
    for (const json& value : line["logprobs"]) EXPECT_LE(value.get<double>(), 0);
  }
  // What was not scored is scored when it is replayed.
  trace_to("unscored", {"--compress"});
  EXPECT_FALSE(holds(files("unscored").at("prompts.jsonl"), "logprobs"));
  replay_to("first", {"--replay", "unscored", "--score", "--shard", "0/2"});
  replay_to("second", {"--replay", "unscored", "--score", "--shard", "1/2", "--compress"});
  std::vector<json> parts = lines_of(files("first").at("prompts.jsonl"));
  for (const json& line : lines_of(files("second").at("prompts.jsonl"))) parts.push_back(line);
  ASSERT_EQ(parts.size(), lines.size());
  for (std::size_t i = 0; i < parts.size(); ++i)
    EXPECT_EQ(parts[i]["logprobs"], lines[i]["logprobs"]);

  const std::vector<std::string> flags = {"--replay", "whole",   "--score", "--batch", "1",
                                          "--dtype",  "float32", "-o",      "cut"};
  {
    const FileSizeLimit full(14'000);
    EXPECT_EQ(replay(flags).exit_code, 1);
  }
  EXPECT_LT(lines_of(files("cut").at("prompts.jsonl")).size(), lines.size());
  auto other = flags;
  other[1] = "unscored";
  other.push_back("--resume");
  const CommandResult refused = replay(other);
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_TRUE(holds(refused.err, "\"replay.trace_sha256\"")) << refused.err;
  auto same = flags;
  same.push_back("--resume");
  const CommandResult resumed = replay(same);
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(files("cut").at("prompts.jsonl"), files("whole").at("prompts.jsonl"));
}

TEST_F(ReplayCommand, RefusesWhatTheModelCannotTake) {
  trace_to("t", {});
  OlmoeConfig config = tiny_config();
  config.vocab_size = 64;  // of 260
  config.eos_token_ids = {2};
  const fs::path small = path("small");
  write_tiny_checkpoint(small, config);
  write_byte_tokenizer(small);
  expect_refusal("outside the model's vocabulary of 64",
                 {"--replay", "t", "-o", "refused", "--model", small.string()});

  fs::create_directories(path("bare"));
  write("bare/manifest.json", R"({"format":"moexray-trace","version":1,"model":{"n_layers":1,)"
                              R"("n_experts":4,"top_k":1},"n_prompts":1})");
  write("bare/prompts.jsonl", R"({"id":"p","category":"c","events_file":"e.jsonl"})"
                              "\n");
  write("bare/e.jsonl", R"({"prompt_id":"p","layer":0,"pos":0,"type":"prompt","experts":[1]})"
                        "\n");
  expect_refusal("without token ids", {"--replay", "bare", "-o", "refused"});
  expect_refusal("prompt \"p\"", {"--replay", "bare", "-o", "refused"});

  expect_refusal("--max-new-tokens and --replay",
                 {"--replay", "t", "-o", "refused", "--max-new-tokens", "3"});
  expect_refusal("either PROMPTS or --replay", {"prompts.jsonl", "--replay", "t", "-o", "refused"});
  expect_refusal("cannot replace", {"--replay", "t", "-o", "t", "--force"});
  expect_refusal("no such directory", {"--replay", "nowhere", "-o", "refused"});
}

TEST_F(ReplayCommand, ReadersCheckScores) {
  trace_to("t", {"--score"});
  const std::string text = files("t").at("prompts.jsonl");
  const auto expect_error = [&](std::string_view what, const auto& change) {
    std::string changed;
    for (json& line : lines_of(text)) {
      line.erase("line_checksum");
      change(line);
      changed += line.dump() + "\n";
    }
    write_file_atomically(path("t") / "prompts.jsonl", changed);
    const CommandResult result =
        run_moexray({"signatures", "t"}, {.input = {}, .working_directory = temporary_.path()});
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_TRUE(holds(result.err, what)) << result.err;
  };
  expect_error("wrong number of \"logprobs\"", [](json& line) { line["logprobs"].erase(0); });
  expect_error("\"logprobs\"", [](json& line) { line["logprobs"][1] = 0.5; });
  expect_error("\"logprobs\"", [](json& line) { line["logprobs"][0] = "x"; });
  expect_error("missing key \"logprobs\"", [](json& line) { line.erase("logprobs"); });
}

}  // namespace
}  // namespace moexray::test
