#include "type_routing.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "moexray/core/error.h"

namespace moexray::stats {
namespace {

using RowArray = Eigen::Array<double, 1, Eigen::Dynamic>;

// Prompts without a used token say nothing: they get what the other training prompts have.
void fill_uncovered(TypeSignatures& result, Eigen::Index n_train) {
  RowArray observed = RowArray::Zero(result.observed.cols());
  double n_covered = 0;
  for (Eigen::Index i = 0; i < n_train; ++i) {
    if (result.coverage(i) == 0) continue;
    observed += result.observed.row(i).array();
    n_covered += 1;
  }
  if (n_covered > 0) observed /= n_covered;
  for (Eigen::Index i = 0; i < result.coverage.size(); ++i) {
    if (result.coverage(i) > 0) continue;
    result.observed.row(i) = observed;
    result.expected.row(i) = observed;
  }
}

}  // namespace

TypeRouting::TypeRouting(const RoutedTokens& tokens, int min_count)
    : min_count_(min_count), top_k_(tokens.shape.top_k), prompts_(tokens.n_prompts()) {
  if (!tokens.has_ids()) throw Error(ErrorKind::data, "tokens without ids have no type");
  std::map<TokenId, int> numbers;
  std::vector<int> totals;
  std::vector<int> types(tokens.tokens.size(), -1);
  for (std::size_t t = 0; t < tokens.tokens.size(); ++t) {
    if (!tokens.tokens[t].selected) continue;
    types[t] =
        numbers.try_emplace(tokens.tokens[t].id, static_cast<int>(numbers.size())).first->second;
    totals.resize(numbers.size());
    ++totals[static_cast<std::size_t>(types[t])];
  }
  n_types_ = static_cast<int>(numbers.size());
  int n_places = 0;
  for (std::size_t i = 0; i < prompts_.size(); ++i) {
    std::map<int, int> counts;
    for (std::size_t t = tokens.first[i]; t < tokens.first[i + 1]; ++t) {
      if (types[t] >= 0) ++counts[types[t]];
    }
    for (const auto& [type, count] : counts) {
      const bool may_be_used = totals[static_cast<std::size_t>(type)] - count >= min_count;
      const bool may_teach = totals[static_cast<std::size_t>(type)] > min_count;
      prompts_[i].push_back({type, count, may_be_used || may_teach ? n_places++ : -1});
    }
  }
  selections_ = Counts::Zero(
      n_places, static_cast<Eigen::Index>(tokens.shape.n_layers) * tokens.shape.n_experts);
  for (std::size_t i = 0; i < prompts_.size(); ++i) add_prompt(tokens, i, types);
}

void TypeRouting::add_prompt(const RoutedTokens& tokens, std::size_t prompt,
                             const std::vector<int>& types) {
  for (std::size_t t = tokens.first[prompt]; t < tokens.first[prompt + 1]; ++t) {
    if (types[t] < 0) continue;
    const auto entry = std::lower_bound(
        prompts_[prompt].begin(), prompts_[prompt].end(), types[t],
        [](const Occurrence& occurrence, int type) { return occurrence.type < type; });
    if (entry->place < 0) continue;
    for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
      for (const std::uint16_t expert : tokens.at(t, layer)) {
        selections_(entry->place, layer * tokens.shape.n_experts + expert) += 1;
      }
    }
  }
}

TypeSignatures TypeRouting::signatures(const SplitRows& rows) const {
  const Eigen::Index d = selections_.cols();
  const auto n_train = static_cast<Eigen::Index>(rows.train.size());
  const auto n = n_train + static_cast<Eigen::Index>(rows.test.size());
  // Sums over the training prompts; counts of so few tokens are exact in single precision.
  std::vector<int> n_of_type(static_cast<std::size_t>(n_types_));
  std::vector<int> place_of_type(static_cast<std::size_t>(n_types_), -1);
  int n_places = 0;
  for (const Eigen::Index row : rows.train) {
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)]) {
      const auto type = static_cast<std::size_t>(o.type);
      n_of_type[type] += o.count;
      if (o.place >= 0 && place_of_type[type] < 0) place_of_type[type] = n_places++;
    }
  }
  Counts sums = Counts::Zero(n_places, d);
  for (const Eigen::Index row : rows.train) {
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)]) {
      if (o.place >= 0) {
        sums.row(place_of_type[static_cast<std::size_t>(o.type)]) += selections_.row(o.place);
      }
    }
  }
  TypeSignatures result{Matrix::Zero(n, d), Matrix::Zero(n, d), Vector::Zero(n)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const bool trains = i < n_train;
    const Eigen::Index row = trains ? rows.train[static_cast<std::size_t>(i)]
                                    : rows.test[static_cast<std::size_t>(i - n_train)];
    double n_used = 0;
    double n_all = 0;
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)]) {
      n_all += o.count;
      const auto type = static_cast<std::size_t>(o.type);
      const int n_others = n_of_type[type] - (trains ? o.count : 0);
      if (n_others < min_count_ || o.place < 0) continue;
      n_used += o.count;
      const auto own = selections_.row(o.place).cast<double>();
      const double weight = static_cast<double>(o.count) / n_others;
      const auto others = sums.row(place_of_type[type]).cast<double>();
      result.observed.row(i) += own;
      result.expected.row(i) += weight * others;
      if (trains) result.expected.row(i) -= weight * own;
    }
    if (n_used > 0) {
      result.observed.row(i) /= top_k_ * n_used;
      result.expected.row(i) /= top_k_ * n_used;
      result.coverage(i) = n_used / n_all;
    }
  }
  fill_uncovered(result, n_train);
  return result;
}

Matrix TypeRouting::tf_idf(const SplitRows& rows) const {
  std::vector<int> frequency(static_cast<std::size_t>(n_types_));
  for (const Eigen::Index row : rows.train) {
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)]) {
      ++frequency[static_cast<std::size_t>(o.type)];
    }
  }
  std::vector<Eigen::Index> column(frequency.size(), -1);
  Eigen::Index n_columns = 0;
  for (std::size_t v = 0; v < frequency.size(); ++v) {
    if (frequency[v] > 0) column[v] = n_columns++;
  }
  const double n_train = static_cast<double>(rows.train.size());
  Matrix result =
      Matrix::Zero(static_cast<Eigen::Index>(rows.train.size() + rows.test.size()), n_columns);
  Eigen::Index i = 0;
  for (const auto* part : {&rows.train, &rows.test}) {
    for (const Eigen::Index row : *part) {
      for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)]) {
        const auto type = static_cast<std::size_t>(o.type);
        if (column[type] < 0) continue;
        result(i, column[type]) = o.count * (std::log((1 + n_train) / (1 + frequency[type])) + 1);
      }
      const double length = result.row(i).norm();
      if (length > 0) result.row(i) /= length;
      ++i;
    }
  }
  return result;
}

}  // namespace moexray::stats
