#include "exact_json.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray::trace {
namespace {

// A decimal number as digits · 10^exponent, no zeros at either end of the digits.
struct Decimal {
  bool is_negative = false;
  std::string digits;
  std::int64_t exponent = 0;

  bool operator==(const Decimal&) const = default;
};

// The exponent written behind the 'e' of a number; what no double has stays far beyond it.
std::int64_t parse_exponent(std::string_view text) {
  constexpr std::int64_t limit = 1'000'000'000;
  bool is_negative = false;
  std::int64_t value = 0;
  for (const char c : text) {
    if (c == '-') is_negative = true;
    if (c >= '0' && c <= '9') value = std::min(value * 10 + (c - '0'), limit);
  }
  return is_negative ? -value : value;
}

// `text` is a number in the grammar of JSON.
Decimal parse_decimal(std::string_view text) {
  Decimal decimal;
  decimal.is_negative = text.starts_with('-');
  if (decimal.is_negative) text.remove_prefix(1);
  const std::size_t e = std::min(text.find_first_of("eE"), text.size());
  if (e < text.size()) decimal.exponent = parse_exponent(text.substr(e + 1));
  const std::string_view mantissa = text.substr(0, e);
  const std::size_t point = std::min(mantissa.find('.'), mantissa.size());
  decimal.digits = mantissa.substr(0, point);
  if (point < mantissa.size()) {
    decimal.digits += mantissa.substr(point + 1);
    decimal.exponent -= static_cast<std::int64_t>(mantissa.size() - point - 1);
  }
  const std::size_t last = decimal.digits.find_last_not_of('0');
  if (last == std::string::npos) return {decimal.is_negative, {}, 0};
  decimal.exponent += static_cast<std::int64_t>(decimal.digits.size() - last - 1);
  decimal.digits.erase(last + 1);
  decimal.digits.erase(0, decimal.digits.find_first_not_of('0'));
  return decimal;
}

// An integer beyond 64 bits keeps its form even where a double happens to hold it.
bool is_kept_as_double(std::string_view text, double value) {
  return text.find_first_of(".eE") != std::string_view::npos &&
         parse_decimal(text) == parse_decimal(Json(value).dump());
}

// Builds the value while the text is read. The library keeps the last of equal keys, which would
// hide what a text says, and turns every other number into a double.
class Builder : public nlohmann::json_sax<Json> {
 public:
  explicit Builder(const std::string& where) : where_(where) {}

  Json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (is_kept_as_double(text, value)) return add(value);
    return add(Json::binary({text.begin(), text.end()}));
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(Json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(Json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    Json& object = *open_.back();
    if (object.contains(value)) {
      throw Error(ErrorKind::data, {"key \"" + value + "\" given twice", where_, {}, {}});
    }
    slot_ = &object[value];
    keys_.back() = value;
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const Json::out_of_range*>(&error) != nullptr) {
      throw Error(ErrorKind::data, {"number out of range", place(), "a magnitude below 1.8e308",
                                    printable(token, 80)});
    }
    position_ = position;
    return false;
  }

  /// Where the text stops being JSON, from 1.
  std::size_t position() const { return position_; }

 private:
  // Puts a value where it belongs and returns its place.
  Json* put(Json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    Json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool add(Json value) {
    put(std::move(value));
    return true;
  }
  // Only the innermost open value grows, so that the pointers to those around it stay valid.
  bool open(Json value) {
    open_.push_back(put(std::move(value)));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    open_.pop_back();
    keys_.pop_back();
    return true;
  }

  // `where` and the keys that lead to the current value.
  std::string place() const {
    std::string path;
    for (const std::string& key : keys_) {
      if (key.empty()) continue;  // an array
      if (!path.empty()) path += '.';
      path += key;
    }
    std::string place = where_;
    if (!place.empty() && !path.empty()) place += ": ";
    return path.empty() ? place : place + "key \"" + path + "\"";
  }

  const std::string& where_;
  Json root_;
  std::vector<Json*> open_;
  std::vector<std::string> keys_;  // [open_]: the key read last
  Json* slot_ = nullptr;           // of that key
  std::size_t position_ = 0;
};

void append(std::string& text, const Json& value) {
  if (value.is_object()) {
    text += '{';
    for (auto item = value.begin(); item != value.end(); ++item) {
      if (item != value.begin()) text += ',';
      text += json_text(item.key()) + ':';
      append(text, *item);
    }
    text += '}';
  } else if (value.is_array()) {
    text += '[';
    for (auto item = value.begin(); item != value.end(); ++item) {
      if (item != value.begin()) text += ',';
      append(text, *item);
    }
    text += ']';
  } else if (value.is_binary()) {
    text += kept_number(value);
  } else {
    text += json_text(value);
  }
}

}  // namespace

Json parse_exact_json(std::string_view text, const std::string& where) {
  check_json_text(text, where);
  Builder builder(where);
  if (!Json::sax_parse(text, &builder)) fail_json(text, builder.position(), where);
  return builder.take();
}

std::string exact_json_text(const Json& value) {
  std::string text;
  append(text, value);
  return text;
}

std::string_view kept_number(const Json& value) {
  if (!value.is_binary()) return {};
  const auto& bytes = value.get_binary();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace moexray::trace
