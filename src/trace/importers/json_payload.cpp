#include "json_payload.h"

#include <nettle/base64.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <utility>

#include "trace/fail.h"
#include "trace/npy.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;
using trace::npy_ids;

constexpr std::string_view payload_key = "payload";

// Behind the quote that closes the string whose first quote stands at `at`.
std::size_t end_of_string(std::string_view text, std::size_t at) {
  std::size_t i = at + 1;
  while (i < text.size()) {
    const void* quote = std::memchr(text.data() + i, '"', text.size() - i);
    if (quote == nullptr) break;
    const auto end = static_cast<std::size_t>(static_cast<const char*>(quote) - text.data());
    std::size_t n_slashes = 0;
    while (end - n_slashes > at + 1 && text[end - n_slashes - 1] == '\\') ++n_slashes;
    if (n_slashes % 2 == 0) return end + 1;
    i = end + 1;
  }
  return text.size();
}

// Behind the bracket that closes the array at `at`.
std::size_t end_of_array(std::string_view text, std::size_t at) {
  int depth = 0;
  for (std::size_t i = at; i < text.size();) {
    const char c = text[i];
    if (c == '"') {
      i = end_of_string(text, i);
      continue;
    }
    ++i;
    if (c == '[') ++depth;
    if (c == ']' && --depth == 0) return i;
  }
  return text.size();
}

std::size_t skip_blanks(std::string_view text, std::size_t at) {
  while (at < text.size() &&
         (text[at] == ' ' || text[at] == '\n' || text[at] == '\r' || text[at] == '\t')) {
    ++at;
  }
  return at;
}

// The values of the 64 digits; 255 for other characters.
constexpr std::array<std::uint8_t, 256> make_digit_values() {
  std::array<std::uint8_t, 256> values{};
  values.fill(255);
  constexpr std::string_view digits =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  for (std::size_t i = 0; i < digits.size(); ++i) {
    values[static_cast<unsigned char>(digits[i])] = static_cast<std::uint8_t>(i);
  }
  return values;
}
constexpr std::array<std::uint8_t, 256> digit_values = make_digit_values();

// Decodes groups of four digits while there are any, several times as fast as nettle, which takes
// what follows: padding, blanks, and what is wrong. Returns the number of groups.
std::size_t decode_groups(std::string_view text, char* out) {
  const auto value = [&](std::size_t i) {
    return std::uint32_t{digit_values[static_cast<unsigned char>(text[i])]};
  };
  const std::size_t n_groups = text.size() / 4;
  for (std::size_t group = 0; group < n_groups; ++group) {
    const std::size_t i = 4 * group;
    const std::uint32_t a = value(i);
    const std::uint32_t b = value(i + 1);
    const std::uint32_t c = value(i + 2);
    const std::uint32_t d = value(i + 3);
    if ((a | b | c | d) > 63) return group;
    const std::uint32_t bits = a << 18 | b << 12 | c << 6 | d;
    *out++ = static_cast<char>(bits >> 16);
    *out++ = static_cast<char>(bits >> 8);
    *out++ = static_cast<char>(bits);
  }
  return n_groups;
}

// Reads integers of nested arrays. They are kept in 16 bits, and in 32 from the first that needs
// them.
class ListReader {
 public:
  ListReader(std::string_view text, const std::string& where) : text_(text), where_(where) {}

  IdArray read(const std::array<int, 3>& axes) {
    read_level(0);
    if (skip_blanks(text_, at_) != text_.size()) fail("something follows the lists");
    for (const std::int64_t size : shape_) {
      if (size == unknown) fail("an empty list");
    }
    const bool is_wide = !wide_.empty();
    std::string bytes = is_wide ? bytes_of(wide_) : bytes_of(narrow_);
    return IdArray(std::move(bytes), is_wide ? Item::i32 : Item::u16, shape_, axes);
  }

 private:
  static constexpr std::int64_t unknown = -1;

  [[noreturn]] void fail(const std::string& what) const {
    fail_at("routed experts: " + what, where_,
            "integers in lists of three levels, all of one shape",
            std::string(text_.substr(std::min(at_, text_.size()), 20)));
  }

  template <typename T>
  static std::string bytes_of(std::vector<T>& values) {
    std::string bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
    values = {};
    return bytes;
  }

  void read_level(std::size_t level) {
    at_ = skip_blanks(text_, at_);
    if (at_ == text_.size() || text_[at_] != '[') fail("no list");
    ++at_;
    std::int64_t n = 0;
    at_ = skip_blanks(text_, at_);
    if (at_ < text_.size() && text_[at_] == ']') fail("an empty list");
    while (true) {
      if (level == 2) {
        read_integer();
      } else {
        read_level(level + 1);
      }
      ++n;
      at_ = skip_blanks(text_, at_);
      const char c = at_ < text_.size() ? text_[at_] : ' ';
      ++at_;
      if (c == ']') break;
      if (c != ',') fail("not a list of integers");
    }
    if (shape_[level] == unknown) shape_[level] = n;
    if (shape_[level] != n) {
      fail_at("routed experts: lists of unequal length", where_, std::to_string(shape_[level]),
              std::to_string(n));
    }
  }

  void read_integer() {
    at_ = skip_blanks(text_, at_);
    std::int32_t value = 0;
    const char* const begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc()) fail("not an integer");
    at_ += static_cast<std::size_t>(end - begin);
    constexpr std::int32_t most = std::numeric_limits<std::uint16_t>::max();
    if (wide_.empty() && value >= 0 && value <= most) {
      narrow_.push_back(static_cast<std::uint16_t>(value));
      return;
    }
    if (wide_.empty()) {
      wide_.assign(narrow_.begin(), narrow_.end());
      narrow_ = {};
    }
    wide_.push_back(value);
  }

  std::string_view text_;
  const std::string& where_;
  std::size_t at_ = 0;
  std::array<std::int64_t, 3> shape_{unknown, unknown, unknown};
  std::vector<std::uint16_t> narrow_;
  std::vector<std::int32_t> wide_;
};

}  // namespace

SplitRecord split_record(std::string_view text, std::span<const std::string_view> keys,
                         std::string_view where) {
  SplitRecord record;
  std::string rest;
  std::size_t copied = 0;
  for (std::size_t i = 0; i < text.size();) {
    if (text[i] != '"') {
      ++i;
      continue;
    }
    const std::size_t end = end_of_string(text, i);
    const std::string_view name = text.substr(i + 1, std::max<std::size_t>(end - i, 2) - 2);
    i = end;
    const std::size_t colon = skip_blanks(text, end);
    if (colon >= text.size() || text[colon] != ':') continue;
    if (std::find(keys.begin(), keys.end(), name) == keys.end()) continue;
    const std::size_t begin = skip_blanks(text, colon + 1);
    if (begin >= text.size() || (text[begin] != '"' && text[begin] != '[')) continue;
    i = text[begin] == '"' ? end_of_string(text, begin) : end_of_array(text, begin);
    rest.append(text, copied, begin - copied);
    rest += "{\"payload\":" + std::to_string(record.payloads.size()) + "}";
    record.payloads.push_back(text.substr(begin, i - begin));
    copied = i;
  }
  rest.append(text, copied);
  record.document = parse_json(rest, where, {.unique_keys = true});
  return record;
}

const std::string_view* payload_of(const SplitRecord& record, const Json* value) {
  if (value == nullptr || !value->is_object() || value->size() != 1) return nullptr;
  const auto found = value->find(payload_key);
  if (found == value->end() || !found->is_number_unsigned()) return nullptr;
  const auto index = found->get<std::size_t>();
  return index < record.payloads.size() ? &record.payloads[index] : nullptr;
}

std::string decode_base64(std::string_view payload, const std::string& where) {
  std::string unescaped;
  if (payload.size() < 2 || payload.front() != '"' || payload.back() != '"') {
    fail_at("not a text in base64", where);
  }
  std::string_view digits = payload.substr(1, payload.size() - 2);
  if (digits.find('\\') != std::string_view::npos) {
    unescaped = parse_json(payload, where).get<std::string>();
    digits = unescaped;
  }
  std::string bytes(BASE64_DECODE_LENGTH(digits.size()), '\0');
  const std::size_t n_groups = decode_groups(digits, bytes.data());
  const std::size_t n_decoded = 3 * n_groups;
  digits.remove_prefix(4 * n_groups);
  base64_decode_ctx context;
  base64_decode_init(&context);
  std::size_t n_bytes = bytes.size() - n_decoded;
  if (base64_decode_update(&context, &n_bytes,
                           reinterpret_cast<std::uint8_t*>(bytes.data() + n_decoded), digits.size(),
                           digits.data()) == 0 ||
      base64_decode_final(&context) == 0) {
    fail_at("not valid base64 (is the text whole?)", where);
  }
  bytes.resize(n_decoded + n_bytes);
  return bytes;
}

IdArray parse_id_lists(std::string_view payload, const std::string& where,
                       const std::array<int, 3>& axes) {
  return ListReader(payload, where).read(axes);
}

IdArray decode_ids(std::string_view payload, const std::string& where) {
  if (payload.starts_with('[')) return parse_id_lists(payload, where);
  return npy_ids(decode_base64(payload, where), where);
}

}  // namespace moexray::imports
