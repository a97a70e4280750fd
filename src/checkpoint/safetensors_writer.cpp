#include "moexray/checkpoint/safetensors_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "moexray/checkpoint/safetensors.h"
#include "moexray/core/error.h"

namespace moexray {
namespace {

constexpr std::size_t alignment_bytes = 64;

// A file that appears under its name only when it is complete.
class PendingFile {
 public:
  explicit PendingFile(const std::filesystem::path& path)
      : path_(path), temporary_(path.string() + ".tmp-XXXXXX") {
    fd_ = ::mkostemp(temporary_.data(), O_CLOEXEC);
    if (fd_ < 0) fail();
  }
  ~PendingFile() {
    if (fd_ >= 0) ::close(fd_);
    if (!is_done_) ::unlink(temporary_.c_str());
  }
  PendingFile(const PendingFile&) = delete;
  PendingFile& operator=(const PendingFile&) = delete;

  void write(std::span<const std::byte> bytes) {
    while (!bytes.empty()) {
      const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) fail();
      bytes = bytes.subspan(static_cast<std::size_t>(n));
    }
  }

  void commit() {
    // mkostemp creates files for the owner alone; results get the user's usual permissions.
    const mode_t mask = ::umask(0);
    ::umask(mask);
    if (::fchmod(fd_, 0666 & ~mask) != 0) fail();
    if (::fsync(fd_) != 0) fail();
    if (::close(std::exchange(fd_, -1)) != 0) fail();
    if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail();
    is_done_ = true;
    const std::filesystem::path parent = path_.parent_path();
    const int directory =
        ::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return;
    ::fsync(directory);
    ::close(directory);
  }

 private:
  [[noreturn]] void fail() const {
    throw Error(ErrorKind::runtime,
                {std::string("cannot write: ") + std::strerror(errno), path_.string(), {}, {}});
  }

  std::filesystem::path path_;
  std::string temporary_;
  int fd_ = -1;
  bool is_done_ = false;
};

[[noreturn]] void reject(const TensorToWrite& tensor, std::string what, std::string expected = {},
                         std::string found = {}) {
  throw Error(ErrorKind::data, {std::move(what), "tensor \"" + tensor.name + "\"",
                                std::move(expected), std::move(found)});
}

void check(const TensorToWrite& tensor) {
  const std::optional<int> bits = bits_of_dtype(tensor.dtype);
  if (!bits) reject(tensor, "unknown dtype", {}, tensor.dtype);
  std::uint64_t n_bits = static_cast<std::uint64_t>(*bits);
  for (const std::int64_t size : tensor.shape) {
    if (size < 0 || __builtin_mul_overflow(n_bits, static_cast<std::uint64_t>(size), &n_bits)) {
      reject(tensor, "impossible shape");
    }
  }
  if (n_bits % 8 != 0 || n_bits / 8 != tensor.bytes.size()) {
    reject(tensor, "bytes do not fit dtype and shape", std::to_string(n_bits) + " bits",
           std::to_string(tensor.bytes.size()) + " bytes");
  }
}

// Length and JSON, padded with spaces so that the data section is aligned.
std::string make_header(std::span<const TensorToWrite> tensors,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  std::set<std::string_view> names = {"__metadata__"};
  std::uint64_t offset = 0;
  std::string json;
  for (const TensorToWrite& tensor : tensors) {
    check(tensor);
    if (!names.insert(tensor.name).second) reject(tensor, "duplicate name");
  }
  try {
    // Text is put together by hand: ordered_json looks keys up one by one, slow for thousands of
    // them.
    json = header.dump();
    json.pop_back();
    for (const TensorToWrite& tensor : tensors) {
      const nlohmann::ordered_json entry = {
          {"dtype", tensor.dtype},
          {"shape", tensor.shape},
          {"data_offsets", {offset, offset + tensor.bytes.size()}}};
      if (json.size() > 1) json += ',';
      json += nlohmann::json(tensor.name).dump() + ':' + entry.dump();
      offset += tensor.bytes.size();
    }
    json += '}';
  } catch (const nlohmann::json::exception&) {
    throw Error(ErrorKind::data, "tensor names and metadata must be UTF-8");
  }
  json.append((alignment_bytes - (8 + json.size()) % alignment_bytes) % alignment_bytes, ' ');
  if (json.size() > max_safetensors_header_bytes) throw Error(ErrorKind::data, "header too large");
  std::string bytes;
  for (int i = 0; i < 8; ++i) bytes += static_cast<char>(json.size() >> (8 * i) & 0xFF);
  return bytes + json;
}

}  // namespace

void write_safetensors(const std::filesystem::path& path, std::span<const TensorToWrite> tensors,
                       const std::map<std::string, std::string>& metadata) {
  const std::string header = make_header(tensors, metadata);
  PendingFile file(path);
  file.write(std::as_bytes(std::span(header)));
  for (const TensorToWrite& tensor : tensors) file.write(tensor.bytes);
  file.commit();
}

}  // namespace moexray
