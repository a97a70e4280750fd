#include "section.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "moexray/core/error.h"

namespace moexray {

using nlohmann::json;

JsonSection::JsonSection(const json& object, std::string where)
    : object_(&object), where_(std::move(where)) {
  if (!object.is_object()) {
    throw Error(ErrorKind::data, {"wrong type", where_, "an object", describe_json(object)});
  }
}

void JsonSection::fail(std::string_view key, std::string what, std::string expected,
                       std::string found) const {
  throw Error(ErrorKind::data, {std::move(what), where_ + ": key \"" + std::string(key) + "\"",
                                std::move(expected), std::move(found)});
}

const json* JsonSection::find(std::string_view key) const {
  const auto value = object_->find(key);
  return value == object_->end() || value->is_null() ? nullptr : &*value;
}

const json& JsonSection::at(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) {
    fail(key, "missing", {}, object_->contains(key) ? "null" : std::string());
  }
  return *value;
}

int JsonSection::integer(std::string_view key, int min, int max) const {
  const json& value = at(key);
  const bool fits = value.is_number_unsigned()
                        ? value.get<std::uint64_t>() <= static_cast<std::uint64_t>(max)
                        : value.is_number_integer() && value.get<std::int64_t>() <= max;
  if (!fits || value.get<std::int64_t>() < min) {
    fail(key, "wrong value",
         "an integer from " + std::to_string(min) + " to " + std::to_string(max),
         describe_json(value));
  }
  return value.get<int>();
}

std::vector<std::int64_t> JsonSection::whole_numbers(std::string_view key,
                                                     std::size_t max_count) const {
  const json* value = find(key);
  std::vector<std::int64_t> numbers;
  if (value == nullptr) return numbers;
  if (!value->is_array()) return {to_whole_number(key, *value)};
  if (value->size() > max_count) {
    fail(key, "too many ids", "at most " + std::to_string(max_count),
         std::to_string(value->size()));
  }
  for (const json& item : *value) {
    if (!item.is_null()) numbers.push_back(to_whole_number(key, item));
  }
  return numbers;
}

std::optional<std::int64_t> JsonSection::whole_number(std::string_view key) const {
  const json* value = find(key);
  if (value == nullptr) return std::nullopt;
  return to_whole_number(key, *value);
}

std::int64_t JsonSection::to_whole_number(std::string_view key, const json& value) const {
  if (!value.is_number_integer()) fail(key, "wrong type", "a whole number", describe_json(value));
  constexpr std::int64_t most = std::numeric_limits<std::int64_t>::max();
  return value.is_number_unsigned() ? static_cast<std::int64_t>(std::min<std::uint64_t>(
                                          value.get<std::uint64_t>(), std::uint64_t{most}))
                                    : value.get<std::int64_t>();
}

double JsonSection::number(std::string_view key, double fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_number()) fail(key, "wrong type", "a number", describe_json(*value));
  return value->get<double>();
}

bool JsonSection::boolean(std::string_view key, bool fallback) const {
  const json* value = find(key);
  if (value == nullptr) return fallback;
  if (!value->is_boolean()) fail(key, "wrong type", "true or false", describe_json(*value));
  return value->get<bool>();
}

std::string JsonSection::text(std::string_view key, std::string_view fallback) const {
  const json* value = find(key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) fail(key, "wrong type", "a string", describe_json(*value));
  return value->get<std::string>();
}

std::vector<std::string> JsonSection::texts(std::string_view key, std::size_t count) const {
  const json& value = at(key);
  const std::string expected = "a list of " + std::to_string(count) + " strings";
  if (!value.is_array()) fail(key, "wrong type", expected, describe_json(value));
  if (value.size() != count) {
    fail(key, "wrong length", expected, std::to_string(value.size()));
  }
  std::vector<std::string> texts;
  for (const json& item : value) {
    if (!item.is_string()) fail(key, "wrong type", expected, describe_json(item));
    texts.push_back(item.get<std::string>());
  }
  return texts;
}

std::vector<std::string> JsonSection::texts_if_any(std::string_view key) const {
  const json* value = find(key);
  const bool is_list =
      value != nullptr && value->is_array() &&
      std::all_of(value->begin(), value->end(), [](const json& item) { return item.is_string(); });
  return is_list ? value->get<std::vector<std::string>>() : std::vector<std::string>();
}

JsonSection JsonSection::section(std::string_view key) const {
  return {at(key), where_ + ": key \"" + std::string(key) + "\""};
}

}  // namespace moexray
