#include <fmt/core.h>

#include <initializer_list>
#include <iterator>
#include <optional>
#include <utility>

#include "analysis.h"
#include "compare_agreement.h"
#include "compare_pair.h"
#include "compare_saturation.h"
#include "compare_structure.h"
#include "compare_usage.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/origin.h"
#include "nested_flags.h"

namespace moexray::app {
namespace {

using report::Json;

// The first experts of a wider routing, as many as the other has, where the order says which these
// are.
std::optional<stats::RoutedTokens> narrowed(const Side& side, const Side& other) {
  const int k = other.tokens.shape.top_k;
  const bool is_wider = k > 0 && side.tokens.shape.top_k > k;
  if (!is_wider || !has_expert_order(side.traces)) return std::nullopt;
  return stats::first_experts(side.tokens, k);
}

void add_width_notice(const ComparedPair& pair, Section& section) {
  const int first_k = pair.first.tokens.shape.top_k;
  const int other_k = pair.other.tokens.shape.top_k;
  const int k = pair.first_tokens.shape.top_k;
  if (first_k == other_k || k != pair.other_tokens.shape.top_k) return;
  section.notices.push_back(fmt::format(
      "{} and {} experts a token: the first {} of both are compared", first_k, other_k, k));
}

// Runs the parts of a comparison: one that lacks what it needs is left out, its keys null, unless
// all do.
class Parts {
 public:
  explicit Parts(Section& section) : section_(section) {}

  template <typename Add>
  void add(std::initializer_list<const char*> keys, Add part) {
    try {
      part();
      ++n_done_;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      if (!first_error_) first_error_.emplace(error);
      section_.notices.push_back(fmt::format("{} left out: {}", *keys.begin(), error.what()));
      for (const char* key : keys) section_.json.set(key, Json());
    }
  }
  // @throws Error (data) that left the first part out, if nothing was computed
  void finish() const {
    if (n_done_ == 0 && first_error_) throw Error(*first_error_);
  }

 private:
  Section& section_;
  int n_done_ = 0;
  std::optional<Error> first_error_;
};

// Every part of the comparison of one pair. Agreement is handed on to the series.
Section section_of(const ComparedPair& pair, const Arguments& arguments,
                   std::vector<stats::LayerAgreement>& agreement) {
  Section section{.json = Json::object({})};
  add_alignment(pair, section);
  add_width_notice(pair, section);
  Parts parts(section);
  parts.add({"agreement", "disagreement"}, [&] { agreement = add_agreement(pair, section); });
  parts.add({"usage"}, [&] { add_usage(pair, section); });
  parts.add({"structure", "transfer", "rsa", "cka", "matching"}, [&] {
    add_structure(compare_structure(pair.input, arguments, pair.first, pair.other), pair.suffix,
                  section);
  });
  parts.finish();
  section.json.set("notices", Json::array(section.notices));
  return section;
}

Section compared(const AnalysisInput& input, const Arguments& arguments, const Side& other,
                 const Side* floor, const std::string& suffix, SeriesStep& step) {
  const Side& first = input.sides.front();
  std::string not_aligned;
  stats::Alignment alignment;
  try {
    alignment = checked_alignment(first, other);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data) throw;
    not_aligned = error.what();
  }
  const auto narrowed_first = narrowed(first, other);
  const auto narrowed_other = narrowed(other, first);
  const ComparedPair pair{.input = input,
                          .first = first,
                          .other = other,
                          .first_tokens = narrowed_first ? *narrowed_first : first.tokens,
                          .other_tokens = narrowed_other ? *narrowed_other : other.tokens,
                          .floor = floor,
                          .alignment = std::move(alignment),
                          .not_aligned = std::move(not_aligned),
                          .suffix = suffix};
  if (pair.not_aligned.empty() && pair.same_experts()) check_layer_numbers(pair);
  step.name = other.name;
  return section_of(pair, arguments, step.layers);
}

void check_floor(const Side& first, const Side* floor) {
  if (floor == nullptr) return;
  check_has_tokens(floor->traces);
  if (floor->traces.shape == first.traces.shape) return;
  throw Error(ErrorKind::data, {"--floor is another routing by the same model",
                                printable(floor->name, 60), shape_text(first), shape_text(*floor)});
}

// Joins the sections of several pairs, whose JSON becomes a list.
Section joined(std::vector<Section> sections, std::span<const SeriesStep> steps) {
  Section result{.json = Json::object({})};
  const auto move_all = [](auto& from, auto& to) {
    std::move(from.begin(), from.end(), std::back_inserter(to));
  };
  Json::Array comparisons;
  add_saturation(steps, result);
  for (std::size_t i = 0; i < sections.size(); ++i) {
    Section& own = sections[i];
    const std::string name = printable(steps[i].name, 60);
    Json json = Json::object({{"with", steps[i].name}});
    for (const auto& [key, value] : own.json.members()) json.set(key, value);
    comparisons.push_back(std::move(json));
    result.document.paragraph("with " + name + ":");
    result.document.append(std::move(own.document));
    for (std::string& notice : own.notices) notice = name + ": " + notice;
    move_all(own.notices, result.notices);
    move_all(own.files, result.files);
    move_all(own.figures, result.figures);
  }
  result.json.set("comparisons", Json(std::move(comparisons)));
  return result;
}

// A step that cannot be compared is left out, unless none can.
Section compared_series(const AnalysisInput& input, const Arguments& arguments,
                        std::size_t n_others, const Side* floor) {
  std::vector<Section> sections;
  std::vector<SeriesStep> steps(n_others);
  std::optional<Error> last_error;
  std::size_t n_left_out = 0;
  for (std::size_t i = 0; i < n_others; ++i) {
    try {
      sections.push_back(compared(input, arguments, input.sides[i + 1], floor,
                                  "_" + std::to_string(i + 1), steps[i]));
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      last_error.emplace(error);
      ++n_left_out;
      sections.push_back({.json = Json::object({{"left_out", error.what()}}),
                          .notices = {std::string("left out: ") + error.what()}});
    }
  }
  if (n_left_out == n_others) throw Error(*last_error);
  return joined(std::move(sections), steps);
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  if (input.settings.selection.weighted) {
    throw Error(ErrorKind::data,
                "agreement counts experts, not their weights: not with --weighted");
  }
  const bool has_floor = arguments.has("floor");
  const Side* floor = has_floor ? &input.sides.back() : nullptr;
  check_floor(input.sides.front(), floor);
  const std::size_t n_others = input.sides.size() - (has_floor ? 2 : 1);
  if (n_others == 1) {
    SeriesStep step;
    return compared(input, arguments, input.sides[1], floor, "", step);
  }
  return compared_series(input, arguments, n_others, floor);
}

}  // namespace

Analysis compare_analysis() {
  return {
      .name = "compare",
      .summary = "Do two routings of the same tokens choose the same experts?",
      .description =
          "Compares two traces of the same prompts, of two checkpoints, precisions or programs "
          "say: "
          "how many of a token's experts both choose at each layer, beside what chance would give "
          "with nothing, the experts' popularity, the prompt, or the token's type held fixed; "
          "which "
          "ranks the experts lost and gained had; and which experts are used more or less. Tokens "
          "are aligned by prompt id and position, up to the first that differs: trace --replay "
          "feeds another model the same ones. A layer that fits the other's neighbour better, by "
          "much, is an error. --with may be repeated, for a series of checkpoints say: how far "
          "each "
          "step has come to the first routing, layer by layer. Also for models of other shapes or "
          "tokenizers: how well both separate the categories, and whether a classifier of one "
          "knows them in the other; whether both find the same prompts alike (RSA, and CKA by "
          "pairs of layers), beside random routers where they watched (trace --shadow); and which "
          "expert of one is which of the other, matched on one half of the prompts and judged by "
          "the other. What a pair of traces lacks is said, and the rest computed. With -o DIR it "
          "writes compare.tsv, compare_usage.tsv, compare_cka.tsv, compare_matching.tsv, the "
          "figures compare_agreement, compare_ranks, compare_gained, compare_cka and "
          "compare_shifts (of the second pair of a series compare_2.tsv, …), of "
          "a "
          "series compare_series.tsv and the figures compare_saturation and "
          "compare_saturation_layers, and report.json.",
      .flags = {nested_folds_flag(), common_tokens_flag(), group_by_flag()},
      .examples = {{"moexray compare traces --with traces-float32",
                    "agreement by layer, with intervals over prompts"},
                   {"moexray compare base --with tuned --floor base-again --tokens prompt",
                    "beside what a second run of the same model gives; prompts alone"},
                   {"moexray compare final --with step1000 --with step2000 --with step4000",
                    "how early the routing of the final checkpoint is there"}},
      .needs = {.tokens = true, .takes_counts = true, .ranks = true},
      .other_sides = {{.name = "--with",
                       .type = FlagType::texts,
                       .value_name = "OTHER",
                       .help =
                           "trace directories of the other routing. May be repeated, for several "
                           "routings in the order of their making",
                       .repeated = true}},
      .optional_sides = {{.name = "--floor",
                          .type = FlagType::texts,
                          .value_name = "DIR",
                          .help = "the first routing once more (another batch plan or kernel): "
                                  "what no change at all looks like"}},
      .run = run};
}

}  // namespace moexray::app
