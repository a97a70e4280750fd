#include "json_file.h"

#include <system_error>
#include <unordered_set>

#include "moexray/core/error.h"
#include "moexray/core/file_kind.h"

namespace moexray::json_file {
namespace {

std::string shown(const Json& value) {
  if (value.is_object()) return "an object";
  if (value.is_array()) return "an array";
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  constexpr std::size_t enough = 80;
  if (text.size() > enough) text = text.substr(0, enough) + "…";
  return text;
}

}  // namespace

Json parse(std::string_view text, const std::string& where) {
  const auto check_depth = [&](int depth, Json::parse_event_t event, Json&) {
    const bool opens =
        event == Json::parse_event_t::object_start || event == Json::parse_event_t::array_start;
    if (opens && depth >= max_depth) {
      throw Error(ErrorKind::data, {"JSON nested too deeply",
                                    where,
                                    "at most " + std::to_string(max_depth) + " levels",
                                    {}});
    }
    return true;
  };
  try {
    return Json::parse(text, check_depth);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, {"malformed JSON", where, {}, error.what()});
  }
}

std::optional<Json> read_object_if_there(const std::filesystem::path& path,
                                         std::uint64_t max_bytes) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return std::nullopt;
  Json json = parse(read_downloaded_file(path, max_bytes), path.string());
  if (!json.is_object()) fail(path.string(), "", "not a JSON object", "an object", json);
  return json;
}

std::vector<std::string> read_keys_if_there(const std::filesystem::path& path,
                                            std::uint64_t max_bytes, std::string_view member) {
  std::vector<std::string> keys;
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return keys;
  std::unordered_set<std::string> known;
  std::string outer;
  const auto note = [&](int depth, Json::parse_event_t event, Json& value) {
    if (event != Json::parse_event_t::key) return true;
    const std::string& key = value.get_ref<const std::string&>();
    if (depth == 1) outer = key;
    const bool is_wanted = member.empty() ? depth == 1 : depth == 2 && outer == member;
    if (is_wanted && known.insert(key).second) keys.push_back(key);
    return true;
  };
  try {
    const Json unneeded = Json::parse(read_downloaded_file(path, max_bytes), note);
  } catch (const Json::exception& error) {
    throw Error(ErrorKind::data, {"malformed JSON", path.string(), {}, error.what()});
  }
  return keys;
}

const Json& member(const Json& object, const char* key) {
  static const Json null;
  const auto found = object.find(key);
  return found == object.end() ? null : *found;
}

void fail(const std::string& where, std::string_view key, std::string_view what,
          std::string_view expected, const Json& found) {
  std::string place = where;
  if (!key.empty()) place += ": key \"" + std::string(key) + "\"";
  throw Error(ErrorKind::data,
              {std::string(what), std::move(place), std::string(expected), shown(found)});
}

bool bool_or(const Json& object, const char* key, bool fallback, const std::string& where) {
  const Json& value = member(object, key);
  if (value.is_null()) return fallback;
  if (!value.is_boolean()) fail(where, key, "wrong type", "true or false", value);
  return value.get<bool>();
}

std::string string_or(const Json& object, const char* key, std::string_view fallback,
                      const std::string& where) {
  const Json& value = member(object, key);
  if (value.is_null()) return std::string(fallback);
  if (!value.is_string()) fail(where, key, "wrong type", "a string", value);
  return value.get<std::string>();
}

}  // namespace moexray::json_file
