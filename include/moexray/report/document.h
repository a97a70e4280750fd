#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "moexray/report/table.h"

namespace moexray::report {

/// Paragraphs and tables: the readable part of a result, for a terminal or as a part of a page.
class Document {
 public:
  /// Adds lines of text, a blank line before them.
  void paragraph(std::string text);
  /// Adds lines of text right below the block before.
  void note(std::string text);
  /// @param caption of the table in html(): what it shows
  void table(Table table, std::string caption = {});
  /// Adds the blocks of another.
  void append(Document other);

  /// Plain text that ends in a newline; empty without a block.
  /// @param width columns that lines may take; 0: no limit
  std::string text(std::size_t width = 0) const;
  /// `<p>` and `<table>` elements, everything foreign escaped.
  std::string html() const;

 private:
  struct Lines {
    std::string text;
    bool attached;
  };
  struct Captioned {
    Table table;
    std::string caption;
  };
  std::vector<std::variant<Lines, Captioned>> blocks_;
};

/// `text` with the characters that mean something to HTML replaced, fit for elements and quoted
/// attributes. Control characters and bytes that are not UTF-8 are escaped as in printable().
std::string html_escaped(std::string_view text);

/// `text` on one line: tabs and line ends become blanks, other control characters are escaped as in
/// printable(), and what is longer than `max_bytes` is cut at a character and ends in "…".
std::string one_line(std::string_view text, std::size_t max_bytes);

}  // namespace moexray::report
