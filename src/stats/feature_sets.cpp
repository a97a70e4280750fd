#include "feature_sets.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "moexray/core/random.h"

namespace moexray::stats {
namespace {

using Values = std::shared_ptr<const Matrix>;

// Rows of a matrix in the order of a split.
Matrix rows_in_order(const Matrix& values, const SplitRows& rows) {
  std::vector<Eigen::Index> order = rows.train;
  order.insert(order.end(), rows.test.begin(), rows.test.end());
  return values(order, Eigen::all);
}

RepetitionFeatures always(FeatureMaker maker) {
  return [maker = std::move(maker)](int) { return maker; };
}

FeatureSet plain_set(std::string name, std::string title, Values values, std::string if_missing) {
  FeatureSet set{std::move(name), std::move(title), {}, undefined, {}};
  if (values) {
    set.features = always(plain_features(std::move(values)));
  } else {
    set.left_out = std::move(if_missing);
  }
  return set;
}

// ln(1 + tokens) of the prompt and of the completion, whatever the selection.
Values lengths(const RoutedTokens& tokens) {
  auto values =
      std::make_shared<Matrix>(Matrix::Zero(static_cast<Eigen::Index>(tokens.n_prompts()), 2));
  for (std::size_t i = 0; i < tokens.n_prompts(); ++i) {
    for (const RoutedToken& token : tokens.of_prompt(i)) {
      (*values)(static_cast<Eigen::Index>(i), token.type == TokenType::prompt ? 0 : 1) += 1;
    }
  }
  values->array() = values->array().log1p();
  return values;
}

// As many tokens of every prompt as the shortest has, drawn without replacement.
Values rarefied(const RoutedTokens& tokens, const std::vector<std::string>& ids, std::uint64_t seed,
                int repetition) {
  std::vector<std::vector<std::size_t>> selected(tokens.n_prompts());
  std::size_t n_kept = tokens.tokens.size();
  for (std::size_t i = 0; i < selected.size(); ++i) {
    for (std::size_t t = tokens.first[i]; t < tokens.first[i + 1]; ++t) {
      if (tokens.tokens[t].selected) selected[i].push_back(t);
    }
    n_kept = std::min(n_kept, selected[i].size());
  }
  std::vector<bool> keep(tokens.tokens.size());
  for (std::size_t i = 0; i < selected.size(); ++i) {
    RandomStream random(seed, "rarefaction " + std::to_string(repetition) + " " + ids[i]);
    for (std::size_t j = 0; j < n_kept; ++j) {
      std::swap(selected[i][j], selected[i][j + random.below(selected[i].size() - j)]);
      keep[selected[i][j]] = true;
    }
  }
  return signatures_of(tokens, [&](std::size_t t) { return keep[t]; });
}

FeatureSet rarefied_set(const Signatures& signatures, const RoutedTokens& tokens,
                        std::uint64_t seed) {
  return {"signature_rarefied",
          "signature, equal numbers of tokens",
          [&signatures, &tokens, seed](int repetition) {
            return plain_features(rarefied(tokens, signatures.ids, seed, repetition));
          },
          undefined,
          {}};
}

FeatureSet without_template_set(const RoutedTokens& tokens) {
  const char* name = "without_template";
  const char* title = "signature without template tokens";
  const bool any = std::any_of(tokens.tokens.begin(), tokens.tokens.end(), [](const auto& token) {
    return token.selected && token.is_template;
  });
  if (!any) return plain_set(name, title, nullptr, "no selected token belongs to a template");
  return plain_set(name, title,
                   signatures_of(tokens,
                                 [&](std::size_t t) {
                                   return tokens.tokens[t].selected &&
                                          !tokens.tokens[t].is_template;
                                 }),
                   "a prompt has no other tokens");
}

FeatureSet part_set(const RoutedTokens& tokens, TokenType type) {
  const bool is_prompt = type == TokenType::prompt;
  const auto in_part = [&](std::size_t t) {
    return tokens.tokens[t].selected && tokens.tokens[t].type == type;
  };
  const bool is_all = std::all_of(tokens.tokens.begin(), tokens.tokens.end(),
                                  [&](const auto& t) { return !t.selected || t.type == type; });
  return plain_set(
      is_prompt ? "prompt_only" : "generated_only",
      is_prompt ? "signature of the prompt's tokens" : "signature of the generated tokens",
      is_all ? nullptr : signatures_of(tokens, in_part),
      is_all ? "no token is of another kind" : "a prompt has no such token");
}

void add_type_sets(const Signatures& signatures, const std::shared_ptr<const TypeRouting>& types,
                   const std::vector<int>& folds, std::vector<FeatureSet>& sets) {
  FeatureSet unigrams{"token_unigrams", "token unigrams (tf-idf)", {}, undefined, {}};
  FeatureSet both{"signature_and_unigrams", "signature and token unigrams", {}, undefined, {}};
  FeatureSet expected{"expected_from_types", "signature expected from token types", {}, 0, {}};
  FeatureSet residual{"signature_minus_expected", "signature minus expected", {}, 0, {}};
  if (!types) {
    for (FeatureSet* set : {&unigrams, &both, &expected, &residual}) {
      set->coverage = undefined;
      set->left_out = "the trace has no token ids";
    }
  } else {
    const auto values = std::make_shared<const Matrix>(signatures.values);
    unigrams.features = always(
        [types](const SplitRows& rows) { return FeatureBlocks{{types->tf_idf(rows), false}}; });
    both.features = always([types, values](const SplitRows& rows) {
      return FeatureBlocks{{rows_in_order(*values, rows), true}, {types->tf_idf(rows), false}};
    });
    expected.features = always([types](const SplitRows& rows) {
      return FeatureBlocks{{types->signatures(rows).expected, true}};
    });
    residual.features = always([types](const SplitRows& rows) {
      const TypeSignatures s = types->signatures(rows);
      return FeatureBlocks{{s.observed - s.expected, true}};
    });
    const int n_folds = *std::max_element(folds.begin(), folds.end()) + 1;
    for (int fold = 0; fold < n_folds; ++fold) {
      const SplitRows rows = split_rows(folds, FoldSet{1} << fold);
      expected.coverage +=
          types->signatures(rows).coverage.tail(static_cast<Eigen::Index>(rows.test.size())).sum() /
          static_cast<double>(folds.size());
    }
    residual.coverage = expected.coverage;
  }
  for (FeatureSet* set : {&unigrams, &both, &expected, &residual}) sets.push_back(std::move(*set));
}

}  // namespace

PipelineOptions confounds_pipeline() { return {.grid = shared_grid, .unit_size = true}; }

FeatureMaker plain_features(std::shared_ptr<const Matrix> values) {
  return [values = std::move(values)](const SplitRows& rows) {
    return FeatureBlocks{{rows_in_order(*values, rows), true}};
  };
}

FeatureMaker signature_features(const Signatures& signatures) {
  return plain_features(std::shared_ptr<const Matrix>(std::shared_ptr<void>(), &signatures.values));
}

std::vector<FeatureSet> feature_sets(const Signatures& signatures, const RoutedTokens& tokens,
                                     const std::shared_ptr<const TypeRouting>& types,
                                     const std::vector<int>& folds,
                                     const ConfoundsOptions& options) {
  const int n_experts = signatures.shape.n_experts;
  std::vector<FeatureSet> sets;
  sets.push_back(
      plain_set("signature", "signature", std::make_shared<const Matrix>(signatures.values), {}));
  sets.push_back(rarefied_set(signatures, tokens, options.seed));
  sets.push_back(plain_set("lengths", "prompt and generated length", lengths(tokens), {}));
  sets.push_back(
      plain_set("layer_0", "signature of layer 0",
                signatures.shape.n_layers > 1
                    ? std::make_shared<const Matrix>(signatures.values.leftCols(n_experts))
                    : nullptr,
                "there is no other layer"));
  sets.push_back(without_template_set(tokens));
  sets.push_back(part_set(tokens, TokenType::prompt));
  sets.push_back(part_set(tokens, TokenType::generation));
  if (options.shuffled.size() > 0) {
    sets.push_back(plain_set("shuffled_prompt", "signature of the prompt's tokens, shuffled",
                             std::make_shared<const Matrix>(options.shuffled), {}));
  }
  add_type_sets(signatures, types, folds, sets);
  return sets;
}

}  // namespace moexray::stats
