#include "moexray/report/html_table.h"

#include <fmt/core.h>

#include <utility>

#include "moexray/core/error.h"
#include "moexray/report/document.h"

namespace moexray::report {
namespace {

// " class=\"n id\"", nothing without a class.
std::string class_attribute(const HtmlTable::Column& column, const std::string& own) {
  std::string classes = column.is_number ? "n" : "";
  for (const std::string& more : {column.css_class, own}) {
    if (!more.empty()) classes += (classes.empty() ? "" : " ") + more;
  }
  return classes.empty() ? "" : " class=\"" + classes + "\"";
}

}  // namespace

HtmlTable::HtmlTable(std::string_view caption, std::vector<Column> columns, FirstColumn first)
    : columns_(std::move(columns)), first_(first) {
  const std::string text = html_escaped(caption);
  html_ = "<div class=\"scroll\" role=\"group\" tabindex=\"0\" aria-label=\"" +
          (text.empty() ? "Table" : text) + "\"><table>\n";
  if (!text.empty()) html_ += "<caption>" + text + "</caption>\n";
  html_ += "<thead><tr>";
  for (const Column& column : columns_) {
    html_ += fmt::format("<th scope=\"col\"{}>{}</th>", column.is_number ? " class=\"n\"" : "",
                         html_escaped(column.heading));
  }
  html_ += "</tr></thead>\n";
}

void HtmlTable::add_cells(const std::vector<Cell>& cells) {
  if (cells.size() != columns_.size()) {
    throw Error(
        ErrorKind::runtime,
        {"cells of a row", {}, std::to_string(columns_.size()), std::to_string(cells.size())});
  }
  html_ += in_body_ ? "<tr>" : "<tbody>\n<tr>";
  in_body_ = true;
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool is_heading = i == 0 && first_ == FirstColumn::names_the_row;
    html_ += is_heading ? "<th scope=\"row\"" : "<td";
    html_ += class_attribute(columns_[i], cells[i].css_class);
    if (!cells[i].hover.empty()) html_ += " title=\"" + cells[i].hover + "\"";
    html_ += ">" + cells[i].html + (is_heading ? "</th>" : "</td>");
  }
  html_ += "</tr>\n";
}

void HtmlTable::add_row(const std::vector<std::string>& cells) {
  std::vector<Cell> row;
  for (const std::string& cell : cells) row.push_back({cell});
  add_cells(row);
}

void HtmlTable::group(std::string_view title) {
  if (in_body_) html_ += "</tbody>\n";
  html_ += fmt::format("<tbody>\n<tr><th scope=\"rowgroup\" colspan=\"{}\">{}</th></tr>\n",
                       columns_.size(), html_escaped(title));
  in_body_ = true;
}

std::string HtmlTable::html() const {
  return html_ + (in_body_ ? "</tbody>\n" : "") + "</table></div>\n";
}

}  // namespace moexray::report
