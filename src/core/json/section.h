#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"

namespace moexray {

/// An object of a foreign document with typed, checked access to its keys. A key whose value is
/// null is absent: transformers writes None as null. The object must outlive the section.
class JsonSection {
 public:
  /// @throws Error (data) if it is no object.
  JsonSection(const nlohmann::json& object, std::string where);

  /// Throws Error (data) about a key: "WHERE: key "KEY": WHAT: expected EXPECTED, found FOUND".
  [[noreturn]] void fail(std::string_view key, std::string what, std::string expected,
                         std::string found) const;

  /// The value of a key, or null.
  const nlohmann::json* find(std::string_view key) const;
  /// @throws Error (data) if the key is absent.
  const nlohmann::json& at(std::string_view key) const;

  /// @throws Error (data) if the key is absent or not a whole number in [min, max].
  int integer(std::string_view key, int min, int max) const;
  /// The whole number of a key, or those of its list: nothing for an absent key, and null in a list
  /// is passed over. What 64 bits do not hold becomes the nearest that they do.
  /// @throws Error (data) for other values and more than `max_count`.
  std::vector<std::int64_t> whole_numbers(std::string_view key, std::size_t max_count) const;
  std::optional<std::int64_t> whole_number(std::string_view key) const;
  double number(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string text(std::string_view key, std::string_view fallback = {}) const;
  /// A list of exactly `count` texts, as settings of every layer are.
  std::vector<std::string> texts(std::string_view key, std::size_t count) const;
  /// The texts of a list of any length; none for every other value.
  std::vector<std::string> texts_if_any(std::string_view key) const;
  JsonSection section(std::string_view key) const;

  const std::string& where() const { return where_; }

 private:
  std::int64_t to_whole_number(std::string_view key, const nlohmann::json& value) const;

  const nlohmann::json* object_;
  std::string where_;
};

}  // namespace moexray
