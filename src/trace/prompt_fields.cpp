#include "prompt_fields.h"

#include <optional>
#include <utility>

#include "fail.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"

namespace moexray::trace {
namespace {

constexpr std::string_view meta_key = "meta";

// Takes a key out of the line: what is left at the end is meta. Null counts as absent.
std::optional<Json> take(Json& object, std::string_view key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  Json value = std::move(*found);
  object.erase(found);
  if (value.is_null()) return std::nullopt;
  return value;
}

// The text of an integer of any size; empty for everything else.
std::string integer_text(const Json& value) {
  if (value.is_number_integer()) return value.dump();
  const std::string_view kept = kept_number(value);
  return kept.find_first_of(".eE") == std::string_view::npos ? std::string(kept) : std::string();
}

// An id or a category.
std::string take_name(Json& object, const std::string& key) {
  const std::optional<Json> value = take(object, key);
  if (!value) return {};
  const std::string text = value->is_string() ? value->get<std::string>() : integer_text(*value);
  if (!value->is_string() && text.empty()) {
    fail_key("wrong type", key, "a string or a whole number", describe_json(*value));
  }
  const std::string problem = name_problem(text);
  if (!problem.empty()) fail_key("value " + problem, key, {}, {});
  return text;
}

// What stands in place of a message: an object tells its keys.
std::string describe_message(const Json& item) {
  if (!item.is_object()) return describe_json(item);
  std::string text;
  for (const auto& [key, value] : item.items()) {
    if (text.size() > 80) break;
    text += (text.empty() ? "{\"" : ",\"") + printable(key, 40) + '"';
  }
  return text.empty() ? "{}" : text + "}";
}

// `key` is the one that the file gives the messages under.
std::vector<PromptMessage> to_messages(const Json& value, std::string_view key) {
  if (!value.is_array() || value.empty()) {
    fail_key("wrong value", key, "an array of messages",
             value.is_array() ? "an empty array" : describe_json(value));
  }
  std::vector<PromptMessage> messages;
  for (const Json& item : value) {
    const std::string place = std::string(key) + "[" + std::to_string(messages.size()) + "]";
    PromptMessage message;
    for (const auto& [name, target] :
         {std::pair{"role", &message.role}, std::pair{"content", &message.content}}) {
      const Json* found = item.is_object() ? find_value(item, name) : nullptr;
      if (found != nullptr && found->is_string()) {
        *target = found->get<std::string>();
      } else if (found != nullptr || (item.is_object() && item.contains(name))) {
        fail_key("wrong message", place + "." + name, "a string", describe_json(item.at(name)));
      } else {
        fail_key("wrong message", place, "{\"role\",\"content\"}", describe_message(item));
      }
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

[[noreturn]] void fail_without_prompt(const Json& rest, const std::string& key, bool is_null) {
  std::string found = is_null ? "null" : std::string();
  for (const auto& [name, value] : rest.items()) {
    if (is_null || found.size() > 200) break;
    found += (found.empty() ? "\"" : ", \"") + printable(name, 60) + '"';
  }
  fail_key("missing key", key, {}, std::move(found));
}

void take_content(Json& object, const PromptReadOptions& keys, Prompt& prompt) {
  const bool is_null = object.contains(keys.prompt_key);
  const std::optional<Json> text = take(object, keys.prompt_key);
  std::optional<Json> messages;
  if (keys.prompt_key != messages_key) messages = take(object, messages_key);
  if (text && messages) {
    fail_key("both \"" + keys.prompt_key + "\" and \"messages\" are given", {}, "one of them", {});
  }
  if (!text && !messages) fail_without_prompt(object, keys.prompt_key, is_null);
  if (messages) {
    prompt.messages = to_messages(*messages, messages_key);
  } else if (text->is_array()) {
    prompt.messages = to_messages(*text, keys.prompt_key);
  } else if (!text->is_string() || text->get_ref<const std::string&>().empty()) {
    fail_key("wrong value", keys.prompt_key, "a string that is not empty", describe_json(*text));
  } else {
    prompt.text = text->get<std::string>();
  }
}

std::string take_meta(Json& object) {
  const std::optional<Json> meta = take(object, meta_key);
  if (!meta) return json_text(object);
  if (!meta->is_object()) fail_key("wrong type", meta_key, "an object", describe_json(*meta));
  for (const auto& [key, value] : meta->items()) {
    if (object.contains(key)) {
      fail_key("key given in the line and in its \"meta\"", key, {}, {});
    }
    object[key] = value;
  }
  return json_text(object);
}

}  // namespace

void fail_key(std::string what, std::string_view key, std::string expected, std::string found) {
  std::string where;
  if (!key.empty()) where = "key \"" + std::string(key) + "\"";
  fail_at(std::move(what), std::move(where), std::move(expected), std::move(found));
}

const Json* find_value(const Json& object, std::string_view key) {
  const auto found = object.find(key);
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

Prompt parse_prompt(Json object, std::int64_t number, const PromptReadOptions& keys) {
  Prompt prompt;
  prompt.line = number;
  prompt.id = take_name(object, keys.id_key);
  if (prompt.id.empty()) prompt.id = "line-" + std::to_string(number);
  prompt.category = take_name(object, keys.category_key);
  take_content(object, keys, prompt);
  prompt.meta_json = take_meta(object);
  return prompt;
}

std::string content_text(const Prompt& prompt) {
  Json content;
  content["id"] = prompt.id;
  content["category"] = prompt.category;
  if (prompt.messages.empty()) {
    content["prompt"] = prompt.text;
  } else {
    for (const PromptMessage& message : prompt.messages) {
      content["messages"].push_back({{"role", message.role}, {"content", message.content}});
    }
  }
  content["meta"] = parse_json(prompt.meta_json, {}, exact_rules);
  return json_text(content) + "\n";
}

}  // namespace moexray::trace
