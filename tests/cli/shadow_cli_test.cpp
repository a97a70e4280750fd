// Routers that watch a trace, as a user meets them.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/run_command.h"
#include "cli/trace_fixture.h"
#include "moexray/trace/reader.h"
#include "moexray/trace/shadows.h"
#include "support/file_size_limit.h"
#include "support/files.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class ShadowCommand : public TraceCommand {
 protected:
  void SetUp() override {
    if (!has_torch_module()) GTEST_SKIP() << "built without libtorch";
  }

  void trace_to(const std::string& name, std::vector<std::string> more) const {
    more.insert(more.begin(), {"prompts.jsonl", "-o", name, "--max-new-tokens", "3", "--quiet"});
    const CommandResult result = trace(more);
    ASSERT_EQ(result.exit_code, 0) << result.err;
  }
  CommandResult run(const std::vector<std::string>& words) const {
    return run_moexray(words, {.input = {}, .working_directory = temporary_.path()});
  }
  std::string self() const { return "router:" + model().string(); }

  // 4 × 6 prompts of 2 categories.
  void write_categories() const {
    std::string text;
    for (int i = 0; i < 24; ++i) {
      text += "{\"id\":\"p" + std::to_string(i) + "\",\"category\":\"" + (i % 2 == 0 ? "a" : "b") +
              "\",\"prompt\":\"" + (i % 2 == 0 ? "Sum the numbers " : "tell me: who was ") +
              std::to_string(i * 37 % 101) + "\"}\n";
    }
    write("prompts.jsonl", text);
  }
};

TEST_F(ShadowCommand, TheOwnRouterWritesTheSameTrace) {
  for (const char* dtype : {"float32", "bfloat16"}) {
    const std::string name = dtype;
    trace_to(name, {"--dtype", dtype, "--shadow", self(), "--shadow-events"});
    auto own = files(name);
    const auto shadow = files(name + "/shadows/router-model");
    EXPECT_EQ(own.at("events-00000.jsonl"), shadow.at("events-00000.jsonl"));
    EXPECT_EQ(own.at("prompts.jsonl"), shadow.at("prompts.jsonl"));
    const json manifest = json::parse(shadow.at("manifest.json"));
    EXPECT_EQ(manifest["shadow_router"], "router:model, plain");
    EXPECT_EQ(manifest["model"]["router_sha256"],
              json::parse(own.at("manifest.json"))["model"]["router_sha256"]);
    EXPECT_FALSE(manifest.contains("shadows"));
  }
}

TEST_F(ShadowCommand, TheTraceItselfStaysAsItIs) {
  trace_to("without", {});
  trace_to("with", {"--shadow", "random:1,2", "--shadow", "permuted-dims:1", "--shadow", self()});
  auto without = files("without"), with = files("with");
  EXPECT_EQ(with.erase("shadows.bin"), 1U);
  EXPECT_NE(with.at("manifest.json"), without.at("manifest.json"));
  json manifest = json::parse(with.at("manifest.json"));
  EXPECT_EQ(manifest["shadows"]["file"], "shadows.bin");
  ASSERT_EQ(manifest["shadows"]["routers"].size(), 7U);
  EXPECT_EQ(manifest["shadows"]["routers"][1]["form"], "load matched");
  with.erase("manifest.json");
  without.erase("manifest.json");
  EXPECT_EQ(with, without);
}

TEST_F(ShadowCommand, BatchThreadsAndShardsDoNotMatter) {
  const std::vector<std::string> shadows = {"--shadow", "random:1"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.end(), shadows.begin(), shadows.end());
    return more;
  };
  trace_to("one", with({"--batch", "1"}));
  trace_to("all", with({"--batch", "12", "--threads", "2"}));
  EXPECT_EQ(files("one").at("shadows.bin"), files("all").at("shadows.bin"));
  trace_to("s0", with({"--shard", "0/2"}));
  trace_to("s1", with({"--shard", "1/2"}));
  const std::string whole = files("one").at("shadows.bin");
  const std::string second = files("s1").at("shadows.bin");
  const std::string header = whole.substr(0, whole.find('\n') + 1);
  ASSERT_TRUE(second.starts_with(header));
  EXPECT_EQ(files("s0").at("shadows.bin") + second.substr(header.size()), whole);
}

// A batch that has all prompts of the calibration begins with them, resuming calibrates before it.
TEST_F(ShadowCommand, ItDoesNotMatterWhenItIsCalibrated) {
  const std::vector<std::string> shadows = {"--shadow", "random:1", "--shadow-events"};
  trace_to("within", shadows);
  trace_to("before", {"--shadow", "random:1", "--shadow-events", "--resume"});
  EXPECT_EQ(files("within"), files("before"));
  EXPECT_NE(files("within").at("shadows.bin").find("\"biases\":["), std::string::npos);
  for (const char* shadow : {"/shadows/random-1", "/shadows/random-1-load-matched"}) {
    EXPECT_EQ(files(std::string("within") + shadow), files(std::string("before") + shadow));
  }
}

// What a run leaves that is killed in its first batch: a manifest, and no biases.
TEST_F(ShadowCommand, ARunWithoutBatchesIsResumed) {
  trace_to("whole", {"--shadow", "random:1"});
  fs::create_directories(path("t"));
  fs::copy_file(path("whole/manifest.json"), path("t/manifest.json"));
  std::ofstream(path("t/prompts.jsonl")).flush();
  trace_to("t", {"--shadow", "random:1", "--resume"});
  EXPECT_EQ(files("t"), files("whole"));
}

TEST_F(ShadowCommand, AnInterruptedRunEndsWithTheSameBytes) {
  const std::vector<std::string> usual = {"prompts.jsonl", "--batch",  "1",
                                          "--shadow",      "random:1", "--shadow-events"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), usual.begin(), usual.end());
    return more;
  };
  ASSERT_EQ(trace(with({"-o", "whole"})).exit_code, 0);
  {
    const FileSizeLimit full(60'000);
    ASSERT_EQ(trace(with({"-o", "t"})).exit_code, 1);
  }
  const CommandResult resumed = trace(with({"-o", "t", "--resume"}));
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(files("t"), files("whole"));
  for (const char* shadow : {"random-1", "random-1-load-matched"}) {
    EXPECT_EQ(files(std::string("t/shadows/") + shadow),
              files(std::string("whole/shadows/") + shadow));
  }
  expect_failure(1, "\"shadows.routers\"",
                 {"prompts.jsonl", "--batch", "1", "-o", "t", "--resume", "--shadow", "random:2"});
}

TEST_F(ShadowCommand, WrongRoutersAreRefusedBeforeAnythingIsWritten) {
  expect_failure(2, "--shadow", {"prompts.jsonl", "--shadow", "gaussian:1"});
  expect_failure(2, "--shadow-events needs --shadow", {"prompts.jsonl", "--shadow-events"});
  expect_failure(2, "given twice", {"prompts.jsonl", "--shadow", "random:1,1"});
  OlmoeConfig config = tiny_config();
  config.num_experts = 4;
  write_tiny_checkpoint(path("small"), config);
  expect_failure(1, "2 layers of 8 experts", {"prompts.jsonl", "--shadow", "router:small"});
  expect_failure(1, "nowhere", {"prompts.jsonl", "--shadow", "router:nowhere"});
  EXPECT_FALSE(fs::exists(path("traces")));
}

TEST_F(ShadowCommand, ComparesTheTrainedRouterWithRandomOnes) {
  write_categories();
  trace_to("t", {"--shadow", "random:1,2,3,4,5,6"});
  const CommandResult result = run({"shadow", "t", "--json", "-"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json found = json::parse(result.out);
  EXPECT_EQ(found["families"].size(), 2U);
  EXPECT_EQ(found["routers"].size(), 12U);
  EXPECT_EQ(found["families"][1]["form"], "load matched");
  EXPECT_EQ(found["families"][1]["n_routers"], 6);
  EXPECT_TRUE(found["trained"]["bits"].is_number());
  EXPECT_TRUE(found["families"][1]["r_squared"]["ci95"].is_array());
  const std::string outcome = found["outcome"];
  EXPECT_TRUE(outcome == "better" || outcome == "no better" || outcome == "worse") << outcome;
  EXPECT_EQ(result.out, run({"shadow", "t", "--json", "-", "--threads", "2"}).out);

  const CommandResult text = run({"shadow", "t"});
  EXPECT_TRUE(holds(text.out, "than random projections of the same")) << text.out;
  const CommandResult whole = run({"analyze", "t", "-o", "a"});
  ASSERT_EQ(whole.exit_code, 0) << whole.err;
  EXPECT_FALSE(holds(whole.out, "whether a random router")) << whole.out;
  const json report = json::parse(file_content(path("a/report.json")));
  EXPECT_EQ(report["shadow"]["outcome"], outcome);
  EXPECT_TRUE(report["verdict"].contains("random_router"));
  EXPECT_TRUE(fs::exists(path("a/shadow.tsv")));
  EXPECT_TRUE(holds(file_content(path("a/report.html")), "Does a random router do as well?"));
}

TEST_F(ShadowCommand, TheOwnRouterHasTheScoresOfTheTrainedOne) {
  write_categories();
  trace_to("t", {"--shadow", self()});
  const json found = json::parse(run({"shadow", "t", "--json", "-"}).out);
  for (const char* key : {"r_squared", "bits", "cohens_d", "gap", "accuracy", "load_cv"}) {
    EXPECT_EQ(found["routers"][0][key], found["trained"][key]) << key;
  }
  EXPECT_EQ(found["outcome"], "cannot tell");
}

TEST_F(ShadowCommand, SaysWhatIsMissing) {
  write_categories();
  trace_to("few", {"--shadow", "random:1,2,3,4"});
  const CommandResult few = run({"shadow", "few"});
  EXPECT_EQ(few.exit_code, 0) << few.err;
  EXPECT_TRUE(holds(few.out, "4 random routers watched, fewer than 5")) << few.out;
  trace_to("none", {});
  const CommandResult none = run({"shadow", "none"});
  EXPECT_EQ(none.exit_code, 1);
  EXPECT_TRUE(holds(none.err, "trace --shadow random")) << none.err;
  const CommandResult analysis = run({"analyze", "none", "-o", "b", "--nested-repetitions", "0"});
  ASSERT_EQ(analysis.exit_code, 0) << analysis.err;
  EXPECT_FALSE(holds(analysis.err, "no shadow routers")) << analysis.err;
  EXPECT_TRUE(holds(file_content(path("b/report.json")), "trace --shadow random"));
  EXPECT_EQ(run({"shadow", "few", "--weighted"}).exit_code, 1);
}

TEST_F(ShadowCommand, ADamagedFileIsRefusedWithItsPlace) {
  trace_to("t", {"--shadow", "random:1"});
  std::string bytes = files("t").at("shadows.bin");
  bytes[bytes.size() - 3] ^= 4;
  std::ofstream(path("t/shadows.bin"), std::ios::binary) << bytes;
  const CommandResult result = run({"shadow", "t"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_TRUE(holds(result.err, "shadows.bin: byte ")) << result.err;
  EXPECT_EQ(run({"signatures", "t"}).exit_code, 0);
}

TEST_F(ShadowCommand, TracesOfShadowsAreTracesOfTheirOwn) {
  trace_to("t", {"--shadow", "random:1", "--shadow-events"});
  const CommandResult alone = run({"similarity", "t/shadows/random-1"});
  EXPECT_EQ(alone.exit_code, 0) << alone.err;
  EXPECT_TRUE(holds(alone.out, "with router random:1, plain")) << alone.out;
  const CommandResult both = run({"signatures", "t", "t/shadows/random-1"});
  EXPECT_EQ(both.exit_code, 1);
  EXPECT_TRUE(holds(both.err, "shadow_router")) << both.err;
}

}  // namespace
}  // namespace moexray::test
