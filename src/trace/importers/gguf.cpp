#include "gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <optional>
#include <set>
#include <utility>

#include "moexray/core/escape.h"
#include "trace/fail.h"

namespace moexray::imports {
namespace {

using trace::fail_at;

static_assert(std::endian::native == std::endian::little, "numbers are read as they lie");

constexpr std::string_view gguf_magic = "GGUF";
constexpr std::uint32_t f32_type = 0;
constexpr std::uint32_t text_type = 8;
constexpr std::uint32_t array_type = 9;
constexpr std::uint32_t max_dims = 4;
constexpr std::uint64_t max_alignment = 65'536;
// What an entry of each table takes at least.
constexpr std::uint64_t least_key_bytes = 8 + 4 + 1;
constexpr std::uint64_t least_tensor_bytes = 8 + 4 + 8 + 4 + 8;

// The bytes of a value of each type; 0: of its own length.
constexpr std::array<std::uint64_t, 13> type_bytes{1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};

class GgufReader {
 public:
  GgufReader(std::string_view file, const std::string& where) : file_(file), where_(where) {}

  GgufFile read() {
    if (!file_.starts_with(gguf_magic)) {
      fail_at("not a GGUF file", where_, "the bytes GGUF at its start",
              printable(file_.substr(0, 4)));
    }
    at_ = gguf_magic.size();
    const auto version = number<std::uint32_t>();
    if (version != 2 && version != 3) {
      fail_at("another version of GGUF, or big-endian", where_, "2 or 3", std::to_string(version));
    }
    const auto n_tensors = number<std::uint64_t>();
    const auto n_keys = number<std::uint64_t>();
    check_number(n_tensors, least_tensor_bytes, "tensors");
    check_number(n_keys, least_key_bytes, "keys");
    for (std::uint64_t i = 0; i < n_keys; ++i) read_key();
    for (std::uint64_t i = 0; i < n_tensors; ++i) read_tensor();
    place_tensors();
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail_end() const { fail_at("the file ends in its head", where_); }

  std::string_view take(std::uint64_t n) {
    if (n > file_.size() - at_) fail_end();
    const std::string_view bytes = file_.substr(at_, n);
    at_ += n;
    return bytes;
  }
  template <typename T>
  T number() {
    T value;
    std::memcpy(&value, take(sizeof(T)).data(), sizeof(T));
    return value;
  }
  std::string text() { return std::string(take(number<std::uint64_t>())); }

  void check_number(std::uint64_t n, std::uint64_t least_bytes, const char* what) const {
    const std::uint64_t most = (file_.size() - at_) / least_bytes;
    if (n <= most) return;
    fail_at(std::string("more ") + what + " than the file can hold", where_,
            "at most " + std::to_string(most), std::to_string(n));
  }

  std::uint32_t type() {
    const auto type = number<std::uint32_t>();
    if (type < type_bytes.size()) return type;
    fail_at("an unknown type of value", where_, "0 to 12", std::to_string(type));
  }

  void read_key() {
    std::string key = text();
    if (!keys_.insert(key).second) fail_at("a key is given twice", where_, {}, printable(key, 80));
    const std::uint32_t kind = type();
    if (kind == text_type) {
      result_.texts.emplace(std::move(key), text());
    } else if (kind == array_type) {
      skip_array();
    } else if (const std::optional<std::int64_t> value = integer(kind)) {
      result_.integers.emplace(std::move(key), *value);
    }
  }

  template <typename T>
  std::optional<std::int64_t> whole() {
    const T value = number<T>();
    if (!std::in_range<std::int64_t>(value)) return std::nullopt;
    return static_cast<std::int64_t>(value);
  }

  // Nothing for numbers with a fraction, and what 63 bits do not hold.
  std::optional<std::int64_t> integer(std::uint32_t kind) {
    switch (kind) {
      case 0:
        return whole<std::uint8_t>();
      case 1:
        return whole<std::int8_t>();
      case 2:
        return whole<std::uint16_t>();
      case 3:
        return whole<std::int16_t>();
      case 4:
        return whole<std::uint32_t>();
      case 5:
        return whole<std::int32_t>();
      case 10:
        return whole<std::uint64_t>();
      case 11:
        return whole<std::int64_t>();
      default:
        take(type_bytes[kind]);
        return std::nullopt;
    }
  }

  void skip_array() {
    const std::uint32_t kind = type();
    const auto n = number<std::uint64_t>();
    if (kind == array_type) fail_at("an array of arrays", where_);
    check_number(n, kind == text_type ? sizeof(std::uint64_t) : type_bytes[kind], "values");
    if (kind != text_type) {
      take(n * type_bytes[kind]);
      return;
    }
    for (std::uint64_t i = 0; i < n; ++i) take(number<std::uint64_t>());
  }

  void read_tensor() {
    GgufFile::Tensor tensor;
    tensor.name = text();
    if (!names_.insert(tensor.name).second) {
      fail_at("a tensor is given twice", where_, {}, printable(tensor.name, 80));
    }
    const auto n_dims = number<std::uint32_t>();
    if (n_dims > max_dims) {
      fail_at("too many axes of a tensor", where_, "at most 4", std::to_string(n_dims));
    }
    for (std::uint32_t i = 0; i < n_dims; ++i) {
      const auto size = number<std::uint64_t>();
      if (!std::in_range<std::int64_t>(size)) fail_at("a size overflows", where_);
      tensor.sizes.push_back(static_cast<std::int64_t>(size));
    }
    tensor.is_f32 = number<std::uint32_t>() == f32_type;
    tensor.begin = number<std::uint64_t>();
    result_.tensors.push_back(std::move(tensor));
  }

  // Offsets are from the aligned end of the head.
  void place_tensors() {
    std::uint64_t alignment = 32;
    if (const auto found = result_.integers.find("general.alignment");
        found != result_.integers.end()) {
      alignment = static_cast<std::uint64_t>(found->second);
    }
    if (alignment == 0 || alignment > max_alignment) {
      fail_at("wrong value of key \"general.alignment\"", where_, "1 to 65536",
              std::to_string(alignment));
    }
    const std::uint64_t data = (at_ + alignment - 1) / alignment * alignment;
    for (GgufFile::Tensor& tensor : result_.tensors) {
      const std::string where = where_ + ": tensor \"" + printable(tensor.name, 80) + "\"";
      std::uint64_t n_bytes = tensor.is_f32 ? sizeof(float) : 0;
      for (const std::int64_t size : tensor.sizes) {
        if (__builtin_mul_overflow(n_bytes, static_cast<std::uint64_t>(size), &n_bytes)) {
          fail_at("the size of a tensor overflows", where);
        }
      }
      if (__builtin_add_overflow(tensor.begin, data, &tensor.begin) ||
          tensor.begin > file_.size() || n_bytes > file_.size() - tensor.begin) {
        fail_at("the file does not hold the tensor that its head describes", where);
      }
    }
  }

  std::string_view file_;
  const std::string& where_;
  std::uint64_t at_ = 0;
  GgufFile result_;
  std::set<std::string> keys_;
  std::set<std::string> names_;
};

}  // namespace

std::vector<float> GgufFile::values(const Tensor& tensor, std::string_view file) {
  std::size_t n = 1;
  for (const std::int64_t size : tensor.sizes) n *= static_cast<std::size_t>(size);
  std::vector<float> numbers(n);
  // Not memcpy: a tensor may have no values, and then there is nothing to point to.
  std::copy_n(file.data() + tensor.begin, n * sizeof(float),
              reinterpret_cast<char*>(numbers.data()));
  return numbers;
}

GgufFile parse_gguf(std::string_view file, const std::string& where) {
  return GgufReader(file, where).read();
}

}  // namespace moexray::imports
