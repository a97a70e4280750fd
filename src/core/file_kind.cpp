#include "moexray/core/file_kind.h"

#include <algorithm>
#include <array>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/file.h"

namespace moexray {
namespace {

using std::string_view_literals::operator""sv;
using Group = FileKind::Group;

struct Magic {
  std::string_view bytes;
  Group group;
  std::string_view name;
  std::string_view remedy;
};

// Longer marks stand before shorter ones that they begin with.
constexpr std::array magics{
    Magic{"version https://git-lfs.github.com/spec/"sv, Group::placeholder, "a Git LFS pointer",
          ""},
    Magic{"version https://hawser.github.com/spec/"sv, Group::placeholder, "a Git LFS pointer", ""},
    Magic{"# xet version "sv, Group::placeholder, "a Xet pointer", ""},
    Magic{"\x1F\x8B\x08"sv, Group::packed, "compressed with gzip", "gzip -dc FILE"},
    Magic{"\x28\xB5\x2F\xFD"sv, Group::packed, "compressed with zstd", "zstd -dc FILE"},
    Magic{"\xFD\x37zXZ\0"sv, Group::packed, "compressed with xz", "xz -dc FILE"},
    Magic{"\x04\x22\x4D\x18"sv, Group::packed, "compressed with lz4", "lz4 -dc FILE"},
    Magic{"PK\x03\x04"sv, Group::packed, "a zip archive", "unzip -p FILE"},
    Magic{"PK\x05\x06"sv, Group::packed, "an empty zip archive", ""},
    Magic{"7z\xBC\xAF\x27\x1C"sv, Group::packed, "a 7-Zip archive", "7z x -so FILE"},
    Magic{"Rar!\x1A\x07"sv, Group::packed, "a RAR archive", "unrar p -inul FILE"},
    Magic{"\xFF\xFE\0\0"sv, Group::text, "text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE"},
    Magic{"\0\0\xFE\xFF"sv, Group::text, "text in UTF-32", "iconv -f UTF-32 -t UTF-8 FILE"},
    Magic{"\xFF\xFE"sv, Group::text, "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"},
    Magic{"\xFE\xFF"sv, Group::text, "text in UTF-16", "iconv -f UTF-16 -t UTF-8 FILE"},
    Magic{"PAR1"sv, Group::binary, "a Parquet file", ""},
    Magic{"PARE"sv, Group::binary, "an encrypted Parquet file", ""},
    Magic{"ARROW1"sv, Group::binary, "an Arrow file", ""},
    Magic{"\xFF\xFF\xFF\xFF"sv, Group::binary, "an Arrow stream", ""},
    Magic{"Obj\x01"sv, Group::binary, "an Avro file", ""},
    Magic{"SQLite format 3\0"sv, Group::binary, "an SQLite database", ""},
    Magic{"\x89HDF\r"sv, Group::binary, "an HDF5 file", ""},
    Magic{"\x93NUMPY"sv, Group::binary, "a NumPy array", ""},
    Magic{"%PDF-"sv, Group::binary, "a PDF file", ""},
    Magic{"\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"sv, Group::binary, "an old Office file", ""},
    Magic{"GGUF"sv, Group::binary, "a GGUF file", ""},
    Magic{"\x7F"
          "ELF"sv,
          Group::binary, "a program", ""},
};

// Pickle's protocols 2 to 5 begin with their number and, from 4 on, a frame.
bool is_pickle(std::string_view head) {
  return head.size() > 2 && head[0] == '\x80' && head[1] >= 2 && head[1] <= 5 &&
         (head[1] < 4 || head[2] == '\x95') && (head[1] >= 4 || head[2] > ' ');
}

// "BZh", a block size, and the mark of a block (digits of π) or of the end (√π).
bool is_bzip2(std::string_view head) {
  return head.size() >= 10 && head.starts_with("BZh") && head[3] >= '1' && head[3] <= '9' &&
         (head.substr(4).starts_with("\x31\x41\x59\x26\x53\x59") ||
          head.substr(4).starts_with("\x17\x72\x45\x38\x50\x90"));
}

bool is_tar(std::string_view head) { return head.size() > 262 && head.substr(257, 5) == "ustar"; }

bool starts_with_ignoring_case(std::string_view text, std::string_view lower) {
  const auto same = [](char a, char b) {
    return (a >= 'A' && a <= 'Z' ? static_cast<char>(a - 'A' + 'a') : a) == b;
  };
  return text.size() >= lower.size() && std::equal(lower.begin(), lower.end(), text.begin(),
                                                   [&](char b, char a) { return same(a, b); });
}

// No format that moexray reads begins with '<'.
FileKind recognise_markup(std::string_view head) {
  if (head.starts_with("\xEF\xBB\xBF")) head.remove_prefix(3);
  head.remove_prefix(std::min(head.find_first_not_of(" \t\r\n"), head.size()));
  for (const std::string_view start : {"<!doctype html"sv, "<html"sv, "<head"sv, "<!-- "sv}) {
    if (starts_with_ignoring_case(head, start)) {
      return {Group::placeholder, "an HTML page (of a download that failed?)", ""};
    }
  }
  if (starts_with_ignoring_case(head, "<?xml")) {
    return {Group::placeholder, "an XML document (of a download that failed?)", ""};
  }
  return {};
}

// The first two characters of JSON and of most text are ASCII: where the zero bytes stand tells
// the encoding (RFC 4627, section 3).
FileKind recognise_wide_text(std::string_view head) {
  const auto is_ascii = [&](std::size_t i) { return head[i] > 0 && head[i] < 0x7F; };
  const auto wide = [](std::string_view name) {
    return FileKind{Group::text, "text in " + std::string(name),
                    "iconv -f " + std::string(name) + " -t UTF-8 FILE"};
  };
  if (head.size() < 4) return {};
  const auto zeros = [&](std::string_view pattern) {
    for (std::size_t i = 0; i < 4; ++i) {
      if (pattern[i] == '0' ? head[i] != 0 : !is_ascii(i)) return false;
    }
    return true;
  };
  if (zeros("x000")) return wide("UTF-32LE");
  if (zeros("000x")) return wide("UTF-32BE");
  if (zeros("x0x0")) return wide("UTF-16LE");
  if (zeros("0x0x")) return wide("UTF-16BE");
  return {};
}

}  // namespace

FileKind recognise_file(std::string_view head) {
  for (const Magic& magic : magics) {
    if (head.starts_with(magic.bytes)) {
      return {magic.group, std::string(magic.name), std::string(magic.remedy)};
    }
  }
  if (is_bzip2(head)) return {Group::packed, "compressed with bzip2", "bzip2 -dc FILE"};
  if (is_tar(head)) return {Group::packed, "a tar archive", "tar -xOf FILE"};
  if (is_pickle(head)) return {Group::binary, "a pickled Python object", ""};
  if (FileKind markup = recognise_markup(head); markup.group != Group::unknown) return markup;
  return recognise_wide_text(head);
}

void check_downloaded(std::string_view head, const std::string& where) {
  constexpr std::string_view again =
      "download it again, with hf download, say, or with git lfs pull in a clone";
  if (head.empty()) {
    throw Error(ErrorKind::data, {"the file is empty; " + std::string(again), where, {}, {}});
  }
  const FileKind kind = recognise_file(head);
  if (kind.group == Group::unknown) return;
  std::string what = "the file is " + kind.name;
  if (kind.group == Group::placeholder) {
    what += ", which stands in place of the file itself; " + std::string(again);
  } else {
    what += ", not what its name says";
  }
  throw Error(ErrorKind::data, {std::move(what), where, {}, {}});
}

std::string read_downloaded_file(const std::filesystem::path& path, std::uint64_t max_bytes) {
  std::string bytes = read_file(path, max_bytes);
  check_downloaded(bytes, path.string());
  return bytes;
}

}  // namespace moexray
