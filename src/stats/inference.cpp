#include "moexray/stats/inference.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/error.h"
#include "moexray/core/wording.h"
#include "moexray/stats/similarity.h"
#include "pair_means.h"

namespace moexray::stats {
namespace {

constexpr std::size_t max_prompts = 10'000;

bool equal_sizes(const CategoryIndex& categories) {
  return std::all_of(categories.n_prompts.begin(), categories.n_prompts.end(),
                     [&](std::int64_t n) { return n == categories.n_prompts[0]; });
}

// `; no prompt of the category "short" is left`, or nothing.
std::string without_prompts(const std::vector<std::string>& categories) {
  if (categories.empty()) return {};
  return fmt::format("; no prompt of the {} {} is left",
                     noun_for(std::ssize(categories), "category", "categories"),
                     quoted_list(categories));
}

// Fewer make intervals rough.
constexpr int few_units = 10;

// Categories with two or more units, but few, in one notice.
void tell_small_categories(const Units& units, const CategoryIndex& categories,
                           std::vector<std::string>& notices) {
  std::vector<std::int64_t> n_units(categories.names.size());
  for (const int c : units.category) ++n_units[static_cast<std::size_t>(c)];
  const std::string small =
      sizes_text(categories, n_units, 2, few_units - 1, units.grouped ? "unit" : "prompt");
  if (!small.empty()) {
    notices.push_back(small + fmt::format(": below {}, intervals are rough", few_units));
  }
}

void tell_units(const Units& units, const CategoryIndex& categories, InferenceResult& result) {
  auto& notices = result.notices;
  if (units.grouped && units.nested()) {
    notices.push_back(
        fmt::format("every group lies within one category: {} the units, not {}",
                    units.size() == 1 ? "1 group is" : fmt::format("{} groups are", units.size()),
                    counted(std::ssize(categories.of_prompt), "prompt")));
  } else if (units.grouped) {
    notices.push_back(
        fmt::format("groups hold prompts of several categories: {} resampled whole, and labels are "
                    "permuted within them",
                    units.size() == 1 ? "1 unit is" : fmt::format("{} units are", units.size())));
  }
  if (categories.names.size() < 2) return;
  const double smallest = result.smallest_p_value;
  if (smallest > 0.999) {
    notices.push_back(
        units.grouped
            ? "categories and groups are one and the same (every category is a single group): no "
              "test can tell a difference between categories from one between groups"
            : "relabelling the prompts changes nothing: no p-value can be had");
  } else if (smallest > 1e-3) {
    notices.push_back(fmt::format(
        "so few units that no p-value of a relabelling can fall below about {:.2g}", smallest));
  }
  if (units.nested()) {
    tell_small_categories(units, categories, notices);
  } else if (units.size() < few_units) {
    notices.push_back(fmt::format("only {}: below {}, intervals are rough",
                                  counted(static_cast<std::int64_t>(units.size()), "unit"),
                                  few_units));
  }
}

void tell_intervals(const BootstrapResult& bootstrap, const CategoryIndex& categories,
                    std::vector<std::string>& notices) {
  if (!bootstrap.gap.has_interval()) {
    // That there is but one category is told already.
    if (categories.names.size() > 1) {
      notices.push_back(bootstrap.gap.reason + ": no intervals of what compares categories");
    }
  } else if (!bootstrap.within.has_interval()) {
    notices.push_back(bootstrap.within.reason + ": no interval of the similarity within");
  }
  if (!bootstrap.auc_calibrated) {
    notices.push_back(bootstrap.auc.has_interval()
                          ? "AUC is above 0.97, where its interval is not calibrated"
                          : "AUC has no interval: " + bootstrap.auc.reason);
  }
}

void tell_lengths(const LengthTest& lengths, std::vector<std::string>& notices) {
  if (!(lengths.f.p_value <= 0.05)) return;
  const auto [low, high] =
      std::minmax_element(lengths.mean_tokens.begin(), lengths.mean_tokens.end());
  notices.push_back(fmt::format(
      "categories differ in the lengths of their prompts (means from {:.0f} to {:.0f} tokens, p = "
      "{:.2g}), which alone can make a gap and separate layers over all tokens: tests compare "
      "equal "
      "numbers of tokens",
      *low, *high, lengths.f.p_value));
}

void tell_tokens(const NoiseCorrectedResult& corrected, const RarefactionResult& rarefied,
                 std::vector<std::string>& notices) {
  if (corrected.n_too_few_tokens > 0) {
    notices.push_back(fmt::format(
        "noise-corrected similarity leaves out {} with fewer than {} tokens beside template and "
        "shared prefix{}",
        counted(corrected.n_too_few_tokens, "prompt"), min_corrected_tokens,
        corrected.n_without_norm == 0 ? without_prompts(corrected.empty_categories) : ""));
  }
  if (corrected.n_without_norm > 0) {
    notices.push_back(fmt::format(
        "noise-corrected similarity leaves out {} whose squared norm is not positive at some "
        "layer{}",
        counted(corrected.n_without_norm, "prompt"), without_prompts(corrected.empty_categories)));
  }
  if (corrected.uniform_excess > max_uniform_excess) {
    notices.push_back(fmt::format(
        "so few tokens that noise-corrected similarities are too high by about {:.2f} (if routing "
        "is uniform): compare them with each other, not with 1",
        corrected.uniform_excess));
  }
  if (!corrected.has_ids) {
    notices.emplace_back(
        "the trace lacks token ids: a prefix that all prompts share is not left out of the "
        "noise-corrected similarity");
  }
  if (rarefied.n_tokens < 8) {
    notices.push_back(fmt::format("rarefaction keeps only {} of every prompt",
                                  counted(rarefied.n_tokens, "token")));
  }
  if (rarefied.n_too_few_tokens > 0) {
    notices.push_back(fmt::format("rarefaction leaves out {} with fewer than {}{}",
                                  counted(rarefied.n_too_few_tokens, "prompt"),
                                  counted(rarefied.n_tokens, "token"),
                                  without_prompts(rarefied.empty_categories)));
  }
}

int scaled(int asked, double operations, int at_least) {
  constexpr double budget = 4e9;
  const double n = std::max<double>(at_least, budget / operations);
  return static_cast<int>(std::min<double>(asked, n));
}

}  // namespace

InferenceOptions affordable(const InferenceOptions& options, const Signatures& signatures) {
  InferenceOptions result = options;
  const auto n = static_cast<double>(signatures.size());
  const auto d = static_cast<double>(signatures.values.cols());
  const double n_layers = signatures.shape.n_layers;
  double n_tokens = 0;
  for (const std::int64_t t : signatures.n_tokens) n_tokens += static_cast<double>(t);
  const double events = n_tokens * n_layers * signatures.shape.top_k;
  result.n_resamples = scaled(options.n_resamples, 4 * n * n, 199);
  result.n_permutations =
      scaled(options.n_permutations, std::max(n * n * n_layers / 8, n * std::min(n, d)), 199);
  result.n_null_draws = scaled(options.n_null_draws, 10 * events, 4);
  result.n_rarefactions = scaled(options.n_rarefactions, 10 * events + n * d * std::min(n, d), 4);
  return result;
}

namespace {

// The tests of labels.
void test_labels(const ComparedPrompts& compared, int n_layers, const PermutationOptions& options,
                 InferenceResult& result) {
  result.positions = compared.positions;
  result.check = compared.check;
  result.layers.resize(static_cast<std::size_t>(n_layers));
  if (!compared.comparable()) return;
  const Signatures& signatures = compared.signatures;
  const CategoryIndex& categories = compared.categories;
  const Units& units = compared.units;
  const Matrix blocks = unit_blocks(signatures);
  result.smallest_p_value = smallest_p_value(units, categories);
  result.location = test_location(blocks, categories, units, options);
  result.dispersion = test_dispersion(pair_similarity(blocks), categories, units, options);
  result.permanova_is_location = equal_sizes(categories) || !(result.dispersion.f.p_value < 0.05);
  result.layers = test_layers(signatures, categories, units, options);
  result.n_layer_draws = options.n_permutations;
}

void tell_compared(const ComparedPrompts& compared, std::vector<std::string>& notices) {
  if (compared.check.outcome != Comparability::lengths) return;
  notices.push_back("no test of labels: " + compared.check.reason);
}

// What draws single tokens.
void resample_tokens(const InferenceInput& input, const CategoryIndex& categories,
                     const InferenceOptions& options, InferenceResult& result) {
  result.popularity = popularity_null(input.tokens, input.signatures, categories,
                                      {.n_draws = options.n_null_draws,
                                       .seed = options.seed,
                                       .n_threads = options.n_threads,
                                       .stop = options.stop});
  result.noise_corrected = noise_corrected_similarity(input.tokens, input.signatures, categories);
  result.rarefied = rarefied_similarity(input.tokens, input.signatures, categories,
                                        {.n_draws = options.n_rarefactions,
                                         .n_tokens = options.n_rarefied_tokens,
                                         .seed = options.seed,
                                         .n_threads = options.n_threads,
                                         .stop = options.stop});
}

}  // namespace

InferenceResult inference(const InferenceInput& input, const InferenceOptions& options) {
  const Signatures& signatures = input.signatures;
  if (signatures.size() > max_prompts) {
    throw Error(ErrorKind::data, {"too many prompts for statistics of all pairs",
                                  {},
                                  "at most " + std::to_string(max_prompts),
                                  std::to_string(signatures.size())});
  }
  const CategoryIndex categories = index_categories(signatures);
  const Units units = make_units(signatures.ids, categories, input.groups);
  const Matrix blocks = unit_blocks(signatures);
  const Matrix similarity = pair_similarity(blocks);
  const PermutationOptions permutations{.n_permutations = options.n_permutations,
                                        .seed = options.seed,
                                        .n_threads = options.n_threads,
                                        .stop = options.stop};
  InferenceResult result;
  result.n_units = units.size();
  result.grouped = units.grouped;
  result.nested = units.nested();
  result.bootstrap = bootstrap(similarity, categories, units,
                               {.n_resamples = options.n_resamples,
                                .seed = options.seed,
                                .n_threads = options.n_threads,
                                .stop = options.stop});
  test_labels(input.compared, signatures.shape.n_layers, permutations, result);
  result.lengths = test_lengths(signatures.n_tokens, categories, units, permutations);
  result.has_tokens = input.tokens.n_prompts() > 0;
  result.uniform = expected_uniform_by_kind(signatures, categories, LoadBalance::distinct);
  result.near_duplicates = near_duplicates(similarity, input.texts);
  result.notices = category_notices(categories);
  if (result.has_tokens) {
    resample_tokens(input, categories, options, result);
  } else {
    result.notices.emplace_back(
        "the routing of single tokens is not known: no popularity null, no noise-corrected "
        "similarity, no rarefaction");
  }
  if (signatures.size() == 1) return result;
  tell_units(units, categories, result);
  tell_intervals(result.bootstrap, categories, result.notices);
  if (!result.permanova_is_location) {
    result.notices.emplace_back(
        "the compared prompts of categories differ in number and in spread (PERMDISP p < 0.05): "
        "PERMANOVA's p-value is no evidence of a difference in location");
  }
  tell_lengths(result.lengths, result.notices);
  tell_compared(input.compared, result.notices);
  if (result.has_tokens) {
    tell_tokens(result.noise_corrected, result.rarefied, result.notices);
  }
  if (result.near_duplicates.n_pairs > 0) {
    result.notices.push_back(fmt::format(
        "{} of prompts nearly the same (equal text, or similarity above 0.99): put copies "
        "into one group (--group-by)",
        counted(result.near_duplicates.n_pairs, "pair")));
  }
  return result;
}

}  // namespace moexray::stats
