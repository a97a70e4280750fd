#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "moexray/report/document.h"
#include "moexray/report/json.h"
#include "moexray/stats/matrix.h"
#include "results.h"

namespace moexray::app {

/// What the data say to one question.
enum class Finding {
  found,        ///< a test at 5% says so
  not_found,    ///< it was tested, and the test does not say so
  cannot_tell,  ///< the data do not support the test
  not_claimed,  ///< it was tested, but only counts if routing differs between categories at all
  not_tested
};

/// "found", "not found", "cannot tell", "not claimed" or "not tested".
const char* name_of(Finding finding);

/// What the verdict must know beside the results.
struct VerdictFacts {
  std::size_t n_prompts = 0;
  std::size_t n_without_category = 0;
  std::vector<std::string> categories = {};  ///< alphabetical
  bool grouped = false;                      ///< --group-by
  /// Why there is no result, by the name of the section: what it left out, or that it was not run.
  std::map<std::string, std::string> left_out = {};
};

/// Are prompts of one category routed more alike than prompts of different ones?
struct DifferenceVerdict {
  Finding finding = Finding::not_tested;
  std::string reason;  ///< of cannot_tell and not_tested
  double within = stats::undefined;
  double across = stats::undefined;
  double gap = stats::undefined;
  std::array<double, 2> ci95 = {stats::undefined, stats::undefined};
  double p_value = stats::undefined;
  std::int64_t n_permutations = 0;
  std::string positions;  ///< "first 12 prompt tokens": what the test compared
  /// Lengths go with the category. The test leaves them out; estimates over all tokens do not.
  bool lengths_differ = false;
  std::array<double, 2> mean_tokens = {stats::undefined, stats::undefined};  ///< least and most
  double uniform_within = stats::undefined;  ///< what uniform routing would give these prompts
  double uniform_across = stats::undefined;
  double popular_within = stats::undefined;  ///< what one pool of popular experts would
  double popular_across = stats::undefined;
};

/// Does routing tell the category beyond what single tokens and their positions do?
struct WordsVerdict {
  Finding finding = Finding::not_tested;
  std::string reason;
  double accuracy = stats::undefined;
  double chance = stats::undefined;
  double p_value = stats::undefined;
  double smallest_detectable = stats::undefined;
  double coverage = stats::undefined;  ///< the share of their tokens that could be used
  std::int64_t n_permutations = 0;
  std::string positions;                ///< that the test compared
  std::vector<std::string> held_fixed;  ///< "token types", …
};

/// Does a classifier of signatures do better than to name the largest category?
struct ClassifierVerdict {
  Finding finding = Finding::not_tested;
  std::string reason;
  double accuracy = stats::undefined;
  double chance = stats::undefined;
  std::array<double, 2> ci95 = {stats::undefined, stats::undefined};
  bool nested = false;            ///< the interval is that of nested cross-validation, not Wilson's
  bool calibrated = false;        ///< it was seen to cover as often as it says
  stats::AccuracyTest test = {};  ///< what the finding rests on
  std::string positions;          ///< that the test compared
};

/// Which layers separate the categories?
struct LayersVerdict {
  Finding finding = Finding::not_tested;
  std::string reason;
  int layer = -1;  ///< the most separating one of those found; −1: none is
  double cohens_d = stats::undefined;
  double p_adjusted = stats::undefined;  ///< of `layer`, or the smallest of all
  int n_found = 0;
  int n_layers = 0;
  std::int64_t n_permutations = 0;
  std::string positions;  ///< what was compared
};

/// Which experts do categories use more or less than others?
struct ExpertsVerdict {
  struct Named {
    int layer = 0;
    int expert = 0;
    std::string category;
    double ratio = stats::undefined;  ///< rate of the category over that of the others
    double p_adjusted = stats::undefined;
  };
  Finding finding = Finding::not_tested;
  std::string reason;
  /// Of each category the expert that it uses more than others with the most certainty, where there
  /// is one; the most certain first.
  std::vector<Named> named;
  std::size_t n_found = 0;  ///< pairs of expert and category
  std::size_t n_cells = 0;
  double p_adjusted = stats::undefined;  ///< the smallest
  std::int64_t n_permutations = 0;
  std::string positions;  ///< "first 12 prompt tokens": what was compared
};

/// Does the model's own router separate categories better than random ones that hear the same?
struct RouterVerdict {
  /// found: better or worse; not_found: no better.
  Finding finding = Finding::not_tested;
  std::string reason;
  stats::RouterOutcome outcome = stats::RouterOutcome::cannot_tell;
  std::size_t n_routers = 0;
  stats::RouterContrast r_squared;
  stats::RouterContrast bits;
  std::string positions;
};

/// What was held fixed by the design of crossed prompts.
struct CrossedVerdict {
  Finding finding = Finding::not_tested;  ///< of the category
  std::string reason;
  std::string key;    ///< that prompts of every category have each value of: "meta.topic"
  std::string units;  ///< within which: "meta.wording"
  std::size_t n_levels = 0;
  std::size_t n_units = 0;
  double p_value = stats::undefined;
  std::int64_t n_permutations = 0;
  double r_squared = stats::undefined;  ///< of the category
  double key_r_squared = stats::undefined;
};

/// What can be said of all results together, and what cannot. The questions have an order: only
/// once routing differs between categories do the following ones count as findings, so that the
/// chance of any false finding stays at that of the first test.
struct Verdict {
  std::vector<std::string> categories;
  DifferenceVerdict difference;
  WordsVerdict words;
  ClassifierVerdict classifier;
  LayersVerdict layers;
  ExpertsVerdict experts;
  RouterVerdict router;
  CrossedVerdict crossed;
  std::vector<std::string> not_tested;    ///< with the reason
  std::vector<std::string> not_excluded;  ///< what a finding may still come from
};

Verdict judge(const VerdictFacts& facts, const Results& results);

/// One paragraph of sentences, without line breaks. All wording is in verdict_text.cpp.
std::string verdict_text(const Verdict& verdict);

/// The paragraph, for a terminal or a page.
report::Document verdict_document(const Verdict& verdict);

/// The findings by key, and the text.
report::Json verdict_json(const Verdict& verdict);

}  // namespace moexray::app
