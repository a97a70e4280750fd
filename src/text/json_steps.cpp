#include "json_steps.h"

#include "moexray/core/error.h"
#include "tokenizers.h"
#include "unicode.h"

namespace moexray::json_steps {
namespace {

constexpr std::size_t max_steps = 64;
constexpr std::size_t max_text_bytes = 1024;  // of a step's own texts

std::string key_of(const Place& place, std::string_view member) {
  return member.empty() ? place.key : place.key + "." + std::string(member);
}

void visit(const Json& step, const Place& place, const char* list, std::size_t& n_steps,
           const std::function<void(const Json&, const Place&)>& take) {
  if (++n_steps > max_steps) {
    json_file::fail(place.file, place.key, "too many steps", "at most " + std::to_string(max_steps),
                    n_steps);
  }
  if (type_of(step, place) != "Sequence") return take(step, place);
  const Json& parts = json_file::member(step, list);
  const std::string key = key_of(place, list);
  if (!parts.is_array()) json_file::fail(place.file, key, "wrong type", "an array", parts);
  for (std::size_t i = 0; i < parts.size(); ++i) {
    visit(parts[i], {place.file, key + "[" + std::to_string(i) + "]"}, list, n_steps, take);
  }
}

}  // namespace

std::string type_of(const Json& step, const Place& place) {
  if (!step.is_object()) json_file::fail(place.file, place.key, "wrong type", "an object", step);
  return json_file::string_or(step, "type", "", place.file);
}

void refuse(const Place& place, std::string_view member, std::string_view what,
            std::string_view expected, const Json& found) {
  try {
    json_file::fail(place.file, key_of(place, member), what, expected, found);
  } catch (const Error& error) {
    throw UnsupportedTokenizer(error);
  }
}

void for_each_step(const Json& step, const Place& place, const char* list,
                   const std::function<void(const Json&, const Place&)>& take) {
  std::size_t n_steps = 0;
  if (!step.is_null()) visit(step, place, list, n_steps, take);
}

TextPattern parse_pattern(const Json& step, const Place& place) {
  const Json& pattern = json_file::member(step, "pattern");
  const Json& regex = pattern.is_object() ? json_file::member(pattern, "Regex") : pattern;
  const Json& text = pattern.is_object() ? json_file::member(pattern, "String") : pattern;
  if (regex.is_string() && pattern.is_object()) {
    try {
      return TextPattern(regex.get_ref<const std::string&>(),
                         place.file + ": key \"" + key_of(place, "pattern.Regex") + "\"");
    } catch (const Error& error) {
      throw UnsupportedTokenizer(error);
    }
  }
  if (!text.is_string() || text.get_ref<const std::string&>().empty() ||
      text.get_ref<const std::string&>().size() > max_text_bytes) {
    json_file::fail(place.file, key_of(place, "pattern"), "wrong type",
                    "a text in \"String\" or a regular expression in \"Regex\"", pattern);
  }
  return TextPattern::literal(text.get<std::string>());
}

TextPattern parse_replaced_pattern(const Json& step, const Place& place) {
  TextPattern pattern = parse_pattern(step, place);
  MatchBudget budget(0);
  if (!pattern.matches("", budget).empty()) {
    refuse(place, "pattern", "unsupported pattern", "one that does not match an empty text",
           regex_of(step));
  }
  return pattern;
}

std::string regex_of(const Json& step) {
  const Json& pattern = json_file::member(step, "pattern");
  if (!pattern.is_object()) return "";
  const Json& regex = json_file::member(pattern, "Regex");
  return regex.is_string() ? regex.get<std::string>() : "";
}

std::string text_at(const Json& step, const Place& place, const char* member) {
  const Json& value = json_file::member(step, member);
  if (!value.is_string() || value.get_ref<const std::string&>().size() > max_text_bytes) {
    json_file::fail(place.file, key_of(place, member), "wrong type",
                    "a text of at most " + std::to_string(max_text_bytes) + " bytes", value);
  }
  return value.get<std::string>();
}

std::string char_at(const Json& step, const Place& place, const char* member,
                    std::string_view fallback) {
  if (json_file::member(step, member).is_null()) return std::string(fallback);
  std::string text = text_at(step, place, member);
  std::size_t pos = 0;
  if (!text.empty()) unicode::next_code_point(text, pos);
  if (text.empty() || pos != text.size()) {
    json_file::fail(place.file, key_of(place, member), "wrong value", "one character", text);
  }
  return text;
}

}  // namespace moexray::json_steps
