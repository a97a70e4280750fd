#include "support/markup.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace moexray::test {
namespace {

bool is_void_element(std::string_view name) {
  constexpr std::array<std::string_view, 7> names{"meta", "br",   "wbr", "input",
                                                  "hr",   "link", "img"};
  return std::find(names.begin(), names.end(), name) != names.end();
}

// Walks over tags and text, remembering which elements are open.
class Walker {
 public:
  explicit Walker(std::string_view markup) : rest_(markup) {}

  std::string fault;
  std::vector<std::string> names;

  void walk() {
    if (rest_.starts_with("<!DOCTYPE html>")) rest_.remove_prefix(15);
    while (!rest_.empty() && fault.empty()) {
      if (rest_.front() == '<') {
        tag();
      } else {
        text();
      }
    }
    if (fault.empty() && !open_.empty()) fault = "not closed: " + open_.back();
  }

 private:
  void fail(const std::string& what) {
    if (fault.empty()) fault = what + " at: " + std::string(rest_.substr(0, 80));
  }

  void check_entity(std::string_view at) {
    const std::size_t end = at.find(';');
    const std::string_view name = at.substr(1, end == std::string_view::npos ? 0 : end - 1);
    const bool is_name = !name.empty() && name.size() < 10 &&
                         std::all_of(
                             name.begin(), name.end(),
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '#'; });
    if (!is_name) fail("a bare &");
  }

  void text() {
    const std::size_t end = std::min(rest_.find('<'), rest_.size());
    for (std::size_t i = 0; i < end && fault.empty(); ++i) {
      if (rest_[i] == '>') fail("a bare >");
      if (rest_[i] == '&') check_entity(rest_.substr(i));
    }
    if (fault.empty()) rest_.remove_prefix(end);
  }

  std::string name() {
    std::size_t n = 0;
    while (n < rest_.size() && (std::isalnum(static_cast<unsigned char>(rest_[n])) != 0 ||
                                rest_[n] == '-' || rest_[n] == ':')) {
      ++n;
    }
    std::string result(rest_.substr(0, n));
    rest_.remove_prefix(n);
    return result;
  }

  void skip_space() {
    while (!rest_.empty() && std::isspace(static_cast<unsigned char>(rest_.front())) != 0) {
      rest_.remove_prefix(1);
    }
  }

  bool take(std::string_view part) {
    if (!rest_.starts_with(part)) return false;
    rest_.remove_prefix(part.size());
    return true;
  }

  void comment() {
    const std::size_t end = rest_.find("--");
    if (end == std::string_view::npos || !rest_.substr(end).starts_with("-->")) {
      return fail("a comment without an end");
    }
    rest_.remove_prefix(end + 3);
  }

  void tag() {
    if (take("<!--")) return comment();
    if (take("</")) {
      const std::string closed = name();
      if (!take(">")) return fail("no end of a closing tag");
      if (open_.empty() || open_.back() != closed) return fail("</" + closed + "> closes nothing");
      open_.pop_back();
      return;
    }
    rest_.remove_prefix(1);
    const std::string element = name();
    if (element.empty()) return fail("a bare <");
    names.push_back(element);
    while (fault.empty()) {
      skip_space();
      if (take("/>")) return;
      if (take(">")) break;
      attribute();
    }
    if (is_void_element(element)) return;
    open_.push_back(element);
    if (element != "style") return;
    const std::size_t end = rest_.find("</style>");
    if (end == std::string_view::npos) return fail("style without an end");
    rest_.remove_prefix(end);
  }

  void attribute() {
    if (name().empty()) return fail("no name of an attribute");
    if (!take("=")) return;  // as in `checked`
    if (!take("\"")) return fail("an attribute without quotes");
    const std::size_t end = rest_.find('"');
    if (end == std::string_view::npos) return fail("a quote without an end");
    for (std::size_t i = 0; i < end; ++i) {
      if (rest_[i] == '<') fail("a bare < in an attribute");
      if (rest_[i] == '&') check_entity(rest_.substr(i));
    }
    rest_.remove_prefix(end + 1);
  }

  std::string_view rest_;
  std::vector<std::string> open_;
};

}  // namespace

std::string markup_fault(std::string_view markup) {
  Walker walker(markup);
  walker.walk();
  return walker.fault;
}

std::vector<std::string> element_names(std::string_view markup) {
  Walker walker(markup);
  walker.walk();
  return walker.names;
}

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos;
       at = text.find(part, at + part.size())) {
    ++n;
  }
  return n;
}

}  // namespace moexray::test
