#include "trace_directory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <fstream>
#include <vector>

#include "json_text.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray::trace {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view events_prefix = "events-";
constexpr std::string_view temporary_prefix = "manifest.json.tmp-";
constexpr std::size_t n_random = 6;  // letters and digits of mkstemp()
constexpr std::size_t n_listed = 5;

std::vector<fs::path> entries(const fs::path& directory) {
  std::error_code error;
  std::vector<fs::path> paths;
  fs::directory_iterator it(directory, error);
  while (!error && it != fs::directory_iterator()) {
    paths.push_back(it->path());
    it.increment(error);
  }
  if (error) {
    throw Error(ErrorKind::runtime,
                {"cannot list the directory: " + error.message(), directory.string(), {}, {}});
  }
  return paths;
}

bool is_temporary(const fs::path& path) {
  const std::string name = path.filename().string();
  std::error_code ignored;
  return name.starts_with(temporary_prefix) && name.size() == temporary_prefix.size() + n_random &&
         fs::is_regular_file(fs::symlink_status(path, ignored));
}

}  // namespace

std::string events_file_name(std::size_t index, bool compress) {
  return fmt::format("{}{:05}.jsonl{}", events_prefix, index, compress ? ".zst" : "");
}

std::optional<std::size_t> events_file_index(std::string_view name) {
  if (!name.starts_with(events_prefix)) return std::nullopt;
  const std::string_view digits = name.substr(events_prefix.size());
  std::size_t index = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
  if (error != std::errc()) return std::nullopt;
  if (name != events_file_name(index, false) && name != events_file_name(index, true)) {
    return std::nullopt;
  }
  return index;
}

bool is_unused(const fs::path& directory) {
  std::error_code error;
  if (!fs::exists(fs::symlink_status(directory, error))) return true;
  if (!fs::is_directory(directory, error)) {
    throw Error(ErrorKind::usage, {"not a directory", directory.string(), {}, {}});
  }
  for (const fs::path& path : entries(directory)) {
    const bool is_empty_list = path.filename() == prompts_name &&
                               fs::is_regular_file(path, error) && fs::file_size(path, error) == 0;
    if (!is_empty_list && !is_temporary(path)) return false;
  }
  return true;
}

// The manifest says so near its start; the rest may be cut off or damaged.
bool holds_trace(const fs::path& directory) {
  const fs::path manifest = directory / manifest_name;
  std::error_code ignored;
  if (!fs::is_regular_file(fs::symlink_status(manifest, ignored))) return false;
  std::string start(4096, '\0');
  std::ifstream file(manifest, std::ios::binary);
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return start.find("\"moexray-trace\"") != std::string::npos &&
         start.find("\"tool\": \"moexray ") != std::string::npos;
}

std::string list_of_files(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::path& path : entries(directory)) names.push_back(path.filename().string());
  std::sort(names.begin(), names.end());
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < n_listed; ++i) {
    text += (i > 0 ? ", " : "") + printable(names[i], 80);
  }
  return names.size() > n_listed ? text + ", …" : text;
}

void remove_file(const fs::path& path) {
  std::error_code error;
  fs::remove(path, error);
  if (error) {
    throw Error(ErrorKind::runtime, {"cannot remove: " + error.message(), path.string(), {}, {}});
  }
}

std::vector<fs::path> missing_directories(const fs::path& directory) {
  std::vector<fs::path> missing;
  std::error_code ignored;
  for (fs::path path = directory; !path.empty() && !fs::exists(path, ignored);
       path = path.parent_path()) {
    if (path.has_filename()) missing.push_back(path);  // "a/b/" has an empty last part
  }
  return missing;
}

void remove_empty(const std::vector<fs::path>& directories) noexcept {
  std::error_code ignored;
  for (const fs::path& path : directories) fs::remove(path, ignored);
}

void check_writable(const fs::path& directory) {
  const std::vector<fs::path> missing = missing_directories(directory);
  fs::path place = missing.empty() ? directory : missing.back().parent_path();
  if (place.empty()) place = ".";
  std::error_code ignored;
  const bool is_directory = fs::is_directory(place, ignored);
  if (is_directory && ::access(place.c_str(), W_OK | X_OK) == 0) return;
  const char* reason = std::strerror(is_directory ? errno : ENOTDIR);
  throw Error(ErrorKind::runtime,
              {std::string(missing.empty() ? "cannot write to" : "cannot create") +
                   " the directory: " + reason,
               directory.string(),
               {},
               {}});
}

void remove_events_from(const fs::path& directory, std::size_t first) {
  for (const fs::path& path : entries(directory)) {
    const std::optional<std::size_t> index = events_file_index(path.filename().string());
    if (is_temporary(path) || (index && *index >= first)) remove_file(path);
  }
  if (first == 0) remove_file(directory / counts_name);
}

}  // namespace moexray::trace
