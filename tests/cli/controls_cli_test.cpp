#include <gtest/gtest.h>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "made_trace.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

TEST(BaselinesCommand, HasStableKeys) {
  const json found = run_for_json({"baselines", small_trace(), "--draws", "20"});
  const json similarity = run_for_json({"similarity", small_trace()});
  EXPECT_EQ(found.at("within"), similarity.at("within"));
  EXPECT_EQ(found.at("across"), similarity.at("across"));
  const std::vector<std::string> simulated{"draw_std", "mean", "std"};
  for (const char* side : {"within", "across", "all"}) {
    EXPECT_EQ(keys_of(found.at("permutation").at(side)), simulated);
  }
  EXPECT_NEAR(found.at("permutation").at("expected"),
              found.at("permutation").at("all").at("mean").get<double>(), 0.02);
  EXPECT_EQ(keys_of(found.at("load_balance")),
            (std::vector<std::string>{"draw_std", "expected", "experts_drawn", "mean", "std"}));
  EXPECT_NEAR(found.at("load_balance").at("expected"),
              found.at("load_balance").at("mean").get<double>(), 0.02);
  EXPECT_EQ(found.at("load_balance").at("experts_drawn"), "distinct");
  EXPECT_EQ(keys_of(found.at("label_shuffle")),
            (std::vector<std::string>{"draws", "gap", "p_value"}));
  // Its prompts have too few tokens for a test of labels.
  EXPECT_EQ(found.at("label_shuffle").at("draws"), 0);
  EXPECT_TRUE(found.at("label_shuffle").at("p_value").is_null());
  EXPECT_EQ(found.at("not_tested"),
            "12 of 12 prompts have 3 prompt tokens without template in common, fewer than 8");
  EXPECT_EQ(found.at("ordering").size(), 4U);
  EXPECT_EQ(found.at("draws"), 20);
}

// Twelve tokens a prompt: what is compared is all there is.
TEST(BaselinesCommand, ShufflesLabelsOnCommonPositions) {
  const TemporaryDirectory place;
  write_made_trace(place.path() / "t", two_kinds());
  const json found = run_for_json({"baselines", place.path() / "t", "--draws", "2"});
  EXPECT_EQ(found.at("label_shuffle").at("draws"), 9999);
  EXPECT_NEAR(found.at("label_shuffle").at("gap"),
              run_for_json({"similarity", place.path() / "t"}).at("gap").get<double>(), 1e-13);
  EXPECT_LE(found.at("label_shuffle").at("p_value"), 0.05);
  EXPECT_TRUE(found.at("not_tested").is_null());
  EXPECT_EQ(found.at("common_positions"),
            json({{"m", 12}, {"part", "prompt"}, {"n_prompts", 20}, {"n_shorter", 0}}));
  const CommandResult result = run_moexray({"baselines", place.path() / "t", "--draws", "1"});
  EXPECT_NE(result.out.find("(9999 shuffles), on the first 12 prompt tokens"), std::string::npos)
      << result.out;
}

TEST(BaselinesCommand, DependsOnTheSeedAlone) {
  const std::vector<std::string> words{"baselines", small_trace(), "--draws", "5"};
  const auto with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), words.begin(), words.end());
    return run_for_json(more);
  };
  const json first = with({"--threads", "1"});
  EXPECT_EQ(first, with({"--threads", "3"}));
  EXPECT_NE(first.at("permutation"), with({"--seed", "1"}).at("permutation"));
  const json multinomial = with({"--load-balance", "multinomial"});
  EXPECT_LT(multinomial.at("load_balance").at("mean"), first.at("load_balance").at("mean"));
  EXPECT_EQ(multinomial.at("permutation"), first.at("permutation"));
}

TEST(BaselinesCommand, PrintsAndWritesItsTable) {
  const TemporaryDirectory place;
  const auto out = place.path() / "out";
  const CommandResult result =
      run_moexray({"baselines", small_trace(), "-o", out, "--shuffles", "99", "--draws", "1"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("similarity             mean     std  std of draws  closed form\n"
                            "across categories    0.6815  0.0903\n"),
            std::string::npos)
      << result.out;
  EXPECT_NE(result.out.find("baselines: 1 draw;"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("label shuffle: not tested: 12 of 12 prompts have 3 prompt tokens"),
            std::string::npos)
      << result.out;
  const std::string tsv = file_content(out / "baselines.tsv");
  EXPECT_TRUE(tsv.starts_with("condition\tmean\tstd\tdraw_std\texpected\nacross\t0.68"));
  EXPECT_EQ(std::count(tsv.begin(), tsv.end(), '\n'), 7);
}

TEST(BaselinesCommand, UndefinedNumbersAreNull) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0, 1}}, {"q", "a", {0}}, {"r", "a", {1}}});
  const json found = run_for_json({"baselines", place.path() / "t"});
  EXPECT_TRUE(found.at("label_shuffle").at("p_value").is_null());
  EXPECT_TRUE(found.at("permutation").at("across").at("mean").is_null());
  EXPECT_FALSE(found.at("load_balance").at("mean").is_null());
  EXPECT_EQ(found.at("ordering").size(), 3U);
  const CommandResult result = run_moexray({"baselines", place.path() / "t"});
  EXPECT_NE(result.err.find("only one category (\"a\")"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("not tested: there is only one category"), std::string::npos)
      << result.out;
}

TEST(BaselinesCommand, SaysWhatWeightsMean) {
  const CommandResult result =
      run_moexray({"baselines", small_trace(), "--weighted", "--draws", "2"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("--weighted: the permutation moves sums of weights"), std::string::npos)
      << result.err;
}

TEST(BaselinesCommand, RefusesWrongFlags) {
  expect_failure({"baselines", small_trace(), "--draws", "0"}, 2, "--draws");
  expect_failure({"baselines", small_trace(), "--shuffles", "0"}, 2, "--shuffles");
  expect_failure({"baselines", small_trace(), "--load-balance", "even"}, 2, "--load-balance");
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0}}, {"q", "", {0}}});
  expect_failure({"baselines", place.path() / "t"}, 1, "1 without: \"q\"");
}

TEST(LayersCommand, HasStableKeys) {
  const json found = run_for_json({"layers", small_trace()});
  const json similarity = run_for_json({"similarity", small_trace()});
  ASSERT_EQ(found.at("layers").size(), 2U);
  const json& layers = found.at("layers");
  EXPECT_EQ(keys_of(layers[1]),
            (std::vector<std::string>{"across_mean", "across_std", "ci95", "cohens_d", "layer",
                                      "p_adjusted", "tested_d", "uniform_across", "uniform_within",
                                      "within_mean", "within_std"}));
  EXPECT_EQ(layers[1].at("layer"), 1);
  EXPECT_NEAR(
      (layers[0].at("within_mean").get<double>() + layers[1].at("within_mean").get<double>()) / 2,
      similarity.at("within").at("mean"), 1e-14);
  const std::size_t peak = layers[0].at("cohens_d") < layers[1].at("cohens_d") ? 1 : 0;
  EXPECT_EQ(found.at("peak_layer"), peak);
  EXPECT_LT(layers[1].at("ci95").at(0), layers[1].at("cohens_d"));
  EXPECT_TRUE(layers[0].at("p_adjusted").is_null()) << "prompts of 3 tokens";
}

TEST(LayersCommand, ComparesCommonPositions) {
  const TemporaryDirectory place;
  MadeTrace made = two_kinds();
  made.n_layers = 4;
  made.preference = 0.15;
  write_made_trace(place.path() / "t", made);
  const json found = run_for_json({"layers", place.path() / "t", "--permutations", "199"});
  for (const json& layer : found.at("layers")) {
    // Twelve tokens a prompt: what is compared is all there is.
    EXPECT_NEAR(layer.at("tested_d"), layer.at("cohens_d").get<double>(), 1e-10);
    EXPECT_EQ(layer.at("p_adjusted") <= 0.05,
              std::abs(layer.at("cohens_d").get<double>()) > found.at("null95"));
  }
  EXPECT_EQ(found.at("common_positions").at("m"), 12);
  const json fewer =
      run_for_json({"layers", place.path() / "t", "--permutations", "199", "--common-tokens", "8"});
  EXPECT_EQ(fewer.at("common_positions").at("m"), 8);
  EXPECT_EQ(fewer.at("layers")[0].at("cohens_d"), found.at("layers")[0].at("cohens_d"));
  EXPECT_NE(fewer.at("layers")[0].at("tested_d"), found.at("layers")[0].at("tested_d"));
}

TEST(LayersCommand, PrintsAndWritesItsTable) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2,
                   {{"p", "a", {0}}, {"q", "a", {0, 0}}, {"r", "b", {1}}, {"s", "b", {1, 0}}});
  const auto out = place.path() / "out";
  const CommandResult result = run_moexray({"layers", place.path() / "t", "-o", out});
  EXPECT_EQ(result.exit_code, 0);
  // Within: 1 and 1/√2; across: 0, 0 and twice 1/√2.
  for (const char* const part :
       {"layer  within  uniform  across  uniform  Cohen's d  95% interval  adjusted p\n"
        "    0  0.8536   0.6014  0.3536   0.6065       1.36 ",
        "largest: layer 0 (layers count from 0), Cohen's d 1.36; not tested: 4 of 4 prompts have 1 "
        "prompt token",
        "uniform: what uniform routing of as many tokens would give the same pairs\n"}) {
    EXPECT_NE(result.out.find(part), std::string::npos) << result.out;
  }
  EXPECT_NE(result.err.find("wrote " + out.string() + ": layers.tsv, fig3_layers.{tsv,svg"),
            std::string::npos)
      << result.err;
  EXPECT_TRUE(file_content(out / "layers.tsv")
                  .starts_with("layer\twithin_mean\twithin_std\tacross_mean\tacross_std\tcohens_d\t"
                               "uniform_within\tuniform_across\n"
                               "0\t0.85355339"));
}

TEST(LayersCommand, PeakMayBeUndefined) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0, 1}}, {"q", "a", {0}}});
  const json found = run_for_json({"layers", place.path() / "t"});
  EXPECT_TRUE(found.at("peak_layer").is_null());
  EXPECT_TRUE(found.at("layers").at(0).at("cohens_d").is_null());
  const CommandResult result = run_moexray({"layers", place.path() / "t"});
  EXPECT_NE(result.out.find("no peak layer"), std::string::npos) << result.out;
}

TEST(ExpertsCommand, WritesEveryExpert) {
  const TemporaryDirectory place;
  // A category may be called "all", and prompts need none.
  write_tiny_trace(place.path() / "t", 4, {{"p", "all", {0, 0, 1}}, {"q", "", {0}}});
  const auto out = place.path() / "out";
  const CommandResult result =
      run_moexray({"experts", place.path() / "t", "-o", out, "--overloaded", "2.5"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_TRUE(
      result.err.starts_with("only 4 tokens: experts may be unused or overloaded by chance\n"))
      << result.err;
  EXPECT_NE(result.err.find("wrote " + out.string() + ": expert_usage.tsv, experts.{tsv,svg"),
            std::string::npos)
      << result.err;
  EXPECT_EQ(result.out,
            "2 prompts, 1 layer × 4 experts, top-1; all tokens\n"
            "\n"
            "cannot tell which experts categories use: some prompts have no category\n"
            "\n"
            "expert usage: × uniform is an expert's share of its layer's selections over the even "
            "share 1/4, 4 if every token uses it\n"
            "underused: used, but below 0.2 × uniform; overloaded: above 2.5 × uniform\n"
            "\n"
            "layer  entropy  load CV  busiest  × uniform  unused  underused  overloaded\n"
            "    0    0.406     1.22        0       3.00       2          0           1\n"
            "unused (layer/expert): 0/2, 0/3\n"
            "overloaded (layer/expert, × uniform): 0/0 (3.00)\n"
            "too few tokens to tell whether a layer has collapsed\n");
  EXPECT_EQ(file_content(out / "expert_usage.tsv"),
            "layer\texpert\tscope\tcategory\tcount\tshare\tshare_over_uniform\n"
            "0\t0\tall\t\t3\t0.75\t3\n"
            "0\t1\tall\t\t1\t0.25\t1\n"
            "0\t2\tall\t\t0\t0\t0\n"
            "0\t3\tall\t\t0\t0\t0\n"
            "0\t0\tcategory\t\t1\t1\t4\n"
            "0\t1\tcategory\t\t0\t0\t0\n"
            "0\t2\tcategory\t\t0\t0\t0\n"
            "0\t3\tcategory\t\t0\t0\t0\n"
            "0\t0\tcategory\tall\t2\t0.6666666666666666\t2.6666666666666665\n"
            "0\t1\tcategory\tall\t1\t0.3333333333333333\t1.3333333333333333\n"
            "0\t2\tcategory\tall\t0\t0\t0\n"
            "0\t3\tcategory\tall\t0\t0\t0\n");
}

TEST(ExpertsCommand, HasStableKeys) {
  const json found = run_for_json({"experts", small_trace(), "--underused", "0.5"});
  EXPECT_EQ(found.at("counted"), "selections");
  EXPECT_EQ(found.at("thresholds"), json({{"underused_below", 0.5}, {"overloaded_above", 4}}));
  EXPECT_EQ(found.at("categories"), json({"code", "math", "story"}));
  ASSERT_EQ(found.at("layers").size(), 2U);
  const json& layer = found.at("layers").at(0);
  EXPECT_EQ(keys_of(layer), (std::vector<std::string>{
                                "busiest", "collapsed", "count", "layer", "load_cv", "n_busiest",
                                "n_overloaded", "n_underused", "n_unused", "normalized_entropy"}));
  // 12 prompts of 4 to 6 prompt tokens and 2 or 3 generated ones, none for the last: two experts
  // for each.
  EXPECT_EQ(layer.at("count"), 2 * (60 + 30 - 3));
  EXPECT_EQ(keys_of(layer.at("busiest")),
            (std::vector<std::string>{"count", "expert", "layer", "share", "share_over_uniform"}));
  for (const char* list : {"unused", "underused", "overloaded"}) {
    EXPECT_TRUE(found.at(list).is_array());
  }
}

TEST(ExpertsCommand, WeighsIfAsked) {
  const json found = run_for_json({"experts", small_trace(), "--weighted"});
  EXPECT_EQ(found.at("counted"), "router weights");
  const double sum = found.at("layers").at(0).at("count");
  EXPECT_GT(sum, 50);
  EXPECT_LT(sum, 174);
  const CommandResult result = run_moexray({"experts", small_trace(), "--weighted"});
  EXPECT_NE(result.out.find("share of its layer's router weight"), std::string::npos) << result.out;
}

TEST(ExpertsCommand, RefusesWrongFlags) {
  expect_failure({"experts", small_trace(), "--overloaded", "0.5"}, 2, "--overloaded");
  expect_failure({"experts", small_trace(), "--underused", "2"}, 2, "--underused");
  expect_failure({"experts", small_trace(), "--underused", "nan"}, 2, "--underused");
}

}  // namespace
}  // namespace moexray::test
