#include "ladder.h"

#include <algorithm>
#include <utility>

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

double coverage_of(const TypeRouting& routing, const std::vector<int>& folds,
                   const std::vector<std::size_t>& rows) {
  double sum = 0;
  const int n_folds = *std::max_element(folds.begin(), folds.end()) + 1;
  for (int fold = 0; fold < n_folds; ++fold) {
    const SplitRows split = split_rows(folds, FoldSet{1} << fold);
    sum += routing.signatures(all_rows(split, rows))
               .coverage.tail(static_cast<Eigen::Index>(split.test.size()))
               .sum();
  }
  return sum / static_cast<double>(folds.size());
}

FeatureSet rung(std::string name, std::string title) {
  return {std::move(name), std::move(title), {}, undefined, {}};
}

}  // namespace

std::vector<FeatureSet> ladder_sets(const RoutedTokens& tokens, const ComparedPrompts& compared,
                                    int min_type_count, const std::vector<int>& folds) {
  std::vector<FeatureSet> sets;
  sets.push_back(rung("signature", "nothing"));
  sets.push_back(rung("types", "token types"));
  sets.push_back(rung(decisive_rung, "token types, positions and part"));
  sets.push_back(rung("previous_token", "… and the previous token's type"));
  sets.push_back(rung("earlier_tokens", "… and the earlier tokens' types"));
  const auto always = [](FeatureMaker maker) {
    return [maker = std::move(maker)](int) { return maker; };
  };
  sets[0].features = always(
      plain_features(std::make_shared<const Matrix>(compared.signatures.values)));
  if (!tokens.has_ids()) {
    for (std::size_t i = 1; i < sets.size(); ++i) sets[i].left_out = "the trace has no token ids";
    return sets;
  }
  const auto rows = std::make_shared<const std::vector<std::size_t>>(compared.positions.rows);
  const int n_layers = tokens.shape.n_layers;
  for (const bool by_place : {false, true}) {
    const auto routing = std::make_shared<const TypeRouting>(
        tokens, position_roles(tokens, compared.positions, by_place), min_type_count);
    FeatureSet& own = sets[by_place ? 2 : 1];
    own.coverage = coverage_of(*routing, folds, *rows);
    own.features = always([routing, rows](const SplitRows& split) {
      return FeatureBlocks{{residual(routing->signatures(all_rows(split, *rows))), true}};
    });
    if (!by_place) continue;
    for (const Context context : {Context::previous_token, Context::earlier_tokens}) {
      FeatureSet& further = sets[context == Context::previous_token ? 3 : 4];
      further.coverage = own.coverage;
      further.features = always([routing, rows, context, n_layers](const SplitRows& split) {
        const SplitRows all = all_rows(split, *rows);
        return FeatureBlocks{{without_context(residual(routing->signatures(all)),
                                              residual(routing->contexts(all, context)),
                                              static_cast<Eigen::Index>(all.train.size()),
                                              n_layers),
                              true}};
      });
    }
  }
  return sets;
}

}  // namespace moexray::stats
