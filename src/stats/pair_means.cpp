#include "pair_means.h"

#include <Eigen/QR>
#include <algorithm>

#include "moexray/core/wording.h"

namespace moexray::stats {

PairMeans pair_means(const CategorySums& sums, const CategoryIndex& categories) {
  const Matrix& rows = sums.sums();
  const Eigen::Index n_categories = rows.rows();
  PairMeans means;
  means.categories = Matrix::Constant(n_categories, n_categories, undefined);
  double n_within = 0;
  double n_across = 0;
  for (Eigen::Index a = 0; a < n_categories; ++a) {
    const auto n_a = static_cast<double>(categories.n_prompts[static_cast<std::size_t>(a)]);
    const double within = (rows.row(a).squaredNorm() - sums.self()(a)) / 2;
    const double n_pairs = n_a * (n_a - 1) / 2;
    if (n_a > 1) means.categories(a, a) = within / n_pairs;
    means.within += within;
    n_within += n_pairs;
    for (Eigen::Index b = 0; b < a; ++b) {
      const auto n_b = static_cast<double>(categories.n_prompts[static_cast<std::size_t>(b)]);
      const double across = rows.row(a).dot(rows.row(b));
      means.categories(a, b) = means.categories(b, a) = across / (n_a * n_b);
      means.across += across;
      n_across += n_a * n_b;
    }
  }
  means.within = n_within > 0 ? means.within / n_within : 0;
  means.across = n_across > 0 ? means.across / n_across : 0;
  return means;
}

PairMeans pair_means(const Matrix& blocks, const CategoryIndex& categories) {
  CategorySums sums(categories.names.size(), blocks.cols());
  for (Eigen::Index i = 0; i < blocks.rows(); ++i) {
    sums.add(categories.of_prompt[static_cast<std::size_t>(i)], blocks.row(i));
  }
  return pair_means(sums, categories);
}

Matrix compact_rows(const Matrix& blocks) {
  const Eigen::Index n = blocks.rows();
  if (2 * n > blocks.cols()) return blocks;
  const Eigen::HouseholderQR<Eigen::MatrixXd> qr(blocks.transpose());
  const Eigen::MatrixXd r = qr.matrixQR().topRows(n).triangularView<Eigen::Upper>();
  return r.transpose();
}

std::int64_t n_within_pairs(const CategoryIndex& categories) {
  std::int64_t n = 0;
  for (const std::int64_t members : categories.n_prompts) n += members * (members - 1) / 2;
  return n;
}

std::int64_t n_all_pairs(Eigen::Index n) { return static_cast<std::int64_t>(n) * (n - 1) / 2; }

CategoryIndex subset_of(const CategoryIndex& categories, std::span<const std::size_t> rows) {
  CategoryIndex result{categories.names, {}, std::vector<std::int64_t>(categories.names.size())};
  for (const std::size_t row : rows) {
    const int category = categories.of_prompt[row];
    result.of_prompt.push_back(category);
    ++result.n_prompts[static_cast<std::size_t>(category)];
  }
  return result;
}

std::vector<std::string> empty_categories(const CategoryIndex& categories) {
  std::vector<std::string> names;
  for (std::size_t c = 0; c < categories.names.size(); ++c) {
    if (categories.n_prompts[c] == 0) names.push_back(categories.names[c]);
  }
  return names;
}

std::string nothing_to_compare(const CategoryIndex& categories) {
  if (categories.of_prompt.size() == 1) {
    return "only one prompt: what compares prompts or categories is undefined";
  }
  if (categories.names.size() > 1) return {};
  return "only one category (" + quoted_list(categories.names) +
         "): what compares categories is undefined";
}

std::string sizes_text(const CategoryIndex& categories, std::span<const std::int64_t> n_members,
                       std::int64_t low, std::int64_t high, std::string_view noun) {
  std::vector<std::string> names;
  std::int64_t least = high;
  std::int64_t most = low;
  for (std::size_t c = 0; c < categories.names.size(); ++c) {
    if (n_members[c] < low || n_members[c] > high) continue;
    names.push_back(categories.names[c]);
    least = std::min(least, n_members[c]);
    most = std::max(most, n_members[c]);
  }
  if (names.empty()) return {};
  std::string sizes = counted(most, noun);
  if (most == 1) sizes = "one " + std::string(noun);
  if (least < most) sizes = std::to_string(least) + " to " + sizes;
  if (names.size() == 1) return "category " + quoted_list(names) + " has " + sizes;
  return std::to_string(names.size()) + " categories have " + sizes + " (" + quoted_list(names) +
         ")";
}

std::vector<std::string> category_notices(const CategoryIndex& categories) {
  std::vector<std::string> notices;
  const std::string nothing = nothing_to_compare(categories);
  if (!nothing.empty()) notices.push_back(nothing);
  if (categories.of_prompt.size() == 1) return notices;
  const std::string singles = sizes_text(categories, categories.n_prompts, 1, 1, "prompt");
  if (!singles.empty()) notices.push_back(singles + ": no pairs within");
  return notices;
}

}  // namespace moexray::stats
