#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/json/json.h"

namespace moexray::json_file {

using Json = nlohmann::json;

/// The last of equal keys counts, as in the libraries that write and read these files.
inline constexpr JsonRules rules{.exact_numbers = false, .unique_keys = false};

/// The object in a file; nothing if there is no such file.
std::optional<Json> read_object_if_there(const std::filesystem::path& path,
                                         std::uint64_t max_bytes);

/// The keys of the object in a file, or of the object that is its member `member`, in the file's
/// order, each once. Nothing if there is none. (A Json is sorted by key.)
std::vector<std::string> read_keys_if_there(const std::filesystem::path& path,
                                            std::uint64_t max_bytes, std::string_view member = {});

/// The member `key` of `object`, or null if it is absent.
const Json& member(const Json& object, const char* key);

/// An Error (data) about the value at `key` of the file `where`.
[[noreturn]] void fail(const std::string& where, std::string_view key, std::string_view what,
                       std::string_view expected, const Json& found);

/// Members of the expected type; absent, null, or of something that is no object: the fallback.
bool bool_or(const Json& object, const char* key, bool fallback, const std::string& where);
std::string string_or(const Json& object, const char* key, std::string_view fallback,
                      const std::string& where);

}  // namespace moexray::json_file
