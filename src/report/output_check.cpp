#include "output_check.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <map>

#include "moexray/core/escape.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

constexpr std::size_t n_named = 5;

bool is_inside(const fs::path& inner, const fs::path& outer) {
  const fs::path relative = inner.lexically_relative(outer);
  return !relative.empty() && *relative.begin() != "..";
}

bool is_temporary_of(std::string_view name, std::string_view prefix) {
  constexpr std::size_t n_random = 6;  // of mkstemp() and mkdtemp()
  return name.starts_with(prefix) && name.size() == prefix.size() + n_random &&
         std::all_of(name.begin() + static_cast<std::ptrdiff_t>(prefix.size()), name.end(),
                     [](unsigned char c) { return std::isalnum(c) != 0; });
}

// Everything in a directory but what a killed run left, in order of name.
std::vector<std::string> names_in(const fs::path& directory) {
  std::vector<std::string> names;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory)) {
    if (!is_left_over(entry.path())) names.push_back(entry.path().filename().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string first_of(const std::vector<std::string>& names) {
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < n_named; ++i) {
    text += (i > 0 ? ", " : "") + printable(names[i], 80);
  }
  return names.size() > n_named ? text + ", …" : text;
}

void check_writable(const fs::path& directory) {
  fs::path existing = real_path(directory);
  while (!fs::exists(fs::status(existing)) && existing.has_relative_path()) {
    existing = existing.parent_path();
  }
  if (!fs::is_directory(existing)) {
    throw Error(ErrorKind::runtime, {"not a directory", existing.string(), {}, {}});
  }
  if (::faccessat(AT_FDCWD, existing.c_str(), W_OK | X_OK, AT_EACCESS) != 0) {
    fail_with_errno(existing, "cannot write");
  }
}

void check_input(const OutputPlace& place) {
  for (const fs::path& input : place.kept) {
    if (real_path(input) == real_path(place.directory)) {
      throw Error(ErrorKind::data, {"output would replace the input " + input.string(),
                                    place.directory.string(),
                                    "another directory",
                                    {}});
    }
  }
}

[[noreturn]] void refuse_without_force(const OutputPlace& place,
                                       const std::optional<OutputList>& list,
                                       const std::vector<std::string>& names) {
  if (!list) {
    throw Error(ErrorKind::data,
                {"output exists", place.directory.string(),
                 "a new or empty directory, or --force to write beside what is there",
                 "files that moexray did not write: " + first_of(names)});
  }
  const std::string whose = "results of moexray " + printable(list->command, 60);
  throw Error(ErrorKind::data, {"output exists", place.directory.string(),
                                "a new or empty directory, or --force to replace it",
                                list->complete ? whose
                                               : "unfinished " + whose +
                                                     ", of a run that was stopped or still works"});
}

// With --force: is anything in the way of the files that are known to be written?
void check_replaceable(const OutputPlace& place, const std::optional<OutputList>& list) {
  Obstacles obstacles(place.directory);
  if (!list) {
    const OnDisk state = look_at(place.directory, {std::string(report_name), 0, {}});
    if (state != OnDisk::nothing) obstacles.add(std::string(report_name), why_kept(OnDisk::other));
    obstacles.refuse_if_any();
    return;
  }
  // An entry of an unfinished list may be there in one of two versions.
  std::map<std::string, OnDisk> states;
  for (const OutputEntry& entry : list->all()) {
    const auto [known, is_new] = states.emplace(entry.path, OnDisk::nothing);
    if (known->second != OnDisk::unchanged) known->second = look_at(place.directory, entry);
  }
  const bool is_of_another = list->command != place.command;
  std::vector<std::string> present;
  for (const auto& [path, state] : states) {
    if (state != OnDisk::nothing) present.push_back(path);
    if (state == OnDisk::changed || state == OnDisk::other) obstacles.add(path, why_kept(state));
  }
  if (is_of_another && !present.empty()) {
    throw Error(ErrorKind::data,
                {"not replaced even with --force: results of moexray " +
                     printable(list->command, 60) + " (" + first_of(present) + ")",
                 place.directory.string(),
                 "results of moexray " + place.command +
                     ", or another directory, or these files moved away or deleted",
                 {}});
  }
  obstacles.refuse_if_any();
}

void check_directory(const OutputPlace& place) {
  const fs::path& directory = place.directory;
  const fs::file_status status = fs::status(directory);
  if (fs::exists(status) && !fs::is_directory(status)) {
    throw Error(ErrorKind::data, {"output exists", directory.string(), "a directory or nothing",
                                  "something that is no directory"});
  }
  check_input(place);
  if (fs::exists(status)) {
    const std::vector<std::string> names = names_in(directory);
    if (!names.empty()) {
      const std::optional<OutputList> list = list_of_place(place);
      if (!place.force) refuse_without_force(place, list, names);
      check_replaceable(place, list);
    }
  }
  check_writable(directory);
}

}  // namespace

fs::path real_path(const fs::path& path) {
  fs::path result = fs::weakly_canonical(fs::absolute(path));
  return result.has_filename() ? result : result.parent_path();
}

bool is_left_over(const fs::path& entry) {
  const std::string name = entry.filename().string();
  std::error_code ignored;
  const fs::file_status status = fs::symlink_status(entry, ignored);
  if (fs::is_directory(status)) return is_temporary_of(name, staging_prefix);
  return fs::is_regular_file(status) &&
         is_temporary_of(name, std::string(output_list_name) + ".tmp-");
}

void Obstacles::add(const std::string& path, std::string_view why) {
  if (++n_ > n_named) return;
  text_ += (n_ > 1 ? ", " : "") + printable(path, 120) + " (" + std::string(why) + ")";
}

void Obstacles::refuse_if_any() const {
  if (n_ == 0) return;
  const std::string more =
      n_ > n_named ? " and " + std::to_string(n_ - n_named) + " more" : std::string();
  throw Error(ErrorKind::data, {"not replaced even with --force: " + text_ + more,
                                directory_.string(),
                                "these files moved away or deleted, or another directory",
                                {}});
}

std::string_view why_kept(OnDisk state) {
  return state == OnDisk::changed ? "changed since moexray wrote it" : "not written by moexray";
}

std::optional<OutputList> list_of_place(const OutputPlace& place) {
  std::optional<OutputList> list = read_output_list(place.directory);
  if (!list) return list;
  const fs::path root = real_path(place.directory);
  for (const fs::path& input : place.kept) {
    const auto is_input = [&, kept = real_path(input)](const OutputEntry& entry) {
      return is_inside(root / entry.path, kept);
    };
    std::erase_if(list->files, is_input);
    std::erase_if(list->before, is_input);
  }
  return list;
}

void check_output_directory(const OutputPlace& place) {
  looking_at(place.directory, [&] { check_directory(place); });
}

}  // namespace moexray::report
