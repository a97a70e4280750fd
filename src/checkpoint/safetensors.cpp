#include "moexray/checkpoint/safetensors.h"

#include <algorithm>
#include <array>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <tuple>
#include <utility>

#include "messages.h"
#include "moexray/core/error.h"
#include "moexray/core/file_kind.h"

namespace moexray {
namespace {

constexpr std::size_t length_bytes = 8;
constexpr std::size_t max_rank = 64;

[[noreturn]] void fail(std::string_view where, std::string what, std::string expected = {},
                       std::string found = {}) {
  throw Error(ErrorKind::data,
              {std::move(what), std::string(where), std::move(expected), std::move(found)});
}

// Collects the entries while the JSON is read, so that no document is built of a header that may
// have 100 MB. The shape of the document is fixed and shallow, so nesting cannot run away.
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(std::string_view where) : where_(where) {}

  SafetensorsHeader take() { return std::move(header_); }

  bool null() override { return reject("null"); }
  bool boolean(bool) override { return reject("a boolean"); }
  bool number_integer(number_integer_t) override { return reject("a negative number"); }
  bool number_float(number_float_t, const string_t&) override {
    return reject("a number that is no integer below 2^64");
  }
  bool binary(binary_t&) override { return reject("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (place_ == Place::shape) {
      if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
        fail(here(), "size overflows", "at most 2^63 - 1", std::to_string(value));
      }
      if (entry_.shape.size() == max_rank) {
        fail(here(), "too many dimensions", "at most " + std::to_string(max_rank));
      }
      entry_.shape.push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets) {
      if (n_offsets_ == 2) fail(here(), "too many offsets", "[begin, end]");
      (n_offsets_ == 0 ? entry_.begin : entry_.end) = value;
      ++n_offsets_;
    } else {
      reject("a number");
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      header_.metadata[metadata_key_] = value;
    } else if (place_ == Place::tensor && field_ == "dtype") {
      entry_.dtype = value;
    } else {
      reject("a string");
    }
    return true;
  }

  bool start_object(std::size_t) override {
    if (place_ == Place::start) {
      place_ = Place::top;
    } else if (place_ == Place::top) {
      place_ = entry_.name == "__metadata__" ? Place::metadata : Place::tensor;
      fields_.clear();
      n_offsets_ = 0;
    } else {
      reject("an object");
    }
    return true;
  }

  bool key(string_t& value) override {
    if (place_ == Place::top) {
      entry_ = SafetensorsEntry{};
      entry_.name = value;
      if (value == "__metadata__" && std::exchange(has_metadata_, true)) duplicate(value);
    } else if (place_ == Place::metadata) {
      if (header_.metadata.contains(value)) duplicate(value);
      metadata_key_ = value;
    } else {
      if (value != "dtype" && value != "shape" && value != "data_offsets") {
        fail(here(), "unknown key", "\"dtype\", \"shape\" or \"data_offsets\"", in_quotes(value));
      }
      if (!fields_.insert(value).second) duplicate(value);
      field_ = value;
    }
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      for (const char* field : {"dtype", "shape", "data_offsets"}) {
        if (!fields_.contains(field)) fail(here(), std::string("key \"") + field + "\" is missing");
      }
      header_.tensors.push_back(std::move(entry_));
    }
    place_ = place_ == Place::top ? Place::end : Place::top;
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::tensor && field_ == "shape") {
      place_ = Place::shape;
    } else if (place_ == Place::tensor && field_ == "data_offsets") {
      place_ = Place::offsets;
    } else {
      reject("an array");
    }
    return true;
  }

  bool end_array() override {
    if (place_ == Place::offsets && n_offsets_ != 2) {
      fail(here(), "too few offsets", "[begin, end]");
    }
    place_ = Place::tensor;
    field_.clear();
    return true;
  }

  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    fail(where_, "header is not valid JSON, at its byte " + std::to_string(position));
  }

 private:
  enum class Place { start, top, metadata, tensor, shape, offsets, end };

  std::string here() const {
    std::string text(where_);
    if (place_ == Place::metadata) return text + ": __metadata__";
    if (place_ != Place::start) text += ": tensor " + in_quotes(entry_.name);
    if (!field_.empty()) text += ": key " + in_quotes(field_);
    return text;
  }

  bool reject(std::string_view found) const {
    constexpr std::array<const char*, 7> wanted = {
        "an object", "an object", "a string", "a value of the key's type",
        "a size",    "an offset", "the end"};
    fail(here(), "unexpected value in the header", wanted[static_cast<std::size_t>(place_)],
         std::string(found));
  }

  [[noreturn]] void duplicate(std::string_view name) const {
    fail(here(), "duplicate key", {}, in_quotes(name));
  }

  std::string_view where_;
  Place place_ = Place::start;
  SafetensorsHeader header_;
  SafetensorsEntry entry_;
  std::string field_;             // of the tensor being read
  std::set<std::string> fields_;  // of that tensor, seen so far
  std::string metadata_key_;
  int n_offsets_ = 0;
  bool has_metadata_ = false;
};

// The number of bytes that dtype and shape ask for.
std::uint64_t byte_size(const SafetensorsEntry& entry, const std::string& where) {
  const std::optional<int> bits = bits_of_dtype(entry.dtype);
  if (!bits) fail(where, "unknown dtype", {}, in_quotes(entry.dtype));
  std::uint64_t n_bits = static_cast<std::uint64_t>(*bits);
  const bool is_empty = std::find(entry.shape.begin(), entry.shape.end(), 0) != entry.shape.end();
  for (const std::int64_t size : entry.shape) {
    if (__builtin_mul_overflow(n_bits, static_cast<std::uint64_t>(size), &n_bits) && !is_empty) {
      fail(where, "size overflows", {}, "shape " + describe_shape(entry.shape));
    }
  }
  if (is_empty) return 0;
  if (n_bits % 8 != 0)
    fail(where, "size is no whole number of bytes", {}, describe_shape(entry.shape));
  return n_bits / 8;
}

void check_names(const SafetensorsHeader& header, std::string_view where) {
  std::vector<std::string_view> names;
  names.reserve(header.tensors.size());
  for (const SafetensorsEntry& entry : header.tensors) names.push_back(entry.name);
  std::sort(names.begin(), names.end());
  const auto twin = std::adjacent_find(names.begin(), names.end());
  if (twin != names.end()) fail(where, "duplicate tensor", {}, in_quotes(*twin));
}

// Sorts the tensors by offset and checks that they tile the data section.
void check_layout(SafetensorsHeader& header, std::uint64_t n_data_bytes, std::string_view where) {
  std::sort(header.tensors.begin(), header.tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::uint64_t covered = 0;
  for (const SafetensorsEntry& entry : header.tensors) {
    const std::string here = std::string(where) + ": tensor " + in_quotes(entry.name);
    const std::string range =
        "[" + std::to_string(entry.begin) + ", " + std::to_string(entry.end) + "]";
    if (entry.begin > entry.end || entry.end > n_data_bytes) {
      fail(here, "data_offsets lie outside the file (a download that was cut short?)",
           "at most " + std::to_string(n_data_bytes) + " bytes of data", range);
    }
    if (entry.begin != covered) {
      fail(here, entry.begin < covered ? "overlaps another tensor" : "leaves a gap before it",
           "data from byte " + std::to_string(covered), range);
    }
    const std::uint64_t n_bytes = byte_size(entry, here);
    if (entry.end - entry.begin != n_bytes) {
      fail(
          here, "data_offsets do not fit dtype and shape",
          std::to_string(n_bytes) + " bytes for " + entry.dtype + " " + describe_shape(entry.shape),
          range);
    }
    covered = entry.end;
  }
  if (covered != n_data_bytes) {
    fail(where, "the header does not describe all data", std::to_string(covered) + " bytes of data",
         std::to_string(n_data_bytes));
  }
}

std::uint64_t read_length(std::span<const std::byte> file, std::string_view where) {
  if (file.size() < length_bytes) {
    fail(where, "too short for a safetensors file", "at least 8 bytes",
         std::to_string(file.size()));
  }
  std::uint64_t length = 0;
  for (std::size_t i = 0; i < length_bytes; ++i) {
    length |= std::to_integer<std::uint64_t>(file[i]) << (8 * i);
  }
  if (length > max_safetensors_header_bytes) {
    fail(where, "header too large",
         "at most " + std::to_string(max_safetensors_header_bytes) + " bytes",
         std::to_string(length));
  }
  if (length > file.size() - length_bytes) {
    fail(where, "header is longer than the file (a download that was cut short?)",
         "at most " + std::to_string(file.size() - length_bytes) + " bytes",
         std::to_string(length));
  }
  return length;
}

// Tells a pointer, an archive and the like from a damaged file. A length, with which the format
// begins, may look like any of them, and like text in UTF-32 above all.
void check_kind(std::span<const std::byte> file, std::string_view where) {
  if (file.size() > length_bytes && file[length_bytes] == std::byte{'{'}) return;
  const std::string_view head(reinterpret_cast<const char*>(file.data()), file.size());
  if (recognise_file(head).group == FileKind::Group::text) return;
  check_downloaded(head, std::string(where));
}

}  // namespace

std::optional<int> bits_of_dtype(std::string_view dtype) {
  struct Row {
    std::string_view name;
    int bits;
  };
  constexpr std::array<Row, 20> rows = {
      {{"F32", 32},    {"BF16", 16},   {"F16", 16},    {"I64", 64},    {"U64", 64},
       {"U8", 8},      {"F64", 64},    {"I32", 32},    {"U32", 32},    {"I16", 16},
       {"U16", 16},    {"I8", 8},      {"BOOL", 8},    {"F8_E4M3", 8}, {"F8_E5M2", 8},
       {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F6_E3M2", 6}, {"F4", 4},      {"C64", 64}}};
  for (const Row& row : rows) {
    if (row.name == dtype) return row.bits;
  }
  return std::nullopt;
}

SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           std::string_view where) {
  check_kind(file, where);
  const std::uint64_t length = read_length(file, where);
  const char* const text = reinterpret_cast<const char*>(file.data()) + length_bytes;
  // The format demands it; the JSON parser would also skip white space and a byte order mark.
  if (length == 0 || text[0] != '{') fail(where, "header does not start with '{'");
  HeaderReader reader(where);
  nlohmann::json::sax_parse(text, text + length, &reader);
  SafetensorsHeader header = reader.take();
  header.data_offset = length_bytes + length;
  check_names(header, where);
  check_layout(header, file.size() - header.data_offset, where);
  return header;
}

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path)
    : file_(path), header_(parse_safetensors_header(file_.bytes(), path.string())) {
  for (std::size_t i = 0; i < header_.tensors.size(); ++i) {
    index_.emplace(header_.tensors[i].name, i);
  }
}

const SafetensorsEntry* SafetensorsFile::find(std::string_view name) const {
  const auto row = index_.find(name);
  return row == index_.end() ? nullptr : &header_.tensors[row->second];
}

const SafetensorsEntry& SafetensorsFile::at(std::string_view name) const {
  const SafetensorsEntry* entry = find(name);
  if (entry == nullptr) fail(path().string(), "no tensor of that name", in_quotes(name));
  return *entry;
}

std::span<const std::byte> SafetensorsFile::bytes(const SafetensorsEntry& entry) const {
  return file_.bytes().subspan(header_.data_offset + entry.begin, entry.end - entry.begin);
}

}  // namespace moexray
