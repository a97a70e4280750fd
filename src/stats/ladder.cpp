#include "ladder.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <mutex>
#include <utility>

#include "parallel.h"
#include "permuted_accuracy.h"

namespace moexray::stats {
namespace {

// Splits name rows of the compared prompts, TypeRouting those of all prompts.
SplitRows all_rows(const SplitRows& split, const std::vector<std::size_t>& rows) {
  SplitRows result = split;
  for (auto* part : {&result.train, &result.test}) {
    for (Eigen::Index& row : *part) {
      row = static_cast<Eigen::Index>(rows[static_cast<std::size_t>(row)]);
    }
  }
  return result;
}

// y − γ x, layer by layer; see ladder.h.
Matrix without_context(Matrix y, const Matrix& x, Eigen::Index n_train, int n_layers) {
  const Eigen::Index width = y.cols() / n_layers;
  for (int layer = 0; layer < n_layers; ++layer) {
    auto own_y = y.middleCols(layer * width, width);
    const auto own_x = x.middleCols(layer * width, width);
    Vector products = own_x.topRows(n_train).cwiseProduct(own_y.topRows(n_train)).rowwise().sum();
    Vector squares = own_x.topRows(n_train).rowwise().squaredNorm();
    const double all_products = products.sum();
    const double all_squares = squares.sum();
    constexpr double noise = 1e-20;
    for (Eigen::Index i = 0; i < y.rows(); ++i) {
      const double product = all_products - (i < n_train ? products(i) : 0);
      const double square = all_squares - (i < n_train ? squares(i) : 0);
      if (square > noise) own_y.row(i) -= product / square * own_x.row(i);
    }
  }
  return y;
}

Matrix residual(const TypeSignatures& s) { return s.observed - s.expected; }

// Only what is compared teaches. Routing is no sum of what types and places do: with the tokens
// that follow, types would have means that are not theirs at the first places, and categories
// differ in their types.
TokenRoles compared_roles(const RoutedTokens& tokens, const CommonPositions& positions,
                          bool by_place) {
  TokenRoles roles = position_roles(tokens, positions, by_place);
  for (std::size_t t = 0; t < roles.cell.size(); ++t) {
    if (!roles.compared[t]) roles.cell[t] = -1;
  }
  roles.compared.clear();
  return roles;
}

// What types, or types and places, leave of the signatures: fitted once for every split, which
// several rungs and the coverage ask for.
class Residuals {
 public:
  Residuals(const RoutedTokens& tokens, const ComparedPrompts& compared, bool by_place,
            int min_type_count)
      : routing_(tokens, compared_roles(tokens, compared.positions, by_place), min_type_count),
        rows_(compared.positions.rows) {}

  /// [n_train + n_test, L·E]
  const Matrix& of(const SplitRows& split) { return fit(split).values; }

  /// What contexts() leaves of the mean routing of the tokens before.
  Matrix of_context(const SplitRows& split, Context context) const {
    return residual(routing_.contexts(all_rows(split, rows_), context));
  }

  /// The mean share of a held-out prompt's tokens that was used.
  double coverage(const std::vector<int>& folds) {
    double sum = 0;
    const int n_folds = *std::max_element(folds.begin(), folds.end()) + 1;
    for (int fold = 0; fold < n_folds; ++fold) {
      sum += fit(split_rows(folds, FoldSet{1} << fold)).test_coverage;
    }
    return sum / static_cast<double>(folds.size());
  }

 private:
  struct Fit {
    std::once_flag once;
    Matrix values;
    double test_coverage = 0;  // sum over the held-out prompts
  };

  const Fit& fit(const SplitRows& split) {
    Fit* found = nullptr;
    {
      const std::lock_guard lock(mutex_);
      found = &fits_[{split.train, split.test}];
    }
    std::call_once(found->once, [&] {
      const TypeSignatures s = routing_.signatures(all_rows(split, rows_));
      found->values = residual(s);
      found->test_coverage = s.coverage.tail(std::ssize(split.test)).sum();
    });
    return *found;
  }

  TypeRouting routing_;
  std::vector<std::size_t> rows_;  // the compared prompts among all
  std::mutex mutex_;
  std::map<std::pair<std::vector<Eigen::Index>, std::vector<Eigen::Index>>, Fit> fits_;
};

FeatureSet rung(std::string name, std::string title) {
  return {std::move(name), std::move(title), {}, undefined, {}};
}

// What is held fixed by each rung.
const std::vector<std::vector<std::string>> held_fixed = {
    {},
    {"token types"},
    {"token types", "positions", "part"},
    {"token types", "positions", "part", "previous token"},
    {"token types", "positions", "part", "mean of earlier token types"}};

// The test of the decisive rung: its accuracy under the folds of the seed and under relabellings.
void test_rung(const FeatureSet& set, const ComparedPrompts& compared,
               const std::vector<int>& folds, const ConfoundsOptions& options,
               ConfoundsVerdict& verdict) {
  const PermutedAccuracy found =
      permuted_accuracy(set.features(0), confounds_pipeline(),
                        asked_permutations(compared, folds, options, "confounds permutation"));
  verdict.accuracy = found.accuracy;
  verdict.n_permutations = options.n_permutations;
  verdict.p_value = found.p_value;
  verdict.chance = found.chance;
  const auto rank =
      static_cast<std::size_t>(std::ceil(0.95 * static_cast<double>(found.null.size())));
  constexpr double z80 = 0.8416212335729143;
  verdict.smallest_detectable =
      found.null[std::min(rank, found.null.size() - 1)] - found.chance + z80 * found.null_std;
}

void decide(const FeatureSet& set, const ComparedPrompts& compared, const std::vector<int>& folds,
            const ConfoundsOptions& options, ConfoundsVerdict& verdict) {
  if (!set.left_out.empty()) {
    verdict.reason = set.left_out;
    return;
  }
  if (options.n_permutations == 0) {
    verdict.reason = "no permutations were asked for";
    return;
  }
  test_rung(set, compared, folds, options, verdict);
  if (set.coverage < options.min_coverage) {
    verdict.reason = "too few tokens are of a type that other prompts have";
    return;
  }
  constexpr double level = 0.05;
  if (verdict.p_value <= level) {
    verdict.outcome = Outcome::adds;
  } else if (verdict.chance + verdict.smallest_detectable > 1 ||
             1.0 / static_cast<double>(verdict.n_permutations + 1) > level) {
    verdict.reason = verdict.chance + verdict.smallest_detectable > 1
                         ? "too few prompts: even faultless prediction would not stand out"
                         : "too few permutations";
  } else {
    verdict.outcome = Outcome::no_evidence;
  }
}

}  // namespace

Ladder ladder(const RoutedTokens& tokens, const ComparedPrompts& compared,
              const ConfoundsOptions& options) {
  Ladder result;
  if (compared.comparable()) result.positions = compared.text();
  const std::vector<int> folds =
      compared_folds(compared, options.n_folds, options.seed, result.verdict.reason);
  if (folds.empty()) return result;
  const std::vector<FeatureSet> sets = ladder_sets(tokens, compared, options.min_type_count, folds);
  for (std::size_t i = 0; i < sets.size(); ++i) {
    result.rungs.push_back({.name = sets[i].name,
                            .title = sets[i].title,
                            .held_fixed = held_fixed[i],
                            .coverage = sets[i].coverage,
                            .is_decisive = i == decisive_rung,
                            .left_out = sets[i].left_out});
  }
  decide(sets[decisive_rung], compared, folds, options, result.verdict);
  const std::vector<int>& labels = compared.categories.of_prompt;
  const PipelineOptions pipeline = confounds_pipeline();  // the models refer to it
  parallel_for(static_cast<int>(sets.size()), options.n_threads, [&](int i) {
    const auto index = static_cast<std::size_t>(i);
    if (!sets[index].left_out.empty()) return;
    throw_if_stopped(options.work.stop);
    double& accuracy = result.rungs[index].accuracy;
    if (index == decisive_rung && !std::isnan(result.verdict.accuracy)) {
      accuracy = result.verdict.accuracy;  // the same models
    } else {
      const FeatureMaker maker = sets[index].features(0);
      FoldModels models(maker, labels, static_cast<int>(compared.categories.names.size()), folds,
                        options.n_folds, pipeline);
      accuracy = share_correct(held_out_classes(models, labels.size(), options.n_folds), labels);
    }
    if (options.work.on_steps) options.work.on_steps(1);
  });
  return result;
}

std::int64_t ladder_steps(const ConfoundsOptions& options) {
  return static_cast<std::int64_t>(held_fixed.size()) + options.n_permutations;
}

const char* name_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::adds:
      return "adds";
    case Outcome::no_evidence:
      return "no evidence";
    case Outcome::cannot_tell:
      break;
  }
  return "cannot tell";
}

std::vector<FeatureSet> ladder_sets(const RoutedTokens& tokens, const ComparedPrompts& compared,
                                    int min_type_count, const std::vector<int>& folds) {
  std::vector<FeatureSet> sets;
  sets.push_back(rung("signature", "nothing"));
  sets.push_back(rung("types", "token types"));
  sets.push_back(rung("types_and_positions", "token types, positions and part"));
  sets.push_back(rung("previous_token", "these, and the previous token's type"));
  sets.push_back(rung("earlier_tokens", "these, and the mean of earlier types"));
  const auto always = [](FeatureMaker maker) {
    return [maker = std::move(maker)](int) { return maker; };
  };
  sets[0].features =
      always(plain_features(std::make_shared<const Matrix>(compared.signatures.values)));
  if (!tokens.has_ids()) {
    for (std::size_t i = 1; i < sets.size(); ++i) sets[i].left_out = "the trace has no token ids";
    return sets;
  }
  const int n_layers = tokens.shape.n_layers;
  for (const bool by_place : {false, true}) {
    const auto residuals = std::make_shared<Residuals>(tokens, compared, by_place, min_type_count);
    FeatureSet& own = sets[by_place ? decisive_rung : 1];
    own.coverage = residuals->coverage(folds);
    own.features = always([residuals](const SplitRows& split) {
      return FeatureBlocks{{residuals->of(split), true}};
    });
    if (!by_place) continue;
    for (const Context context : {Context::previous_token, Context::earlier_tokens}) {
      FeatureSet& further = sets[context == Context::previous_token ? 3 : 4];
      further.coverage = own.coverage;
      further.features = always([residuals, context, n_layers](const SplitRows& split) {
        return FeatureBlocks{
            {without_context(residuals->of(split), residuals->of_context(split, context),
                             std::ssize(split.train), n_layers),
             true}};
      });
    }
  }
  return sets;
}

}  // namespace moexray::stats
