#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::report::svg_parts {

/// The width of every drawing. One unit is a CSS pixel where the page is this wide, and text still
/// reads where it is a third narrower.
inline constexpr double width = 460;

/// A coordinate with at most two decimals.
std::string number(double value);

/// How wide a character of the drawing's font is, or a text: about, for fonts differ.
inline constexpr double character_width = 6.6;
double text_width(std::string_view text);

/// `text` cut to `n_columns` of a terminal's width, the last one being "…" then.
std::string shortened(std::string_view text, std::size_t n_columns);

/// Round values within [low, high], about `n_wanted` of them, and the decimals they need.
struct Ticks {
  std::vector<double> values;
  int n_decimals = 0;
};
Ticks round_ticks(double low, double high, int n_wanted);

/// The range of the finite ones among `values`, widened to more than a point; 0 … 1 if there are
/// none.
struct Range {
  double low = 0;
  double high = 1;
};
Range finite_range(const std::vector<double>& values);

/// Elements of a drawing as text. Contents and hover texts are escaped here, classes and paths are
/// ours.
class Canvas {
 public:
  void line(double x1, double y1, double x2, double y2, std::string_view css_class);
  void text(double x, double y, std::string_view css_class, std::string_view content);
  /// Turned by `degrees` around its anchor.
  void turned_text(double x, double y, double degrees, std::string_view css_class,
                   std::string_view content);
  void rect(double x, double y, double w, double h, std::string_view attributes,
            std::string_view hover);
  void path(std::string_view css_class, std::string_view d, std::string_view hover);
  /// The whole element: `height` units high, `label` for who cannot see it.
  std::string finish(double height, std::string_view label) const;

 private:
  void close(std::string_view element, std::string_view hover);

  std::string out_;
};

}  // namespace moexray::report::svg_parts
