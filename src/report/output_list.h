#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::report {

inline constexpr std::string_view output_list_name = "outputs.json";
inline constexpr std::string_view report_name = "report.json";

/// Every JSON result of moexray starts with this (see Json::dump).
inline constexpr std::string_view result_start = "{\n  \"moexray\": {";

/// A file that moexray wrote into an output directory.
struct OutputEntry {
  std::string path;  ///< relative to the directory, with '/'
  std::uint64_t n_bytes = 0;
  std::string checksum;  ///< "xxh3:…"; empty: size and content are not known (version 0.1.0)
};

/// What moexray wrote into a directory: its outputs.json.
struct OutputList {
  std::string command;
  bool complete = false;
  std::vector<OutputEntry> files;
  /// Only where not complete: what stood there when the run began. Each of them may be there still,
  /// or one of `files`, or nothing.
  std::vector<OutputEntry> before;

  /// Both lists.
  std::vector<OutputEntry> all() const;
};

/// The list of a directory: its outputs.json or, where there is none but a report.json of moexray,
/// the files that version 0.1.0 gave names to. Empty if neither is there.
/// @throws Error (data) for an outputs.json that moexray did not write, or that names files outside
/// the directory.
std::optional<OutputList> read_output_list(const std::filesystem::path& directory);

/// The content of outputs.json.
std::string to_json(const OutputList& list);

/// The files that version 0.1.0 may have written with `command`, which left no list.
std::vector<OutputEntry> outputs_of_0_1_0(std::string_view command);

/// True for a relative path of plain names that a command may write: "experts/L09E011.html".
bool is_output_path(std::string_view path);

/// What stands where an entry says.
enum class OnDisk {
  nothing,
  unchanged,
  changed,  ///< a file of other content, or one that cannot be read
  other,    ///< a directory, a link, a device, or a link or file in place of a folder
};

/// Looks without following links below `directory`.
OnDisk look_at(const std::filesystem::path& directory, const OutputEntry& entry);

/// The entry of a file that is there. @throws Error (data)
OutputEntry entry_of(const std::filesystem::path& directory, const std::string& path);

/// True if the file begins with these bytes; false too if it cannot be read or is a link.
bool begins_with(const std::filesystem::path& path, std::string_view wanted);

}  // namespace moexray::report
