#include "routing_checks.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "moexray/core/wording.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;

// Physical ids reach a little beyond the logical ones.
constexpr std::int32_t max_redundant_experts = 512;
// Fewer tokens of expert 0 at a layer with k = 1 can be chance.
constexpr std::int64_t min_single_tokens = 8;
constexpr std::int64_t miany_repeated_rows = 3;

std::string row_text(std::span<const std::int32_t> row) {
  std::string text;
  for (std::size_t i = 0; i < row.size() && i < 16; ++i) {
    text += (i > 0 ? "," : "") + std::to_string(row[i]);
  }
  return row.size() > 16 ? text + ",…" : text;
}

std::string ranges_text(const std::vector<int>& numbers) {
  std::string text;
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    const bool goes_on = i > 0 && i + 1 < numbers.size() && numbers[i] == numbers[i - 1] + 1 &&
                         numbers[i + 1] == numbers[i] + 1;
    if (goes_on) {
      if (!text.ends_with('-')) text += '-';
      continue;
    }
    if (!text.empty() && !text.ends_with('-')) text += ", ";
    text += std::to_string(numbers[i]);
  }
  return text;
}

// Positions at which all layers say the same thing, which is not routing.
struct OddRows {
  std::int64_t n = 0;
  std::int64_t first = -1;
  std::int64_t last = -1;
  std::int64_t longest_run = 0;
  std::int64_t run = 0;

  void add(std::int64_t pos, bool is_odd) {
    run = is_odd ? run + 1 : 0;
    longest_run = std::max(longest_run, run);
    if (!is_odd) return;
    if (n++ == 0) first = pos;
    last = pos;
  }
  std::string text() const {
    if (n == 1) return "position " + std::to_string(first);
    if (longest_run == n) {
      return "positions " + std::to_string(first) + " to " + std::to_string(last);
    }
    return std::to_string(n) + " positions from " + std::to_string(first) + " to " +
           std::to_string(last);
  }
};

// The first row that breaks a rule.
struct Offence {
  std::int64_t pos = 0;
  int layer = 0;
  std::string row;
};

class RoutingCheck {
 public:
  RoutingCheck(const IdArray& ids, std::span<const float> weights, const LayerMap& layers,
               int n_experts, std::int64_t first_pos, const std::string& where)
      : ids_(ids),
        weights_(weights),
        layers_(layers),
        n_experts_(n_experts),
        first_pos_(first_pos),
        where_(where),
        k_(static_cast<std::size_t>(ids.top_k())),
        layer_is_zero_(layers.kept.size(), 1),
        last_row_of_(static_cast<std::size_t>(n_experts) + 1, 0) {}

  RoutingFindings run(bool is_own) {
    std::vector<std::int32_t> rows(k_ * layers_.kept.size());
    std::vector<std::int32_t> before;
    std::int64_t n_same = 1;
    for (std::int64_t t = 0; t < ids_.n_tokens(); ++t) {
      look_at_token(t, rows);
      n_same = rows == before ? n_same + 1 : 1;
      if (n_same == miany_repeated_rows && repeated_.empty()) {
        repeated_ = "position " + std::to_string(first_pos_ + t);
      }
      std::swap(rows, before);
      rows.resize(before.size());
    }
    return judge(is_own);
  }

 private:
  std::string place(std::int64_t pos, int layer) const {
    return where_ + ": position " + std::to_string(pos) + ", layer " + std::to_string(layer);
  }

  void look_at_token(std::int64_t t, std::vector<std::int32_t>& rows) {
    const std::int64_t pos = first_pos_ + t;
    bool all_zero = true;
    bool all_padding = true;
    bool has_mark = false;
    for (std::size_t i = 0; i < layers_.kept.size(); ++i) {
      const std::span row = std::span(rows).subspan(i * k_, k_);
      ids_.row(t, layers_.kept[i], row);
      if (is_plain(row)) {
        layer_is_zero_[i] = 0;
        all_zero = all_padding = false;
        if (!weights_.empty()) check_weights(t, i, pos);
        continue;
      }
      const RowLook look = look_at(row);
      const bool is_zero = look.bits == 0;
      // -1 is a mark, other negative numbers are no ids.
      if (look.least < -1 || look.most >= n_experts_) note(out_of_range_, pos, i, row);
      has_mark = has_mark || look.least == -1;
      largest_ = std::max(largest_, look.most);
      if (!look.is_distinct && !is_zero) note(repeated_id_, pos, i, row);
      if (is_zero && k_ > 1) note(zero_row_, pos, i, row);
      const bool is_padding = look.is_padding;
      layer_is_zero_[i] &= static_cast<char>(is_zero);
      all_zero = all_zero && is_zero;
      all_padding = all_padding && is_padding;
      if (!weights_.empty()) check_weights(t, i, pos);
    }
    zeros_.add(pos, all_zero);
    padding_.add(pos, all_padding && k_ > 1);
    marks_.add(pos, has_mark);
    look_at_dense(t, pos);
  }

  void look_at_dense(std::int64_t t, std::int64_t pos) {
    dense_row_.resize(k_);
    for (const int layer : layers_.dense) {
      ids_.row(t, layer, dense_row_);
      if (std::all_of(dense_row_.begin(), dense_row_.end(), [](auto id) { return id == 0; })) {
        continue;
      }
      fail_at("a layer without experts (by the config or --moe-layers) has routing",
              place(pos, layer), "zeros", row_text(dense_row_));
    }
  }

  // Whether the row is k > 1 distinct ids of experts and not 0, 1, …: nothing to note. False also
  // where a word does not hold them, a byte each.
  bool is_plain(std::span<const std::int32_t> row) const {
    constexpr std::uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
    if (k_ < 2 || k_ > 8 || n_experts_ > 256) return false;
    const auto n = static_cast<std::uint32_t>(n_experts_);
    std::uint64_t word = 0, ascending = 0;
    bool is_odd = false;
    for (std::size_t j = 0; j < row.size(); ++j) {
      const auto id = static_cast<std::uint32_t>(row[j]);
      is_odd |= id >= n;
      word |= std::uint64_t{id & 0xFF} << (8 * j);
      ascending |= std::uint64_t{j} << (8 * j);
    }
    // Each byte against the one that is `apart` places on: a byte of zeros is an id given twice.
    std::uint64_t twice = 0;
    for (std::size_t apart = 1; apart < row.size(); ++apart) {
      const std::uint64_t beyond = ~std::uint64_t{0} << (8 * (row.size() - apart));
      const std::uint64_t differ = (word ^ (word >> (8 * apart))) | beyond;
      twice |= (differ - ones) & ~differ & tops;
    }
    return !is_odd && twice == 0 && word != ascending;
  }

  struct RowLook {
    std::int32_t bits = 0;  // of all ids together: 0 if all are 0
    std::int32_t least = 0;
    std::int32_t most = 0;
    bool is_padding = true;  // 0, 1, …
    bool is_distinct = true;
  };

  // Ids of a row leave its number behind: one that is there already was given before.
  RowLook look_at(std::span<const std::int32_t> row) {
    RowLook look;
    const std::uint32_t number = ++row_number_;
    const auto n = static_cast<std::uint32_t>(n_experts_);
    std::uint32_t* const last_row_of = last_row_of_.data();
    bool is_padding = true;
    bool is_distinct = true;
    for (std::size_t j = 0; j < row.size(); ++j) {
      const std::int32_t id = row[j];
      look.bits |= id;
      look.least = std::min(look.least, id);
      look.most = std::max(look.most, id);
      is_padding &= id == static_cast<std::int32_t>(j);
      // The entry behind the last expert takes what is out of range, which is judged by itself.
      const std::uint32_t at = std::min(static_cast<std::uint32_t>(id), n);
      is_distinct &= last_row_of[at] != number || at == n;
      last_row_of[at] = number;
    }
    look.is_padding = is_padding;
    look.is_distinct = is_distinct;
    return look;
  }

  void note(std::optional<Offence>& offence, std::int64_t pos, std::size_t layer,
            std::span<const std::int32_t> row) const {
    if (!offence) offence = Offence{pos, layers_.numbers[layer], row_text(row)};
  }

  void check_weights(std::int64_t t, std::size_t layer, std::int64_t pos) const {
    const auto at = static_cast<std::size_t>(t * ids_.n_layers() + layers_.kept[layer]) * k_;
    for (const float weight : weights_.subspan(at, k_)) {
      if (std::isfinite(weight) && weight >= 0) continue;
      fail_at("wrong router weight", place(pos, layers_.numbers[layer]),
              "a finite number that is not negative", std::to_string(weight));
    }
  }

  RoutingFindings judge(bool is_own) const {
    RoutingFindings findings;
    if (marks_.n > 0) {
      findings.hole = marks_.text() + ": no routing (-1 stands there)";
    } else if (!is_own) {
      look_for_holes(findings);
    }
    if (!findings.hole.empty()) return findings;
    if (out_of_range_) fail_range();
    if (zero_row_) {
      fail_at("a row of zeros, which no router chose", place(zero_row_->pos, zero_row_->layer),
              std::to_string(k_) + " distinct experts", zero_row_->row);
    }
    if (repeated_id_) {
      fail_at("an expert is given twice for one token and layer",
              place(repeated_id_->pos, repeated_id_->layer),
              std::to_string(k_) + " distinct experts", repeated_id_->row);
    }
    if (!repeated_.empty() && !is_own) {
      findings.warning = "at least " + std::to_string(miany_repeated_rows) +
                         " tokens in a row up to " + repeated_ +
                         " have the same experts at every layer (padding of a batch?)";
    }
    return findings;
  }

  void look_for_holes(RoutingFindings& findings) const {
    const std::int64_t n = ids_.n_tokens();
    const bool is_single = k_ == 1;
    if (zeros_.n == n && n > (is_single ? 1 : 0)) {
      fail_at("nothing was captured: every row of every layer is " +
                  row_text(std::vector<std::int32_t>(k_, 0)),
              where_);
    }
    check_layers(n);
    if (zeros_.n > 0 && !is_single) {
      findings.hole = zeros_.text() + ": no routing (zeros at every layer)";
    } else if (zeros_.n > 0 && zeros_.longest_run >= 2 && !can_be_chance()) {
      findings.hole = zeros_.text() + ": no routing (zeros at every layer, up to " +
                      std::to_string(zeros_.longest_run) + " positions in a row)";
    } else if (padding_.n > 0) {
      findings.hole = padding_.text() + ": padding (0 to " + std::to_string(k_ - 1) +
                      " at every layer), not routing";
    }
    if (is_single && zeros_.n > 0 && findings.hole.empty()) {
      findings.notice = zeros_.text() +
                        ": expert 0 at every layer, which with one expert a token cannot be told "
                        "from a row that was not recorded";
    }
  }

  void check_layers(std::int64_t n_tokens) const {
    if (k_ == 1 && n_tokens < min_single_tokens) return;
    std::vector<int> zero;
    for (std::size_t i = 0; i < layer_is_zero_.size(); ++i) {
      if (layer_is_zero_[i] != 0) zero.push_back(layers_.numbers[i]);
    }
    if (zero.empty()) return;
    std::vector<int> others;
    for (const int number : layers_.numbers) {
      if (std::find(zero.begin(), zero.end(), number) == zero.end()) others.push_back(number);
    }
    fail_at((zero.size() == 1 ? "layer " : "layers ") + ranges_text(zero) +
                (zero.size() == 1 ? " is" : " are") +
                " zero in every row: without experts (then --config or --moe-layers " +
                ranges_text(others) + " says so), or not gathered (--drop-layers " +
                ranges_text(zero) + " leaves them out)",
            where_);
  }

  // Whether a router that chooses at random would put expert 0 at every layer once in a million
  // tokens.
  bool can_be_chance() const {
    return static_cast<double>(layers_.kept.size()) * std::log10(static_cast<double>(n_experts_)) <
           6;
  }

  [[noreturn]] void fail_range() const {
    const bool is_physical =
        largest_ >= n_experts_ && largest_ < n_experts_ + max_redundant_experts;
    fail_at(std::string("an id of an expert is out of range") +
                (is_physical ? " (physical ids of redundant experts, as EPLB makes them? logical "
                               "ones are needed)"
                             : ""),
            place(out_of_range_->pos, out_of_range_->layer),
            "0 to " + std::to_string(n_experts_ - 1),
            out_of_range_->row + " (the largest of all is " + std::to_string(largest_) + ")");
  }

  const IdArray& ids_;
  std::span<const float> weights_;
  const LayerMap& layers_;
  std::int32_t n_experts_;
  std::int64_t first_pos_;
  const std::string& where_;
  std::size_t k_;
  std::vector<char> layer_is_zero_;
  std::vector<std::uint32_t> last_row_of_;  // [experts + 1]
  std::uint32_t row_number_ = 0;
  std::vector<std::int32_t> dense_row_;
  OddRows zeros_;
  OddRows padding_;
  OddRows marks_;
  std::optional<Offence> out_of_range_;
  std::optional<Offence> repeated_id_;
  std::optional<Offence> zero_row_;
  std::int32_t largest_ = 0;
  std::string repeated_;
};

}  // namespace

RoutingFindings check_routing(const IdArray& ids, std::span<const float> weights,
                              const LayerMap& layers, int n_experts, std::int64_t first_pos,
                              const std::string& where, bool is_own) {
  return RoutingCheck(ids, weights, layers, n_experts, first_pos, where).run(is_own);
}

}  // namespace moexray::imports
