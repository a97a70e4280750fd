// The load of experts and devices, as a user asks for it.

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "made_trace.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

class LoadCommand : public testing::Test {
 protected:
  std::string path(const std::string& name) const { return (place_.path() / name).string(); }
  std::string write(const std::string& name, const std::string& content) const {
    std::ofstream(path(name)) << content;
    return path(name);
  }

  TemporaryDirectory place_;
};

TEST_F(LoadCommand, SaysOfEveryLayerWhatExpertsDoesAndWhatChanceGives) {
  const json load = run_for_json({"load", small_trace(), "-o", path("out")});
  const json experts = run_for_json({"experts", small_trace()});
  ASSERT_EQ(load.at("layers").size(), 2U);
  EXPECT_EQ(load.at("units"), json({{"n", 12}, {"grouped", false}}));
  for (std::size_t i = 0; i < 2; ++i) {
    const json& layer = load.at("layers").at(i);
    const json& same = experts.at("layers").at(i);
    for (const char* key : {"count", "load_cv", "normalized_entropy"}) {
      EXPECT_EQ(layer.at(key), same.at(key)) << key;
    }
    EXPECT_EQ(layer.at("dead").size(), same.at("n_unused"));
    EXPECT_EQ(layer.at("max_violation").get<double>(), layer.at("max_over_mean").get<double>() - 1);
    EXPECT_GT(layer.at("nulls").at("uniform").at("mean").at("load_cv"), 0);
    EXPECT_GT(layer.at("nulls").at("clusters").at("limit95").at("gini"),
              layer.at("nulls").at("clusters").at("mean").at("gini"));
    for (const char* key : {"switch_loss", "router_z_loss", "balancedness", "window"}) {
      EXPECT_TRUE(layer.at(key).is_null()) << key;
    }
  }
  EXPECT_TRUE(file_content(path("out") + "/load.tsv")
                  .starts_with("layer\tn_tokens\tcount\tload_cv\tload_cv_"
                               "uniform\tload_cv_uniform95\t"));
  EXPECT_TRUE(fs::exists(path("out") + "/load_by_layer.svg"));
  const CommandResult shown = run_moexray({"load", small_trace(), "--quiet"});
  EXPECT_NE(shown.out.find("\nload CV "), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("clusters alone"), std::string::npos) << shown.out;
  expect_failure({"load", small_trace(), "--weighted"}, 1, "not with --weighted");
}

// Expert 0 has half of the tokens, experts 1 to 3 of four a sixth each.
TEST_F(LoadCommand, OfDevicesFollowsAPlacement) {
  write_tiny_trace(path("t"), 4, {{"p", "a", {0, 1, 0, 2, 0, 3}}, {"q", "a", {0, 1, 0, 2, 0, 3}}});
  const json alone = run_for_json({"load", path("t"), "--ep-size", "2"});
  EXPECT_EQ(alone.at("devices"), 2);
  EXPECT_NEAR(alone.at("balancedness"), 6.0 / 8, 1e-15);
  EXPECT_EQ(alone.at("layers").at(0).at("balancedness"), alone.at("balancedness"));
  const std::string map =
      write("map.json", R"({"physical_to_logical_map": [[0, 1, 2, 0, 3, 3]], "other": 1})");
  const json placed = run_for_json({"load", path("t"), "--ep-size", "2", "--placement", map});
  EXPECT_NEAR(placed.at("balancedness"), 6.0 / 7, 1e-15);  // 3 + 2 + 2 and 3 + 2

  expect_failure({"load", path("t"), "--placement", map}, 2, "--ep-size");
  expect_failure({"load", path("t"), "--ep-size", "5"}, 1, "more devices than experts");
  for (const auto& [content, part] : std::vector<std::pair<std::string, std::string>>{
           {"{}", "physical_to_logical_map"},
           {R"({"physical_to_logical_map": [[0,1,2,3],[0,1,2,3],[0,1,2,3]]})", "found 3 entries"},
           {R"({"physical_to_logical_map": [[0,1,2]]})", "a multiple of the 2 devices"},
           {R"({"physical_to_logical_map": [[0,1,2,4]]})", "list 0, slot 3"},
           {R"({"physical_to_logical_map": [[0,1,2,2]]})", "none for expert 3"},
           {R"({"physical_to_logical_map": [0,1,2,3]})", "found 4 entries"},
           {R"([[0,1,2,3]])", "object"}}) {
    expect_failure({"load", path("t"), "--ep-size", "2", "--placement", write("bad.json", content)},
                   1, part);
  }
}

TEST_F(LoadCommand, OfBatchesNeedsTokens) {
  write_made_trace(path("t"), two_kinds());
  const json load = run_for_json({"load", path("t"), "--window", "60"});
  EXPECT_EQ(load.at("window"), json({{"tokens", 60}, {"n", 4}}));
  const json& window = load.at("layers").at(1).at("window");
  EXPECT_GE(window.at("largest"), window.at("mean"));
  EXPECT_GT(window.at("mean"), window.at("uniform"));
  const CommandResult shown = run_moexray({"load", path("t"), "--window", "60", "--quiet"});
  EXPECT_NE(shown.out.find("4 batches of 60 tokens"), std::string::npos) << shown.out;
  const CommandResult few = run_moexray({"load", path("t"), "--window", "241"});
  EXPECT_NE(few.err.find("there are only 240"), std::string::npos) << few.err;
}

// A trace of one layer of two experts whose records have logits, one event a record or all k.
TEST_F(LoadCommand, ReadsTheLossesFromRouterLogits) {
  for (const bool is_flat : {true, false}) {
    const std::string trace = path(is_flat ? "flat" : "grouped");
    fs::create_directories(trace);
    std::ofstream(trace + "/manifest.json")
        << R"({"format": "moexray-trace", "version": 1, "model": {"n_layers": 1, "n_experts": 3, )"
           R"("top_k": 2}, "router_logits": true})";
    std::ofstream(trace + "/prompts.jsonl") << R"({"id": "p", "events_file": "e.jsonl"})" << '\n';
    std::ofstream events(trace + "/e.jsonl");
    for (int pos = 0; pos < 2; ++pos) {
      const json record = {{"prompt_id", "p"}, {"layer", 0}, {"pos", pos}, {"type", "prompt"}};
      const std::vector<double> logits = {pos == 0 ? 2.0 : 0.5, 0, 1};
      for (int rank = 0; rank < (is_flat ? 2 : 1); ++rank) {
        json one = record;
        if (is_flat) {
          one["expert"] = pos == 0 ? 2 * rank : 2 - 2 * rank;
          one["rank"] = rank;
        } else {
          one["experts"] = {0, 2};
        }
        if (rank == 0) one["router_logits"] = logits;
        events << one.dump() << '\n';
      }
    }
    events.close();
    const json layer = run_for_json({"load", trace}).at("layers").at(0);
    // Experts 0 and 2 have half of the selections each, so 3 · (P₀ + P₂)/2.
    const double first = std::exp(2) + 1 + std::exp(1);
    const double second = std::exp(0.5) + 1 + std::exp(1);
    EXPECT_NEAR(layer.at("switch_loss"), 1.5 * (1 - (1 / first + 1 / second) / 2), 1e-12);
    EXPECT_NEAR(layer.at("router_z_loss"),
                (std::pow(std::log(first), 2) + std::pow(std::log(second), 2)) / 2, 1e-12);
    const CommandResult shown = run_moexray({"load", trace, "--quiet"});
    EXPECT_NE(shown.out.find("Switch loss"), std::string::npos) << shown.out;
    // A record without them, and one of another length.
    std::ofstream(trace + "/e.jsonl", std::ios::app)
        << R"({"prompt_id":"p","layer":0,"pos":2,"type":"prompt","experts":[0,2]})" << '\n';
    expect_failure({"load", trace}, 1, "e.jsonl:" + std::string(is_flat ? "5" : "3"));
    std::ofstream(trace + "/e.jsonl")
        << R"({"prompt_id":"p","layer":0,"pos":0,"type":"prompt","experts":[0,2],)"
           R"("router_logits":[1,2]})"
        << '\n';
    expect_failure({"load", trace}, 1, "3 numbers");
  }
}

}  // namespace
}  // namespace moexray::test
