#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::trace {

inline constexpr std::string_view manifest_name = "manifest.json";
inline constexpr std::string_view prompts_name = "prompts.jsonl";
inline constexpr std::string_view shadows_name = "shadows.bin";
inline constexpr std::string_view counts_name = "counts.npy";

/// "events-00003.jsonl", or ".jsonl.zst".
std::string events_file_name(std::size_t index, bool compress);

/// The index of a file that events_file_name() names.
std::optional<std::size_t> events_file_index(std::string_view name);

/// True if a directory is missing, empty, or holds only what a writer leaves that is stopped before
/// its manifest is written.
bool is_unused(const std::filesystem::path& directory);

/// True if a directory holds the manifest of a trace that moexray wrote, whole or damaged no
/// matter. Traces of other software are not for moexray to replace.
bool holds_trace(const std::filesystem::path& directory);

/// The first names in a directory, for messages.
std::string list_of_files(const std::filesystem::path& directory);

/// Removes the events files from index `first` on and unfinished temporary files; from 0 on counts
/// too.
void remove_events_from(const std::filesystem::path& directory, std::size_t first);

/// The directories that have to be made for one to be there, the innermost first.
std::vector<std::filesystem::path> missing_directories(const std::filesystem::path& directory);

/// Removes those of some directories that are empty, in this order.
void remove_empty(const std::vector<std::filesystem::path>& directories) noexcept;

/// Checks, without changing anything, that files can be made in a directory, or the directory
/// itself. @throws Error (runtime).
void check_writable(const std::filesystem::path& directory);

/// Removes one file if it is there. @throws Error (runtime).
void remove_file(const std::filesystem::path& path);

}  // namespace moexray::trace
