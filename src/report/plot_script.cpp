#include "plot_script.h"

#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/report/number.h"
#include "moexray/report/plot.h"
#include "moexray/report/table.h"
#include "plot_style.h"

namespace moexray::report {
namespace {

namespace style = plot_style;

// Printable text without U+FFFE and U+FFFF, which no XML file (SVG) may hold.
std::string drawable(std::string_view text) {
  std::string result = printable(text, std::numeric_limits<std::size_t>::max());
  for (const std::string_view forbidden : {"\xEF\xBF\xBE", "\xEF\xBF\xBF"}) {
    for (std::size_t at = 0; (at = result.find(forbidden, at)) != std::string::npos;) {
      result.replace(at, forbidden.size(), "\xEF\xBF\xBD");
    }
  }
  return result;
}

// Lines of a comment. The blank at the end: after a backslash gnuplot would go on reading.
std::string comment(std::string_view text) {
  std::string out;
  for (const std::string& line : wrapped(text, 96)) {
    out += "# " + line + (line.ends_with('\\') ? " \n" : "\n");
  }
  return out;
}

std::vector<std::string> title_lines(const Figure& figure, double page_width) {
  const double column = style::title_type * style::cm_per_point * style::average_em;
  return wrapped(figure.title, static_cast<int>((page_width - 2 * style::gap) / column));
}

void check_name(const std::string& name) {
  const bool plain = !name.empty() && std::all_of(name.begin(), name.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '_';
  });
  if (!plain) {
    throw Error(ErrorKind::runtime,
                {"name of a figure", {}, "lower-case letters, digits and _", name});
  }
}

}  // namespace

std::string single_quoted(std::string_view text) {
  // gnuplot's own way, a doubled quote, ends the string where it comes first or twice.
  constexpr std::string_view quote = "'.\"'\".'";
  std::string out = "'";
  for (const char c : drawable(text)) {
    if (c == '\'') {
      out += quote;
    } else {
      out += c;
    }
  }
  return out + "'";
}

std::string shortened(std::string_view text, int n_columns) {
  std::string whole = drawable(text);
  const auto limit = static_cast<std::size_t>(n_columns);
  if (display_width(whole) <= limit) return whole;
  std::size_t end = 0;  // of the longest start that leaves a column for "…"
  for (std::size_t next = 0; next < whole.size(); end = next) {
    do ++next;
    while (next < whole.size() && (static_cast<unsigned char>(whole[next]) & 0xC0U) == 0x80U);
    if (display_width(std::string_view(whole).substr(0, next)) >= limit) break;
  }
  return whole.substr(0, end) + "…";
}

double text_width(std::string_view text, double points) {
  constexpr std::string_view narrow_letters = "fijlrt.,:;'|!()[] /-I";
  const std::string whole = drawable(text);
  double ems = static_cast<double>(display_width(whole)) * style::column_em;
  for (const char c : whole) {
    if (narrow_letters.find(c) != std::string_view::npos) ems -= 0.2;
    if ((c >= 'A' && c <= 'Z' && c != 'I') || c == 'm' || c == 'w' || c == '%' || c == '@') {
      ems += 0.2;
    }
  }
  return ems * points * style::cm_per_point;
}

std::vector<std::string> wrapped(std::string_view text, int n_columns) {
  const std::string whole = drawable(text);
  std::vector<std::string> lines;
  std::string_view rest = whole;
  while (!rest.empty()) {
    const std::size_t end = std::min(rest.find(' '), rest.size());
    const std::string word(rest.substr(0, end));
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (lines.empty() || display_width(lines.back()) + 1 + display_width(word) >
                             static_cast<std::size_t>(std::max(1, n_columns))) {
      lines.push_back(word);
    } else {
      lines.back() += " " + word;
    }
  }
  return lines;
}

void thin_out(std::vector<AxisName>& names, double distance) {
  const bool is_regular =
      !names.empty() && names.back().at == static_cast<double>(names.size()) - 1;
  if (is_regular) distance = round_step(distance * (1 - 1e-9));
  double last = -std::numeric_limits<double>::infinity();
  std::erase_if(names, [&](const AxisName& name) {
    // Rounding must not decide where names fit exactly.
    if (name.at - last < distance * (1 - 1e-9)) return true;
    last = name.at;
    return false;
  });
}

int round_step(double least) {
  for (int power = 1;; power *= 10) {
    for (const int digit : {1, 2, 5}) {
      if (digit * power >= least) return digit * power;
    }
  }
}

Range range_of(const std::vector<double>& values) {
  Range range{std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  for (const double value : values) {
    if (!std::isfinite(value)) continue;
    range.low = std::min(range.low, value);
    range.high = std::max(range.high, value);
  }
  if (range.low > range.high) return {};
  // Differences of the size of rounding are none.
  if (range.high - range.low < 1e-9 * std::max(std::abs(range.low), std::abs(range.high)) ||
      range.high == range.low) {
    const double half = range.low == 0 ? 0.5 : std::abs(range.low) / 10;
    return {range.low - half, range.high + half};
  }
  return range;
}

double title_height(const Figure& figure, double page_width) {
  const auto n_lines = static_cast<double>(title_lines(figure, page_width).size());
  return n_lines == 0 ? 2 * style::gap : 2 * style::gap + n_lines * style::line * 1.1;
}

std::string axis_titles(const std::string& x_title, const std::string& y_title) {
  std::string out;
  if (!x_title.empty()) {
    out += fmt::format(
        "set label {} at screen (left + width - right) / 2 / width, screen {} / height center "
        "noenhanced\n",
        single_quoted(x_title), fixed(style::line * 0.6, 2));
  }
  if (!y_title.empty()) {
    out += fmt::format(
        "set label {} at screen {} / width, screen (bottom + height - top) / 2 / height center "
        "rotate by 90 noenhanced\n",
        single_quoted(y_title), fixed(style::line * 0.6, 2));
  }
  return out;
}

std::string script_head(const Figure& figure, const PlotPage& page) {
  std::string out = comment(figure.title) + comment(figure.caption);
  out += fmt::format(
      "#\n# Drawn by moexray with gnuplot 5.4 from {0}.tsv. After changes, in this directory:\n"
      "#   gnuplot --default-settings {0}.gp\n\n"
      "width = {1}  # of the page, in cm\nheight = {2}\n"
      "left = {3}  # margins around the plot, in cm\nright = {4}\nbottom = {5}\ntop = {6}\n"
      "typeface = '{7}'\ntype = {8}  # points\nsmall = ',{9}'\n"
      "data = '{0}.tsv'\n\n",
      figure.name, fixed(page.width, 2), fixed(page.height, 2), fixed(page.left, 2),
      fixed(page.right, 2), fixed(page.bottom, 2), fixed(page.top, 2), style::typeface, style::type,
      style::small_type);
  out +=
      "set encoding utf8\n"
      "set datafile separator tab\n"
      "set datafile commentschars ''\n"
      "set lmargin at screen left / width\n"
      "set rmargin at screen 1 - right / width\n"
      "set bmargin at screen bottom / height\n"
      "set tmargin at screen 1 - top / height\n"
      "set border linewidth 0.6\n"
      "set tics font small scale 0.5 nomirror\n"
      "set xtics offset 0, 0.3\n"
      "unset key\n";
  const std::vector<std::string> lines = title_lines(figure, page.width);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    out += fmt::format(
        "set label {} at screen 0.5, screen 1 - {} / height center font ',{}' noenhanced\n",
        single_quoted(lines[i]),
        fixed(style::gap + (static_cast<double>(i) + 0.5) * style::line * 1.1, 2),
        style::title_type);
  }
  return out;
}

std::string missing_values_script(int n_decimals) {
  // A number that is none makes gnuplot drop a whole expression: looked at as text it does not.
  const std::string format = n_decimals < 0 ? "%.3g" : fmt::format("%.{}f", n_decimals);
  return fmt::format(
      "# Missing values are not drawn, and read n/a\n"
      "only(x, s) = s eq 'nan' ? NaN : x\n"
      "number(s) = s eq 'nan' ? 0 : s + 0\n"
      "text(s) = s eq 'nan' ? 'n/a' : sprintf('{}', s + 0)\n",
      format);
}

std::string script_tail(const Figure& figure, const std::string& plot_command) {
  // gnuplot takes an inch of type for 96 points, and an inch of line width for 72.
  return fmt::format(
      "\nset terminal svg size width / 2.54 * {1}, height / 2.54 * {1} fixed \\\n"
      "  font typeface.','.type fontscale {1} / 72.0 linewidth {1} / 72.0 background '#ffffff'\n"
      "set output '{0}.svg'\n{3}\n\n"
      "if (strstrt(GPVAL_TERMINALS, 'pngcairo') > 0) {{\n"
      "  set terminal pngcairo size width / 2.54 * {2}, height / 2.54 * {2} \\\n"
      "    font typeface.','.type fontscale {2} / 96.0 linewidth {2} / 72.0 pointscale {2} / 72.0\n"
      "  set output '{0}.png'\n  replot\n}}\n"
      "if (strstrt(GPVAL_TERMINALS, 'pdfcairo') > 0) {{\n"
      "  set terminal pdfcairo size width cm, height cm font typeface.','.type \\\n"
      "    fontscale 72 / 96.0 linewidth 2 pointscale 1\n"
      "  set output '{0}.pdf'\n  replot\n}}\nset output\n",
      figure.name, style::svg_dpi, style::png_dpi, plot_command);
}

std::string plot_script(const Figure& figure) {
  check_name(figure.name);
  check_chart(figure);
  return std::visit([&](const auto& chart) { return chart_script(figure, chart); }, figure.chart);
}

}  // namespace moexray::report
