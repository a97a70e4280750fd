#include "svg_canvas.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "moexray/core/escape.h"
#include "moexray/report/document.h"
#include "moexray/report/table.h"

namespace moexray::report::svg_parts {

std::string number(double value) {
  std::string text = fmt::format("{:.2f}", value);
  text.erase(text.find_last_not_of('0') + 1);
  if (text.ends_with('.')) text.pop_back();
  return text == "-0" ? "0" : text;
}

double text_width(std::string_view text) {
  return character_width * static_cast<double>(display_width(printable(text)));
}

std::string shortened(std::string_view text, std::size_t n_columns) {
  std::string clean = one_line(text, 4 * n_columns);
  if (display_width(clean) <= n_columns) return clean;
  std::string kept;
  for (std::size_t begin = 0; begin < clean.size();) {
    std::size_t end = begin + 1;
    while (end < clean.size() && (static_cast<unsigned char>(clean[end]) & 0xC0U) == 0x80U) ++end;
    const std::string longer = kept + clean.substr(begin, end - begin);
    if (display_width(longer) >= n_columns) break;
    kept = longer;
    begin = end;
  }
  return kept + "…";
}

Ticks round_ticks(double low, double high, int n_wanted) {
  const double span = high - low;
  Ticks ticks;
  if (!(span > 0) || !std::isfinite(span)) return ticks;
  const double exponent = std::floor(std::log10(span / n_wanted));
  const double unit = std::pow(10, exponent);
  double step = unit;
  for (const double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * unit;
    if (span / step <= n_wanted) break;
  }
  const double first = std::ceil(low / step - 1e-9);
  for (double i = first; i * step <= high + 1e-9 * span; ++i) ticks.values.push_back(i * step);
  ticks.n_decimals = std::clamp(static_cast<int>(-std::floor(std::log10(step) + 1e-9)), 0, 12);
  return ticks;
}

Range finite_range(const std::vector<double>& values) {
  Range range{INFINITY, -INFINITY};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {};
  if (range.high - range.low > 1e-12 * std::max(std::abs(range.low), std::abs(range.high))) {
    return range;
  }
  const double margin = std::max(0.5, 0.1 * std::abs(range.low));
  return {range.low - margin, range.high + margin};
}

void Canvas::line(double x1, double y1, double x2, double y2, std::string_view css_class) {
  out_ += fmt::format("<line class=\"{}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"/>\n", css_class,
                      number(x1), number(y1), number(x2), number(y2));
}

void Canvas::text(double x, double y, std::string_view css_class, std::string_view content) {
  out_ += fmt::format("<text class=\"{}\" x=\"{}\" y=\"{}\">{}</text>\n", css_class, number(x),
                      number(y), html_escaped(content));
}

void Canvas::turned_text(double x, double y, double degrees, std::string_view css_class,
                         std::string_view content) {
  out_ += fmt::format("<text class=\"{}\" transform=\"translate({} {}) rotate({})\">{}</text>\n",
                      css_class, number(x), number(y), number(degrees), html_escaped(content));
}

void Canvas::rect(double x, double y, double w, double h, std::string_view attributes,
                  std::string_view hover) {
  out_ += fmt::format("<rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" {}", number(x), number(y),
                      number(w), number(h), attributes);
  close("rect", hover);
}

void Canvas::path(std::string_view css_class, std::string_view d, std::string_view hover) {
  out_ += fmt::format("<path class=\"{}\" d=\"{}\"", css_class, d);
  close("path", hover);
}

void Canvas::close(std::string_view element, std::string_view hover) {
  if (hover.empty()) {
    out_ += "/>\n";
    return;
  }
  out_ += "><title>";
  // Lines of a hover text are ours; what is foreign in them has no line ends left.
  for (bool first = true; !hover.empty(); first = false) {
    const std::size_t end = std::min(hover.find('\n'), hover.size());
    if (!first) out_ += '\n';
    out_ += html_escaped(hover.substr(0, end));
    hover.remove_prefix(std::min(end + 1, hover.size()));
  }
  out_ += fmt::format("</title></{}>\n", element);
}

std::string Canvas::finish(double height, std::string_view label) const {
  return fmt::format("<svg class=\"chart\" viewBox=\"0 0 {} {}\" role=\"img\" aria-label=\"{}\">\n",
                     number(width), number(height), html_escaped(label)) +
         out_ + "</svg>\n";
}

}  // namespace moexray::report::svg_parts
