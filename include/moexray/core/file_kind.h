#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace moexray {

/// What a file that is not what it should be turns out to be.
struct FileKind {
  enum class Group : std::uint8_t {
    unknown,      ///< nothing that is recognised
    placeholder,  ///< stands in place of a file: a Git LFS pointer, an error page
    packed,       ///< compressed, or an archive
    text,         ///< text in UTF-16 or UTF-32
    binary,       ///< another format of data
  };
  Group group = Group::unknown;
  std::string name;    ///< "a Git LFS pointer", "compressed with gzip": what can follow "it is"
  std::string remedy;  ///< what to do about it: a command with FILE for the file; may be empty
};

/// Recognises, by the first bytes of a file (256 of them are enough), what is often found in place
/// of a text file or of a file of a checkpoint: Git LFS pointers and HTML pages that a failed
/// download leaves, compressed files and archives, text in UTF-16 or UTF-32 with or without a byte
/// order mark, Parquet, GGUF, pickled PyTorch files and some more.
FileKind recognise_file(std::string_view head);

/// Refuses a file of a checkpoint that a failed download has left in its place: an empty file, a
/// Git LFS pointer, an HTML page; also any other kind that recognise_file() knows.
/// @param head the file's first bytes; empty: the file is empty.
/// @throws Error (data) that names the file, what it is, and the way out.
void check_downloaded(std::string_view head, const std::string& where);

/// read_file() and check_downloaded() in one.
std::string read_downloaded_file(const std::filesystem::path& path, std::uint64_t max_bytes);

}  // namespace moexray
