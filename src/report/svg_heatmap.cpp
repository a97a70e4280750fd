#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "colour_scale.h"
#include "svg_heatmap_labels.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {
namespace {

constexpr double cell_type = 10.5;

// Draws one heatmap: cells first, then labels around them, the colour scale last.
class HeatmapDrawing {
 public:
  HeatmapDrawing(const Heatmap& map, const Figure& figure, Purpose purpose)
      : map_(map),
        figure_(figure),
        n_rows_(map.row_labels.size()),
        n_cols_(map.column_labels.size()),
        scale_(map.scale, map.values),
        rows_(has_groups() ? AxisLabels::of_groups(map.group_names, map.group_sizes)
                           : AxisLabels::of_cells(map.row_labels)),
        columns_(has_groups() && is_square()
                     ? AxisLabels::of_groups(map.group_names, map.group_sizes)
                     : AxisLabels::of_cells(map.column_labels)),
        canvas_(purpose) {
    left_ = 12 + rows_.widest() + (map.row_title.empty() ? 0 : 17);
    choose_cells();
    width_ = std::max(narrow, left_ + cell_width_ * static_cast<double>(n_cols_) + 8);
    top_ = canvas_.title(figure, width_);
    bottom_ = top_ + cell_height_ * static_cast<double>(n_rows_);
  }

  std::string draw() {
    if (canvas_.purpose() == Purpose::page) {
      draw_cells();
    } else {
      draw_cells_by_colour();
    }
    draw_values();
    draw_splits();
    if (!map_.row_title.empty()) {
      const double room = std::max(bottom_ - top_, 60.0);
      const std::string title = fitted(map_.row_title, room, type_size);
      canvas_.upright_text(14,
                           std::max((top_ + bottom_) / 2, top_ + text_width(title, type_size) / 2),
                           "mid", title);
    }
    rows_.draw_rows(canvas_, left_, top_, cell_height_);
    double y = columns_.draw_columns(canvas_, left_, bottom_, cell_width_);
    if (!map_.column_title.empty()) {
      const double middle = left_ + cell_width_ * static_cast<double>(n_cols_) / 2;
      const std::string title = fitted(map_.column_title, width_ - 12, type_size);
      const double half = text_width(title, type_size) / 2;
      canvas_.text(std::clamp(middle, 6 + half, std::max(width_ - 6 - half, 6 + half)), y + 12,
                   "mid", title);
      y += 16;
    }
    const double x = width_ - left_ >= 290 ? left_ : 8;
    return canvas_.finish(width_, draw_colour_bar(canvas_, map_, scale_, x, y + 8, width_ - x - 6),
                          figure_);
  }

 private:
  bool has_groups() const { return !map_.group_sizes.empty(); }
  // Of things with one another: 64 rows and 64 columns of different things are not.
  bool is_square() const { return n_rows_ == n_cols_ && map_.row_labels == map_.column_labels; }
  double x_of(std::size_t column) const {
    return left_ + cell_width_ * static_cast<double>(column);
  }
  double y_of(std::size_t row) const { return top_ + cell_height_ * static_cast<double>(row); }

  std::string text_of(std::size_t cell) const {
    return map_.cell_texts.empty() ? number_text(map_.values[cell], map_.n_decimals)
                                   : map_.cell_texts[cell];
  }

  double widest_value() const {
    double widest = 0;
    for (std::size_t i = 0; i < map_.values.size(); ++i) {
      widest = std::max(widest, text_width(text_of(i), cell_type));
    }
    return widest;
  }

  // As large as the single column allows, at least as large as labels and values need.
  void choose_cells() {
    const auto n_rows = static_cast<double>(std::max<std::size_t>(n_rows_, 1));
    const auto n_cols = static_cast<double>(std::max<std::size_t>(n_cols_, 1));
    const bool wants_values = map_.show_values && std::max(n_rows_, n_cols_) <= 20;
    const double value_width = wants_values ? widest_value() + 6 : 0;
    const double page = columns_.is_sequence() && n_cols_ > 80   ? wide
                        : columns_.is_sequence() && n_cols_ > 24 ? medium
                                                                 : narrow;
    const double largest = std::max(64.0, value_width);
    cell_width_ = std::clamp((page - left_ - 8) / n_cols, 0.0, largest);
    constexpr double smallest = 1.2;  // a quarter of a millimetre
    cell_width_ = std::max({cell_width_, value_width, columns_.smallest_cell(), smallest});
    cell_height_ = std::clamp(440 / n_rows, 3.0, 22.0);
    if (is_square()) {
      cell_width_ = std::max(cell_width_, rows_.smallest_cell());
      cell_height_ = cell_width_;
      if (n_cols_ <= 12 && !has_groups()) cell_height_ = std::min(cell_height_, 52.0);
    }
    cell_height_ = std::max(cell_height_, rows_.smallest_cell());
    shows_values_ = wants_values && value_width > 0 && cell_height_ >= cell_type + 1;
  }

  std::string group_of(std::size_t index) const {
    for (std::size_t g = 0; g < map_.group_sizes.size(); ++g) {
      const auto size = static_cast<std::size_t>(map_.group_sizes[g]);
      if (index < size) return map_.group_names[g];
      index -= size;
    }
    return {};
  }

  // "layer 3", or "code-01 (code)".
  std::string name_of(const std::string& title, const std::string& label, std::size_t index,
                      bool is_grouped) const {
    std::string name = title.empty() ? label : title + " " + label;
    if (is_grouped) name += " (" + group_of(index) + ")";
    return clean(name, 120);
  }

  std::string hover(std::size_t row, std::size_t col) const {
    // Every text stands once a cell: those of a large matrix are kept short.
    const std::size_t max_bytes = n_rows_ * n_cols_ > 2'000 ? 60 : 160;
    const std::size_t cell = row * n_cols_ + col;
    std::string text =
        name_of(map_.row_title, map_.row_labels[row], row, has_groups()) + " × " +
        name_of(map_.column_title, map_.column_labels[col], col, has_groups() && is_square());
    text += fmt::format("\n{}: {}", map_.value_title.empty() ? "value" : map_.value_title,
                        number_text(map_.values[cell], map_.n_decimals + 2));
    if (!map_.cell_texts.empty()) text += " (" + clean(map_.cell_texts[cell], 60) + ")";
    if (!map_.row_texts.empty()) text += "\n" + clean(map_.row_texts[row], max_bytes);
    if (!map_.column_texts.empty() && !(is_square() && row == col)) {
      text += "\n" + clean(map_.column_texts[col], max_bytes);
    }
    return text;
  }

  void draw_cells() {
    for (std::size_t row = 0; row < n_rows_; ++row) {
      for (std::size_t col = 0; col < n_cols_; ++col) {
        const double value = map_.values[row * n_cols_ + col];
        if (std::isfinite(value)) {
          canvas_.filled_rect(x_of(col), y_of(row), cell_width_, cell_height_,
                              scale_.colour_of(value).hex(), hover(row, col));
        } else {
          canvas_.rect(x_of(col), y_of(row), cell_width_, cell_height_, "none", hover(row, col));
        }
      }
    }
  }

  // Cells of one colour are one element: a matrix of 500 prompts has 250,000.
  void draw_cells_by_colour() {
    std::map<std::string, std::string> paths;
    for (std::size_t row = 0; row < n_rows_; ++row) {
      for (std::size_t col = 0; col < n_cols_; ++col) {
        const double value = map_.values[row * n_cols_ + col];
        const std::string colour = std::isfinite(value) ? scale_.colour_of(value).hex()
                                                        : std::string(literal_colour("none"));
        paths[colour] += fmt::format("M{} {}h1v1h-1z", col, row);
      }
    }
    for (const auto& [colour, path] : paths) {
      canvas_.cells(left_, top_, cell_width_, cell_height_, colour, path);
    }
  }

  void draw_values() {
    if (!shows_values_) return;
    for (std::size_t i = 0; i < map_.values.size(); ++i) {
      const double value = map_.values[i];
      const char* const classes = !std::isfinite(value)               ? "mid small"
                                  : scale_.colour_of(value).is_dark() ? "mid small on-dark"
                                                                      : "mid small on-light";
      canvas_.text(x_of(i % n_cols_) + cell_width_ / 2,
                   y_of(i / n_cols_) + cell_height_ / 2 + 0.36 * cell_type, classes, text_of(i));
    }
  }

  void draw_splits() {
    const char* const line = map_.group_sizes.size() > 16 ? "thin-split" : "split";
    std::size_t at = 0;
    for (std::size_t g = 0; g + 1 < map_.group_sizes.size(); ++g) {
      at += static_cast<std::size_t>(map_.group_sizes[g]);
      canvas_.line(left_, y_of(at), x_of(n_cols_), y_of(at), line);
      if (is_square()) canvas_.line(x_of(at), y_of(0), x_of(at), y_of(n_rows_), line);
    }
  }

  const Heatmap& map_;
  const Figure& figure_;
  std::size_t n_rows_;
  std::size_t n_cols_;
  ResolvedScale scale_;
  AxisLabels rows_;
  AxisLabels columns_;
  Canvas canvas_;
  double left_ = 0;
  double top_ = 0;
  double cell_width_ = 0;
  double cell_height_ = 0;
  bool shows_values_ = false;
  double width_ = 0;
  double bottom_ = 0;  // of the cells
};

}  // namespace

std::string draw(const Heatmap& chart, const Figure& figure, Purpose purpose) {
  return HeatmapDrawing(chart, figure, purpose).draw();
}

}  // namespace moexray::report::svg_parts
