#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace moexray {

/// An object of a model's JSON file with typed, checked access to its keys. A key whose value is
/// null is absent: transformers writes None as null. Every error names the file, the key, what was
/// expected and what was found.
class ConfigReader {
 public:
  /// @param where the file's name, for messages.
  /// @throws Error (data) if `text` is not JSON (at most 64 levels deep, no key twice), or no
  /// object.
  ConfigReader(std::string_view text, std::string_view where);

  const std::string& where() const;  ///< the file, and the keys that lead to this object
  bool has(std::string_view key) const;

  /// @throws Error (data) if the key is absent or not a whole number in [min, max].
  int integer(std::string_view key, int min, int max) const;
  int integer_or(std::string_view key, int fallback, int min, int max) const;
  /// A whole number of any size, or a list of at most `max_count` of them in which null is passed
  /// over; none for an absent key. What 64 bits do not hold becomes the nearest that they do.
  std::vector<std::int64_t> whole_numbers(std::string_view key, std::size_t max_count) const;
  std::optional<std::int64_t> whole_number(std::string_view key) const;
  double number(std::string_view key, double fallback) const;
  bool boolean(std::string_view key, bool fallback) const;
  std::string text(std::string_view key) const;  ///< empty if the key is absent
  /// A list of exactly `count` texts, as settings of every layer are.
  /// @throws Error (data) also if the key is absent.
  std::vector<std::string> texts(std::string_view key, std::size_t count) const;
  /// The texts of a list of any length; none for every other value.
  std::vector<std::string> texts_if_any(std::string_view key) const;
  /// The object at a key. @throws Error (data) if there is none.
  ConfigReader section(std::string_view key) const;

  /// What stands at a key, for the last part of a message; empty if it is absent.
  std::string found(std::string_view key) const;
  /// Throws Error (data) about a key.
  [[noreturn]] void fail(std::string_view key, std::string what, std::string expected,
                         std::string found) const;

 private:
  struct Object;
  explicit ConfigReader(std::shared_ptr<const Object> object) : object_(std::move(object)) {}

  std::shared_ptr<const Object> object_;
};

}  // namespace moexray
