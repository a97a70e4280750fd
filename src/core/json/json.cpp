#include "json.h"

#include <algorithm>
#include <cstdint>
#include <unordered_set>
#include <utility>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray {
namespace {

using nlohmann::json;

constexpr std::size_t max_shown_bytes = 160;

// Brackets outside of strings, counted before anything is built from the text.
bool is_deeper_than(std::string_view text, int limit) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') ++i;
      if (c == '"') in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '{' || c == '[') {
      if (++depth > limit) return true;
    } else if (c == '}' || c == ']') {
      --depth;
    }
  }
  return false;
}

// `position` counts from 1.
[[noreturn]] void fail_at(std::string_view text, std::size_t position, std::string_view where,
                          const std::string& why) {
  const std::string_view before = text.substr(0, position - std::min<std::size_t>(position, 1));
  const std::size_t begin = before.rfind('\n') + 1;  // of the line; npos + 1 is 0
  const std::string_view line = text.substr(begin, text.find('\n', begin) - begin);
  const std::size_t column = std::max<std::size_t>(before.size() - begin + 1, 1);
  std::string what = "not valid JSON";
  std::string place(where);
  if (text.find('\n') == std::string_view::npos) {
    what += " at byte " + std::to_string(column);
  } else {
    place += ":" + std::to_string(std::count(before.begin(), before.end(), '\n') + 1) + ":" +
             std::to_string(column);
  }
  if (!why.empty()) what += ": " + why;
  throw Error(ErrorKind::data, {std::move(what),
                                std::move(place),
                                {},
                                line.empty() ? "nothing" : "\"" + printable(line, 60) + "\""});
}

void check_text(std::string_view text, std::string_view where) {
  const std::size_t bad = find_invalid_utf8(text);
  if (bad != text.size()) {
    fail_at(text, bad + 1, where, "not valid UTF-8 at byte " + std::to_string(bad + 1));
  }
  if (is_deeper_than(text, max_json_depth)) {
    throw Error(ErrorKind::data, {"JSON nested too deeply",
                                  std::string(where),
                                  "at most " + std::to_string(max_json_depth) + " levels",
                                  {}});
  }
}

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
         parse_decimal(text) == parse_decimal(json(value).dump());
}

// Builds the value while the text is read: the library would keep the last of equal keys, which
// hides what a text says, and turn every other number into a double.
class Builder : public nlohmann::json_sax<json> {
 public:
  Builder(std::string_view where, const JsonRules& rules) : where_(where), rules_(rules) {}

  json take() { return std::move(root_); }

  bool null() override { return add(nullptr); }
  bool boolean(bool value) override { return add(value); }
  bool number_integer(number_integer_t value) override { return add(value); }
  bool number_unsigned(number_unsigned_t value) override { return add(value); }
  bool number_float(number_float_t value, const string_t& text) override {
    if (!rules_.exact_numbers || is_kept_as_double(text, value)) return add(value);
    return add(json::binary({text.begin(), text.end()}));
  }
  bool string(string_t& value) override { return add(std::move(value)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(std::size_t) override { return open(json::object()); }
  bool end_object() override { return close(); }
  bool start_array(std::size_t) override { return open(json::array()); }
  bool end_array() override { return close(); }

  bool key(string_t& value) override {
    const auto [item, is_new] = open_.back()->emplace(value, nullptr);
    if (!is_new && rules_.unique_keys) {
      throw Error(ErrorKind::data, {"duplicate key",
                                    std::string(where_),
                                    {},
                                    '"' + printable(value, max_shown_bytes) + "\" given twice"});
    }
    slot_ = &*item;
    keys_.back() = std::move(value);
    return true;
  }

  bool parse_error(std::size_t position, const std::string& token,
                   const nlohmann::detail::exception& error) override {
    if (dynamic_cast<const json::out_of_range*>(&error) != nullptr) {
      throw Error(ErrorKind::data, {"number out of range", place(), "a magnitude below 1.8e308",
                                    printable(token, max_shown_bytes)});
    }
    position_ = position;
    return false;
  }

  /// Where the text stops being JSON, from 1.
  std::size_t position() const { return position_; }

 private:
  // Puts a value where it belongs and returns its place.
  json* put(json value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *open_.back();
    if (parent.is_array()) {
      parent.push_back(std::move(value));
      return &parent.back();
    }
    *slot_ = std::move(value);
    return slot_;
  }
  bool add(json value) {
    put(std::move(value));
    return true;
  }
  // Only the innermost open value grows, so that the pointers to those around it stay valid.
  bool open(json value) {
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
    std::string place(where_);
    if (!place.empty() && !path.empty()) place += ": ";
    return path.empty() ? place : place + "key \"" + path + "\"";
  }

  std::string_view where_;
  JsonRules rules_;
  json root_;
  std::vector<json*> open_;
  std::vector<std::string> keys_;  // [open_]: the key read last
  json* slot_ = nullptr;           // of that key
  std::size_t position_ = 0;
};

void append_text(std::string& text, const json& value) {
  if (value.is_object()) {
    text += '{';
    for (auto item = value.begin(); item != value.end(); ++item) {
      if (item != value.begin()) text += ',';
      text += json(item.key()).dump() + ':';
      append_text(text, *item);
    }
    text += '}';
  } else if (value.is_array()) {
    text += '[';
    for (auto item = value.begin(); item != value.end(); ++item) {
      if (item != value.begin()) text += ',';
      append_text(text, *item);
    }
    text += ']';
  } else if (value.is_binary()) {
    text += kept_number(value);
  } else {
    text += value.dump();
  }
}

}  // namespace

json parse_json(std::string_view text, std::string_view where, const JsonRules& rules) {
  check_text(text, where);
  Builder builder(where, rules);
  if (!json::sax_parse(text, &builder)) fail_at(text, builder.position(), where, {});
  return builder.take();
}

std::vector<std::string> json_keys(std::string_view text, std::string_view where,
                                   std::string_view member) {
  check_text(text, where);
  std::vector<std::string> keys;
  std::unordered_set<std::string> known;
  std::string outer;
  const auto note = [&](int depth, json::parse_event_t event, json& value) {
    if (event != json::parse_event_t::key) return true;
    const auto& key = value.get_ref<const std::string&>();
    if (depth == 1) outer = key;
    const bool is_wanted = member.empty() ? depth == 1 : depth == 2 && outer == member;
    if (is_wanted && known.insert(key).second) keys.push_back(key);
    return true;
  };
  try {
    const json unneeded = json::parse(text, note);
  } catch (const json::parse_error& error) {
    fail_at(text, error.byte, where, {});
  } catch (const json::exception&) {
    throw Error(ErrorKind::data,
                {"number out of range", std::string(where), "a magnitude below 1.8e308", {}});
  }
  return keys;
}

std::string json_text(const json& value) {
  std::string text;
  try {
    append_text(text, value);
  } catch (const json::exception&) {
    throw Error(ErrorKind::data, "text that is not valid UTF-8 cannot be written as JSON");
  }
  return text;
}

std::string_view kept_number(const json& value) {
  if (!value.is_binary()) return {};
  const auto& bytes = value.get_binary();
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

std::string describe_json(const json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean() || value.is_number()) return value.dump();
  if (value.is_binary()) return printable(kept_number(value), max_shown_bytes);
  if (value.is_string()) {
    return '"' + printable(value.get_ref<const std::string&>(), max_shown_bytes) + '"';
  }
  return value.is_array() ? "an array" : "an object";
}

}  // namespace moexray
