#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "colour_scale.h"
#include "moexray/report/document.h"
#include "moexray/report/number.h"
#include "svg_canvas.h"
#include "svg_parts.h"

namespace moexray::report::svg_parts {
namespace {

constexpr double line_height = 14;
constexpr std::size_t label_columns = 16;

// Draws one heatmap: cells first, then labels around them, the colour scale last.
class HeatmapDrawing {
 public:
  explicit HeatmapDrawing(const Heatmap& map)
      : map_(map),
        n_rows_(map.row_labels.size()),
        n_cols_(map.column_labels.size()),
        scale_(map.scale, map.values) {
    check();
    // Row labels stand left of the cells, at most label_columns wide.
    double label_width = 0;
    for (const std::string& label : has_groups() ? map.group_names : map.row_labels) {
      label_width = std::max(label_width, text_width(shortened(label, label_columns)));
    }
    left_ = label_width + 8 + (map.row_title.empty() ? 0 : line_height);
    const double room = width - left_ - 2;
    cell_width_ = std::min(room / static_cast<double>(std::max<std::size_t>(n_cols_, 1)), 72.0);
    const double rows = static_cast<double>(std::max<std::size_t>(n_rows_, 1));
    cell_height_ = is_square() ? cell_width_ : std::clamp(320.0 / rows, 4.0, 36.0);
    if (is_square() && n_cols_ <= 12) cell_height_ = std::min(cell_height_, 52.0);
    bottom_ = 4 + cell_height_ * static_cast<double>(n_rows_);
  }

  std::string draw(std::string_view label) {
    draw_cells();
    draw_splits();
    draw_row_labels();
    draw_column_labels();
    draw_scale();
    return canvas_.finish(bottom_, label);
  }

 private:
  bool has_groups() const { return !map_.group_sizes.empty(); }
  // Of things with one another: 64 rows and 64 columns of different things are not.
  bool is_square() const { return n_rows_ == n_cols_ && map_.row_labels == map_.column_labels; }
  double x_of(std::size_t column) const {
    return left_ + cell_width_ * static_cast<double>(column);
  }
  double y_of(std::size_t row) const { return 4 + cell_height_ * static_cast<double>(row); }

  void check() const {
    check_size("values of a heatmap", map_.values.size(), n_rows_ * n_cols_);
    check_size("group sizes of a heatmap", map_.group_sizes.size(), map_.group_names.size());
    if (!map_.row_texts.empty()) check_size("row texts", map_.row_texts.size(), n_rows_);
    if (!map_.column_texts.empty()) check_size("column texts", map_.column_texts.size(), n_cols_);
    if (!has_groups()) return;
    const int sum = std::accumulate(map_.group_sizes.begin(), map_.group_sizes.end(), 0);
    check_size("rows in groups", static_cast<std::size_t>(sum), n_rows_);
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
    return one_line(name, 120);
  }

  std::string hover(std::size_t row, std::size_t col) const {
    // Every text stands once a cell: those of a large matrix are kept short.
    const std::size_t max_bytes = n_rows_ * n_cols_ > 2'000 ? 60 : 160;
    const double value = map_.values[row * n_cols_ + col];
    std::string text =
        name_of(map_.row_title, map_.row_labels[row], row, has_groups()) + " × " +
        name_of(map_.column_title, map_.column_labels[col], col, has_groups() && is_square());
    text += fmt::format("\n{}: {}", map_.value_title.empty() ? "value" : map_.value_title,
                        fixed(value, map_.n_decimals + 2));
    if (!map_.row_texts.empty()) text += "\n" + one_line(map_.row_texts[row], max_bytes);
    if (!map_.column_texts.empty() && !(is_square() && row == col)) {
      text += "\n" + one_line(map_.column_texts[col], max_bytes);
    }
    return text;
  }

  void draw_cells() {
    const bool shows_values = map_.show_values && cell_width_ >= 28 && cell_height_ >= 12;
    for (std::size_t row = 0; row < n_rows_; ++row) {
      for (std::size_t col = 0; col < n_cols_; ++col) {
        const double value = map_.values[row * n_cols_ + col];
        const bool is_defined = std::isfinite(value);
        const Colour colour = is_defined ? scale_.colour_of(value) : Colour{};
        canvas_.rect(x_of(col), y_of(row), cell_width_, cell_height_,
                     is_defined ? "fill=\"" + colour.hex() + "\"" : "class=\"none\"",
                     hover(row, col));
        if (!shows_values) continue;
        canvas_.text(x_of(col) + cell_width_ / 2, y_of(row) + cell_height_ / 2 + 4,
                     !is_defined        ? "mid"
                     : colour.is_dark() ? "mid on-dark"
                                        : "mid on-light",
                     fixed(value, map_.n_decimals));
      }
    }
  }

  void draw_splits() {
    std::size_t at = 0;
    for (std::size_t g = 0; g + 1 < map_.group_sizes.size(); ++g) {
      at += static_cast<std::size_t>(map_.group_sizes[g]);
      canvas_.line(left_, y_of(at), x_of(n_cols_), y_of(at), "split");
      if (is_square()) canvas_.line(x_of(at), y_of(0), x_of(at), y_of(n_rows_), "split");
    }
  }

  void draw_row_labels() {
    if (!map_.row_title.empty()) {
      canvas_.turned_text(11, y_of(0) + cell_height_ * static_cast<double>(n_rows_) / 2, -90, "mid",
                          shortened(map_.row_title, 40));
    }
    if (has_groups()) {
      std::size_t at = 0;
      for (std::size_t g = 0; g < map_.group_sizes.size(); ++g) {
        const double middle = static_cast<double>(map_.group_sizes[g]) / 2;
        canvas_.text(left_ - 5, y_of(at) + cell_height_ * middle + 4, "end",
                     shortened(map_.group_names[g], label_columns));
        at += static_cast<std::size_t>(map_.group_sizes[g]);
      }
      return;
    }
    const std::size_t step = label_step(line_height, cell_height_);
    for (std::size_t row = 0; row < n_rows_; row += step) {
      canvas_.text(left_ - 5, y_of(row) + cell_height_ / 2 + 4, "end",
                   shortened(map_.row_labels[row], label_columns));
    }
  }

  // Every how many cells there is room for a label.
  static std::size_t label_step(double label_size, double cell_size) {
    for (const std::size_t step : {1U, 2U, 4U, 5U, 8U, 10U, 16U, 20U, 32U, 50U, 64U, 100U}) {
      if (static_cast<double>(step) * cell_size >= label_size) return step;
    }
    return 128;
  }

  void draw_column_labels() {
    struct Label {
      double middle;
      double room;
      std::string text;
    };
    std::vector<Label> labels;
    double widest = 0;
    if (has_groups() && is_square()) {
      std::size_t at = 0;
      for (std::size_t g = 0; g < map_.group_sizes.size(); ++g) {
        const double room = cell_width_ * static_cast<double>(map_.group_sizes[g]);
        labels.push_back({x_of(at) + room / 2, room, shortened(map_.group_names[g], 12)});
        at += static_cast<std::size_t>(map_.group_sizes[g]);
      }
    } else {
      for (std::size_t col = 0; col < n_cols_; ++col) {
        labels.push_back({x_of(col) + cell_width_ / 2, cell_width_,
                          shortened(map_.column_labels[col], label_columns)});
      }
    }
    bool fits = true;
    for (const Label& label : labels) {
      widest = std::max(widest, text_width(label.text));
      fits = fits && text_width(label.text) + 4 <= label.room;
    }
    const bool is_turned = !fits && labels.size() <= 16;
    const std::size_t step = fits || is_turned ? 1 : label_step(widest + 6, cell_width_);
    for (std::size_t i = 0; i < labels.size(); i += step) {
      if (is_turned) {
        canvas_.turned_text(labels[i].middle + 4, bottom_ + 10, -40, "end", labels[i].text);
      } else {
        canvas_.text(labels[i].middle, bottom_ + 13, "mid", labels[i].text);
      }
    }
    bottom_ += is_turned ? 14 + 0.65 * widest : line_height + 4;
    if (!map_.column_title.empty()) {
      canvas_.text(left_ + cell_width_ * static_cast<double>(n_cols_) / 2, bottom_ + 11, "mid",
                   shortened(map_.column_title, 60));
      bottom_ += line_height + 2;
    }
  }

  void draw_scale() {
    constexpr int n_steps = 48;
    constexpr double scale_width = 192;
    const double step = scale_width / n_steps;
    bottom_ += 6;
    for (int i = 0; i < n_steps; ++i) {
      const Colour colour = scale_.colour_at((i + 0.5) / n_steps);
      // Half a unit wider, so that no gap shows between them.
      canvas_.rect(left_ + i * step, bottom_, step + (i + 1 < n_steps ? 0.5 : 0), 9,
                   "fill=\"" + colour.hex() + "\"", {});
    }
    if (!map_.value_title.empty()) {
      canvas_.text(left_ + scale_width + 8, bottom_ + 9, "", shortened(map_.value_title, 30));
    }
    const double middle = map_.scale.logarithmic ? std::sqrt(scale_.low() * scale_.high())
                                                 : (scale_.low() + scale_.high()) / 2;
    bottom_ += 21;
    canvas_.text(left_, bottom_, "", fixed(scale_.low(), map_.n_decimals));
    canvas_.text(left_ + scale_width / 2, bottom_, "mid", fixed(middle, map_.n_decimals));
    canvas_.text(left_ + scale_width, bottom_, "end", fixed(scale_.high(), map_.n_decimals));
    bottom_ += 5;
  }

  const Heatmap& map_;
  std::size_t n_rows_;
  std::size_t n_cols_;
  ResolvedScale scale_;
  double left_ = 0;
  double cell_width_ = 0;
  double cell_height_ = 0;
  double bottom_ = 0;  // what has been drawn so far ends here
  Canvas canvas_;
};

}  // namespace

std::string heatmap(const Heatmap& chart, std::string_view label) {
  return HeatmapDrawing(chart).draw(label);
}

}  // namespace moexray::report::svg_parts
