// Several trace directories read as one: what must agree, and what shards must be.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/trace/reader.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;
using test::expect_error;
using test::MadeRun;
using test::TemporaryDirectory;

// Directories without prompts: only their manifests matter here.
class JointReading : public testing::Test {
 protected:
  using Change = std::function<void(TraceManifest&)>;

  static TraceManifest manifest() {
    MadeRun run;
    run.plan = {};
    return test::make_manifest(run);
  }

  fs::path add(const std::string& name, const Change& change = {}) {
    TraceManifest m = manifest();
    if (change) change(m);
    const fs::path directory = temporary_.path() / name;
    TraceWriter::create(directory, m, false);
    directories_.push_back(directory);
    return directory;
  }

  fs::path add_shard(const std::string& name, int index, int count, const Change& change = {}) {
    return add(name, [&](TraceManifest& m) {
      m.shard = {index, count};
      if (change) change(m);
    });
  }

  // Takes a top-level key or one of `model` out, as a writer that does not know it.
  static void drop_key(const fs::path& directory, const std::string& key) {
    std::string text = test::snapshot(directory).at("manifest.json");
    const std::size_t checksum = text.find(",\n  \"checksum\"");
    text = text.substr(0, checksum) + "\n}\n";
    const std::size_t at = text.find("\"" + key + "\": ");
    ASSERT_NE(at, std::string::npos);
    std::size_t end =
        text.find_first_of(",}", text[text.find(": ", at) + 2] == '[' ? text.find(']', at) : at);
    std::size_t begin = at;
    if (text[end] == ',') {
      ++end;
    } else {
      begin = text.rfind(',', at);
    }
    test::write_text(directory / "manifest.json", text.erase(begin, end - begin));
  }

  std::vector<std::string> notices() const { return open_traces(directories_, {}).notices; }

  void expect_refusal(std::string_view part) const {
    expect_error(ErrorKind::data, part, [&] { open_traces(directories_, {}); });
  }

  void clear() {
    for (const fs::path& directory : directories_) fs::remove_all(directory);
    directories_.clear();
  }

  TemporaryDirectory temporary_;
  std::vector<fs::path> directories_;
};

TEST_F(JointReading, RefusesTracesThatDoNotBelongTogether) {
  const auto expect_key = [&](const std::string& key, const Change& change) {
    clear();
    const fs::path first = add("a");
    add("b");
    const fs::path other = add("c", change);
    expect_refusal((other / "manifest.json").string() +
                   ": traces that are read together must agree in \"" + key + "\": expected ");
    expect_refusal("(as in " + first.string() + ")");
    std::rotate(directories_.begin(), directories_.begin() + 2, directories_.end());
    expect_refusal("\"" + key + "\"");
  };
  expect_key("model.n_layers", [](TraceManifest& m) {
    m.model.shape.n_layers = 2;
    m.model.moe_layers = {0, 1};
  });
  expect_key("model.n_experts", [](TraceManifest& m) { m.model.shape.n_experts = 9; });
  expect_key("model.top_k", [](TraceManifest& m) { m.model.shape.top_k = 3; });
  expect_key("model.moe_layers", [](TraceManifest& m) { m.model.moe_layers = {0, 1, 3}; });
  expect_key("model.router_sha256", [](TraceManifest& m) { m.model.router_sha256 = "x"; });
  expect_key("model.weights_xxh3", [](TraceManifest& m) { m.model.weights_xxh3.back() = '0'; });
  expect_key("model.norm_topk_prob", [](TraceManifest& m) {
    m.model.norm_topk_prob = true;
    m.model.deciding_config_sha256.back() = '0';
  });
  expect_key("model.deciding_config_sha256",
             [](TraceManifest& m) { m.model.deciding_config_sha256.back() = '0'; });
  expect_key("model.dtype", [](TraceManifest& m) { m.model.dtype = "bfloat16"; });
  expect_key("tokenizer.sha256", [](TraceManifest& m) { m.tokenizer.sha256 = "x"; });
  expect_key("generation.ignore_eos", [](TraceManifest& m) { m.generation.ignore_eos = true; });
  expect_key("generation.eos_token_ids",
             [](TraceManifest& m) { m.generation.eos_token_ids = {1}; });
  expect_key("generation.template", [](TraceManifest& m) { m.generation.template_name = "x"; });
}

TEST_F(JointReading, SamplingSettingsMatterWhereThereIsSampling) {
  const auto sampled = [](TraceManifest& m) { m.generation.do_sample = true; };
  add("a", [](TraceManifest& m) { m.generation.seed = 4; });
  add("b");
  EXPECT_TRUE(notices().empty());
  clear();
  add("a", sampled);
  add("b", [](TraceManifest& m) {
    m.generation.do_sample = true;
    m.generation.seed = 4;
  });
  expect_refusal("\"generation.seed\"");
}

TEST_F(JointReading, ComparesWhatBothHave) {
  for (const char* key :
       {"norm_topk_prob", "weights_xxh3", "deciding_config_sha256", "router_sha256", "moe_layers",
        "max_new_tokens", "do_sample", "eos_token_ids", "template", "ignore_eos", "device"}) {
    SCOPED_TRACE(key);
    clear();
    add("a");
    drop_key(add("b", [](TraceManifest& m) { m.model.name = "elsewhere"; }), key);
    EXPECT_TRUE(notices().empty());
  }
  // Two that differ are told apart though the first one has nothing to say.
  clear();
  drop_key(add("a"), "weights_xxh3");
  add("b");
  add("c", [](TraceManifest& m) { m.model.weights_xxh3.back() = '0'; });
  expect_refusal("\"model.weights_xxh3\"");
  expect_refusal("(as in " + directories_[1].string() + ")");
  // Without the hash of what decides, the text of config.json is what both have.
  clear();
  drop_key(add("a"), "deciding_config_sha256");
  add("b", [](TraceManifest& m) { m.model.config_sha256.back() = 'x'; });
  expect_refusal("\"model.config_sha256\"");
}

TEST_F(JointReading, TellsWhoseBitsDiffer) {
  add("a");
  add("b", [](TraceManifest& m) { m.kernels = "avx512"; });  // of the same class
  add("c", [](TraceManifest& m) { m.bits = "float32-portable"; });
  const std::vector<std::string> found = notices();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_NE(found[0].find("\"bits\": \"float32-fma\" in " + directories_[0].string() +
                          ", \"float32-portable\" in " + directories_[2].string()),
            std::string::npos)
      << found[0];
}

TEST_F(JointReading, RefusesOtherRoutingPolicies) {
  add("a");
  add("b", [](TraceManifest& m) { m.routing_policy = "mask 0/1"; });
  expect_refusal("\"routing_policy\"");
}

// Traces of earlier versions do not say it.
TEST_F(JointReading, TellsWhatComputedDifferently) {
  const auto add_old = [&](const char* name, const std::function<void(TraceManifest&)>& change) {
    drop_key(add(name, change), "bits");
  };
  add_old("a", [](TraceManifest& m) { m.kernels = "plain"; });
  add_old("b", [](TraceManifest& m) { m.kernels = "fast"; });
  add_old("c", [](TraceManifest& m) {
    m.kernels = "fast";
    m.instruction_set = "portable";
    m.device = "cuda";
  });
  const std::vector<std::string> found = notices();
  ASSERT_EQ(found.size(), 3U);
  EXPECT_NE(found[0].find("\"kernels\": \"plain\" in " + directories_[0].string() +
                          ", \"fast\" in " + directories_[1].string()),
            std::string::npos)
      << found[0];
  EXPECT_NE(found[1].find("\"device\""), std::string::npos) << found[1];
  EXPECT_NE(found[2].find("\"instruction_set\""), std::string::npos) << found[2];
}

TEST_F(JointReading, NamesMissingShards) {
  const auto expect_missing = [&](const std::vector<std::pair<int, int>>& shards,
                                  const std::string& text) {
    clear();
    for (const auto& [index, count] : shards) {
      add_shard("s" + std::to_string(index) + "-" + std::to_string(count), index, count);
    }
    const std::vector<std::string> found = notices();
    if (text.empty()) {
      EXPECT_TRUE(found.empty()) << found[0];
      return;
    }
    ASSERT_EQ(found.size(), 1U) << text;
    EXPECT_TRUE(found[0].starts_with(text)) << found[0];
  };
  expect_missing({{0, 4}, {1, 4}, {3, 4}}, "shard 2 of 4 is not among the traces");
  expect_missing({{3, 4}, {2, 4}, {1, 4}, {0, 4}}, "");
  expect_missing({{0, 1}}, "");
  expect_missing({{5, 8}}, "shards 0-4, 6-7 of 8 are not among the traces");
  expect_missing({{3, 4}, {0, 4}}, "shards 1-2 of 4 are");
  // Halves and quarters of one file make a whole.
  expect_missing({{0, 2}, {2, 4}, {3, 4}}, "");
  expect_missing({{0, 2}, {3, 4}}, "shard 2 of 4 is");
  expect_missing({{1'999'999'999, 2'000'000'000}}, "shards 0-1999999998 of 2000000000 are");
}

TEST_F(JointReading, ListsTwentyGapsAtMost) {
  for (int i = 1; i < 60; i += 2) add_shard("s" + std::to_string(i), i, 61);
  const std::vector<std::string> found = notices();
  ASSERT_EQ(found.size(), 1U);
  EXPECT_TRUE(found[0].starts_with("shards 0, 2, 4, ")) << found[0];
  EXPECT_NE(found[0].find("36, 38, … of 61 are"), std::string::npos) << found[0];
}

TEST_F(JointReading, RefusesShardsOfDifferentPrompts) {
  const auto other = [](TraceManifest& m) { m.prompts_sha256 = std::string(64, 'e'); };
  add_shard("s0", 0, 2);
  add_shard("s1", 1, 2, other);
  expect_refusal("key \"prompts_sha256\" (whole sets can be read together, but of this one shard");
  expect_refusal("(as in " + directories_[1].string() + ")");
  expect_refusal("s0/manifest.json");
  // Two whole sets, and whole runs, may well be of different prompts.
  add_shard("t0", 0, 2, other);
  expect_refusal("of this one shard 1 of 2 is not there");
  add_shard("t1", 1, 2);
  EXPECT_TRUE(notices().empty());
  add("whole", [](TraceManifest& m) { m.prompts_sha256 = std::string(64, '0'); });
  EXPECT_TRUE(notices().empty());
}

TEST_F(JointReading, RefusesAShardThatIsThereTwice) {
  add_shard("s0", 0, 2);
  add_shard("s1", 1, 2);
  add_shard("again", 1, 2);
  expect_refusal("again/manifest.json: shard 1 of 2 is already used in " +
                 directories_[1].string());
}

TEST_F(JointReading, RefusesShardsOfDifferentLimits) {
  const auto limited = [](TraceManifest& m) { m.n_shard_prompts = 9; };
  add_shard("s0", 0, 2);
  add_shard("s1", 1, 2, limited);
  expect_refusal("key \"shard.n_prompts\": expected 8 (as in " + directories_[0].string() +
                 "), found 9");
  // Without that key the sizes tell, where they differ by more than rounding.
  drop_key(directories_[0], "n_prompts");
  expect_refusal("s1");
}

}  // namespace
}  // namespace moexray
