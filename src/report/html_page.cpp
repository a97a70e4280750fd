#include "moexray/report/html_page.h"

#include <fmt/core.h>

#include <optional>

#include "moexray/report/document.h"
#include "moexray/report/number.h"
#include "moexray/report/svg.h"

namespace moexray::report {
namespace {

constexpr std::string_view page_styles = R"(:root {
  color-scheme: light dark;
  --ink: #1b1d21; --soft: #555b65; --paper: #ffffff; --raised: #f5f6f8; --rule: #d5d9df;
  --link: #0059a3; --warn: #8a4b00; --warn-paper: #fff4e0;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e4e6ea; --soft: #a4abb6; --paper: #16181c; --raised: #1f2228; --rule: #3a3f48;
    --link: #7cc0ff; --warn: #ffc46b; --warn-paper: #2e2512;
  }
}
* { box-sizing: border-box; }
body {
  margin: 0 auto; padding: 1rem; max-width: 62rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: break-word;
}
h1 { font-size: 1.6rem; line-height: 1.25; margin: .5rem 0; }
h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; border-bottom: 1px solid var(--rule); }
h3 { font-size: 1.05rem; margin: 1.4rem 0 .4rem; }
a { color: var(--link); }
code { font-family: ui-monospace, monospace; font-size: .9em; overflow-wrap: anywhere; }
nav ul { display: flex; flex-wrap: wrap; gap: .2rem 1.1rem; list-style: none; padding: 0; margin: .6rem 0; }
.scroll { overflow-x: auto; margin: .6rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { padding: .2rem .6rem; text-align: left; vertical-align: top; border-bottom: 1px solid var(--rule); }
thead th { background: var(--raised); white-space: nowrap; }
th.n, td.n { text-align: right; white-space: nowrap; }
td.id { white-space: nowrap; }
td.text { min-width: 14rem; }
td.hash { font-family: ui-monospace, monospace; overflow-wrap: anywhere; min-width: 10rem; }
figure { margin: 1.4rem 0 2rem; }
figcaption { color: var(--soft); font-size: .92rem; max-width: 46rem; margin: .4rem auto 0; }
details { margin: .6rem 0; }
summary { cursor: pointer; color: var(--link); }
dt { font-weight: 600; margin-top: .6rem; }
dd { margin: 0 0 0 1.2rem; }
.soft { color: var(--soft); }
.note { background: var(--warn-paper); color: var(--warn); padding: .4rem .7rem; border-radius: .3rem; }
@media (max-width: 30rem) {
  body { padding: .7rem; }
  th, td { padding: .2rem .35rem; }
  dd { margin-left: .6rem; }
}
@media print {
  body { max-width: none; padding: 0; font-size: 10pt; }
  nav { display: none; }
  a { color: inherit; text-decoration: none; }
  h2, h3 { break-after: avoid; }
  figure, tr { break-inside: avoid; }
  .chart { max-width: 12cm !important; min-width: 0 !important; }
  figure details:not([open]) { display: none; }
  tr:has(th[colspan]) { break-after: avoid; }
  .scroll { overflow: visible; }
  thead { display: table-header-group; }
}
)";

constexpr std::size_t max_table_rows = 400;

// The values of a figure as a table; nothing if that would be too long.
struct DataTable {
  std::optional<Table> operator()(const Heatmap& chart) const {
    const std::size_t n_cols = chart.column_labels.size();
    if (chart.values.size() > max_table_rows || n_cols > 24) return std::nullopt;
    std::vector<std::string> headings{chart.row_title};
    headings.insert(headings.end(), chart.column_labels.begin(), chart.column_labels.end());
    Table table(std::move(headings));
    for (std::size_t row = 0; row < chart.row_labels.size(); ++row) {
      std::vector<std::string> cells{chart.row_labels[row]};
      for (std::size_t col = 0; col < n_cols; ++col) {
        cells.push_back(fixed(chart.values[row * n_cols + col], chart.n_decimals + 2));
      }
      table.add_row(cells);
    }
    return table;
  }

  std::optional<Table> operator()(const BarChart& chart) const {
    const bool has_ends = !chart.lows.empty();
    std::vector<std::string> headings{"bar", or_value(chart.value_title)};
    if (has_ends) headings.insert(headings.end(), {"from", "to"});
    if (!chart.errors.empty()) headings.emplace_back("±");
    Table table(std::move(headings));
    for (std::size_t i = 0; i < chart.values.size(); ++i) {
      std::vector<std::string> cells{chart.labels[i], fixed(chart.values[i], 4)};
      if (has_ends) cells.insert(cells.end(), {fixed(chart.lows[i], 4), fixed(chart.highs[i], 4)});
      if (!chart.errors.empty()) cells.push_back(fixed(chart.errors[i], 4));
      table.add_row(cells);
    }
    return table;
  }

  std::optional<Table> operator()(const LineChart& chart) const {
    if (chart.values.size() > max_table_rows) return std::nullopt;
    const bool has_ends = !chart.lows.empty();
    std::vector<std::string> headings{chart.x_title, or_value(chart.value_title)};
    if (has_ends) headings.insert(headings.end(), {"from", "to"});
    Table table(std::move(headings));
    for (std::size_t i = 0; i < chart.values.size(); ++i) {
      std::vector<std::string> cells{std::to_string(i), fixed(chart.values[i], 4)};
      if (has_ends) cells.insert(cells.end(), {fixed(chart.lows[i], 4), fixed(chart.highs[i], 4)});
      table.add_row(cells);
    }
    return table;
  }

  std::optional<Table> operator()(const Distribution& chart) const {
    if (chart.series.empty() || chart.series[0].shares.size() > max_table_rows) return std::nullopt;
    std::vector<std::string> headings{or_value(chart.value_title)};
    for (const Distribution::Series& series : chart.series) headings.push_back(series.name);
    Table table(std::move(headings));
    const std::size_t n_bins = chart.series[0].shares.size();
    const double bin = (chart.high - chart.low) / static_cast<double>(n_bins);
    for (std::size_t i = 0; i < n_bins; ++i) {
      std::vector<std::string> cells{fixed(chart.low + bin * static_cast<double>(i), 3)};
      for (const Distribution::Series& series : chart.series) {
        cells.push_back(series.shares.empty() ? "" : fixed(series.shares[i], 4));
      }
      table.add_row(cells);
    }
    return table;
  }

  std::optional<Table> operator()(const ScatterPlot& chart) const {
    if (chart.points.size() > max_table_rows) return std::nullopt;
    using Align = Table::Align;
    Table table({"id", "group", "x", "y", "text"},
                {Align::left, Align::left, Align::right, Align::right, Align::left});
    for (const ScatterPlot::Point& point : chart.points) {
      table.add_row({point.label, chart.groups.at(static_cast<std::size_t>(point.group)),
                     fixed(point.x, 4), fixed(point.y, 4), one_line(point.text, 76)});
    }
    return table;
  }

  static std::string or_value(const std::string& title) { return title.empty() ? "value" : title; }
};

bool is_too_large(const Figure& figure) {
  const auto* heatmap = std::get_if<Heatmap>(&figure.chart);
  return heatmap != nullptr && heatmap->values.size() > max_svg_cells;
}

}  // namespace

void HtmlPage::section(std::string id, std::string title, std::string html) {
  sections_.push_back({std::move(id), std::move(title), std::move(html)});
}

std::string HtmlPage::html() const {
  const std::string title = html_escaped(title_);
  std::string out(html_page_start);
  out +=
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src "
      "'unsafe-inline'\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>" +
      title + "</title>\n<style>\n";
  out += page_styles;
  out += svg_styles();
  out += style_;
  out += "</style>\n</head>\n<body>\n<header>\n<h1>" + title + "</h1>\n" + lead_;
  if (sections_.size() > 1) {
    out += "<nav aria-label=\"Contents\"><ul>\n";
    for (const Section& section : sections_) {
      out +=
          fmt::format("<li><a href=\"#{}\">{}</a></li>\n", section.id, html_escaped(section.title));
    }
    out += "</ul></nav>\n";
  }
  out += "</header>\n<main>\n";
  for (const Section& section : sections_) {
    out +=
        fmt::format("<section id=\"{}\">\n<h2>{}</h2>\n", section.id, html_escaped(section.title));
    out += section.html;
    out += "</section>\n";
  }
  return out + "</main>\n</body>\n</html>\n";
}

std::string html_paragraph(std::string_view text) { return "<p>" + html_escaped(text) + "</p>\n"; }

std::string html_details(std::string_view summary, const std::string& html) {
  return "<details><summary>" + html_escaped(summary) + "</summary>\n" + html + "</details>\n";
}

std::string html_figure(const Figure& figure) {
  std::string out = fmt::format("<figure id=\"{}\">\n<h3>{}</h3>\n", html_escaped(figure.name),
                                html_escaped(figure.title));
  if (is_too_large(figure)) {
    out += html_paragraph(
        fmt::format("Left out of this page, which draws up to {} cells: see {}.svg beside it.",
                    max_svg_cells, figure.name));
  } else {
    out += "<div class=\"scroll\">\n" + svg(figure) + "</div>\n";
  }
  if (!figure.caption.empty()) {
    out += "<figcaption>" + html_escaped(figure.caption) + "</figcaption>\n";
  }
  if (const auto table = std::visit(DataTable{}, figure.chart)) {
    out += html_details("The values as a table", table->html());
  }
  return out + "</figure>\n";
}

}  // namespace moexray::report
