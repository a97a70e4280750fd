#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

/// `moexray confounds --model`: the prompts run again with their tokens shuffled.
class ConfoundsModel : public TraceCommand {
 protected:
  void SetUp() override {
    if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  }

  CommandResult confounds(const fs::path& model_directory) const {
    return run_moexray(
        {"confounds", path("traces").string(), "--model", model_directory.string(), "--folds", "4",
         "--nested-repetitions", "1", "--classifier-permutations", "0", "--json", "-"},
        {.input = {}, .working_directory = temporary_.path()});
  }

  static json named(const json& rows, const std::string& name) {
    const auto found = std::find_if(rows.begin(), rows.end(),
                                    [&](const json& row) { return row.at("name") == name; });
    return found == rows.end() ? json() : *found;
  }

  fs::path bundled() const { return fs::path(MOEXRAY_TEST_DATA) / "../../models/mini-olmoe"; }
};

TEST_F(ConfoundsModel, RunsThePromptsOfTheBundledModelAgain) {
  std::string lines;
  for (int i = 0; i < 4; ++i) {
    const std::string n = std::to_string(i + 2);
    lines += json({{"category", "code"},
                   {"prompt",
                    "def add_" + n + "(x):\n    return x + " + n + "\n\nprint(add_" + n + "(7))"}})
                 .dump() +
             "\n";
    lines += json({{"category", "story"},
                   {"prompt", "Once upon a time " + n +
                                  " old foxes lived in a quiet forest and told a tale."}})
                 .dump() +
             "\n";
  }
  write("prompts.jsonl", lines);
  const CommandResult traced =
      run_moexray({"trace", "prompts.jsonl", "--model", bundled().string(), "-o", "traces",
                   "--max-new-tokens", "4", "--kernels", "plain", "--quiet"},
                  {.input = {}, .working_directory = temporary_.path()});
  ASSERT_EQ(traced.exit_code, 0) << traced.err;

  const CommandResult result = confounds(bundled());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json r = json::parse(result.out);
  const json shuffled = named(r.at("features"), "shuffled_prompt");
  ASSERT_FALSE(shuffled.is_null());
  // Two categories of so different words are told apart in any order.
  EXPECT_GT(shuffled.at("accuracy").at("mean"), 0.7);
  const json difference = named(r.at("differences"), "prompt_only − shuffled_prompt");
  ASSERT_FALSE(difference.is_null());
  EXPECT_NEAR(difference.at("accuracy").at("mean").get<double>(),
              named(r.at("features"), "prompt_only").at("accuracy").at("mean").get<double>() -
                  shuffled.at("accuracy").at("mean").get<double>(),
              1e-12);
  EXPECT_EQ(confounds(bundled()).out, result.out);

  const CommandResult other = confounds(model());
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(other.out, "");
  EXPECT_NE(other.err.find("other layers and experts than the trace"), std::string::npos)
      << other.err;
}

// Two models with the same routers are two models.
TEST_F(ConfoundsModel, RefusesAnotherModelOfTheSameShape) {
  const CommandResult traced =
      trace({"prompts.jsonl", "-o", "traces", "--max-new-tokens", "0", "--quiet"});
  ASSERT_EQ(traced.exit_code, 0) << traced.err;
  const fs::path other = path("other");
  const auto expect_refused = [&](const std::string& key) {
    const CommandResult result = confounds(other);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_EQ(result.out, "");
    EXPECT_TRUE(holds(result.err, "the trace comes from another model")) << result.err;
    EXPECT_TRUE(holds(result.err, "\"" + key + "\"")) << result.err;
  };
  fs::copy(model(), other);
  std::string bytes = file_content(other / "model.safetensors");
  bytes[bytes.size() - 4] ^= 1;
  write("other/model.safetensors", bytes);
  expect_refused("model.weights_xxh3");
  fs::copy(model(), other, fs::copy_options::overwrite_existing);
  json config = json::parse(file_content(other / "config.json"));
  config["rms_norm_eps"] = 1e-3;
  write("other/config.json", config.dump());
  expect_refused("model.deciding_config_sha256");
  config["norm_topk_prob"] = true;
  write("other/config.json", config.dump());
  expect_refused("model.norm_topk_prob");
}

// Prompts of one byte, repeated, are the same in every order, and so is what the router does.
TEST_F(ConfoundsModel, ShufflingEqualTokensChangesNothing) {
  std::string lines;
  for (int i = 0; i < 16; ++i) {
    const std::string letters(static_cast<std::size_t>(6 + i), static_cast<char>('a' + i));
    lines += json({{"category", i % 2 == 0 ? "even" : "odd"}, {"prompt", letters}}).dump() + "\n";
  }
  write("prompts.jsonl", lines);
  const CommandResult traced =
      trace({"prompts.jsonl", "-o", "traces", "--max-new-tokens", "3", "--ignore-eos", "--quiet"});
  ASSERT_EQ(traced.exit_code, 0) << traced.err;
  const CommandResult result = confounds(model());
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json r = json::parse(result.out);
  EXPECT_EQ(named(r.at("features"), "shuffled_prompt").at("accuracy").at("mean"),
            named(r.at("features"), "prompt_only").at("accuracy").at("mean"));
  EXPECT_EQ(named(r.at("differences"), "prompt_only − shuffled_prompt").at("accuracy").at("mean"),
            0);
}

}  // namespace
}  // namespace moexray::test
