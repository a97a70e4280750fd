#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/core/checksum.h"

namespace moexray::trace {

/// Which bytes of an events file to read. Negative: not told.
struct RecordRange {
  std::int64_t offset = 0;
  std::int64_t n_bytes = -1;             ///< uncompressed; not told: to the end of the file
  std::int64_t n_compressed_bytes = -1;  ///< of the frames that hold them
};

/// The size of a regular file, or −1 if there is none (a directory or pipe counts as none).
std::int64_t regular_file_size(const std::filesystem::path& path);

/// Reads the lines of a range of an events file, plain or zstd (names that end in ".zst"), piece by
/// piece: memory is bounded by the longest line.
class RecordSource {
 public:
  /// @throws Error (data) if the file cannot be opened or the range does not lie inside it.
  RecordSource(const std::filesystem::path& path, const RecordRange& range, bool with_checksum);
  ~RecordSource();
  RecordSource(const RecordSource&) = delete;
  RecordSource& operator=(const RecordSource&) = delete;

  /// Moves to the next line. @throws Error (data) for a truncated or damaged file or a line above
  /// 16 MB.
  bool next();
  /// The line without its newline; at least 64 more bytes are readable behind it.
  std::string_view line() const { return line_; }
  std::int64_t n_lines() const { return n_lines_; }  ///< read so far
  /// File and line for errors: the line of the file, or for compressed files that of the range.
  std::string where() const;
  /// The checksum of all bytes of the range, once next() has returned false.
  std::string checksum() const { return checksum_->text(); }

 private:
  class Zstd;

  bool fill();
  std::size_t fill_plain(char* out, std::size_t room);
  std::size_t fill_zstd(char* out, std::size_t room);
  std::size_t read_file(char* out, std::size_t room);
  void check_range(std::int64_t size);
  [[noreturn]] void fail(std::string what, std::string expected = {}, std::string found = {}) const;

  std::filesystem::path path_;
  RecordRange range_;
  int fd_ = -1;
  std::uint64_t at_ = 0;          // of the file, next byte to read
  std::uint64_t end_ = 0;         // of the file, behind the last byte that may be read
  std::uint64_t n_produced_ = 0;  // uncompressed bytes so far
  std::unique_ptr<Zstd> zstd_;
  std::unique_ptr<Checksum> checksum_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;
  std::size_t filled_ = 0;
  bool at_end_ = false;
  std::string_view line_;
  std::int64_t n_lines_ = 0;
};

}  // namespace moexray::trace
