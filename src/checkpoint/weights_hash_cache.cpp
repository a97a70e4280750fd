#include "moexray/checkpoint/weights_hash_cache.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
#include <span>
#include <system_error>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/file.h"
#include "moexray/core/sha256.h"

namespace moexray {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view hash_prefix = "xxh3-128:";
constexpr std::size_t n_hash_digits = 32;

// The tensors that are hashed, and where in their files they lie.
std::string tensors_sha256(const Checkpoint& checkpoint) {
  Sha256 sha;
  for (const auto& [name, tensor] : checkpoint.tensors()) {
    std::string line = name + " " + std::string(name_of(tensor.type));
    for (const std::int64_t size : tensor.shape) line += " " + std::to_string(size);
    for (std::size_t i = 0; i < checkpoint.files().size(); ++i) {
      const std::span<const std::byte> bytes = checkpoint.files()[i].bytes();
      const std::byte* begin = tensor.bytes.data();
      if (std::less_equal<>()(bytes.data(), begin) &&
          std::less<>()(begin, bytes.data() + bytes.size())) {
        line += " in " + std::to_string(i) + " at " + std::to_string(begin - bytes.data());
      }
    }
    sha.update(line + "\n");
  }
  return sha.finish_hex();
}

// Everything that has to be as it was; the kept hash is the line after it.
std::string description_of(const Checkpoint& checkpoint) {
  std::string text = "moexray weights 1\ntensors " + tensors_sha256(checkpoint) + "\n";
  for (const MappedFile& file : checkpoint.files()) {
    const FileIdentity& id = file.identity();
    text += "file " + std::to_string(id.device) + " " + std::to_string(id.inode) + " " +
            std::to_string(id.size) + " " + std::to_string(id.modified) + " " +
            std::to_string(id.changed) + " " + file.path().filename().string() + "\n";
  }
  return text;
}

bool is_hash(std::string_view text) {
  return text.starts_with(hash_prefix) && text.size() == hash_prefix.size() + n_hash_digits &&
         text.find_first_not_of("0123456789abcdef", hash_prefix.size()) == std::string_view::npos;
}

// Whether a write from now on would show in the file's identity.
bool is_settled(const MappedFile& file, std::chrono::system_clock::time_point now) {
  const FileIdentity& id = file.identity();
  const std::int64_t last = std::max(id.modified, id.changed);
  const auto age = std::chrono::duration_cast<std::chrono::nanoseconds>(now.time_since_epoch()) -
                   std::chrono::nanoseconds(last);
  return age >= WeightsHashCache::min_age && file_identity(file.path()) == id;
}

}  // namespace

WeightsHashCache::WeightsHashCache(fs::path directory) : directory_(std::move(directory)) {}

fs::path WeightsHashCache::user_directory() {
  const auto from = [](const char* variable) -> fs::path {
    const char* value = std::getenv(variable);
    return value == nullptr ? "" : value;
  };
  // A relative path is to be ignored, says the XDG base directory specification.
  if (const fs::path cache = from("XDG_CACHE_HOME"); cache.is_absolute()) {
    return cache / "moexray" / "weights";
  }
  if (const fs::path home = from("HOME"); home.is_absolute()) {
    return home / ".cache" / "moexray" / "weights";
  }
  return {};
}

fs::path WeightsHashCache::file_of(const Checkpoint& checkpoint) const {
  std::error_code error;
  const fs::path directory = fs::canonical(checkpoint.directory(), error);
  return directory_ / sha256_hex(directory.string());
}

std::optional<std::string> WeightsHashCache::find(const Checkpoint& checkpoint) const {
  if (directory_.empty()) return std::nullopt;
  constexpr std::uint64_t max_bytes = 1 << 20;
  const fs::path file = file_of(checkpoint);
  std::error_code error;
  if (!fs::exists(file, error)) return std::nullopt;
  std::string text;
  try {
    text = read_file(file, max_bytes);
  } catch (const Error&) {
    return std::nullopt;
  }
  const std::string description = description_of(checkpoint);
  if (!text.starts_with(description) || !text.ends_with('\n')) return std::nullopt;
  const std::string hash = text.substr(description.size(), text.size() - description.size() - 1);
  return is_hash(hash) ? std::optional(hash) : std::nullopt;
}

bool WeightsHashCache::keep(const Checkpoint& checkpoint, std::string_view hash,
                            std::chrono::system_clock::time_point now) const {
  if (directory_.empty()) return false;
  try {
    const auto& files = checkpoint.files();
    if (!std::all_of(files.begin(), files.end(),
                     [&](const MappedFile& file) { return is_settled(file, now); })) {
      return false;
    }
    fs::create_directories(directory_);
    write_file_atomically(file_of(checkpoint),
                          description_of(checkpoint) + std::string(hash) + "\n");
    return true;
  } catch (const Error&) {
    return false;
  } catch (const fs::filesystem_error&) {
    return false;
  }
}

}  // namespace moexray
