#include "prompt_join.h"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <utility>

#include "input_file.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "trace/fail.h"
#include "trace/prompt_fields.h"

namespace moexray::imports {
namespace {

using trace::fail_at;
using trace::Json;

constexpr std::size_t n_named = 5;
constexpr auto max_token_id = std::numeric_limits<TokenId>::max();

std::string in_quotes(std::string_view text) { return "\"" + printable(text, 120) + "\""; }

// The input line of a batch as a line of prompts: the request's id, text and messages.
void unwrap_batch(Json& object) {
  const auto body = object.find("body");
  if (!object.contains("custom_id") || body == object.end() || !body->is_object()) return;
  for (const char* key : {"prompt", "messages"}) {
    if (body->contains(key) && !object.contains(key)) object[key] = (*body)[key];
  }
  for (const char* key : {"body", "method", "url"}) object.erase(key);
}

// The usual key is not there, and another one is.
void take_other_id(Json& object, const std::string& id_key) {
  for (const char* key : {"custom_id", "request_id", "sample_id"}) {
    if (trace::find_value(object, id_key) != nullptr) return;
    const Json* value = trace::find_value(object, key);
    if (value == nullptr) continue;
    Json id = *value;
    object.erase(key);
    object[id_key] = std::move(id);
  }
}

std::int64_t number_of(const Json& object, std::initializer_list<const char*> keys) {
  for (const char* key : keys) {
    const Json* value = trace::find_value(object, key);
    if (value != nullptr && value->is_number_unsigned()) return value->get<std::int64_t>();
  }
  return -1;
}

std::vector<TokenId> ids_of(const Json& object, const char* key) {
  const Json* value = trace::find_value(object, key);
  std::vector<TokenId> ids;
  if (value == nullptr || !value->is_array()) return ids;
  for (const Json& item : *value) {
    if (!item.is_number_unsigned() || item > max_token_id) return {};
    ids.push_back(item.get<TokenId>());
  }
  return ids;
}

std::string without_prefix(std::string_view id) {
  for (const std::string_view prefix : {"chatcmpl-", "cmpl-"}) {
    if (id.starts_with(prefix)) return std::string(id.substr(prefix.size()));
  }
  return {};
}

}  // namespace

PromptJoin::PromptJoin(const ImportOptions& options) : options_(options) {
  if (options.prompts.empty()) return;
  has_prompts_ = true;
  InputFile file(options.prompts);
  InputLines lines(file);
  while (lines.next()) {
    if (lines.line().find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Row row;
    try {
      Json object = parse_json(lines.line(), {}, trace::exact_rules);
      if (!object.is_object()) trace::fail("wrong type of line", "an object");
      unwrap_batch(object);
      take_other_id(object, options.prompt_keys.id_key);
      row.n_prompt_tokens =
          number_of(object, {"n_prompt_tokens", "prompt_tokens", "num_prompt_tokens"});
      row.n_generated_tokens =
          number_of(object, {"n_generated_tokens", "completion_tokens", "num_generated_tokens"});
      row.token_ids = ids_of(object, "prompt_token_ids");
      if (row.n_prompt_tokens < 0 && !row.token_ids.empty()) {
        row.n_prompt_tokens = static_cast<std::int64_t>(row.token_ids.size());
      }
      // Prompts need no text to be labels.
      const std::string& text_key = options.prompt_keys.prompt_key;
      const bool has_text = trace::find_value(object, text_key) != nullptr ||
                            trace::find_value(object, trace::messages_key) != nullptr;
      if (!has_text) object[text_key] = "-";
      row.prompt = trace::parse_prompt(std::move(object), lines.number(), options.prompt_keys);
      if (!has_text) row.prompt.text.clear();
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      ErrorParts parts = error.parts();
      parts.where = lines.where() + (parts.where.empty() ? "" : ": " + parts.where);
      throw Error(ErrorKind::data, std::move(parts));
    }
    const auto [first, is_new] = row_of_id_.emplace(row.prompt.id, rows_.size());
    if (!is_new) {
      fail_at("id " + in_quotes(row.prompt.id) + " already used in line " +
                  std::to_string(rows_[first->second].prompt.line),
              lines.where());
    }
    rows_.push_back(std::move(row));
  }
  if (rows_.empty()) fail_at("no prompts", options.prompts.string());
}

std::size_t PromptJoin::find(const RecordedPrompt& record) {
  if (options_.join_by_order) {
    if (!record.follows) ++n_taken_;
    if (n_taken_ > rows_.size()) {
      fail_at("more records than prompts", record.where, std::to_string(rows_.size()),
              "at least " + std::to_string(n_taken_));
    }
    return n_taken_ - 1;
  }
  std::string tried;
  for (const std::string& name : record.names) {
    for (const std::string& id : {name, without_prefix(name)}) {
      const auto found = row_of_id_.find(id);
      if (!id.empty() && found != row_of_id_.end()) return found->second;
    }
    tried += (tried.empty() ? "" : ", ") + in_quotes(name);
  }
  fail_at("no prompt of " + options_.prompts.string() +
              " has the id of this record (records in the order of the prompts are joined with "
              "--join order)",
          record.where, "an id such as " + in_quotes(rows_.front().prompt.id),
          tried.empty() ? "no id" : tried);
}

void PromptJoin::verify(const Row& row, const RecordedPrompt& record) const {
  std::vector<TokenId> expected = row.token_ids;
  const bool has_text = !row.prompt.text.empty() || !row.prompt.messages.empty();
  if (options_.tokenise && has_text) expected = options_.tokenise(row.prompt);
  if (!expected.empty() && (!record.token_ids.empty() || record.n_prompt_tokens >= 0)) {
    const std::size_t n = std::min(expected.size(), record.token_ids.size());
    const auto [a, b] =
        std::mismatch(expected.begin(), expected.begin() + static_cast<std::ptrdiff_t>(n),
                      record.token_ids.begin());
    const bool is_longer = record.n_prompt_tokens >= 0 &&
                           record.n_prompt_tokens != static_cast<std::int64_t>(expected.size());
    if (a != expected.begin() + static_cast<std::ptrdiff_t>(n) || is_longer) {
      fail_at("the record has other token ids than prompt " + in_quotes(row.prompt.id) +
                  ": joined in the wrong order?",
              record.where, std::to_string(expected.size()) + " ids of the prompt",
              is_longer ? std::to_string(record.n_prompt_tokens)
                        : "another one at position " + std::to_string(a - expected.begin()));
    }
  }
  if (!record.text.empty() && !row.prompt.text.empty() && record.text != row.prompt.text) {
    fail_at("the record has another text than prompt " + in_quotes(row.prompt.id) +
                ": joined in the wrong order?",
            record.where, in_quotes(row.prompt.text), in_quotes(record.text));
  }
}

Prompt PromptJoin::take(RecordedPrompt& record) {
  Prompt prompt;
  if (has_prompts_) {
    Row& row = rows_[find(record)];
    verify(row, record);
    row.is_found = true;
    prompt = row.prompt;
    if (record.n_prompt_tokens < 0) record.n_prompt_tokens = row.n_prompt_tokens;
    if (record.n_generated_tokens < 0) record.n_generated_tokens = row.n_generated_tokens;
    if (prompt.category.empty()) prompt.category = record.category;
  } else {
    if (record.names.empty()) fail_at("the record has no id", record.where);
    prompt.id = record.names.front();
    prompt.category = record.category;
    prompt.text = record.text;
    if (record.prompt) prompt = *record.prompt;
  }
  prompt.id += record.suffix;
  for (const std::string* name : {&prompt.id, &prompt.category}) {
    const std::string problem = trace::name_problem(*name);
    if (!problem.empty() && (name == &prompt.id || !name->empty())) {
      fail_at(std::string(name == &prompt.id ? "the id " : "the category ") + problem, record.where,
              {}, in_quotes(*name));
    }
  }
  const auto [first, is_new] = seen_.emplace(prompt.id, record.where);
  if (!is_new) {
    fail_at("a second record of prompt " + in_quotes(prompt.id), record.where, {},
            "the first one in " + first->second);
  }
  return prompt;
}

void PromptJoin::check_all_found() const {
  std::string names;
  std::int64_t n = 0;
  for (const Row& row : rows_) {
    if (row.is_found) continue;
    if (static_cast<std::size_t>(n++) < n_named) {
      names += (names.empty() ? "" : ", ") + in_quotes(row.prompt.id);
    }
  }
  if (n == 0) return;
  fail_at(counted(n, "prompt") + " of " + std::to_string(rows_.size()) +
              (n == 1 ? " has no record: " : " have no record: ") + names +
              (static_cast<std::size_t>(n) > n_named ? ", …" : ""),
          options_.prompts.string());
}

}  // namespace moexray::imports
