#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "moexray/report/figure.h"
#include "moexray/report/table.h"

namespace moexray::report {

/// What every page begins with, so that an older one is known when a new one is to replace it.
inline constexpr std::string_view html_page_start =
    "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
    "<meta name=\"generator\" content=\"moexray\">\n";

/// A page in one file: no script, nothing to load, for wide and narrow windows, light and dark
/// schemes, and paper. A content security policy forbids scripts and loading in case that a page
/// holds something that should have been escaped.
class HtmlPage {
 public:
  /// @param title plain text, also of the window.
  explicit HtmlPage(std::string title) : title_(std::move(title)) {}

  /// HTML below the title.
  void lead(std::string_view html) { lead_ += html; }
  /// Rules beside those of every page.
  void style(std::string_view css) { style_ += css; }
  /// A section with a heading and an entry in the list of contents.
  /// @param id of the element: letters, digits, '-' and '_'
  /// @param title plain text
  void section(std::string id, std::string title, std::string html);

  /// The whole page.
  std::string html() const;

 private:
  struct Section {
    std::string id;
    std::string title;
    std::string html;
  };
  std::string title_;
  std::string lead_;
  std::string style_;
  std::vector<Section> sections_;
};

/// `<p>` with a text, escaped.
std::string html_paragraph(std::string_view text);

/// `<details>`: closed until somebody opens it.
/// @param summary plain text.
std::string html_details(std::string_view summary, const std::string& html);

/// A `<figure>`: heading, drawing, caption, and the values as a table to open, for who cannot rest
/// a pointer on a mark. A heatmap of more than max_svg_cells is left out with a sentence, a table
/// of more than 400 rows too.
std::string html_figure(const Figure& figure);

}  // namespace moexray::report
