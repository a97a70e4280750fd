#pragma once

#include <concepts>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace moexray::report {

/// A JSON value to be written: keys keep the order in which they were set.
class Json {
 public:
  using Array = std::vector<Json>;
  using Member = std::pair<std::string, Json>;
  using Object = std::vector<Member>;

  Json() = default;  ///< null
  Json(bool value) : value_(value) {}
  template <std::integral Integer>
    requires(!std::same_as<Integer, bool>)
  Json(Integer value) : value_(static_cast<std::int64_t>(value)) {}
  /// NaN and infinities, JSON having neither, become null.
  Json(double value);
  Json(std::string_view value) : value_(std::string(value)) {}
  Json(const std::string& value) : value_(value) {}
  Json(const char* value) : value_(std::string(value)) {}
  Json(Array value) : value_(std::move(value)) {}

  /// An object with these members, in this order.
  static Json object(Object members = {});
  /// An array of anything that a Json can be made of.
  template <typename Range>
  static Json array(const Range& range) {
    Array result;
    for (const auto& element : range) result.emplace_back(element);
    return Json(std::move(result));
  }

  /// Adds a member to an object. The key must be new.
  void set(std::string key, Json value);
  /// The member of an object, or nullptr; nullptr too if this is no object.
  const Json* find(std::string_view key) const;
  const Object& members() const { return std::get<Object>(value_); }
  bool is_null() const { return value_.index() == 0; }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(value_); }
  /// A number as a double; NaN if this is none.
  double number() const;
  /// A string; empty if this is none.
  std::string_view text() const;
  /// The elements of an array; none if this is no array.
  std::span<const Json> elements() const;

  /// The text: two blanks a level, an array whose elements hold no further values on one line,
  /// every number in its shortest form that reads back as the same double, a newline at the end.
  /// Bytes that are not UTF-8 become U+FFFD.
  std::string dump() const;

 private:
  void write(std::string& out, int depth) const;
  bool is_scalar() const { return value_.index() < 5; }

  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> value_ =
      nullptr;
};

}  // namespace moexray::report
