#include "type_routing.h"

#include <Eigen/Cholesky>
#include <algorithm>
#include <bit>
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

// The cells' normal equations once the types are eliminated, M h = g: M = diag(n_b) − Σ_v N_vb
// N_vb' / n_v is a graph Laplacian, whose edges are types that two cells share.
class CellEquations {
 public:
  explicit CellEquations(Matrix laplacian)
      : laplacian_(std::move(laplacian)), component_(component_numbers()) {}

  // [cells] Cells of one component have coefficients that can be compared.
  const std::vector<int>& component() const { return component_; }

  // h with h = 0 at the first cell of each component; Σ g over each component is 0.
  Vector solve(const Vector& g) const {
    Vector h = Vector::Zero(g.size());
    std::vector<Eigen::Index> free;
    std::vector<bool> has_first(component_.size(), false);
    for (std::size_t b = 0; b < component_.size(); ++b) {
      const auto c = static_cast<std::size_t>(component_[b]);
      if (has_first[c]) free.push_back(static_cast<Eigen::Index>(b));
      has_first[c] = true;
    }
    if (free.empty()) return h;
    const Eigen::MatrixXd m = laplacian_(free, free);
    const Vector own = g(free);
    const Vector found = m.ldlt().solve(own);
    h(free) = found;
    return h;
  }

 private:
  std::vector<int> component_numbers() const {
    constexpr double noise = 1e-9;
    const auto n = static_cast<std::size_t>(laplacian_.rows());
    std::vector<int> number(n, -1);
    int n_components = 0;
    std::vector<std::size_t> open;
    for (std::size_t start = 0; start < n; ++start) {
      if (number[start] >= 0) continue;
      number[start] = n_components;
      open.push_back(start);
      while (!open.empty()) {
        const std::size_t b = open.back();
        open.pop_back();
        for (std::size_t other = 0; other < n; ++other) {
          const double shared =
              -laplacian_(static_cast<Eigen::Index>(b), static_cast<Eigen::Index>(other));
          if (other == b || number[other] >= 0 || shared <= noise) continue;
          number[other] = n_components;
          open.push_back(other);
        }
      }
      ++n_components;
    }
    return number;
  }

  Matrix laplacian_;
  std::vector<int> component_;
};

TokenRoles selected_roles(const RoutedTokens& tokens) {
  TokenRoles roles;
  for (const RoutedToken& token : tokens.tokens) roles.cell.push_back(token.selected ? 0 : -1);
  return roles;
}

TokenRoles position_roles(const RoutedTokens& tokens, const CommonPositions& positions,
                          bool by_place) {
  TokenRoles roles;
  roles.cell.assign(tokens.tokens.size(), -1);
  roles.compared.assign(tokens.tokens.size(), false);
  std::map<std::pair<TokenType, int>, int> cells;
  for (const std::size_t row : positions.rows) {
    std::map<TokenType, std::int64_t> n_before;
    for (std::size_t t = tokens.first[row]; t < tokens.first[row + 1]; ++t) {
      const RoutedToken& token = tokens.tokens[t];
      if (token.is_template) continue;
      const std::int64_t place = n_before[token.type]++;
      if (!token.selected) continue;
      // 0, 1, 2–3, 4–7, …
      const int bin = by_place ? std::bit_width(static_cast<std::uint64_t>(place)) : 0;
      const std::pair key(by_place ? token.type : TokenType::prompt, bin);
      roles.cell[t] = cells.try_emplace(key, static_cast<int>(cells.size())).first->second;
      roles.compared[t] = token.type == positions.part && place < positions.n_tokens;
    }
  }
  roles.n_cells = std::max(static_cast<int>(cells.size()), 1);
  return roles;
}

TypeRouting::TypeRouting(const RoutedTokens& tokens, const TokenRoles& roles, int min_count)
    : min_count_(min_count),
      n_cells_(roles.n_cells),
      n_layers_(tokens.shape.n_layers),
      n_columns_(static_cast<Eigen::Index>(tokens.shape.n_layers) * tokens.shape.n_experts),
      compares_all_(roles.compared.empty()),
      prompts_(tokens.n_prompts()) {
  std::map<TokenId, int> numbers;
  std::vector<int> totals;
  std::vector<int> types(tokens.tokens.size(), -1);
  for (std::size_t t = 0; t < tokens.tokens.size(); ++t) {
    if (roles.cell[t] < 0) continue;
    if (tokens.tokens[t].id < 0) throw Error(ErrorKind::data, "tokens without ids have no type");
    types[t] =
        numbers.try_emplace(tokens.tokens[t].id, static_cast<int>(numbers.size())).first->second;
    totals.resize(numbers.size());
    ++totals[static_cast<std::size_t>(types[t])];
  }
  n_types_ = static_cast<int>(numbers.size());
  for (std::size_t i = 0; i < prompts_.size(); ++i) {
    add_prompt(tokens, roles, i, types, totals);
  }
  selections_ = empty_fit();
  selections_.scale = tokens.shape.top_k;
  for (std::size_t i = 0; i < prompts_.size(); ++i) {
    for (std::size_t j = 0; j < prompts_[i].tokens.size(); ++j) {
      add_token(selections_, i, prompts_[i].tokens[j], [&](auto row) {
        for (int layer = 0; layer < tokens.shape.n_layers; ++layer) {
          for (const std::uint16_t expert : tokens.at(tokens.first[i] + j, layer)) {
            row(layer * tokens.shape.n_experts + expert) += 1;
          }
        }
      });
    }
  }
}

void TypeRouting::add_prompt(const RoutedTokens& tokens, const TokenRoles& roles,
                             std::size_t prompt, const std::vector<int>& types,
                             const std::vector<int>& totals) {
  Prompt& own = prompts_[prompt];
  const std::size_t first = tokens.first[prompt];
  const std::size_t n = tokens.first[prompt + 1] - first;
  std::map<int, int> numbers;  // of the occurrences, by type
  for (std::size_t j = 0; j < n; ++j) {
    if (types[first + j] >= 0) numbers.try_emplace(types[first + j], 0);
  }
  for (auto& [type, number] : numbers) {
    number = static_cast<int>(own.types.size());
    own.types.push_back({.type = type});
  }
  std::map<std::pair<int, int>, std::size_t> cells;  // occurrence and cell
  own.tokens.resize(n);
  for (std::size_t j = 0; j < n; ++j) {
    if (types[first + j] < 0) continue;
    Token& token = own.tokens[j];
    token = {numbers.at(types[first + j]), roles.cell[first + j],
             compares_all_ || roles.compared[first + j]};
    Occurrence& occurrence = own.types[static_cast<std::size_t>(token.occurrence)];
    ++occurrence.count;
    occurrence.n_compared += token.compared;
    ++cells[{token.occurrence, token.cell}];
  }
  for (Occurrence& o : own.types) {
    const int total = totals[static_cast<std::size_t>(o.type)];
    const bool may_be_used = total - o.count >= min_count_;
    const bool may_teach = total > (n_cells_ > 1 ? 1 : min_count_);
    if (may_be_used || may_teach) o.place = n_places_++;
  }
  if (n_cells_ == 1) return;
  for (const auto& [key, count] : cells) {
    own.cells.push_back({key.first, key.second, static_cast<int>(count), 0});
  }
  for (const Token& token : own.tokens) {
    if (!token.compared) continue;
    ++std::find_if(own.cells.begin(), own.cells.end(), [&](const CellCount& c) {
        return c.occurrence == token.occurrence && c.cell == token.cell;
      })->n_compared;
  }
}

template <typename Add>
void TypeRouting::add_token(Fitted& fitted, std::size_t prompt, const Token& token, Add add) const {
  if (token.occurrence < 0) return;
  const int place = prompts_[prompt].types[static_cast<std::size_t>(token.occurrence)].place;
  if (place < 0) return;
  add(fitted.of_place.row(place));
  if (!compares_all_ && token.compared) add(fitted.compared.row(place));
  if (n_cells_ > 1) {
    add(fitted.of_cell.row(static_cast<Eigen::Index>(prompt) * n_cells_ + token.cell));
  }
}

TypeRouting::Fitted TypeRouting::empty_fit() const {
  return {.of_place = Sums::Zero(n_places_, n_columns_),
          .compared = compares_all_ ? Sums() : Sums::Zero(n_places_, n_columns_),
          .of_cell =
              n_cells_ == 1
                  ? Sums()
                  : Sums::Zero(static_cast<Eigen::Index>(prompts_.size()) * n_cells_, n_columns_)};
}

// Sums over the training prompts.
struct TypeRouting::Training {
  std::vector<int> n_of_type;      // [types]
  std::vector<int> place_of_type;  // [types] row of `sums` and `counts`; −1: none
  Sums sums;                       // [rows, L·E] of a type; sums of so few zeros and ones are exact
  // With several cells:
  Matrix counts;     // [rows, cells] N, tokens of a type in a cell
  Matrix cell_sums;  // [cells, L·E] of a cell
  Matrix predicted;  // [cells, L·E] Σ_v N_vb / n_v · sums of v
  Matrix laplacian;  // [cells, cells]
};

TypeRouting::Training TypeRouting::train(const std::vector<Eigen::Index>& rows,
                                         const Fitted& fitted) const {
  Training training;
  training.n_of_type.resize(static_cast<std::size_t>(n_types_));
  training.place_of_type.assign(static_cast<std::size_t>(n_types_), -1);
  int n_rows = 0;
  for (const Eigen::Index row : rows) {
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)].types) {
      const auto type = static_cast<std::size_t>(o.type);
      training.n_of_type[type] += o.count;
      if (o.place >= 0 && training.place_of_type[type] < 0) training.place_of_type[type] = n_rows++;
    }
  }
  training.sums = Sums::Zero(n_rows, n_columns_);
  for (const Eigen::Index row : rows) {
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)].types) {
      if (o.place < 0) continue;
      training.sums.row(training.place_of_type[static_cast<std::size_t>(o.type)]) +=
          fitted.of_place.row(o.place);
    }
  }
  if (n_cells_ == 1) return training;
  training.counts = Matrix::Zero(n_rows, n_cells_);
  training.cell_sums = Matrix::Zero(n_cells_, n_columns_);
  for (const Eigen::Index row : rows) {
    const Prompt& prompt = prompts_[static_cast<std::size_t>(row)];
    for (const CellCount& c : prompt.cells) {
      const Occurrence& o = prompt.types[static_cast<std::size_t>(c.occurrence)];
      if (o.place < 0) continue;
      training.counts(training.place_of_type[static_cast<std::size_t>(o.type)], c.cell) += c.count;
    }
    training.cell_sums +=
        fitted.of_cell.middleRows(row * n_cells_, n_cells_).template cast<double>();
  }
  const Vector totals = training.counts.rowwise().sum();
  training.predicted = Matrix::Zero(n_cells_, n_columns_);
  training.laplacian = Matrix::Zero(n_cells_, n_cells_);
  training.laplacian.diagonal() = training.counts.colwise().sum();
  for (Eigen::Index v = 0; v < n_rows; ++v) {
    const auto sums = training.sums.row(v).template cast<double>();
    training.laplacian.noalias() -=
        training.counts.row(v).transpose() * training.counts.row(v) / totals(v);
    for (int b = 0; b < n_cells_; ++b) {
      const double share = training.counts(v, b) / totals(v);
      if (share > 0) training.predicted.row(b) += share * sums;
    }
  }
  return training;
}

TypeSignatures TypeRouting::signatures(const SplitRows& rows) const {
  return fit(rows, selections_);
}

TypeSignatures TypeRouting::fit(const SplitRows& rows, const Fitted& fitted) const {
  const auto n_train = static_cast<Eigen::Index>(rows.train.size());
  const auto n = n_train + static_cast<Eigen::Index>(rows.test.size());
  const Training training = train(rows.train, fitted);
  const auto whole =
      n_cells_ > 1 ? std::make_unique<const CellEquations>(training.laplacian) : nullptr;
  const Sums& compared = compares_all_ ? fitted.of_place : fitted.compared;
  TypeSignatures result{Matrix::Zero(n, n_columns_), Matrix::Zero(n, n_columns_), Vector::Zero(n)};
  for (Eigen::Index i = 0; i < n; ++i) {
    const bool trains = i < n_train;
    const Eigen::Index row = trains ? rows.train[static_cast<std::size_t>(i)]
                                    : rows.test[static_cast<std::size_t>(i - n_train)];
    const Prompt& prompt = prompts_[static_cast<std::size_t>(row)];
    // What the other training prompts have of each of the prompt's types.
    std::vector<int> n_others;
    std::vector<bool> used;
    for (const Occurrence& o : prompt.types) {
      n_others.push_back(training.n_of_type[static_cast<std::size_t>(o.type)] -
                         (trains ? o.count : 0));
      used.push_back(n_others.back() >= min_count_ && o.place >= 0 && o.n_compared > 0);
    }
    std::vector<CellTerms> by_cell;  // empty with one cell
    Vector h;
    if (n_cells_ > 1) h = cell_weights(prompt, trains, training, *whole, n_others, used, by_cell);
    double n_used = 0;
    double n_all = 0;
    auto expected = result.expected.row(i);
    for (std::size_t j = 0; j < prompt.types.size(); ++j) {
      const Occurrence& o = prompt.types[j];
      n_all += o.n_compared;
      const int place = training.place_of_type[static_cast<std::size_t>(o.type)];
      // Of the other prompts' sums, and of all sums of which the others' part was taken off.
      double weight = 0;
      double whole_weight = 0;
      if (used[j]) {
        n_used += o.n_compared;
        result.observed.row(i) += compared.row(o.place).template cast<double>();
        weight = static_cast<double>(o.n_compared) / n_others[j];
      }
      if (n_cells_ > 1 && place >= 0) {
        if (n_others[j] > 0) weight -= by_cell[j].others.dot(h) / n_others[j];
        whole_weight = training.counts.row(place).dot(h) / training.counts.row(place).sum();
      }
      if (place < 0 || (weight == 0 && whole_weight == 0)) continue;
      expected += (weight + whole_weight) * training.sums.row(place).template cast<double>();
      if (trains) expected -= weight * fitted.of_place.row(o.place).template cast<double>();
    }
    if (n_cells_ > 1) {
      expected += h.transpose() * (training.cell_sums - training.predicted);
      if (trains) {
        expected -= h.transpose() *
                    fitted.of_cell.middleRows(row * n_cells_, n_cells_).template cast<double>();
      }
    }
    if (n_used > 0) {
      result.observed.row(i) /= fitted.scale * n_used;
      result.expected.row(i) /= fitted.scale * n_used;
      result.coverage(i) = n_used / n_all;
    } else {
      expected.setZero();
    }
  }
  fill_uncovered(result, n_train);
  return result;
}

// h of a prompt: the weights of the cells' sums in what is expected of it. Takes off `used` the
// types that stand in cells to which the data do not tie them.
Vector TypeRouting::cell_weights(const Prompt& prompt, bool trains, const Training& training,
                                 const CellEquations& whole, const std::vector<int>& n_others,
                                 std::vector<bool>& used, std::vector<CellTerms>& terms) const {
  for (const Occurrence& o : prompt.types) {
    const int place = training.place_of_type[static_cast<std::size_t>(o.type)];
    terms.push_back({place < 0 ? Vector(Vector::Zero(n_cells_))
                               : Vector(training.counts.row(place).transpose()),
                     Vector::Zero(n_cells_)});
  }
  Matrix laplacian;
  if (trains) laplacian = training.laplacian;
  for (const CellCount& c : prompt.cells) {
    const auto j = static_cast<std::size_t>(c.occurrence);
    terms[j].compared(c.cell) += c.n_compared;
    if (!trains || prompt.types[j].place < 0) continue;
    terms[j].others(c.cell) -= c.count;
    laplacian(c.cell, c.cell) -= c.count;
  }
  if (trains) {
    for (std::size_t j = 0; j < prompt.types.size(); ++j) {
      const int place = training.place_of_type[static_cast<std::size_t>(prompt.types[j].type)];
      if (place < 0) continue;
      const auto all = training.counts.row(place);
      laplacian.noalias() += all.transpose() * all / all.sum();
      if (n_others[j] == 0) continue;
      laplacian.noalias() -= terms[j].others * terms[j].others.transpose() / n_others[j];
    }
  }
  const CellEquations own = trains ? CellEquations(std::move(laplacian)) : CellEquations(whole);
  Vector g = Vector::Zero(n_cells_);
  for (std::size_t j = 0; j < prompt.types.size(); ++j) {
    if (!used[j]) continue;
    int component = -1;
    for (int b = 0; b < n_cells_ && component < 0; ++b) {
      if (terms[j].others(b) > 0) component = own.component()[static_cast<std::size_t>(b)];
    }
    for (int b = 0; b < n_cells_; ++b) {
      if (terms[j].compared(b) == 0) continue;
      if (own.component()[static_cast<std::size_t>(b)] != component) used[j] = false;
    }
    if (!used[j]) continue;
    g += terms[j].compared - terms[j].others * (terms[j].compared.sum() / n_others[j]);
  }
  return own.solve(g);
}

TypeSignatures TypeRouting::contexts(const SplitRows& rows, Context context) const {
  const Training training = train(rows.train, selections_);
  // What tokens do on average.
  Eigen::RowVectorXf mean = training.sums.colwise().sum();
  if (mean.sum() > 0) mean *= static_cast<float>(n_layers_) / mean.sum();
  Fitted fitted = empty_fit();
  for (const auto* part : {&rows.train, &rows.test}) {
    const bool trains = part == &rows.train;
    for (const Eigen::Index row : *part) {
      const Prompt& prompt = prompts_[static_cast<std::size_t>(row)];
      // [types of the prompt, L·E] their mean routing in the other training prompts.
      Sums means = Sums::Zero(static_cast<Eigen::Index>(prompt.types.size()), n_columns_);
      std::vector<bool> known;
      for (std::size_t j = 0; j < prompt.types.size(); ++j) {
        const Occurrence& o = prompt.types[j];
        const auto type = static_cast<std::size_t>(o.type);
        const int n = training.n_of_type[type] - (trains ? o.count : 0);
        known.push_back(n >= min_count_ && o.place >= 0);
        if (!known.back()) continue;
        auto own = means.row(static_cast<Eigen::Index>(j));
        own = training.sums.row(training.place_of_type[type]);
        if (trains) own -= selections_.of_place.row(o.place);
        own /= static_cast<float>(n * selections_.scale);
      }
      Eigen::RowVectorXf sum = Eigen::RowVectorXf::Zero(n_columns_);
      Eigen::RowVectorXf x = mean;
      int n_known = 0;
      for (const Token& token : prompt.tokens) {
        add_token(fitted, static_cast<std::size_t>(row), token, [&](auto own) { own += x; });
        const bool is_known =
            token.occurrence >= 0 && known[static_cast<std::size_t>(token.occurrence)];
        if (context == Context::previous_token) {
          if (is_known) {
            x = means.row(token.occurrence);
          } else {
            x = mean;
          }
        } else if (is_known) {
          sum += means.row(token.occurrence);
          x = sum / static_cast<float>(++n_known);
        }
      }
    }
  }
  return fit(rows, fitted);
}

Matrix TypeRouting::tf_idf(const SplitRows& rows) const {
  std::vector<int> frequency(static_cast<std::size_t>(n_types_));
  for (const Eigen::Index row : rows.train) {
    for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)].types) {
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
      for (const Occurrence& o : prompts_[static_cast<std::size_t>(row)].types) {
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
