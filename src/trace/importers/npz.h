#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::imports {

/// A zip archive of arrays, as numpy.savez() writes it.
class NpzFile {
 public:
  /// @throws Error (data) for what is no zip archive, or one that names a member twice.
  explicit NpzFile(const std::filesystem::path& path);
  ~NpzFile();
  NpzFile(const NpzFile&) = delete;
  NpzFile& operator=(const NpzFile&) = delete;

  /// In the archive's order: "ids.npy", "manifest.json".
  const std::vector<std::string>& names() const { return names_; }
  bool has(std::string_view name) const;
  /// The bytes of a member. Its claimed size is bounded (by 1 GiB more than a thousand times what
  /// is stored) before memory is taken, and its CRC checked.
  /// @throws Error (data)
  std::string read(std::string_view name) const;
  const std::filesystem::path& path() const { return path_; }

 private:
  struct Archive;
  std::filesystem::path path_;
  std::unique_ptr<Archive> archive_;
  std::vector<std::string> names_;
};

}  // namespace moexray::imports
