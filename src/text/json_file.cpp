#include "json_file.h"

#include <system_error>

#include "core/json/section.h"
#include "moexray/core/error.h"
#include "moexray/core/file_kind.h"

namespace moexray::json_file {

std::optional<Json> read_object_if_there(const std::filesystem::path& path,
                                         std::uint64_t max_bytes) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return std::nullopt;
  Json json = parse_json(read_downloaded_file(path, max_bytes), path.string(), rules);
  if (!json.is_object()) fail(path.string(), "", "not a JSON object", "an object", json);
  return json;
}

std::vector<std::string> read_keys_if_there(const std::filesystem::path& path,
                                            std::uint64_t max_bytes, std::string_view member) {
  std::error_code code;
  if (!std::filesystem::exists(path, code)) return {};
  return json_keys(read_downloaded_file(path, max_bytes), path.string(), member);
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
              {std::string(what), std::move(place), std::string(expected), describe_json(found)});
}

bool bool_or(const Json& object, const char* key, bool fallback, const std::string& where) {
  return object.is_object() ? JsonSection(object, where).boolean(key, fallback) : fallback;
}

std::string string_or(const Json& object, const char* key, std::string_view fallback,
                      const std::string& where) {
  return object.is_object() ? JsonSection(object, where).text(key, fallback)
                            : std::string(fallback);
}

}  // namespace moexray::json_file
