#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>

namespace moexray::imports {

/// The longest record of a file that is imported, in bytes of text: a response of 262,144 tokens at
/// 61 layers has 171 MB.
inline constexpr std::uint64_t max_record_bytes = std::uint64_t{1} << 30;

/// A file that is read once from its start, decompressed where its first bytes say that it is gzip
/// or zstd.
class InputFile {
 public:
  /// @throws Error (data) if it cannot be opened, is no regular file, or is a kind of file that
  /// no importer reads (a pickle, Parquet), with the way out.
  explicit InputFile(std::filesystem::path path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// The next bytes; 0 at the end. @throws Error (data) for a damaged or truncated file.
  std::size_t read(char* out, std::size_t room);
  /// The rest as one text. @throws Error (data) if it is longer than `max_bytes`.
  std::string read_all(std::uint64_t max_bytes = max_record_bytes);

  /// Of the file as it is stored, once all of it was read.
  std::string sha256();
  const std::filesystem::path& path() const { return path_; }
  std::uint64_t n_stored_bytes_read() const { return n_stored_; }

 private:
  class Decoder;
  class Gzip;
  class Zstd;

  std::size_t read_stored(char* out, std::size_t room);

  std::filesystem::path path_;
  int fd_ = -1;
  std::uint64_t n_stored_ = 0;
  struct Hash;
  std::unique_ptr<Hash> hash_;
  std::unique_ptr<Decoder> decoder_;
};

/// The first bytes of a file, decompressed; fewer than `n` only where it ends.
std::string first_bytes(const std::filesystem::path& path, std::size_t n);

/// Refuses what no importer reads and what a user may take for a trace, with the way out.
/// @param head the first bytes of the file
/// @throws Error (data)
void check_not_foreign(std::string_view head, const std::filesystem::path& path);

/// Reads the lines of a file one by one.
class InputLines {
 public:
  explicit InputLines(InputFile& file) : file_(file) {}

  /// Moves to the next line, without its line end. @throws Error (data) for one above 1 GiB.
  bool next();
  std::string_view line() const { return line_; }
  std::int64_t number() const { return number_; }  ///< from 1
  std::string where() const;

 private:
  InputFile& file_;
  std::string buffer_;
  std::size_t begin_ = 0;
  std::string_view line_;
  std::int64_t number_ = 0;
  bool at_end_ = false;
};

/// Reads the top-level objects of a file: one JSON document, several one after the other (JSON
/// Lines, or not on lines of their own), or an array of them. Memory is that of the longest object.
class JsonRecords {
 public:
  explicit JsonRecords(InputFile& file) : file_(file) {}

  /// Moves to the next object. @throws Error (data) for what is no object, with a hint for a saved
  /// stream, and for an object above 1 GiB.
  bool next();
  /// Its text: braces match, what lies between is not checked. The caller may take it.
  std::string& text() { return text_; }
  std::string where() const;

 private:
  bool fill();
  bool find_start();
  void take_object();
  [[noreturn]] void fail(std::string what) const;

  InputFile& file_;
  std::string chunk_;
  std::size_t at_ = 0;
  std::string text_;
  std::int64_t line_ = 1;        // of the next byte
  std::int64_t start_line_ = 1;  // of the object
  bool is_array_ = false;
  bool is_closed_ = false;
  bool has_started_ = false;
};

}  // namespace moexray::imports
