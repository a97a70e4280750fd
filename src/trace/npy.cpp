#include "npy.h"

#include <charconv>
#include <optional>
#include <utility>

#include "fail.h"
#include "moexray/core/escape.h"

namespace moexray::trace {
namespace {

constexpr std::string_view magic("\x93NUMPY", 6);
constexpr std::size_t max_header_bytes = 65'536;
constexpr std::size_t max_rank = 32;

// The dictionary of a header, in the notation that NumPy writes: {'descr': '<i4', …}.
class HeaderText {
 public:
  HeaderText(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  NpyHeader read() {
    NpyHeader header;
    bool has_type = false;
    bool has_order = false;
    bool has_shape = false;
    expect('{');
    while (!accept('}')) {
      const std::string_view key = quoted();
      expect(':');
      if (key == "descr" && !std::exchange(has_type, true)) {
        header.item = item();
      } else if (key == "fortran_order" && !std::exchange(has_order, true)) {
        header.is_fortran = boolean();
      } else if (key == "shape" && !std::exchange(has_shape, true)) {
        header.shape = shape();
      } else {
        fail("an unknown key or one given twice", "descr, fortran_order and shape", key);
      }
      if (!accept(',')) {
        expect('}');
        break;
      }
    }
    skip_blanks();
    if (at_ != text_.size()) fail("something follows the header's dictionary", {}, {});
    if (!has_type || !has_order || !has_shape) {
      fail("a key of the header is missing", "descr, fortran_order and shape", {});
    }
    return header;
  }

 private:
  [[noreturn]] void fail(std::string what, std::string expected, std::string_view found) const {
    fail_at(std::move(what), where_, std::move(expected), printable(found, 80));
  }

  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }
  bool accept(char c) {
    skip_blanks();
    if (at_ == text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void expect(char c) {
    if (!accept(c)) {
      fail("the header is not that of a NumPy array", std::string("'") + c + "'",
           text_.substr(at_, 20));
    }
  }
  std::string_view quoted() {
    skip_blanks();
    const char quote = at_ < text_.size() ? text_[at_] : ' ';
    if (quote != '\'' && quote != '"') {
      fail("the header is not that of a NumPy array", "a quoted text", text_.substr(at_, 20));
    }
    const std::size_t end = text_.find(quote, at_ + 1);
    if (end == std::string_view::npos) fail("a quote is not closed", {}, text_.substr(at_, 20));
    const std::string_view inside = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return inside;
  }
  bool boolean() {
    skip_blanks();
    for (const auto& [word, value] : {std::pair<std::string_view, bool>{"True", true},
                                      std::pair<std::string_view, bool>{"False", false}}) {
      if (text_.substr(at_).starts_with(word)) {
        at_ += word.size();
        return value;
      }
    }
    fail("wrong value of \"fortran_order\"", "True or False", text_.substr(at_, 20));
  }
  Item item() {
    skip_blanks();
    if (at_ < text_.size() && text_[at_] == '[') {
      fail("an array of structures", "integers", text_.substr(at_, 40));
    }
    const std::string_view type = quoted();
    if (type.ends_with('O')) {
      fail(
          "an object array, which is a pickle: reading it runs code that it holds. Save the "
          "numbers "
          "of each prompt by themselves: numpy.savez(FILE, **{id: numpy.asarray(a) for id, a in "
          "...})",
          {}, {});
    }
    if (type.starts_with('>') && type != ">i1" && type != ">u1") {
      fail("big-endian numbers", "little-endian ones: array.astype(array.dtype.newbyteorder('<'))",
           type);
    }
    const std::string_view name = type.substr(std::min<std::size_t>(type.size(), 1));
    constexpr std::array<std::pair<std::string_view, Item>, 10> items{{{"u1", Item::u8},
                                                                       {"i1", Item::i8},
                                                                       {"u2", Item::u16},
                                                                       {"i2", Item::i16},
                                                                       {"u4", Item::u32},
                                                                       {"i4", Item::i32},
                                                                       {"u8", Item::u64},
                                                                       {"i8", Item::i64},
                                                                       {"f4", Item::f32},
                                                                       {"f8", Item::f64}}};
    for (const auto& [known, item] : items) {
      if (name == known && std::string_view("<|=>").find(type[0]) != std::string_view::npos) {
        return item;
      }
    }
    fail("another type of numbers", "integers of 1 to 8 bytes, or float32 or float64", type);
  }
  std::vector<std::int64_t> shape() {
    std::vector<std::int64_t> sizes;
    expect('(');
    while (!accept(')')) {
      skip_blanks();
      std::int64_t size = 0;
      const char* const begin = text_.data() + at_;
      const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), size);
      if (error != std::errc() || size < 0 || sizes.size() == max_rank) {
        fail("wrong shape", "up to 32 sizes from 0", text_.substr(at_, 40));
      }
      at_ += static_cast<std::size_t>(end - begin);
      sizes.push_back(size);
      if (!accept(',')) {
        expect(')');
        break;
      }
    }
    return sizes;
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
};

// Bytes that an array needs; nothing if that overflows.
std::optional<std::uint64_t> n_data_bytes(const NpyHeader& header) {
  std::uint64_t n = item_bytes(header.item);
  for (const std::int64_t size : header.shape) {
    if (__builtin_mul_overflow(n, static_cast<std::uint64_t>(size), &n)) return std::nullopt;
  }
  return n;
}

}  // namespace

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(shape[i]);
  }
  return text + "]";
}

NpyHeader parse_npy(std::string_view file, const std::string& where) {
  if (!file.starts_with(magic)) {
    fail_at("not a .npy file", where, "the bytes \\x93NUMPY at its start",
            printable(file.substr(0, 6)));
  }
  const int version = file.size() > 6 ? static_cast<unsigned char>(file[6]) : 0;
  const std::size_t prefix = version == 1 ? 10 : 12;
  if (version < 1 || version > 3 || file.size() < prefix) {
    fail_at("another version of .npy, or a truncated file", where, "1 to 3",
            std::to_string(version));
  }
  std::uint64_t length = 0;
  for (std::size_t i = prefix; i-- > 8;) {
    length = length << 8 | static_cast<unsigned char>(file[i]);
  }
  if (length > max_header_bytes || length > file.size() - prefix) {
    fail_at(
        "the header is longer than the file, or than any header", where,
        "at most " + std::to_string(std::min(max_header_bytes, file.size() - prefix)) + " bytes",
        std::to_string(length));
  }
  NpyHeader header = HeaderText(file.substr(prefix, length), where).read();
  header.data_offset = prefix + length;
  const std::optional<std::uint64_t> n_bytes = n_data_bytes(header);
  const std::uint64_t n_found = file.size() - header.data_offset;
  if (!n_bytes || *n_bytes != n_found) {
    fail_at("the file does not hold the array that its header describes", where,
            (n_bytes ? std::to_string(*n_bytes) : "far too many") + " bytes for " +
                name_of(header.item) + " " + shape_text(header.shape),
            std::to_string(n_found));
  }
  return header;
}

IdArray npy_ids(std::string file, const std::string& where, const std::array<int, 3>& axes) {
  const NpyHeader header = parse_npy(file, where);
  if (header.shape.size() != 3) {
    fail_at("not the shape of routed experts", where, "three axes: token, layer and slot",
            shape_text(header.shape));
  }
  if (is_float(header.item)) {
    fail_at("not ids of experts", where, "integers", name_of(header.item));
  }
  return IdArray(std::move(file), header.item, {header.shape[0], header.shape[1], header.shape[2]},
                 axes, header.is_fortran, header.data_offset);
}

}  // namespace moexray::trace
