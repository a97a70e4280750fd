#pragma once

#include <algorithm>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "moexray/core/file.h"
#include "moexray/report/output.h"
#include "support/files.h"

namespace moexray::test {

inline constexpr const char* result_text =
    "{\n  \"moexray\": {\n    \"version\": \"1\",\n    \"command\": \"similarity\"\n  }\n}\n";

/// The paths of all files, links and folders (with a '/' at the end) below a directory, in order.
inline std::vector<std::string> tree(const std::filesystem::path& directory) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const bool is_folder = entry.is_directory() && !entry.is_symlink();
    names.push_back(entry.path().lexically_relative(directory).string() + (is_folder ? "/" : ""));
  }
  std::sort(names.begin(), names.end());
  return names;
}

inline void write_text(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  write_file_atomically(path, text);
}

using Files = std::map<std::string, std::string>;

/// A run of `command` that writes these files.
inline void write_outputs(const std::filesystem::path& target, bool force, const Files& files,
                          const std::string& command = "similarity") {
  report::OutputDirectory directory({target, command, force});
  for (const auto& [name, text] : files) write_text(directory.path() / name, text);
  directory.commit();
}

inline nlohmann::json output_list(const std::filesystem::path& directory) {
  return nlohmann::json::parse(file_content(directory / "outputs.json"));
}

}  // namespace moexray::test
