#include "verdict.h"

#include <gtest/gtest.h>

#include <cmath>

namespace moexray::app {
namespace {

constexpr double nan = stats::undefined;

// Results as they are typed, of which a test changes what it is about.
struct Made {
  VerdictFacts facts{.n_prompts = 80, .categories = {"code", "math", "story"}};
  stats::SimilarityResult similarity;
  stats::InferenceResult inference;
  stats::ClassifyResult classify;
  stats::AccuracyTest accuracy_test;
  stats::ConfoundsResult confounds;
  stats::ExpertCategoriesResult experts;

  Made() {
    similarity.within.mean = 0.82;
    similarity.across.mean = 0.74;
    similarity.gap = 0.08;
    similarity.uniform = {.within = 0.907, .across = 0.906};
    inference.smallest_p_value = 1e-9;
    inference.positions.n_tokens = 12;
    inference.bootstrap.gap.low = 0.06;
    inference.bootstrap.gap.high = 0.1;
    inference.location.gap = {.statistic = 0.08, .p_value = 0.001, .n_draws = 999};
    inference.layers = {{.cohens_d = 0.5, .p_adjusted = 0.2},
                        {.cohens_d = 1.2, .p_adjusted = 0.001}};
    inference.n_layer_draws = 999;
    inference.lengths = {.mean_tokens = {30, 33, 31}, .f = {.p_value = 0.6}};
    inference.popularity.simulated = {.within = 0.917, .across = 0.916};
    set_accuracy(0.95, {0.9, 0.98}, {0.88, 0.99});
    classify.chance = 0.4;
    accuracy_test = {.accuracy = 0.8, .chance = 0.35, .p_value = 0.005, .n_permutations = 199};
    stats::ConfoundsVerdict& words = confounds.ladder.verdict;
    words.outcome = stats::Outcome::adds;
    words.p_value = 0.005;
    words.smallest_detectable = 0.15;
    words.accuracy = 0.61;
    words.chance = 0.34;
    words.n_permutations = 199;
    confounds.ladder.positions = "first 12 prompt tokens";
    stats::LadderRung& rung = confounds.ladder.rungs.emplace_back();
    rung.coverage = 0.257;
    rung.is_decisive = true;
    set_experts(true);
  }

  // Two experts of one layer; if something is found: math uses the second more, code less.
  void set_experts(bool found) {
    experts = {};
    experts.shape = {1, 2, 1};
    experts.categories = facts.categories;
    experts.cells.resize(6);
    experts.significant.resize(3);
    experts.positions.n_tokens = 12;
    experts.n_permutations = 999;
    experts.smallest_p_adjusted = found ? 0.001 : 0.3;
    if (!found) return;
    stats::ExpertCell& cell = experts.cells[4];
    cell.expert = 1;
    cell.category = 1;
    cell.ratio = 3.14;
    cell.t = 5;
    cell.p_adjusted = 0.001;
    experts.significant[1].more = {4};
    experts.significant[0].less = {3};
    experts.n_significant = 2;
  }

  void set_accuracy(double mean, std::array<double, 2> wilson95, std::array<double, 2> ci95) {
    classify.accuracy.mean = mean;
    classify.accuracy.wilson95 = wilson95;
    classify.accuracy.ci95 = ci95;
  }
  Results results() const {
    Results all;
    all.similarity = kept(similarity);
    all.inference = kept(inference);
    all.classify = kept(classify);
    all.accuracy_test = kept(accuracy_test);
    all.confounds = kept(confounds);
    all.expert_categories = kept(experts);
    return all;
  }
  Verdict verdict() const { return judge(facts, results()); }
  std::string text() const { return verdict_text(verdict()); }
};

bool says(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

TEST(Verdict, SaysWhatWasFoundAndWhatWasNotTested) {
  const Made made;
  const Verdict verdict = made.verdict();
  EXPECT_EQ(verdict.difference.finding, Finding::found);
  EXPECT_EQ(verdict.words.finding, Finding::found);
  EXPECT_EQ(verdict.classifier.finding, Finding::found);
  EXPECT_EQ(verdict.layers.finding, Finding::found);
  EXPECT_EQ(verdict.layers.layer, 1);
  EXPECT_EQ(
      made.text(),
      "Routing differs between the 3 categories: prompts of one category are routed more alike "
      "than "
      "prompts of different ones (mean similarity 0.820 against 0.740, gap 0.080, 95% interval "
      "0.060 to 0.100; p = 0.001 by 999 relabellings, on the first 12 prompt tokens). For prompts "
      "of these lengths uniform "
      "routing "
      "would give 0.907 against 0.906 and one pool of popular experts for all 0.917 against 0.916. "
      "The difference goes beyond single tokens and positions: what they do not explain still "
      "tells "
      "the category of held-out prompts (accuracy 0.610, 0.340 under permuted labels, p = 0.005, "
      "on "
      "the first 12 prompt tokens; 26% of these tokens are of types that other prompts have "
      "often enough, the others were not compared); previous token, order and syntax are not "
      "excluded. A "
      "classifier names the category of prompts that it has not seen with accuracy 0.950 (95% "
      "interval 0.880–0.990; the largest category's share is 0.400); on the first 12 prompt tokens "
      "with 0.800, better than the 0.350 that permuted labels give (p = 0.005 by 199 "
      "relabellings). "
      "2 of 6 "
      "pairs of expert and category differ from the other categories (adjusted p at most 0.05, "
      "first 12 prompt tokens); used more, layer/expert: 0/1 for math (3.1 × the others' rate). 1 "
      "of 2 "
      "layers separates the categories by itself (p among all layers at most 0.05, first 12 prompt "
      "tokens), layer 1 most "
      "(Cohen's d there 1.20, p = 0.001); whether more than the next was not tested. Not tested: "
      "whether "
      "a random router does as well (trace --shadow random). Not excluded as the source of the "
      "difference: the previous token, order, syntax and templates or sources that prompts share "
      "(--group-by).");
}

// Six load-matched random routers, as `outcome` says.
stats::RandomRoutersResult made_routers(stats::RouterOutcome outcome, double low, double high) {
  stats::RandomRoutersResult routers;
  stats::RouterFamily& family = routers.families.emplace_back();
  family.kind = "random";
  family.form = "load matched";
  family.members = {0, 1, 2, 3, 4, 5};
  family.r_squared = {.own = 0.248, .mean = 0.230, .sd = 0.01, .difference = 0.018};
  family.r_squared.ci95 = {low, high};
  family.bits = {.own = 1.5, .mean = 1.4, .sd = 0.1, .difference = 0.1, .ci95 = {-0.2, 0.4}};
  routers.verdict_family = 0;
  routers.outcome = outcome;
  return routers;
}

TEST(Verdict, SaysWhatARandomRouterShows) {
  Made made;
  const auto with = [&](stats::RouterOutcome outcome, double low, double high) {
    Results results = made.results();
    results.random_routers = kept(made_routers(outcome, low, high));
    return judge(made.facts, results);
  };
  const Verdict no_better = with(stats::RouterOutcome::no_better, -0.004, 0.04);
  EXPECT_EQ(no_better.router.finding, Finding::not_found);
  const std::string text = verdict_text(no_better);
  EXPECT_TRUE(says(text,
                   "The trained router separates the categories no better than random "
                   "projections of the same hidden states do (6 random routers with the "
                   "trained one's load: share of the variance between categories 0.248 "
                   "against 0.230 ± 0.010, 95% interval of the difference -0.004 to 0.040; "
                   "held-out bits 1.500 against 1.400 ± 0.100, 95% interval of the "
                   "difference -0.200 to 0.400; first 12 prompt tokens): the difference says "
                   "what the hidden states know"))
      << text;
  EXPECT_FALSE(says(text, "Not tested"));
  const Verdict better = with(stats::RouterOutcome::better, 0.004, 0.03);
  EXPECT_EQ(better.router.finding, Finding::found);
  EXPECT_TRUE(says(verdict_text(better), "separates the categories better than random"));
  EXPECT_TRUE(says(verdict_text(with(stats::RouterOutcome::worse, -0.03, -0.01)),
                   "separates the categories worse than random"));
  // It counts only where categories differ at all.
  made.inference.location.gap.p_value = 0.4;
  const Verdict unclaimed = with(stats::RouterOutcome::better, 0.004, 0.03);
  EXPECT_EQ(unclaimed.router.finding, Finding::not_claimed);
  EXPECT_FALSE(says(verdict_text(unclaimed), "better than random"));
  EXPECT_TRUE(says(verdict_text(unclaimed), "random routers is not claimed"));
}

TEST(Verdict, SaysWhatTheDesignHeldFixed) {
  Made made;
  CrossedResult crossed{"meta.topic", "meta.wording", {}};
  crossed.tests.levels = {"a", "b", "c", "d"};
  crossed.tests.n_units = 20;
  crossed.tests.category.test = {.statistic = 3, .p_value = 0.002, .n_draws = 999};
  crossed.tests.category.r_squared = 0.2;
  crossed.tests.topic.r_squared = 0.1;
  Results results = made.results();
  results.crossed = kept(crossed);
  EXPECT_TRUE(says(verdict_text(judge(made.facts, results)),
                   "By design meta.topic is held fixed: every category has each of its 4 values, "
                   "in each of 20 units (meta.wording); categories differ beyond it (p = 0.002 by "
                   "999 relabellings of whole units, R² 0.200 against 0.100 of meta.topic)."));
  crossed.tests.category.test.p_value = 0.3;
  results.crossed = kept(crossed);
  EXPECT_TRUE(says(verdict_text(judge(made.facts, results)), "beyond it was not found"));
  crossed.tests = {};
  crossed.tests.reason = "no unit is complete";
  results.crossed = kept(crossed);
  EXPECT_TRUE(says(verdict_text(judge(made.facts, results)),
                   "Categories crossed with meta.topic were not tested: no unit is complete."));
}

TEST(Verdict, ClaimsNothingWithoutADifference) {
  Made made;
  made.inference.location.gap.p_value = 0.4;
  const Verdict verdict = made.verdict();
  EXPECT_EQ(verdict.difference.finding, Finding::not_found);
  // Both would be findings, had routing been seen to differ at all.
  EXPECT_EQ(verdict.words.finding, Finding::not_claimed);
  EXPECT_EQ(verdict.layers.finding, Finding::not_claimed);
  const std::string text = made.text();
  EXPECT_TRUE(says(text, "No difference between the 3 categories was found")) << text;
  EXPECT_TRUE(says(text, "p = 0.400 by 999 relabellings")) << text;
  EXPECT_TRUE(says(text, "does not show that there is none")) << text;
  EXPECT_TRUE(says(text, "token types, single layers and single experts is not claimed")) << text;
  EXPECT_FALSE(says(text, "goes beyond")) << text;
  EXPECT_FALSE(says(text, "layer 1")) << text;
  EXPECT_FALSE(says(text, "Not excluded")) << text;
}

TEST(Verdict, SaysHowManyPromptsAreTooShort) {
  Made made;
  made.inference.positions.rows = {0, 1, 3};
  made.inference.positions.n_short = 1;
  EXPECT_TRUE(says(made.text(), "on the first 12 prompt tokens of 3 of 4 prompts"));
}

TEST(Verdict, LengthsMoveEstimatesAndNotTheTest) {
  Made made;
  made.inference.lengths = {.mean_tokens = {15, 120, 60}, .f = {.p_value = 0.001}};
  const Verdict verdict = made.verdict();
  EXPECT_EQ(verdict.difference.finding, Finding::found);
  EXPECT_TRUE(verdict.difference.lengths_differ);
  EXPECT_EQ(verdict.experts.finding, Finding::found);
  EXPECT_EQ(verdict.layers.finding, Finding::found);
  EXPECT_EQ(verdict.words.finding, Finding::found);
  const std::string text = made.text();
  EXPECT_TRUE(says(text, "p = 0.001 by 999 relabellings, on the first 12 prompt tokens")) << text;
  EXPECT_TRUE(says(text,
                   "Lengths go with the category (15 to 120 tokens on average), which moves "
                   "the similarities; the test compares equal numbers of tokens."))
      << text;
  EXPECT_FALSE(says(text, "is not claimed")) << text;
}

TEST(Verdict, PromptsThatHaveTooLittleInCommonTellNothing) {
  Made made;
  made.inference.check = {stats::Comparability::lengths, "12 of 12 prompts have 3 tokens"};
  made.inference.location = {};
  made.inference.layers.assign(2, {});
  made.experts.check = made.inference.check;
  const Verdict verdict = made.verdict();
  EXPECT_EQ(verdict.difference.finding, Finding::cannot_tell);
  EXPECT_EQ(verdict.layers.finding, Finding::cannot_tell);
  EXPECT_EQ(verdict.words.finding, Finding::not_claimed);
  EXPECT_TRUE(says(made.text(),
                   "cannot tell whether routing differs between the 3 categories: 12 "
                   "of 12 prompts have 3 tokens."))
      << made.text();
}

TEST(Verdict, ExpertsAreNamedByTheirAdjustedP) {
  Made made;
  Verdict verdict = made.verdict();
  EXPECT_EQ(verdict.experts.finding, Finding::found);
  ASSERT_EQ(verdict.experts.named.size(), 1U);
  EXPECT_EQ(verdict.experts.named[0].category, "math");
  EXPECT_TRUE(
      says(made.text(),
           "2 of 6 pairs of expert and category differ from the other categories (adjusted p "
           "at most 0.05, first 12 prompt tokens); used more, layer/expert: 0/1 for math "
           "(3.1 × the others' rate)."))
      << made.text();
  made.set_experts(false);
  EXPECT_EQ(made.verdict().experts.finding, Finding::not_found);
  EXPECT_TRUE(says(made.text(), "No expert's use differs between categories"));
  EXPECT_TRUE(says(made.text(), "smallest adjusted p 0.300, first 12 prompt tokens"));
  made.experts.check = {stats::Comparability::lengths, "too short"};
  EXPECT_EQ(made.verdict().experts.finding, Finding::cannot_tell);
  EXPECT_TRUE(says(made.text(), "Of single experts these prompts tell nothing: too short."));
  // Without a gap they are not claimed either.
  made.set_experts(true);
  made.inference.location.gap.p_value = 0.2;
  EXPECT_EQ(made.verdict().experts.finding, Finding::not_claimed);
  EXPECT_FALSE(says(made.text(), "0/1"));
}

TEST(Verdict, WordsHaveEachOutcome) {
  Made made;
  made.confounds.ladder.verdict.outcome = stats::Outcome::no_evidence;
  made.confounds.ladder.verdict.p_value = 0.3;
  EXPECT_EQ(made.verdict().words.finding, Finding::not_found);
  EXPECT_TRUE(
      says(made.text(), "No evidence that routing goes beyond single tokens and positions"));
  EXPECT_TRUE(says(made.text(), "an accuracy 0.150 above chance would have been found"));
  EXPECT_TRUE(says(made.text(), "Not excluded as the source of the difference: the words alone"));
  made.confounds.ladder.verdict = {};
  made.confounds.ladder.verdict.reason = "the trace lacks token ids";
  EXPECT_EQ(made.verdict().words.finding, Finding::cannot_tell);
  EXPECT_TRUE(says(made.text(), "these prompts cannot tell: the trace lacks token ids."));
  EXPECT_FALSE(says(made.text(), "n/a"));
}

TEST(Verdict, SaysWhyAnAnalysisIsMissing) {
  Made made;
  Results results = made.results();
  results.confounds = nullptr;
  results.classify = nullptr;
  made.facts.left_out = {{"confounds", "--quick"}, {"classify", "too few prompts"}};
  const std::string text = verdict_text(judge(made.facts, results));
  EXPECT_TRUE(says(text,
                   "Not tested: whether routing goes beyond the words (--quick), a classifier (too "
                   "few prompts) and whether a random router"))
      << text;
  EXPECT_TRUE(says(text, "the words alone"));
}

TEST(Verdict, AClassifierIsJudgedByPermutedLabels) {
  Made made;
  made.accuracy_test.p_value = 0.3;
  EXPECT_EQ(made.verdict().classifier.finding, Finding::not_found);
  EXPECT_TRUE(says(made.text(),
                   "not better than the 0.350 that permuted labels give as far as "
                   "this tells (p = 0.300 by 199 relabellings)"))
      << made.text();
  made.accuracy_test = {.left_out = "too few tokens"};
  EXPECT_EQ(made.verdict().classifier.finding, Finding::cannot_tell);
  EXPECT_TRUE(
      says(made.text(), "whether that is better than chance was not tested: too few tokens."))
      << made.text();
  made.classify.accuracy.ci95 = {nan, nan};
  EXPECT_TRUE(says(made.text(), "0.900–0.980, binomial and too short"));
  made.set_accuracy(0.99, {0.9, 1}, {0.95, 1});
  EXPECT_TRUE(says(made.text(), "not calibrated above 0.97"));
}

TEST(Verdict, NamesALayerOnlyIfItsAdjustedPSaysSo) {
  Made made;
  made.inference.layers = {{.cohens_d = 2.0, .p_adjusted = 0.06},
                           {.cohens_d = 0.3, .p_adjusted = 0.31}};
  Verdict verdict = made.verdict();
  EXPECT_EQ(verdict.layers.finding, Finding::not_found);
  EXPECT_EQ(verdict.layers.layer, -1);
  EXPECT_TRUE(says(made.text(),
                   "No single layer stands out (smallest p among all layers 0.060, "
                   "first 12 prompt tokens)"));
  // The test is of |d|: prompts of one category that are less alike are no separation.
  made.inference.layers[0] = {.cohens_d = -2.0, .p_adjusted = 0.001};
  EXPECT_EQ(made.verdict().layers.finding, Finding::not_found);
  made.inference.layers = {{}, {}};
  EXPECT_EQ(made.verdict().layers.finding, Finding::cannot_tell);
}

TEST(Verdict, SaysWhyNothingCanBeCompared) {
  Made made;
  made.facts.categories = {"code"};
  EXPECT_EQ(made.text(),
            "Whether routing differs between categories was not tested: all prompts are of one "
            "category, \"code\".");
  EXPECT_EQ(made.verdict().layers.finding, Finding::not_tested);
  made.facts.n_without_category = 3;
  EXPECT_TRUE(says(made.text(), "3 of 80 prompts have no category"));
  made.facts.n_without_category = 80;
  made.facts.categories.clear();
  EXPECT_TRUE(says(made.text(), "the prompts have no categories"));
  EXPECT_EQ(made.verdict().not_excluded, std::vector<std::string>{});
}

TEST(Verdict, FewPromptsCannotTell) {
  Made made;
  made.inference.smallest_p_value = 0.1;
  made.inference.location.gap.p_value = 0.1;
  EXPECT_EQ(made.verdict().difference.finding, Finding::cannot_tell);
  EXPECT_TRUE(says(made.text(), "so few prompts that no p-value can fall below 0.1"));
  made.similarity.gap = nan;
  EXPECT_TRUE(says(made.text(), "no two prompts are of one category"));
  EXPECT_FALSE(says(made.text(), "n/a")) << made.text();
}

TEST(Verdict, ShuffledLabelsStandInForLeftOutStatistics) {
  Made made;
  Results results = made.results();
  results.inference = nullptr;
  stats::BaselinesResult baselines;
  baselines.label_shuffle = {.gap = 0.08, .p_value = 0.0001, .n_draws = 9999};
  results.baselines = kept(baselines);
  made.facts.left_out = {{"stats", "too many prompts"}};
  Verdict verdict = judge(made.facts, results);
  EXPECT_EQ(verdict.difference.finding, Finding::found);
  EXPECT_EQ(verdict.layers.finding, Finding::not_tested);
  EXPECT_TRUE(says(verdict_text(verdict), "p = 0.0001 by 9999 relabellings"));
  EXPECT_TRUE(says(verdict_text(verdict), "single layers (too many prompts)"));
  // They know no groups.
  made.facts.grouped = true;
  verdict = judge(made.facts, results);
  EXPECT_EQ(verdict.difference.finding, Finding::not_tested);
  EXPECT_EQ(verdict.difference.reason, "too many prompts");
}

TEST(Verdict, JsonHoldsOutcomesAndTheText) {
  const Made made;
  const report::Json json = verdict_json(made.verdict());
  for (const char* key :
       {"difference", "beyond_tokens_and_positions", "classifier", "layers", "experts"}) {
    ASSERT_NE(json.find(key), nullptr) << key;
    EXPECT_EQ(json.find(key)->find("outcome")->text(), "found") << key;
  }
  EXPECT_EQ(json.find("text")->text(), made.text());
  EXPECT_EQ(json.find("layers")->find("layer")->number(), 1);
  EXPECT_EQ(json.dump().find("NaN"), std::string::npos);
}

}  // namespace
}  // namespace moexray::app
