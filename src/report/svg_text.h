#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moexray::report::svg_parts {

/// Foreign text fit for a drawing, on one line: control characters are escaped as in printable(),
/// so are those that turn the direction of what follows (U+202E, say) and what XML forbids.
/// Cut at `max_bytes`.
std::string clean(std::string_view text, std::size_t max_bytes = 400);

/// How wide a clean text is drawn in DejaVu Sans, which is wider than most: with another font it
/// has room to spare.
double text_width(std::string_view text, double size, bool is_bold = false);

/// The text cut to this width, the last character being "…" then.
std::string fitted(std::string_view text, double width, double size, bool is_bold = false);

/// The text in lines of at most this width, broken at blanks or, where a word is longer, anywhere;
/// the last of `max_lines` is cut.
std::vector<std::string> wrapped(std::string_view text, double width, double size,
                                 std::size_t max_lines, bool is_bold = false);

/// Labels of at most this width. What is longer keeps its beginning and its end; labels that would
/// be the same then have their number behind them.
std::vector<std::string> distinct_labels(const std::vector<std::string>& labels, double width,
                                         double size);

/// A number with this many decimals and a true minus sign; "n/a" if it is not finite.
std::string number_text(double value, int n_decimals);

}  // namespace moexray::report::svg_parts
