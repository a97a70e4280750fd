#include "moexray/stats/cka.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "moexray/stats/similarity.h"
#include "parallel.h"
#include "relabelling.h"

namespace moexray::stats {
namespace {

// The Gram matrices of the layers of a routing, U-centred: K_ij − r_i/(n − 2) − r_j/(n − 2) + s/((n
// − 1)(n − 2)), r the sums of rows without the diagonal and s their sum; 0 on the diagonal. Inner
// products of two such matrices are HSIC times n(n − 3).
class CentredLayers {
  auto of_layer(int layer) const {
    const Eigen::Index width = blocks_.cols() / n_layers_;
    return blocks_.middleCols(layer * width, width);
  }

 public:
  // Columns of `blocks` by layer.
  CentredLayers(const Matrix& blocks, int n_layers) : blocks_(blocks), n_layers_(n_layers) {
    const Eigen::Index n = blocks.rows();
    row_sums_.resize(n, n_layers);
    for (int layer = 0; layer < n_layers; ++layer) {
      const auto x = of_layer(layer);
      row_sums_.col(layer) = x * x.colwise().sum().transpose() - x.rowwise().squaredNorm();
    }
  }

  int n_layers() const { return n_layers_; }
  Eigen::Index n() const { return blocks_.rows(); }

  // Rows first, first + 1, … below the diagonal, behind each other: [layers, pairs].
  Matrix pairs(Eigen::Index first, Eigen::Index n_rows) const {
    const auto size = static_cast<double>(n());
    Matrix result(n_layers_, n_pairs(first, n_rows));
    for (int layer = 0; layer < n_layers_; ++layer) {
      const auto x = of_layer(layer);
      const Matrix gram = x.middleRows(first, n_rows) * x.topRows(first + n_rows).transpose();
      const auto sums = row_sums_.col(layer) / (size - 2);
      const double all = row_sums_.col(layer).sum() / ((size - 1) * (size - 2));
      Eigen::Index at = 0;
      for (Eigen::Index i = first; i < first + n_rows; ++i) {
        for (Eigen::Index j = 0; j < i; ++j) {
          result(layer, at++) = gram(i - first, j) - sums(i) - sums(j) + all;
        }
      }
    }
    return result;
  }

  static Eigen::Index n_pairs(Eigen::Index first, Eigen::Index n_rows) {
    const Eigen::Index end = first + n_rows;
    return end * (end - 1) / 2 - first * (first - 1) / 2;
  }

 private:
  const Matrix& blocks_;
  int n_layers_;
  Matrix row_sums_;  // [n, L]
};

// CKA by layers from the inner products of centred matrices.
Matrix normalised(const Matrix& products, const Vector& of_first, const Vector& of_second) {
  Matrix result = Matrix::Constant(products.rows(), products.cols(), undefined);
  // Below it the squares of rounding errors alone are left.
  constexpr double least = 1e-20;
  for (Eigen::Index a = 0; a < products.rows(); ++a) {
    for (Eigen::Index b = 0; b < products.cols(); ++b) {
      if (!(of_first(a) > least) || !(of_second(b) > least)) continue;
      result(a, b) = products(a, b) / std::sqrt(of_first(a) * of_second(b));
    }
  }
  return result;
}

Matrix cka_by_layer(const Matrix& first, int first_layers, const Matrix& second, int second_layers,
                    const CkaOptions& options) {
  const Eigen::Index n = first.rows();
  if (n < 4) return Matrix::Constant(first_layers, second_layers, undefined);
  const CentredLayers a(first, first_layers);
  const CentredLayers b(second, second_layers);
  constexpr Eigen::Index at_once = 64;
  const auto n_blocks = static_cast<int>((n + at_once - 1) / at_once);
  struct Sums {
    Matrix products;
    Vector first;
    Vector second;
  };
  std::vector<Sums> of_block(static_cast<std::size_t>(n_blocks));
  parallel_for(n_blocks, options.n_threads, [&](int block) {
    throw_if_stopped(options.work.stop);
    const Eigen::Index begin = block * at_once;
    const Eigen::Index n_rows = std::min(at_once, n - begin);
    const Matrix own = a.pairs(begin, n_rows);
    const Matrix other = b.pairs(begin, n_rows);
    of_block[static_cast<std::size_t>(block)] = {
        own * other.transpose(), own.rowwise().squaredNorm(), other.rowwise().squaredNorm()};
  });
  Sums sums = std::move(of_block.front());
  for (std::size_t i = 1; i < of_block.size(); ++i) {
    sums.products += of_block[i].products;
    sums.first += of_block[i].first;
    sums.second += of_block[i].second;
  }
  return normalised(sums.products, sums.first, sums.second);
}

using PairsMatrix = Eigen::Matrix<float, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

// All layers' centred pairs, each layer's of length 1; undefined ones are 0.
PairsMatrix unit_pairs_of(const Matrix& blocks, int n_layers) {
  Matrix pairs = CentredLayers(blocks, n_layers).pairs(0, blocks.rows());
  for (Eigen::Index layer = 0; layer < pairs.rows(); ++layer) {
    const double norm = pairs.row(layer).norm();
    pairs.row(layer) *= norm > 1e-10 ? 1 / norm : 0;
  }
  return pairs.cast<float>();
}

// The same pairs of the prompts after a permutation.
PairsMatrix permuted_pairs(const PairsMatrix& pairs, const std::vector<std::size_t>& rows) {
  std::vector<Eigen::Index> from;
  from.reserve(static_cast<std::size_t>(pairs.cols()));
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      const auto low = static_cast<Eigen::Index>(std::min(rows[i], rows[j]));
      const auto high = static_cast<Eigen::Index>(std::max(rows[i], rows[j]));
      from.push_back(high * (high - 1) / 2 + low);
    }
  }
  return pairs(Eigen::all, from);
}

// Layers of both routings whose inner products are CKA: one pair, or two of which the mean counts.
using PairedLayers = std::vector<std::pair<PairsMatrix, PairsMatrix>>;

// max-T over pairs of layers; the first of `drawn` is observed.
Matrix adjusted_p_values(const std::vector<Matrix>& drawn) {
  const auto n = static_cast<double>(drawn.size());
  Matrix mean = Matrix::Zero(drawn[0].rows(), drawn[0].cols());
  Matrix squares = mean;
  for (const Matrix& one : drawn) mean += one / n;
  for (const Matrix& one : drawn) squares += (one - mean).cwiseAbs2() / (n - 1);
  const Matrix deviation = squares.cwiseSqrt();
  const auto standardised = [&](const Matrix& one) -> Matrix {
    return (deviation.array() > 1e-9)
        .select((one - mean).cwiseQuotient(deviation),
                Matrix::Constant(mean.rows(), mean.cols(), -INFINITY));
  };
  std::vector<double> largest;
  for (std::size_t r = 1; r < drawn.size(); ++r)
    largest.push_back(standardised(drawn[r]).maxCoeff());
  const Matrix observed = standardised(drawn[0]);
  Matrix p = Matrix::Constant(mean.rows(), mean.cols(), undefined);
  for (Eigen::Index a = 0; a < p.rows(); ++a) {
    for (Eigen::Index b = 0; b < p.cols(); ++b) {
      if (std::isinf(observed(a, b))) continue;
      const auto n_reached = std::count_if(largest.begin(), largest.end(), [&](double value) {
        return reaches(value, observed(a, b));
      });
      p(a, b) = permutation_p_value(n_reached, static_cast<int>(largest.size()));
    }
  }
  return p;
}

// The rows that are tested where there are many: whole units in an order of the seed.
std::vector<std::size_t> tested_rows(const PairedPrompts& prompts, const CkaOptions& options) {
  std::vector<std::pair<std::uint64_t, std::size_t>> order;
  for (std::size_t u = 0; u < prompts.units.size(); ++u) {
    order.emplace_back(RandomStream(options.seed, "tested " + prompts.units.names[u])(), u);
  }
  std::sort(order.begin(), order.end());
  std::vector<std::size_t> rows;
  for (const auto& [key, unit] : order) {
    const std::vector<std::size_t>& members = prompts.units.members[unit];
    if (rows.size() + members.size() > options.max_tested) break;
    rows.insert(rows.end(), members.begin(), members.end());
  }
  std::sort(rows.begin(), rows.end());
  return rows;
}

// `block`: of halves; 0: none.
void add_layer_test(const PairedPrompts& prompts, const RowPermutations& permutations, int block,
                    const CkaOptions& options, CkaResult& result) {
  const int first_layers = prompts.first.shape.n_layers;
  const int second_layers = prompts.second.shape.n_layers;
  PairedLayers layers;
  if (block > 0) {
    const TokenHalves first = token_halves(prompts.first_tokens, block);
    const TokenHalves second = token_halves(prompts.second_tokens, block);
    result.tests_halves = first.first.rows() > 0 && second.first.rows() > 0;
    if (result.tests_halves) {
      layers.emplace_back(unit_pairs_of(first.first, first_layers),
                          unit_pairs_of(second.second, second_layers));
      layers.emplace_back(unit_pairs_of(first.second, first_layers),
                          unit_pairs_of(second.first, second_layers));
    }
  }
  if (layers.empty()) {
    layers.emplace_back(unit_pairs_of(unit_blocks(prompts.first), first_layers),
                        unit_pairs_of(unit_blocks(prompts.second), second_layers));
  }
  const double operations = static_cast<double>(layers[0].first.cols()) * first_layers *
                            second_layers * static_cast<double>(layers.size());
  result.n_draws = affordable_draws(options.n_permutations, 4e10, operations, 199);
  std::vector<Matrix> drawn(static_cast<std::size_t>(result.n_draws) + 1);
  parallel_for(result.n_draws + 1, options.n_threads, [&](int draw) {
    throw_if_stopped(options.work.stop);
    Matrix sum = Matrix::Zero(first_layers, second_layers);
    RandomStream random(options.seed, "cka " + std::to_string(draw));
    const std::vector<std::size_t> rows = permutations.draw(random);
    for (const auto& [a, b] : layers) {
      // The first is observed.
      const PairsMatrix products = draw == 0 ? PairsMatrix(a * b.transpose())
                                             : PairsMatrix(a * permuted_pairs(b, rows).transpose());
      sum += products.cast<double>() / static_cast<double>(layers.size());
    }
    drawn[static_cast<std::size_t>(draw)] = std::move(sum);
  });
  result.p_adjusted = adjusted_p_values(drawn);
}

}  // namespace

CkaResult cka(const PairedPrompts& pair, const TestedPair& tested, int block,
              const CkaOptions& options) {
  CkaResult result;
  const int first_layers = pair.first.shape.n_layers;
  const int second_layers = pair.second.shape.n_layers;
  const auto of = [&](const Matrix& a, const Matrix& b) {
    return cka_by_layer(a, first_layers, b, second_layers, options);
  };
  result.value = of(unit_blocks(pair.first), unit_blocks(pair.second));
  result.p_adjusted = Matrix::Constant(first_layers, second_layers, undefined);
  if (block > 0) {
    const PairedPrompts kept = rows_of(pair, rows_with_halves(pair, block));
    const TokenHalves first = token_halves(kept.first_tokens, block);
    const TokenHalves second = token_halves(kept.second_tokens, block);
    if (first.first.rows() > 0 && second.first.rows() > 0) {
      result.cross_half = (of(first.first, second.second) + of(first.second, second.first)) / 2;
    }
  }
  result.not_tested = tested.reason;
  if (!result.not_tested.empty()) return result;
  PairedPrompts prompts = tested.prompts;
  if (prompts.size() > options.max_tested)
    prompts = rows_of(prompts, tested_rows(prompts, options));
  result.within_categories = prompts.has_categories() && prompts.categories.names.size() > 1;
  const RowPermutations permutations(prompts, result.within_categories);
  if (prompts.units.size() < options.min_units) {
    result.not_tested = fewer_than(options.min_units, prompts.units);
  } else if (!permutations.allow_test()) {
    result.not_tested = "too few prompts can be exchanged";
  } else {
    add_layer_test(prompts, permutations, block > 0 ? tested.fitting_block(block) : 0, options,
                   result);
  }
  return result;
}

double unbiased_cka(const Matrix& first, const Matrix& second) {
  return cka_by_layer(first, 1, second, 1, {})(0, 0);
}

}  // namespace moexray::stats
