#include "json_text.h"

#include <algorithm>
#include <set>
#include <vector>

#include "exact_json.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray::trace {
namespace {

constexpr std::size_t max_name_bytes = 256;

// Brackets outside of strings, counted before anything is built from the text.
bool is_deeper_than(std::string_view text, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

// The library keeps the last of equal keys; that would hide what a line says.
class DuplicateKeys {
 public:
  void see(Json::parse_event_t event, const Json& parsed) {
    if (event == Json::parse_event_t::object_start) {
      open_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      open_.pop_back();
    } else if (event == Json::parse_event_t::key && found_.empty()) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!open_.back().insert(key).second) found_ = key.empty() ? "\"\"" : key;
    }
  }
  const std::string& found() const { return found_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string found_;
};

}  // namespace

void check_json_text(std::string_view text, const std::string& where) {
  const std::size_t bad = find_invalid_utf8(text);
  if (bad != text.size()) {
    throw Error(ErrorKind::data,
                {"not valid UTF-8 at byte " + std::to_string(bad + 1), where, {}, {}});
  }
  if (is_deeper_than(text, max_json_depth)) {
    throw Error(ErrorKind::data, {"JSON nested too deeply",
                                  where,
                                  "depth of at most " + std::to_string(max_json_depth),
                                  {}});
  }
}

void fail_json(std::string_view text, std::size_t position, const std::string& where) {
  throw Error(ErrorKind::data,
              {"not valid JSON at byte " + std::to_string(position),
               where,
               {},
               text.empty() ? "nothing" : "\"" + std::string(text.substr(0, 60)) + "\""});
}

Json parse_json(std::string_view text, const std::string& where) {
  check_json_text(text, where);
  DuplicateKeys keys;
  try {
    Json value = Json::parse(text, [&](int, Json::parse_event_t event, Json& parsed) {
      keys.see(event, parsed);
      return true;
    });
    if (!keys.found().empty()) {
      throw Error(ErrorKind::data, {"key \"" + keys.found() + "\" given twice", where, {}, {}});
    }
    return value;
  } catch (const Json::parse_error& error) {
    fail_json(text, error.byte, where);
  } catch (const Json::exception&) {
    // A number beyond the range of a double.
    throw Error(ErrorKind::data, {"not valid JSON: number out of range", where, {}, {}});
  }
}

std::string json_text(const Json& value) {
  try {
    return value.dump();
  } catch (const Json::exception&) {
    throw Error(ErrorKind::data, "text that is not valid UTF-8 cannot be written as JSON");
  }
}

std::string describe(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean() || value.is_number()) return value.dump();
  if (value.is_binary()) return printable(kept_number(value), 80);
  if (value.is_string()) {
    return "\"" + printable(value.get_ref<const std::string&>(), 80) + "\"";
  }
  return value.is_array() ? "an array" : "an object";
}

std::string name_problem(std::string_view text) {
  if (text.empty()) return "is empty";
  if (text.size() > max_name_bytes) {
    return "is longer than " + std::to_string(max_name_bytes) + " bytes";
  }
  const bool has_control = std::any_of(text.begin(), text.end(), [](char c) {
    return static_cast<unsigned char>(c) < 0x20 || c == 0x7F;
  });
  return has_control ? "holds a control character" : "";
}

}  // namespace moexray::trace
