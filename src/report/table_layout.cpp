#include "table_layout.h"

#include <fmt/core.h>

#include <algorithm>
#include <numeric>

#include "moexray/report/text_layout.h"

namespace moexray::report {
namespace {

constexpr std::size_t gap = 2;  // blanks between columns
// A column of text is not made narrower than this, nor than its longest word up to twice as much.
constexpr std::size_t narrowest = 12;

std::size_t longest_word(std::string_view text) {
  std::size_t longest = 0;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find(' '), text.size());
    longest = std::max(longest, display_width(text.substr(0, end)));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return longest;
}

}  // namespace

void TableLayout::measure() {
  widths_.assign(alignment_.size(), 0);
  for (const Row& row : rows_) {
    for (std::size_t j = 0; j < row.size(); ++j) {
      widths_[j] = std::max(widths_[j], display_width(row[j]));
    }
  }
}

std::size_t TableLayout::total_width() const {
  return std::accumulate(widths_.begin(), widths_.end(), std::size_t{0}) +
         gap * (widths_.empty() ? 0 : widths_.size() - 1);
}

// "2 math" heads a row and "2" the column that has its name.
void TableLayout::number_columns() {
  for (std::size_t i = 1; i < rows_.size(); ++i) {
    rows_[i][0] = fmt::format("{} {}", i, rows_[i][0]);
  }
  for (std::size_t j = 1; j < rows_[0].size(); ++j) rows_[0][j] = std::to_string(j);
  measure();
}

// Takes columns from the widest columns until the table fits or none can be made narrower: columns
// of text, and headings of several words above narrower numbers.
void TableLayout::narrow_text(std::size_t width) {
  std::vector<std::size_t> least(widths_.size(), 0);
  for (std::size_t j = 0; j < widths_.size(); ++j) {
    const bool is_text = alignment_[j] == Table::Align::left;
    for (std::size_t i = 0; i < rows_.size(); ++i) {
      const std::string& cell = rows_[i][j];
      const std::size_t word = longest_word(cell);
      least[j] = std::max(least[j], is_text  ? std::min(word, 2 * narrowest)
                                    : i == 0 ? word
                                             : display_width(cell));
    }
    if (is_text) least[j] = std::min(std::max(least[j], narrowest), widths_[j]);
  }
  const std::size_t gaps =
      total_width() - std::accumulate(widths_.begin(), widths_.end(), std::size_t{0});
  if (std::accumulate(least.begin(), least.end(), gaps) > width) {
    // Columns will have to go: what is left of them should not be narrower than it need be.
    for (std::size_t j = 0; j < widths_.size(); ++j) {
      widths_[j] = std::min(widths_[j], std::max(least[j], j == 0 ? width / 2 : 0));
    }
    return;
  }
  while (total_width() > width) {
    std::size_t widest = widths_.size();
    for (std::size_t j = 0; j < widths_.size(); ++j) {
      if (widths_[j] <= least[j]) continue;
      if (widest == widths_.size() || widths_[j] > widths_[widest]) widest = j;
    }
    if (widest == widths_.size()) return;
    --widths_[widest];
  }
}

// Keeps the first column and as many of both ends as fit, "…" between.
void TableLayout::leave_out_columns(std::size_t width) {
  if (widths_.size() < 3) return;
  std::size_t used = widths_[0] + gap + 1;
  std::size_t front = 1;  // columns [0, front) and [back, n) stay
  std::size_t back = widths_.size();
  for (bool from_front = true; front < back; from_front = !from_front) {
    const std::size_t next = from_front ? front : back - 1;
    if (used + gap + widths_[next] > width) break;
    used += gap + widths_[next];
    from_front ? ++front : --back;
  }
  if (front >= back) return;
  n_left_out_ = back - front;
  const auto cut = [&](auto& values, auto between) {
    const auto first = values.begin() + static_cast<std::ptrdiff_t>(front);
    const auto last = values.begin() + static_cast<std::ptrdiff_t>(back);
    values.insert(values.erase(first, last), std::move(between));
  };
  for (Row& row : rows_) cut(row, std::string("…"));
  cut(alignment_, Table::Align::left);
  cut(widths_, std::size_t{1});
}

std::string TableLayout::lines() const {
  std::string out;
  for (const Row& row : rows_) {
    std::vector<std::vector<std::string>> cells;
    std::size_t height = 1;
    for (std::size_t j = 0; j < row.size(); ++j) {
      cells.push_back(wrapped(row[j], display_width(row[j]) > widths_[j] ? widths_[j] : 0));
      height = std::max(height, cells[j].size());
    }
    for (std::size_t k = 0; k < height; ++k) {
      std::string line;
      for (std::size_t j = 0; j < row.size(); ++j) {
        const std::string cell = k < cells[j].size() ? cells[j][k] : std::string();
        const std::size_t cell_width = display_width(cell);
        const std::string padding(widths_[j] > cell_width ? widths_[j] - cell_width : 0, ' ');
        if (j > 0) line += std::string(gap, ' ');
        line += alignment_[j] == Table::Align::left ? cell + padding : padding + cell;
      }
      line.erase(line.find_last_not_of(' ') + 1);
      out += line + '\n';
    }
  }
  return out;
}

std::string TableLayout::text(std::size_t width) {
  measure();
  if (width == 0 || total_width() <= width) return lines();
  const std::size_t n_columns = widths_.size();
  if (is_square) number_columns();
  if (total_width() > width) narrow_text(width);
  if (total_width() > width) leave_out_columns(width);
  // A terminal too narrow for the first column and one more: folded to what there is.
  for (std::size_t j = 0; j < widths_.size() && total_width() > width; ++j) {
    const std::size_t excess = total_width() - width;
    widths_[j] -= std::min(excess, widths_[j] > 4 ? widths_[j] - 4 : 0);
  }
  std::string out = lines();
  if (n_left_out_ == 0) return out;
  std::string note = fmt::format("… {} of {} columns are left out here", n_left_out_, n_columns);
  if (!whole_in.empty()) note += ": " + whole_in + " has all";
  for (const std::string& line : wrapped(note, width)) out += line + '\n';
  return out;
}

}  // namespace moexray::report
