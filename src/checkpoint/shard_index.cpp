#include "shard_index.h"

#include "core/json/json.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/file.h"
#include "moexray/core/file_kind.h"

namespace moexray {
namespace {

constexpr std::uint64_t max_index_bytes = 64 << 20;

}  // namespace

ShardIndex read_shard_index(const std::filesystem::path& path) {
  const auto fail = [&](const std::string& key, std::string what, std::string expected,
                        std::string found) {
    throw Error(ErrorKind::data, {std::move(what), path.string() + ": key \"" + key + '"',
                                  std::move(expected), std::move(found)});
  };
  const nlohmann::json document =
      parse_json(read_downloaded_file(path, max_index_bytes), path.string());
  if (!document.is_object() || !document.contains("weight_map")) {
    fail("weight_map", "missing", {}, {});
  }
  const nlohmann::json& weight_map = document["weight_map"];
  if (!weight_map.is_object() || weight_map.empty()) {
    fail("weight_map", "wrong type", "an object that names every tensor's file",
         describe_json(weight_map));
  }
  ShardIndex index;
  for (const auto& [name, value] : weight_map.items()) {
    const std::string key = "weight_map." + printable(name, 120);
    if (!value.is_string()) fail(key, "wrong type", "a file name", describe_json(value));
    const std::string& shard = value.get_ref<const std::string&>();
    if (!is_plain_file_name(shard)) {
      fail(key, "wrong value", "the plain name of a file in the same directory",
           describe_json(value));
    }
    index.emplace(name, shard);
  }
  return index;
}

}  // namespace moexray
