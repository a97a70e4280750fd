#include "moexray/report/json.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <limits>

#include "moexray/core/escape.h"
#include "moexray/report/number.h"

namespace moexray::report {
namespace {

void write_string(std::string& out, std::string_view text) {
  out += '"';
  while (!text.empty()) {
    const std::size_t valid = find_invalid_utf8(text);
    for (const char c : text.substr(0, valid)) {
      const auto byte = static_cast<unsigned char>(c);
      if (c == '"' || c == '\\') {
        out += '\\';
        out += c;
      } else if (c == '\n') {
        out += "\\n";
      } else if (c == '\t') {
        out += "\\t";
      } else if (c == '\r') {
        out += "\\r";
      } else if (byte < 0x20 || byte == 0x7F) {
        constexpr std::string_view digits = "0123456789abcdef";
        out += "\\u00";
        out += digits[byte >> 4];
        out += digits[byte & 15];
      } else {
        out += c;
      }
    }
    text.remove_prefix(valid);
    if (!text.empty()) {
      out += "\xEF\xBF\xBD";
      text.remove_prefix(1);
    }
  }
  out += '"';
}

void write_indent(std::string& out, int depth) {
  out += '\n';
  out.append(static_cast<std::size_t>(depth) * 2, ' ');
}

}  // namespace

Json::Json(double value) {
  if (std::isfinite(value)) value_ = value;
}

Json Json::object(Object members) {
  Json result;
  result.value_ = std::move(members);
  return result;
}

void Json::set(std::string key, Json value) {
  assert(find(key) == nullptr);
  std::get<Object>(value_).emplace_back(std::move(key), std::move(value));
}

const Json* Json::find(std::string_view key) const {
  const auto* members = std::get_if<Object>(&value_);
  if (members == nullptr) return nullptr;
  for (const Member& member : *members) {
    if (member.first == key) return &member.second;
  }
  return nullptr;
}

double Json::number() const {
  if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
    return static_cast<double>(*integer);
  }
  const auto* number = std::get_if<double>(&value_);
  return number == nullptr ? std::numeric_limits<double>::quiet_NaN() : *number;
}

std::string_view Json::text() const {
  const auto* text = std::get_if<std::string>(&value_);
  return text == nullptr ? std::string_view() : *text;
}

std::span<const Json> Json::elements() const {
  const auto* array = std::get_if<Array>(&value_);
  return array == nullptr ? std::span<const Json>() : std::span<const Json>(*array);
}

std::string Json::dump() const {
  std::string out;
  write(out, 0);
  out += '\n';
  return out;
}

void Json::write(std::string& out, int depth) const {
  if (std::holds_alternative<std::nullptr_t>(value_)) {
    out += "null";
  } else if (const auto* boolean = std::get_if<bool>(&value_)) {
    out += *boolean ? "true" : "false";
  } else if (const auto* integer = std::get_if<std::int64_t>(&value_)) {
    out += std::to_string(*integer);
  } else if (const auto* number = std::get_if<double>(&value_)) {
    out += shortest(*number);
  } else if (const auto* text = std::get_if<std::string>(&value_)) {
    write_string(out, *text);
  } else if (const auto* array = std::get_if<Array>(&value_)) {
    const bool flat =
        std::all_of(array->begin(), array->end(), [](const Json& e) { return e.is_scalar(); });
    out += '[';
    for (std::size_t i = 0; i < array->size(); ++i) {
      if (i > 0) out += flat ? ", " : ",";
      if (!flat) write_indent(out, depth + 1);
      (*array)[i].write(out, depth + 1);
    }
    if (!flat) write_indent(out, depth);
    out += ']';
  } else {
    const auto& members = std::get<Object>(value_);
    out += '{';
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (i > 0) out += ',';
      write_indent(out, depth + 1);
      write_string(out, members[i].first);
      out += ": ";
      members[i].second.write(out, depth + 1);
    }
    if (!members.empty()) write_indent(out, depth);
    out += '}';
  }
}

}  // namespace moexray::report
