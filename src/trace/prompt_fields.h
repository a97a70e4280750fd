#pragma once

#include <string_view>

#include "json_text.h"
#include "moexray/trace/prompts.h"

namespace moexray::trace {

inline constexpr std::string_view messages_key = "messages";

/// Throws Error (data) about a key; an empty one is left out.
[[noreturn]] void fail_key(std::string what, std::string_view key, std::string expected,
                           std::string found);

/// The value of a key; nothing if it is absent or null: what writes tables as JSON Lines writes
/// null for every column that a row lacks.
const Json* find_value(const Json& object, std::string_view key);

/// The prompt in a line of a prompts file: an object from parse_json() by exact_rules. `number` is
/// the line's.
/// @throws Error (data) without file and line.
Prompt parse_prompt(Json object, std::int64_t number, const PromptReadOptions& keys);

/// What the hash of a prompts file is made of: the prompt's content as one line of JSON.
std::string content_text(const Prompt& prompt);

}  // namespace moexray::trace
