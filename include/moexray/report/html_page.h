#pragma once

#include <set>
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

/// A page that opens from disk: no script, nothing to load but images beside it, for wide and
/// narrow windows, light and dark schemes, and paper. A content security policy forbids scripts and
/// other loading in case that a page holds something that should have been escaped.
class HtmlPage {
 public:
  /// @param title plain text, also of the window.
  explicit HtmlPage(std::string title) : title_(std::move(title)) {}

  /// HTML above the title: links to the pages around this one.
  void navigation(std::string_view html) { navigation_ += html; }
  /// HTML below the title.
  void lead(std::string_view html) { lead_ += html; }
  /// Rules beside those of every page.
  void style(std::string_view css) { style_ += css; }
  /// A section with a heading and an entry in the list of contents; nothing if it is empty.
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
  std::string navigation_;
  std::string lead_;
  std::string style_;
  std::vector<Section> sections_;
};

/// `<p>` with a text, escaped.
std::string html_paragraph(std::string_view text);

/// `<details>`: closed until somebody opens it.
/// @param summary plain text.
std::string html_details(std::string_view summary, const std::string& html);

/// `<a>` with a text, both escaped.
std::string html_link(std::string_view href, std::string_view text);

/// A `<figure>`: heading, drawing, caption, links to its files, and the values as a table to open,
/// for who cannot rest a pointer on a mark. A heatmap of more than max_svg_cells is not drawn into
/// the page, but shown as the image beside it.
/// @param files names of what lies beside the page; those of the figure are linked
std::string html_figure(const Figure& figure, const std::set<std::string>& files);

}  // namespace moexray::report
