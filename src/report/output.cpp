#include "moexray/report/output.h"

#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>

#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/report/html_page.h"

namespace moexray::report {
namespace fs = std::filesystem;
namespace {

// Every JSON result of moexray starts with this (see Json::dump).
constexpr std::string_view result_start = "{\n  \"moexray\": {";

bool begins_with(const fs::path& path, std::string_view wanted) {
  std::ifstream file(path, std::ios::binary);
  std::string start(wanted.size(), '\0');
  file.read(start.data(), static_cast<std::streamsize>(start.size()));
  return file && start == wanted;
}

bool is_result_file(const fs::path& path) { return begins_with(path, result_start); }

[[noreturn]] void fail(const fs::path& path, std::string_view what) {
  const int code = errno;
  throw Error(ErrorKind::runtime,
              {std::string(what) + ": " + std::strerror(code), path.string(), {}, {}});
}

// Runs a look at the file system; its exceptions become Error.
template <typename Action>
auto looking_at(const fs::path& path, Action&& action) {
  try {
    return action();
  } catch (const fs::filesystem_error& error) {
    throw Error(ErrorKind::runtime,
                {"cannot use: " + error.code().message(), path.string(), {}, {}});
  }
}

// The canonical form without a trailing slash; what does not exist yet is taken as written.
fs::path real_path(const fs::path& path) {
  fs::path result = fs::weakly_canonical(fs::absolute(path));
  return result.has_filename() ? result : result.parent_path();
}

bool is_inside(const fs::path& inner, const fs::path& outer) {
  const fs::path relative = inner.lexically_relative(outer);
  return !relative.empty() && *relative.begin() != "..";
}

bool is_special_file(const fs::path& path) {
  const fs::file_status status = fs::status(path);
  return fs::exists(status) && !fs::is_regular_file(status) && !fs::is_directory(status);
}

void sync(const fs::path& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_RDONLY | O_CLOEXEC);
  if (fd < 0) fail(path, "cannot write");
  const int result = ::fsync(fd);
  const int code = errno;
  ::close(fd);
  errno = code;
  // Some file systems cannot sync directories: nothing to be done about it.
  if (result != 0 && code != EINVAL) fail(path, "cannot write");
}

void check_directory(const fs::path& directory, bool force, std::span<const fs::path> kept) {
  const fs::file_status status = fs::status(directory);
  if (!fs::exists(status)) return;
  if (!fs::is_directory(status)) {
    throw Error(ErrorKind::data, {"output exists", directory.string(), "a directory or nothing",
                                  "something that is no directory"});
  }
  for (const fs::path& input : kept) {
    if (is_inside(real_path(input), real_path(directory))) {
      throw Error(ErrorKind::data, {"output would replace the input " + input.string(),
                                    directory.string(),
                                    "another directory",
                                    {}});
    }
  }
  if (fs::is_empty(directory)) return;
  if (!force) {
    throw Error(ErrorKind::data, {"output exists",
                                  directory.string(),
                                  "a new or empty directory, or --force to replace it",
                                  {}});
  }
  if (!is_result_file(directory / "report.json")) {
    throw Error(ErrorKind::data,
                {"not replaced even with --force", directory.string(),
                 "a directory that holds a report.json of moexray", "other files"});
  }
}

void check_file(const fs::path& file, bool force) {
  const fs::path parent = fs::absolute(file).parent_path();
  if (!fs::is_directory(parent)) {
    throw Error(ErrorKind::runtime, {"no such directory", parent.string(), {}, {}});
  }
  const fs::file_status status = fs::status(file);
  if (!fs::exists(status) || is_special_file(file)) return;
  if (fs::is_directory(status)) {
    throw Error(ErrorKind::data, {"output exists", file.string(), "a file", "a directory"});
  }
  if (!force) {
    throw Error(ErrorKind::data,
                {"output exists", file.string(), "a new file, or --force to replace it", {}});
  }
  const bool is_ours = is_result_file(file) || begins_with(file, html_page_start);
  if (!is_ours && fs::file_size(file) > 0) {
    throw Error(ErrorKind::data, {"not replaced even with --force", file.string(),
                                  "a result of moexray", "another file"});
  }
}

}  // namespace

void check_output_directory(const fs::path& directory, bool force, std::span<const fs::path> kept) {
  looking_at(directory, [&] { check_directory(directory, force, kept); });
}

void check_output_file(const fs::path& file, bool force) {
  looking_at(file, [&] { check_file(file, force); });
}

void write_output_file(const fs::path& file, std::string_view bytes) {
  if (!is_special_file(file)) {
    // Through a link to the file itself: renaming would replace the link.
    write_file_atomically(fs::is_symlink(file) ? fs::weakly_canonical(file) : file, bytes);
    return;
  }
  std::FILE* stream = std::fopen(file.c_str(), "wb");
  if (stream == nullptr) fail(file, "cannot write");
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), stream) == bytes.size();
  const int code = errno;
  if (std::fclose(stream) != 0 || !written) {
    if (!written) errno = code;
    fail(file, "cannot write");
  }
}

OutputDirectory::OutputDirectory(fs::path target, bool force, std::span<const fs::path> kept)
    : target_(looking_at(target, [&] { return real_path(target); })) {
  check_output_directory(target, force, kept);
  std::error_code code;
  fs::create_directories(target_.parent_path(), code);
  std::string name = target_.string() + ".tmp-XXXXXX";
  if (::mkdtemp(name.data()) == nullptr) fail(target, "cannot make a directory");
  temporary_ = name;
  // mkdtemp makes directories for the owner alone.
  if (::chmod(temporary_.c_str(), user_permissions(0777)) != 0) {
    fail(target, "cannot make a directory");
  }
}

OutputDirectory::~OutputDirectory() {
  std::error_code ignored;
  if (!temporary_.empty()) fs::remove_all(temporary_, ignored);
}

void OutputDirectory::commit() {
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(temporary_)) {
    if (entry.is_regular_file()) sync(entry.path(), 0);
  }
  sync(temporary_, O_DIRECTORY);
  if (::rename(temporary_.c_str(), target_.c_str()) == 0) {  // over nothing or an empty directory
    temporary_.clear();
  } else if (errno == ENOTEMPTY || errno == EEXIST) {
    // Afterwards the old directory has the temporary name, and the destructor removes it.
    if (::renameat2(AT_FDCWD, temporary_.c_str(), AT_FDCWD, target_.c_str(), RENAME_EXCHANGE) !=
        0) {
      const fs::path old = temporary_.string() + ".old";
      if (::rename(target_.c_str(), old.c_str()) != 0) fail(target_, "cannot replace");
      if (::rename(temporary_.c_str(), target_.c_str()) != 0) fail(target_, "cannot replace");
      temporary_ = old;
    }
  } else {
    fail(target_, "cannot rename into place");
  }
  sync(target_.parent_path(), O_DIRECTORY);
}

}  // namespace moexray::report
