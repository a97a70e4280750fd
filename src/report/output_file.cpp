#include <array>
#include <cstdio>
#include <string>

#include "moexray/core/checksum.h"
#include "moexray/core/file.h"
#include "moexray/report/html_page.h"
#include "output_check.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

// The last line of a page that stands alone.
constexpr ChecksumMember page_checksum{"<!-- checksum ", " -->\n", ""};

struct FileKind {
  std::string_view start;
  ChecksumMember checksum;
};
constexpr std::array<FileKind, 2> file_kinds{
    {{result_start, object_checksum}, {html_page_start, page_checksum}}};

std::string with_checksum(std::string_view bytes) {
  for (const auto& [start, member] : file_kinds) {
    if (!bytes.starts_with(start) || !bytes.ends_with(member.plain_end)) continue;
    std::string text(bytes.substr(0, bytes.size() - member.plain_end.size()));
    append_checksum(text, member);
    return text;
  }
  return std::string(bytes);
}

// Why a file is not to be replaced; empty if it may be. Version 0.1.0 wrote no checksums.
std::string_view why_kept(const fs::path& file) {
  const MappedFile mapped(file);
  const std::string_view text(reinterpret_cast<const char*>(mapped.bytes().data()),
                              mapped.bytes().size());
  if (text.empty()) return {};
  for (const auto& [start, member] : file_kinds) {
    if (!text.starts_with(start)) continue;
    const std::string mark = std::string(member.member) + "xxh3:";
    const bool is_changed = text.find(mark) != std::string_view::npos &&
                            check_checksum(text, member) != ChecksumState::right;
    return is_changed ? report::why_kept(OnDisk::changed) : std::string_view();
  }
  return report::why_kept(OnDisk::other);
}

bool is_special_file(const fs::path& path) {
  const fs::file_status status = fs::status(path);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

// Files of output directories are replaced together or not at all.
void refuse_listed(const fs::path& file) {
  const fs::path real = real_path(file);
  for (fs::path directory = real.parent_path(); directory.has_relative_path();
       directory = directory.parent_path()) {
    if (!begins_with(directory / output_list_name, result_start)) continue;
    const std::string name = real.lexically_relative(directory).string();
    bool is_listed = name == output_list_name;
    for (const OutputEntry& entry : read_output_list(directory)->all()) {
      is_listed = is_listed || entry.path == name;
    }
    if (!is_listed) continue;
    throw Error(ErrorKind::data, {"not replaced, as it belongs to the results listed in " +
                                      (directory / output_list_name).string(),
                                  file.string(),
                                  "another file",
                                  {}});
  }
}

void check_file(const fs::path& file, bool force) {
  const fs::path parent = fs::absolute(file).parent_path();
  if (!fs::is_directory(parent)) {
    throw Error(ErrorKind::runtime, {"no such directory", parent.string(), {}, {}});
  }
  const fs::file_status status = fs::status(file);
  if (is_special_file(file)) return;
  if (fs::is_directory(status)) {
    throw Error(ErrorKind::data, {"output exists", file.string(), "a file", "a directory"});
  }
  if (!fs::exists(status)) return;
  if (!force) {
    throw Error(ErrorKind::data,
                {"output exists", file.string(), "a new file, or --force to replace it", {}});
  }
  if (const std::string_view why = why_kept(file); !why.empty()) {
    throw Error(ErrorKind::data, {"not replaced even with --force: " + std::string(why),
                                  file.string(),
                                  "a result of moexray, or this file moved away, or another name",
                                  {}});
  }
  refuse_listed(file);
}

}  // namespace

void check_output_file(const fs::path& file, bool force) {
  looking_at(file, [&] { check_file(file, force); });
}

void write_output_file(const fs::path& file, std::string_view bytes) {
  if (!is_special_file(file)) {
    looking_at(file, [&] { refuse_listed(file); });
    // Through a link to the file itself: renaming would replace the link.
    write_file_atomically(fs::is_symlink(file) ? fs::weakly_canonical(file) : file,
                          with_checksum(bytes));
    return;
  }
  std::FILE* stream = std::fopen(file.c_str(), "wb");
  if (stream == nullptr) fail_with_errno(file, "cannot write");
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), stream) == bytes.size();
  const int code = errno;
  if (std::fclose(stream) != 0 || !written) {
    if (!written) errno = code;
    fail_with_errno(file, "cannot write");
  }
}

}  // namespace moexray::report
