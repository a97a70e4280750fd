#include "moexray/architecture/config_reader.h"

#include <utility>

#include "core/json/section.h"

namespace moexray {

/// A part of a document, which it keeps alive.
struct ConfigReader::Object {
  std::shared_ptr<const nlohmann::json> document;
  JsonSection section;
};

ConfigReader::ConfigReader(std::string_view text, std::string_view where) {
  auto document = std::make_shared<const nlohmann::json>(parse_json(text, where));
  JsonSection section(*document, std::string(where));
  object_ = std::make_shared<const Object>(Object{std::move(document), std::move(section)});
}

const std::string& ConfigReader::where() const { return object_->section.where(); }

bool ConfigReader::has(std::string_view key) const { return object_->section.find(key) != nullptr; }

int ConfigReader::integer(std::string_view key, int min, int max) const {
  return object_->section.integer(key, min, max);
}

int ConfigReader::integer_or(std::string_view key, int fallback, int min, int max) const {
  return has(key) ? integer(key, min, max) : fallback;
}

std::vector<std::int64_t> ConfigReader::whole_numbers(std::string_view key,
                                                      std::size_t max_count) const {
  return object_->section.whole_numbers(key, max_count);
}

std::optional<std::int64_t> ConfigReader::whole_number(std::string_view key) const {
  return object_->section.whole_number(key);
}

double ConfigReader::number(std::string_view key, double fallback) const {
  return object_->section.number(key, fallback);
}

bool ConfigReader::boolean(std::string_view key, bool fallback) const {
  return object_->section.boolean(key, fallback);
}

std::string ConfigReader::text(std::string_view key) const { return object_->section.text(key); }

std::vector<std::string> ConfigReader::texts(std::string_view key, std::size_t count) const {
  return object_->section.texts(key, count);
}

std::vector<std::string> ConfigReader::texts_if_any(std::string_view key) const {
  return object_->section.texts_if_any(key);
}

ConfigReader ConfigReader::section(std::string_view key) const {
  return ConfigReader(
      std::make_shared<const Object>(Object{object_->document, object_->section.section(key)}));
}

std::string ConfigReader::found(std::string_view key) const {
  const nlohmann::json* value = object_->section.find(key);
  return value == nullptr ? std::string() : describe_json(*value);
}

void ConfigReader::fail(std::string_view key, std::string what, std::string expected,
                        std::string found) const {
  object_->section.fail(key, std::move(what), std::move(expected), std::move(found));
}

}  // namespace moexray
