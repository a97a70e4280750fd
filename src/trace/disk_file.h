#pragma once

#include <cstdint>
#include <filesystem>
#include <string_view>

namespace moexray::trace {

/// A file that grows at its end. Every failure is an Error (runtime) that names the file.
class DiskFile {
 public:
  DiskFile() = default;
  /// Opens for reading and writing, creating the file if it is not there.
  explicit DiskFile(const std::filesystem::path& path);
  ~DiskFile() { close(); }
  DiskFile(DiskFile&& other) noexcept;
  DiskFile& operator=(DiskFile&& other) noexcept;

  bool is_open() const { return fd_ >= 0; }
  const std::filesystem::path& path() const { return path_; }
  std::uint64_t size() const { return size_; }

  /// @throws Error (runtime) if another program holds the lock.
  void lock();
  void append(std::string_view bytes);
  /// Replaces bytes from the file's start on. They must not reach beyond its end.
  void overwrite_start(std::string_view bytes);
  void truncate(std::uint64_t size);
  void sync();
  void close();

 private:
  void write_at(std::uint64_t& offset, std::string_view bytes);

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t size_ = 0;
};

/// Syncs the names in a directory to disk.
void sync_directory(const std::filesystem::path& directory);

}  // namespace moexray::trace
