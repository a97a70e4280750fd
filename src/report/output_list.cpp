#include "output_list.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <fstream>

#include "core/json/json.h"
#include "moexray/core/checksum.h"
#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/version.h"
#include "moexray/report/json.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

constexpr std::uint64_t max_list_bytes = std::uint64_t{64} << 20;
constexpr std::size_t max_path_bytes = 4096;

// A foreign outputs.json: anything may stand in it.
class ListReader {
 public:
  explicit ListReader(const fs::path& file) : where_(file.string()) {
    const fs::file_status status = fs::symlink_status(file);
    if (!fs::is_regular_file(status) || !begins_with(file, result_start)) {
      fail("not written by moexray", "a list of moexray's files", {});
    }
    const std::string text = read_file(file, max_list_bytes);
    try {
      root_ = parse_json(text, where_);
    } catch (const Error& error) {
      fail("damaged", "valid JSON", error.parts().what);
    }
  }

  OutputList read() const {
    OutputList list;
    list.command = text(member(root_, "moexray"), "command");
    const nlohmann::json& complete = member(root_, "complete");
    if (!complete.is_boolean()) fail("key \"complete\"", "true or false", complete.dump());
    list.complete = complete.get<bool>();
    list.files = entries("files");
    if (!list.complete) list.before = entries("before");
    return list;
  }

 private:
  [[noreturn]] void fail(std::string what, std::string expected, std::string found) const {
    throw Error(ErrorKind::data, {std::move(what), where_,
                                  std::move(expected) +
                                      ", or this file moved away, so that nothing counts as output",
                                  found.substr(0, 200)});
  }

  const nlohmann::json& member(const nlohmann::json& object, const char* key) const {
    if (!object.is_object() || !object.contains(key)) {
      fail("damaged", "a key \"" + std::string(key) + "\"", {});
    }
    return object.at(key);
  }

  std::string text(const nlohmann::json& object, const char* key) const {
    const nlohmann::json& value = member(object, key);
    if (!value.is_string()) fail("key \"" + std::string(key) + "\"", "a text", {});
    return value.get<std::string>();
  }

  std::vector<OutputEntry> entries(const char* key) const {
    const nlohmann::json& array = member(root_, key);
    if (!array.is_array()) fail("key \"" + std::string(key) + "\"", "an array", {});
    std::vector<OutputEntry> result;
    for (const nlohmann::json& object : array) {
      OutputEntry entry{text(object, "path"), 0, text(object, "checksum")};
      const nlohmann::json& n_bytes = member(object, "n_bytes");
      if (!is_output_path(entry.path)) {
        fail("key \"path\"", "a path inside the directory", "\"" + entry.path + "\"");
      }
      if (!n_bytes.is_number_unsigned()) fail("key \"n_bytes\"", "a size", n_bytes.dump());
      if (!is_checksum_text(entry.checksum)) {
        fail("key \"checksum\"", "\"xxh3:\" and 16 hexadecimal digits", entry.checksum);
      }
      entry.n_bytes = n_bytes.get<std::uint64_t>();
      result.push_back(std::move(entry));
    }
    return result;
  }

  std::string where_;
  nlohmann::json root_;
};

// The command whose report.json this is; empty if it is none of moexray.
std::string command_of_report(const fs::path& file) {
  if (!begins_with(file, result_start)) return {};
  std::string start(4096, '\0');
  std::ifstream stream(file, std::ios::binary);
  stream.read(start.data(), static_cast<std::streamsize>(start.size()));
  start.resize(static_cast<std::size_t>(stream.gcount()));
  constexpr std::string_view key = "\"command\": \"";
  const std::size_t at = start.find(key);
  if (at == std::string::npos) return {};
  const std::size_t begin = at + key.size();
  return start.substr(begin, start.find('"', begin) - begin);
}

Json json_of(const std::vector<OutputEntry>& entries) {
  Json::Array array;
  for (const OutputEntry& entry : entries) {
    array.push_back(Json::object(
        {{"path", entry.path}, {"n_bytes", entry.n_bytes}, {"checksum", entry.checksum}}));
  }
  return array;
}

std::string checksum_of(std::span<const std::byte> bytes) {
  return checksum_text({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace

std::vector<OutputEntry> OutputList::all() const {
  std::vector<OutputEntry> entries = files;
  entries.insert(entries.end(), before.begin(), before.end());
  return entries;
}

std::optional<OutputList> read_output_list(const fs::path& directory) {
  const fs::path file = directory / output_list_name;
  if (fs::exists(fs::symlink_status(file))) return ListReader(file).read();
  OutputList list;
  list.command = command_of_report(directory / report_name);
  if (list.command.empty()) return std::nullopt;
  list.complete = true;
  list.files = outputs_of_0_1_0(list.command);
  return list;
}

std::string to_json(const OutputList& list) {
  Json json =
      Json::object({{"moexray", Json::object({{"version", version()}, {"command", list.command}})},
                    {"complete", list.complete},
                    {"files", json_of(list.files)}});
  if (!list.complete) json.set("before", json_of(list.before));
  return json.dump();
}

bool is_output_path(std::string_view path) {
  if (path.size() > max_path_bytes || path == output_list_name) return false;
  while (true) {
    const std::string_view name = path.substr(0, path.find('/'));
    if (!is_plain_file_name(name)) return false;
    if (name.size() == path.size()) return true;
    path.remove_prefix(name.size() + 1);
  }
}

OnDisk look_at(const fs::path& directory, const OutputEntry& entry) {
  fs::path path = directory;
  struct stat info{};
  const fs::path relative(entry.path);
  for (auto name = relative.begin(); name != relative.end(); ++name) {
    path /= *name;
    if (::lstat(path.c_str(), &info) != 0) {
      return errno == ENOENT ? OnDisk::nothing : OnDisk::other;
    }
    const bool is_last = std::next(name) == relative.end();
    if (is_last ? !S_ISREG(info.st_mode) : !S_ISDIR(info.st_mode)) return OnDisk::other;
  }
  if (entry.checksum.empty()) return OnDisk::unchanged;
  if (static_cast<std::uint64_t>(info.st_size) != entry.n_bytes) return OnDisk::changed;
  try {
    return checksum_of(MappedFile(path).bytes()) == entry.checksum ? OnDisk::unchanged
                                                                   : OnDisk::changed;
  } catch (const Error&) {
    return OnDisk::changed;
  }
}

OutputEntry entry_of(const fs::path& directory, const std::string& path) {
  const MappedFile file(directory / path);
  return {path, file.bytes().size(), checksum_of(file.bytes())};
}

bool begins_with(const fs::path& path, std::string_view wanted) {
  std::error_code ignored;
  if (!fs::is_regular_file(fs::symlink_status(path, ignored))) return false;
  std::ifstream file(path, std::ios::binary);
  std::string start(wanted.size(), '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return file && start == wanted;
}

}  // namespace moexray::report
