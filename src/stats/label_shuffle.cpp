#include "label_shuffle.h"

#include <algorithm>
#include <numeric>
#include <vector>

#include "batched_integers.h"
#include "pair_means.h"
#include "parallel.h"

namespace moexray::stats {
namespace {

// Columns that are summed together: their running sums stay in registers, and the panel of 10,000
// prompts in the second-level cache.
constexpr Eigen::Index panel_width = 16;
using Panel = Eigen::Matrix<double, Eigen::Dynamic, panel_width, Eigen::RowMajor>;
using PanelSum = Eigen::Array<double, 1, panel_width>;
using RowIndex = std::uint32_t;

std::vector<Panel> panels_of(const Matrix& rows) {
  std::vector<Panel> panels;
  for (Eigen::Index first = 0; first < rows.cols(); first += panel_width) {
    const Eigen::Index width = std::min(panel_width, rows.cols() - first);
    Panel panel = Panel::Zero(rows.rows(), panel_width);
    panel.leftCols(width) = rows.middleCols(first, width);
    panels.push_back(std::move(panel));
  }
  return panels;
}

// Prompts dealt out to categories: the first `sizes[0]` of a list, the next `sizes[1]`, … The last
// category, the largest, gets the rest, which is never touched.
struct Deal {
  std::vector<std::size_t> sizes;   // all but the last category
  std::vector<RowIndex> observed;   // the prompts of these categories as they are
  std::vector<RowIndex> all_by_id;  // every prompt, in an order that only the ids decide
  std::size_t n_dealt() const { return observed.size(); }
};

Deal deal_of(const CategoryIndex& categories, std::span<const std::string> ids) {
  std::vector<std::size_t> order(categories.names.size());
  std::iota(order.begin(), order.end(), 0);
  const auto largest = std::max_element(categories.n_prompts.begin(), categories.n_prompts.end()) -
                       categories.n_prompts.begin();
  std::swap(order[static_cast<std::size_t>(largest)], order.back());
  order.pop_back();
  Deal deal;
  for (const std::size_t category : order) {
    deal.sizes.push_back(static_cast<std::size_t>(categories.n_prompts[category]));
    for (std::size_t i = 0; i < ids.size(); ++i) {
      if (categories.of_prompt[i] == static_cast<int>(category)) {
        deal.observed.push_back(static_cast<RowIndex>(i));
      }
    }
  }
  deal.all_by_id.resize(ids.size());
  std::iota(deal.all_by_id.begin(), deal.all_by_id.end(), RowIndex{0});
  std::sort(deal.all_by_id.begin(), deal.all_by_id.end(),
            [&](RowIndex a, RowIndex b) { return ids[a] < ids[b]; });
  return deal;
}

// This panel's part of Σ_c ‖Σ_{i∈c} x_i‖².
double squared_sums(const Panel& panel, const PanelSum& total, const Deal& deal,
                    const RowIndex* rows) {
  double result = 0;
  PanelSum rest = total;
  for (const std::size_t size : deal.sizes) {
    PanelSum sum = PanelSum::Zero();
    for (std::size_t j = 0; j < size; ++j) sum += panel.row(*rows++).array();
    result += sum.square().sum();
    rest -= sum;
  }
  return result + rest.square().sum();
}

class Shuffler {
 public:
  Shuffler(const Matrix& blocks, Deal deal, const BaselineOptions& options)
      : deal_(std::move(deal)),
        panels_(panels_of(compact_rows(blocks))),
        shuffle_(deal_.all_by_id.size(), deal_.n_dealt()),
        options_(options) {
    for (const Panel& panel : panels_) totals_.push_back(panel.colwise().sum().array());
    observed_ = squared_sums_of(deal_.observed, 1)[0];
  }

  // How many of the shuffles [first, last) have a gap that is not below the observed one.
  std::int64_t count(int first, int last) const {
    throw_if_stopped(options_.stop);
    std::vector<RowIndex> rows;
    std::vector<RowIndex> items;
    for (int draw = first; draw < last; ++draw) {
      RandomStream random(options_.seed, "label shuffle " + std::to_string(draw));
      items = deal_.all_by_id;
      shuffle_(random, items.data());
      rows.insert(rows.end(), items.begin(),
                  items.begin() + static_cast<std::ptrdiff_t>(deal_.n_dealt()));
    }
    const auto n = static_cast<std::size_t>(last - first);
    const std::vector<double> sums = squared_sums_of(rows, n);
    // Shuffles that give the observed partition again differ from it by rounding alone.
    const double threshold = observed_ * (1 - 1e-12);
    return std::count_if(sums.begin(), sums.end(), [&](double sum) { return sum >= threshold; });
  }

 private:
  // @param rows [n · n_dealt]
  std::vector<double> squared_sums_of(const std::vector<RowIndex>& rows, std::size_t n) const {
    std::vector<double> sums(n, 0.0);
    for (std::size_t p = 0; p < panels_.size(); ++p) {
      for (std::size_t i = 0; i < n; ++i) {
        sums[i] += squared_sums(panels_[p], totals_[p], deal_, rows.data() + i * deal_.n_dealt());
      }
      throw_if_stopped(options_.stop);
    }
    return sums;
  }

  Deal deal_;
  std::vector<Panel> panels_;
  std::vector<PanelSum> totals_;
  PartialShuffle shuffle_;
  const BaselineOptions& options_;
  double observed_ = 0;
};

}  // namespace

LabelShuffle shuffle_labels(const Matrix& blocks, const CategoryIndex& categories,
                            std::span<const std::string> ids, const BaselineOptions& options) {
  LabelShuffle result;
  result.n_draws = options.n_shuffles;
  const std::int64_t n_within = n_within_pairs(categories);
  if (n_within == 0 || n_within == n_all_pairs(blocks.rows())) return result;
  const PairMeans means = pair_means(blocks, categories);
  result.gap = means.within - means.across;
  const Shuffler shuffler(blocks, deal_of(categories, ids), options);
  constexpr int batch = 64;
  const int n_batches = (options.n_shuffles + batch - 1) / batch;
  std::vector<std::int64_t> counts(static_cast<std::size_t>(n_batches));
  parallel_for(n_batches, options.n_threads, [&](int i) {
    counts[static_cast<std::size_t>(i)] =
        shuffler.count(i * batch, std::min((i + 1) * batch, options.n_shuffles));
  });
  const auto n_reached = std::accumulate(counts.begin(), counts.end(), std::int64_t{0});
  result.p_value = static_cast<double>(n_reached + 1) / (options.n_shuffles + 1.0);
  return result;
}

}  // namespace moexray::stats
