#include "moexray/stats/other_prompts.h"

#include "moexray/core/error.h"
#include "moexray/stats/similarity.h"

namespace moexray::stats {
namespace {

// The sum of the rows of each category.
std::map<std::string, RowSum> category_sums(const Matrix& rows,
                                            const std::vector<std::string>& categories) {
  std::map<std::string, RowSum> sums;
  for (std::size_t i = 0; i < categories.size(); ++i) {
    RowSum& sum = sums[categories[i]];
    if (sum.n == 0) sum.values = Vector::Zero(rows.cols());
    sum.values += rows.row(static_cast<Eigen::Index>(i)).transpose();
    ++sum.n;
  }
  return sums;
}

}  // namespace

OtherPrompts::OtherPrompts(const Signatures& signatures)
    : signatures_(signatures),
      of_category_(category_sums(signatures.values, signatures.categories)),
      of_all_{signatures.values.colwise().sum().transpose(), signatures.size()} {}

const RowSum* OtherPrompts::find(const std::string& category) const {
  if (category.empty()) return &of_all_;
  const auto found = of_category_.find(category);
  return found == of_category_.end() ? nullptr : &found->second;
}

std::size_t OtherPrompts::size(const std::string& category, std::optional<std::size_t> row) const {
  const RowSum* sum = find(category);
  return sum == nullptr ? 0 : sum->n - (row ? 1 : 0);
}

std::vector<std::vector<double>> OtherPrompts::mean_signature(
    const std::string& category, std::optional<std::size_t> row) const {
  const std::size_t n = size(category, row);
  if (n == 0) throw Error(ErrorKind::runtime, "a mean signature of no prompts");
  Vector mean = find(category)->values;
  if (row) mean -= signatures_.values.row(static_cast<Eigen::Index>(*row)).transpose();
  // What nobody else uses is 0 but for rounding, which may be negative.
  mean = mean.cwiseMax(0.0) / static_cast<double>(n);
  std::vector<std::vector<double>> layers;
  for (Eigen::Index layer = 0; layer < signatures_.shape.n_layers; ++layer) {
    const auto block =
        mean.segment(layer * signatures_.shape.n_experts, signatures_.shape.n_experts);
    layers.emplace_back(block.begin(), block.end());
  }
  return layers;
}

std::vector<double> similarity_to_others(const Signatures& signatures) {
  const Matrix blocks = unit_blocks(signatures);
  const std::map<std::string, RowSum> sums = category_sums(blocks, signatures.categories);
  std::vector<double> similarities(signatures.size(), undefined);
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const RowSum& sum = sums.at(signatures.categories[i]);
    if (sum.n < 2) continue;
    const auto row = blocks.row(static_cast<Eigen::Index>(i));
    // Σ over the others: a row's product with itself is its length, 1.
    const double others = row.dot(sum.values) - row.squaredNorm();
    similarities[i] = others / static_cast<double>(sum.n - 1);
  }
  return similarities;
}

}  // namespace moexray::stats
