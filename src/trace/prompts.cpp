#include "moexray/trace/prompts.h"

#include <fstream>
#include <optional>
#include <unordered_map>
#include <utility>

#include "fail.h"
#include "json_text.h"
#include "line_reader.h"
#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/sha256.h"

namespace moexray {
namespace {

using trace::Json;

constexpr std::size_t max_listed_failures = 20;
constexpr std::string_view messages_key = "messages";
constexpr std::string_view meta_key = "meta";

[[noreturn]] void fail_key(std::string what, std::string_view key, std::string expected,
                           std::string found) {
  std::string where;
  if (!key.empty()) where = "key \"" + std::string(key) + "\"";
  trace::fail_at(std::move(what), std::move(where), std::move(expected), std::move(found));
}

// Takes a key out of the line: what is left at the end is meta.
std::optional<Json> take(Json& object, const std::string& key) {
  const auto found = object.find(key);
  if (found == object.end()) return std::nullopt;
  Json value = std::move(*found);
  object.erase(found);
  return value;
}

// An id or a category; null counts as absent.
std::string take_name(Json& object, const std::string& key) {
  const std::optional<Json> value = take(object, key);
  if (!value || value->is_null()) return {};
  std::string text;
  if (value->is_string()) {
    text = value->get<std::string>();
  } else if (value->is_number_integer()) {
    text = value->dump();
  } else {
    fail_key("wrong type", key, "a string", trace::describe(*value));
  }
  const std::string problem = trace::name_problem(text);
  if (!problem.empty()) fail_key("value " + problem, key, {}, {});
  return text;
}

std::vector<PromptMessage> to_messages(const Json& value) {
  if (!value.is_array() || value.empty()) {
    fail_key("wrong value", messages_key, "an array of messages",
             value.is_array() ? "an empty array" : trace::describe(value));
  }
  std::vector<PromptMessage> messages;
  for (const Json& item : value) {
    PromptMessage message;
    const std::string key = std::string(messages_key) + "[" + std::to_string(messages.size()) + "]";
    for (const auto& [name, target] :
         {std::pair{"role", &message.role}, std::pair{"content", &message.content}}) {
      const auto found = item.is_object() ? item.find(name) : item.end();
      if (found == item.end() || !found->is_string()) {
        fail_key("wrong message", key + "." + name, "a string",
                 found == item.end() ? "nothing" : trace::describe(*found));
      }
      *target = found->get<std::string>();
    }
    messages.push_back(std::move(message));
  }
  return messages;
}

void take_content(Json& object, const PromptReadOptions& keys, Prompt& prompt) {
  const std::optional<Json> text = take(object, keys.prompt_key);
  std::optional<Json> messages;
  if (keys.prompt_key != messages_key) messages = take(object, std::string(messages_key));
  if (text && messages) {
    fail_key("both \"" + keys.prompt_key + "\" and \"messages\" are given", {}, "one of them", {});
  }
  if (!text && !messages) fail_key("missing key", keys.prompt_key, {}, {});
  if (messages) {
    prompt.messages = to_messages(*messages);
  } else if (text->is_array()) {
    prompt.messages = to_messages(*text);
  } else if (!text->is_string() || text->get_ref<const std::string&>().empty()) {
    fail_key("wrong value", keys.prompt_key, "a string that is not empty", trace::describe(*text));
  } else {
    prompt.text = text->get<std::string>();
  }
}

std::string take_meta(Json& object) {
  const std::optional<Json> meta = take(object, std::string(meta_key));
  if (!meta || meta->is_null()) return object.dump();
  if (!meta->is_object()) fail_key("wrong type", meta_key, "an object", trace::describe(*meta));
  for (const auto& [key, value] : meta->items()) {
    if (object.contains(key)) {
      fail_key("key given in the line and in its \"meta\"", key, {}, {});
    }
    object[key] = value;
  }
  return object.dump();
}

Prompt parse_prompt(std::string_view line, std::int64_t number, const PromptReadOptions& keys) {
  Json object = trace::parse_json(line, {});
  if (!object.is_object()) {
    fail_key("wrong type of line", {}, "an object", trace::describe(object));
  }
  Prompt prompt;
  prompt.line = number;
  prompt.id = take_name(object, keys.id_key);
  if (prompt.id.empty()) prompt.id = "line-" + std::to_string(number);
  prompt.category = take_name(object, keys.category_key);
  take_content(object, keys, prompt);
  prompt.meta_json = take_meta(object);
  return prompt;
}

class Failures {
 public:
  explicit Failures(std::string_view name) : name_(name) {}

  void add(std::int64_t line, std::string_view what) {
    if (n_++ >= max_listed_failures) return;
    if (!text_.empty()) text_ += '\n';
    // Printable here: a newline inside foreign text must not look like a new entry.
    text_ += printable(name_) + ":" + std::to_string(line) + ": " + printable(what, 1000);
  }
  void throw_if_any() const {
    if (n_ == 0) return;
    std::string text = text_;
    if (n_ > max_listed_failures) {
      text += "\nand " + std::to_string(n_ - max_listed_failures) + " more";
    }
    throw Error(ErrorKind::data, text);
  }

 private:
  std::string_view name_;
  std::string text_;
  std::size_t n_ = 0;
};

bool is_blank(std::string_view text) {
  return text.find_first_not_of(" \t\r") == std::string_view::npos;
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
  content["meta"] = Json::parse(prompt.meta_json);
  return content.dump() + "\n";
}

void check_keys(const PromptReadOptions& keys) {
  if (keys.prompt_key == keys.id_key || keys.prompt_key == keys.category_key ||
      keys.id_key == keys.category_key) {
    throw Error(ErrorKind::usage, "the keys of prompt, id and category must differ");
  }
}

}  // namespace

PromptSet read_prompts(std::istream& in, std::string_view name, const PromptReadOptions& options) {
  check_keys(options);
  PromptSet set;
  Sha256 hash;
  Failures failures(name);
  std::unordered_map<std::string, std::int64_t> line_of_id;
  trace::LineReader lines(in);
  while (lines.next()) {
    if (lines.too_long()) {
      failures.add(lines.number(), "line longer than 16 MB");
      continue;
    }
    if (is_blank(lines.text())) continue;
    try {
      Prompt prompt = parse_prompt(lines.text(), lines.number(), options);
      const auto [first, is_new] = line_of_id.emplace(prompt.id, prompt.line);
      if (!is_new) {
        fail_key("id \"" + prompt.id + "\" already used in line " + std::to_string(first->second),
                 {}, {}, {});
      }
      hash.update(content_text(prompt));
      set.prompts.push_back(std::move(prompt));
    } catch (const Error& error) {
      failures.add(lines.number(), error.what());
    }
  }
  if (lines.failed()) {
    throw Error(ErrorKind::data, {"cannot read", std::string(name), {}, {}});
  }
  failures.throw_if_any();
  if (set.prompts.empty()) {
    throw Error(ErrorKind::data, {"no prompts", std::string(name), {}, {}});
  }
  set.sha256 = hash.finish_hex();
  return set;
}

PromptSet read_prompts(const std::filesystem::path& path, const PromptReadOptions& options) {
  std::error_code ignored;
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path, ignored)) {
    throw Error(ErrorKind::data, {"cannot open the prompts", path.string(), "a file", {}});
  }
  return read_prompts(in, path.string(), options);
}

PromptSet single_prompt(std::string_view text) {
  if (text.empty()) throw Error(ErrorKind::data, "the prompt is empty");
  if (!is_valid_utf8(text)) throw Error(ErrorKind::data, "the prompt is not valid UTF-8");
  PromptSet set;
  Prompt prompt;
  prompt.id = "line-1";
  prompt.text = std::string(text);
  prompt.line = 1;
  set.sha256 = sha256_hex(content_text(prompt));
  set.prompts.push_back(std::move(prompt));
  return set;
}

PromptRange select_prompts(std::size_t n_prompts, std::size_t limit, const Shard& shard) {
  if (shard.count < 1 || shard.index < 0 || shard.index >= shard.count) {
    throw Error(ErrorKind::usage,
                {"no such shard",
                 {},
                 "0 <= I < N",
                 std::to_string(shard.index) + "/" + std::to_string(shard.count)});
  }
  const std::size_t n = limit == 0 ? n_prompts : std::min(n_prompts, limit);
  const auto index = static_cast<std::size_t>(shard.index);
  const auto count = static_cast<std::size_t>(shard.count);
  // ⌊I·n/N⌋ without a product that could overflow.
  const auto border = [&](std::size_t i) { return n / count * i + n % count * i / count; };
  return {border(index), border(index + 1)};
}

}  // namespace moexray
