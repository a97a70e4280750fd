#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace moexray {

/// Reads a whole file.
/// @throws Error (data) if it cannot be read or is larger than `max_bytes`.
std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes);

/// A file that appears under its name only when it is complete: its bytes go to a temporary file
/// beside it, which commit() syncs to disk and renames. So `path` holds either its old or its new
/// content, whatever happens in between.
class AtomicFile {
 public:
  /// @throws Error (runtime) with the system's reason (no permission), as the others do; also if
  /// `path` is a directory, a device or a pipe.
  explicit AtomicFile(std::filesystem::path path);
  /// Removes the temporary file if it was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;

  void write(std::span<const std::byte> bytes);
  void write(std::string_view bytes) { write(std::as_bytes(std::span(bytes))); }
  void commit();

 private:
  std::filesystem::path path_;
  std::string temporary_;
  int fd_ = -1;
  bool is_committed_ = false;
};

/// Writes a whole file through an AtomicFile.
/// @throws Error (runtime) with the system's reason (no space, no permission).
void write_file_atomically(const std::filesystem::path& path, std::string_view bytes);

/// Which file it is, and whether it was written since: what `fstat` tells, times in nanoseconds
/// since 1970. A program can set `modified` back, but not `changed`.
struct FileIdentity {
  std::uint64_t device = 0;
  std::uint64_t inode = 0;
  std::uint64_t size = 0;
  std::int64_t modified = 0;
  std::int64_t changed = 0;  ///< its bytes, name, owner or permissions

  bool operator==(const FileIdentity&) const = default;
};

/// A file mapped read-only into memory (`MAP_PRIVATE`). Its bytes stay valid as long as the object
/// lives. A file that another program truncates meanwhile raises SIGBUS on access: a documented
/// limit.
class MappedFile {
 public:
  /// @throws Error (data) if the file cannot be opened or is no regular file.
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }
  /// As it was when the file was mapped.
  const FileIdentity& identity() const { return identity_; }

 private:
  std::filesystem::path path_;
  FileIdentity identity_;
  const std::byte* data_ = nullptr;
  std::size_t size_ = 0;
};

/// The identity of the file that has this name now. @throws Error (data) if there is none.
FileIdentity file_identity(const std::filesystem::path& path);

/// The permissions that new files and directories of this user get: `mode` without the bits of the
/// umask.
unsigned user_permissions(unsigned mode);

/// True if `name` is a plain file name: not empty, not "." or "..", no '/', no NUL byte.
bool is_plain_file_name(std::string_view name);

}  // namespace moexray
