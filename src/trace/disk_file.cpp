#include "disk_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "moexray/core/error.h"

namespace moexray::trace {
namespace {

[[noreturn]] void throw_errno(std::string_view what, const std::filesystem::path& path) {
  const int code = errno;
  throw Error(ErrorKind::runtime,
              {std::string(what) + ": " + std::strerror(code), path.string(), {}, {}});
}

}  // namespace

DiskFile::DiskFile(const std::filesystem::path& path)
    : path_(path), fd_(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666)) {
  if (fd_ < 0) throw_errno("cannot open for writing", path);
  struct stat info{};
  if (::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) {
    ::close(std::exchange(fd_, -1));
    throw Error(ErrorKind::runtime, {"not a regular file", path.string(), {}, {}});
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
}

DiskFile::DiskFile(DiskFile&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(std::exchange(other.size_, 0)) {}

DiskFile& DiskFile::operator=(DiskFile&& other) noexcept {
  if (this != &other) {
    close();
    path_ = std::move(other.path_);
    fd_ = std::exchange(other.fd_, -1);
    size_ = std::exchange(other.size_, 0);
  }
  return *this;
}

void DiskFile::lock() {
  if (::flock(fd_, LOCK_EX | LOCK_NB) == 0) return;
  if (errno == EWOULDBLOCK) {
    throw Error(ErrorKind::runtime,
                {"another program is writing this trace", path_.parent_path().string(), {}, {}});
  }
  // Some network file systems have no locks; a trace is still worth writing there.
}

void DiskFile::append(std::string_view bytes) { write_at(size_, bytes); }

void DiskFile::overwrite_start(std::string_view bytes) {
  std::uint64_t offset = 0;
  write_at(offset, bytes);
}

// Moves the offset on with every byte that is written.
void DiskFile::write_at(std::uint64_t& offset, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno("cannot write", path_);
    if (n == 0) {
      errno = ENOSPC;
      throw_errno("cannot write", path_);
    }
    offset += static_cast<std::uint64_t>(n);
    bytes.remove_prefix(static_cast<std::size_t>(n));
  }
}

void DiskFile::truncate(std::uint64_t size) {
  if (::ftruncate(fd_, static_cast<off_t>(size)) != 0) throw_errno("cannot shorten", path_);
  size_ = size;
}

void DiskFile::sync() {
  if (::fsync(fd_) != 0) throw_errno("cannot write to disk", path_);
}

void DiskFile::close() {
  if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void sync_directory(const std::filesystem::path& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return;
  ::fsync(fd);
  ::close(fd);
}

}  // namespace moexray::trace
