#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace moexray::test {

/// Checks that markup is balanced: every element is closed in order, attribute values are quoted,
/// "<", ">" and "&" stand only where they mean something. HTML's void elements may stay open, a
/// doctype is skipped, and the content of `<style>` is not looked at.
/// @return what is wrong first, with the text around it; empty if nothing is.
std::string markup_fault(std::string_view markup);

/// The names of all elements in order of their start tags.
std::vector<std::string> element_names(std::string_view markup);

/// How often `part` occurs in `text`.
std::size_t count_of(std::string_view text, std::string_view part);

}  // namespace moexray::test
