#include "svg_heatmap_labels.h"

#include <algorithm>
#include <cmath>

namespace moexray::report::svg_parts {
namespace {

constexpr double longest_label = 400;
// More names than this are not all drawn: the figure would be wider than a poster.
constexpr double most_names = 200;
constexpr double leader = 10;  // from a label that had to move to its cells

bool counts_up(const std::vector<std::string>& labels) {
  for (std::size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] != std::to_string(i)) return false;
  }
  return true;
}

// `wanted` positions, in rising order, moved as little as needs be to lie `gap` apart and, if all
// have room, within [low, high].
std::vector<double> spread(std::vector<double> wanted, double gap, double low, double high) {
  for (std::size_t i = 0; i < wanted.size(); ++i) {
    wanted[i] = std::max(wanted[i], i == 0 ? low + gap / 2 : wanted[i - 1] + gap);
  }
  for (std::size_t i = wanted.size(); i-- > 0;) {
    const double limit = i + 1 == wanted.size() ? high - gap / 2 : wanted[i + 1] - gap;
    wanted[i] = std::min(wanted[i], limit);
  }
  return wanted;
}

}  // namespace

AxisLabels::AxisLabels(const std::vector<std::string>& texts, bool is_sequence)
    : is_sequence_(is_sequence), size_(texts.size() <= 16 ? type_size : small_size) {
  texts_ = distinct_labels(texts, longest_label, size_);
  for (const std::string& text : texts_) widest_ = std::max(widest_, text_width(text, size_));
}

AxisLabels AxisLabels::of_cells(const std::vector<std::string>& labels) {
  AxisLabels result(labels, counts_up(labels));
  for (std::size_t i = 0; i < labels.size(); ++i) {
    result.middles_.push_back(static_cast<double>(i) + 0.5);
  }
  result.rooms_.assign(labels.size(), 1);
  result.n_cells_ = static_cast<double>(labels.size());
  return result;
}

AxisLabels AxisLabels::of_groups(const std::vector<std::string>& names,
                                 const std::vector<int>& sizes) {
  AxisLabels result(names, false);
  result.is_grouped_ = true;
  for (const int size : sizes) {
    result.middles_.push_back(result.n_cells_ + size / 2.0);
    result.rooms_.push_back(size);
    result.n_cells_ += size;
  }
  result.widest_ += leader;
  return result;
}

double AxisLabels::smallest_cell() const {
  if (is_sequence_ || n_cells_ == 0) return 0;
  return gap() * std::min(static_cast<double>(texts_.size()), most_names) / n_cells_;
}

const char* AxisLabels::classes() const { return size_ < type_size ? "end small" : "end"; }

// Every how many cells there is room for a label.
std::size_t AxisLabels::step(double label, double cell) const {
  for (const std::size_t step : {1U, 2U, 4U, 5U, 8U, 10U, 16U, 20U, 32U, 50U, 64U, 100U}) {
    if (static_cast<double>(step) * cell >= label * 0.999) return step;
  }
  return 128;
}

bool AxisLabels::fit_flat(double cell) const {
  for (std::size_t i = 0; i < texts_.size(); ++i) {
    if (text_width(texts_[i], size_) + 5 > rooms_[i] * cell) return false;
  }
  return true;
}

void AxisLabels::draw_rows(Canvas& canvas, double x, double top, double cell) const {
  const double bottom = top + n_cells_ * cell;
  if (is_grouped_ && static_cast<double>(texts_.size()) <= most_names) {
    std::vector<double> wanted;
    for (const double middle : middles_) wanted.push_back(top + middle * cell);
    const std::vector<double> places = spread(wanted, gap(), top, bottom);
    for (std::size_t i = 0; i < texts_.size(); ++i) {
      canvas.text(x - 5 - leader, places[i] + 0.36 * size_, classes(), texts_[i]);
      canvas.line(x - 2 - leader, places[i], x - 1, wanted[i], "axis");
    }
    return;
  }
  const std::size_t every = step(gap(), cell);
  for (std::size_t i = 0; i < texts_.size(); i += every) {
    canvas.text(x - 6, top + middles_[i] * cell + 0.36 * size_, classes(), texts_[i]);
  }
}

double AxisLabels::draw_columns(Canvas& canvas, double left, double y, double cell) const {
  const std::string flat = size_ < type_size ? "mid small" : "mid";
  const double down = is_grouped_ ? leader : 2;
  if (is_sequence_ || fit_flat(cell)) {
    const std::size_t every = is_sequence_ ? step(widest_ + 6, cell) : 1;
    for (std::size_t i = 0; i < texts_.size(); i += every) {
      canvas.text(left + middles_[i] * cell, y + size_ + 2, flat, texts_[i]);
    }
    return y + size_ + 8;
  }
  std::vector<double> wanted;
  for (const double middle : middles_) wanted.push_back(left + middle * cell);
  std::vector<double> places = wanted;
  if (is_grouped_) places = spread(wanted, gap(), left, left + n_cells_ * cell);
  const std::size_t every = is_grouped_ ? 1 : step(gap(), cell);
  for (std::size_t i = 0; i < texts_.size(); i += every) {
    if (is_grouped_) canvas.line(wanted[i], y + 1, places[i], y + leader - 1, "axis");
    canvas.upright_text(places[i] + 0.36 * size_, y + down + 2, classes(), texts_[i]);
  }
  return y + down + widest_ + 6;
}

}  // namespace moexray::report::svg_parts
