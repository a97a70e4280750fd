#include "moexray/core/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "moexray/core/error.h"

namespace moexray {
namespace {

[[noreturn]] void throw_errno(ErrorKind kind, std::string_view what,
                              const std::filesystem::path& path) {
  const int code = errno;
  throw Error(kind, {std::string(what) + ": " + std::strerror(code), path.string(), {}, {}});
}

// Closes a file descriptor on every way out.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

// Opening a pipe would wait for its other end; not blocking lets it open, and then be refused.
int open_for_reading(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) throw_errno(ErrorKind::data, "cannot open", path);
  return fd;
}

std::int64_t nanoseconds(const timespec& time) {
  return std::int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

FileIdentity identity_of(const struct stat& info) {
  return {.device = info.st_dev,
          .inode = info.st_ino,
          .size = static_cast<std::uint64_t>(info.st_size),
          .modified = nanoseconds(info.st_mtim),
          .changed = nanoseconds(info.st_ctim)};
}

FileIdentity regular_file(int fd, const std::filesystem::path& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) throw_errno(ErrorKind::data, "cannot read", path);
  if (!S_ISREG(info.st_mode)) {
    throw Error(ErrorKind::data, {"not a regular file", path.string(), {}, {}});
  }
  return identity_of(info);
}

void sync_directory(const std::filesystem::path& directory) {
  const Descriptor fd(
      ::open(directory.empty() ? "." : directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (fd.get() >= 0) ::fsync(fd.get());
}

}  // namespace

std::string read_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  const Descriptor fd(open_for_reading(path));
  const std::uint64_t size = regular_file(fd.get(), path).size;
  if (size > max_bytes) {
    throw Error(ErrorKind::data,
                {"file too large", path.string(), "at most " + std::to_string(max_bytes) + " bytes",
                 std::to_string(size) + " bytes"});
  }
  std::string bytes(size, '\0');
  std::size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t n = ::read(fd.get(), bytes.data() + done, bytes.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(ErrorKind::data, "cannot read", path);
    if (n == 0) break;
    done += static_cast<std::size_t>(n);
  }
  bytes.resize(done);
  return bytes;
}

AtomicFile::AtomicFile(std::filesystem::path path)
    : path_(std::move(path)), temporary_(path_.string() + ".tmp-XXXXXX") {
  // The rename would put a plain file in the place of a device, which root is allowed to do.
  struct stat info{};
  if (::lstat(path_.c_str(), &info) == 0 && !S_ISREG(info.st_mode) && !S_ISLNK(info.st_mode)) {
    throw Error(ErrorKind::runtime, {"cannot write", path_.string(), "a regular file or nothing",
                                     S_ISDIR(info.st_mode) ? "a directory" : "a device or pipe"});
  }
  fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
  if (fd_ < 0) throw_errno(ErrorKind::runtime, "cannot write", path_);
}

AtomicFile::~AtomicFile() {
  if (fd_ >= 0) ::close(fd_);
  if (!is_committed_) ::unlink(temporary_.c_str());
}

void AtomicFile::write(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) throw_errno(ErrorKind::runtime, "cannot write", path_);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
}

void AtomicFile::commit() {
  // mkostemp creates files for the owner alone.
  if (::fchmod(fd_, user_permissions(0666)) != 0 || ::fsync(fd_) != 0 ||
      ::close(std::exchange(fd_, -1)) != 0) {
    throw_errno(ErrorKind::runtime, "cannot write", path_);
  }
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) {
    throw_errno(ErrorKind::runtime, "cannot rename into place", path_);
  }
  is_committed_ = true;
  sync_directory(path_.parent_path());
}

void write_file_atomically(const std::filesystem::path& path, std::string_view bytes) {
  AtomicFile file(path);
  file.write(bytes);
  file.commit();
}

FileIdentity file_identity(const std::filesystem::path& path) {
  struct stat info{};
  if (::stat(path.c_str(), &info) != 0) throw_errno(ErrorKind::data, "cannot read", path);
  return identity_of(info);
}

unsigned user_permissions(unsigned mode) {
  const mode_t mask = ::umask(0);  // the only way to read it is to set it
  ::umask(mask);
  return mode & ~mask;
}

MappedFile::MappedFile(const std::filesystem::path& path) : path_(path) {
  const Descriptor fd(open_for_reading(path));
  identity_ = regular_file(fd.get(), path);
  size_ = identity_.size;
  if (size_ == 0) return;
  void* address = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, fd.get(), 0);
  if (address == MAP_FAILED) throw_errno(ErrorKind::runtime, "cannot map", path);
  data_ = static_cast<const std::byte*>(address);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      identity_(other.identity_),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(identity_, other.identity_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

bool is_plain_file_name(std::string_view name) {
  return !name.empty() && name != "." && name != ".." && name.find('/') == std::string_view::npos &&
         name.find('\0') == std::string_view::npos;
}

}  // namespace moexray
