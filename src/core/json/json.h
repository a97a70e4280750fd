#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

// JSON from strangers: the one way in which text becomes a document. Internal to the libraries, so
// that no public header holds a type of the JSON library.

namespace moexray {

inline constexpr int max_json_depth = 64;

struct JsonRules {
  /// A number that neither 64 bits nor a double hold exactly (12345678901234567890123,
  /// 0.1234567890123456789, 1e-400) is kept as its text, see kept_number(); else it is rounded.
  bool exact_numbers = false;
  /// A key that an object gives twice is refused; else its last value counts, as Python has it.
  bool unique_keys = true;
};

/// Parses a JSON document: valid UTF-8, at most 64 levels deep, no number beyond a double's range.
/// @param where the file's name, or the file's and the line's number, for messages.
/// @throws Error (data) with `where` and the place in the text: the line and its byte where there
///   are several lines ("FILE:3:14"), else the byte; the key of a number out of range.
nlohmann::json parse_json(std::string_view text, std::string_view where,
                          const JsonRules& rules = {});

/// The keys of the object `text`, or of the object that is its member `member`, in the order of the
/// text, each once. (A document is sorted by key.) None where there is no such object.
/// @throws Error (data) as parse_json() does.
std::vector<std::string> json_keys(std::string_view text, std::string_view where,
                                   std::string_view member = {});

/// The JSON text of a value on one line, kept numbers as they came. @throws Error (data) if a
/// string is not valid UTF-8.
std::string json_text(const nlohmann::json& value);

/// The text of a number that was kept as it is; empty for every other value. (Such a value has the
/// library's type "binary", which JSON text cannot give otherwise.)
std::string_view kept_number(const nlohmann::json& value);

/// What a value is, for "found …" in messages: "an object", "null", 3, "a string" in quotes.
std::string describe_json(const nlohmann::json& value);

}  // namespace moexray
