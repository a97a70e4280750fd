#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/report/figure.h"
#include "svg_style.h"
#include "svg_text.h"

namespace moexray::report::svg_parts {

/// Widths of drawings: a journal's single column (8.5 cm), one and a half, the whole page.
inline constexpr double narrow = 420;
inline constexpr double medium = 620;
inline constexpr double wide = 864;
inline constexpr double unit_cm = 8.5 / narrow;

/// A coordinate with at most two decimals.
std::string number(double value);

/// What a drawing is made for.
enum class Purpose {
  page,  ///< an element of a page: colours come from its style sheet, hover texts are there
  file   ///< stand-alone: literal colours, its title drawn, nothing to rest a pointer on
};

/// Elements of a drawing as text. Contents and hover texts are escaped here; classes (of
/// svg_style.cpp), attributes and paths are ours.
class Canvas {
 public:
  explicit Canvas(Purpose purpose) : purpose_(purpose) {}

  Purpose purpose() const { return purpose_; }
  void line(double x1, double y1, double x2, double y2, std::string_view classes);
  void text(double x, double y, std::string_view classes, std::string_view content);
  /// Reading upwards.
  void upright_text(double x, double y, std::string_view classes, std::string_view content);
  void rect(double x, double y, double w, double h, std::string_view classes,
            std::string_view hover);
  /// In a colour of its own.
  void filled_rect(double x, double y, double w, double h, const std::string& colour,
                   std::string_view hover);
  void path(std::string_view classes, std::string_view d, std::string_view hover);
  /// Cells of one unit, at whole coordinates, as one path: "M3 4h1v1h-1z…".
  void cells(double x, double y, double w, double h, const std::string& colour, std::string_view d);
  /// Lines of text of small type from `y` on; returns where the next would be.
  double small_lines(double x, double y, double room, std::string_view text, std::size_t max_lines);

  /// The figure's title, on top of a file. Returns where the drawing begins.
  double title(const Figure& figure, double width);
  /// The whole element. Draws the figure's note below `height`.
  std::string finish(double width, double height, const Figure& figure);

 private:
  std::string style(std::string_view classes) const;
  void close(std::string_view element, std::string_view hover);

  Purpose purpose_;
  std::string out_;
};

}  // namespace moexray::report::svg_parts
