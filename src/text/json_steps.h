#pragma once

#include <functional>
#include <string>

#include "json_file.h"
#include "text_pattern.h"

// How the parts of a tokenizer.json are written: {"type": "…", …}, where a "Sequence" holds others.

namespace moexray::json_steps {

using json_file::Json;

/// What a step of a sequence is called in messages: "pre_tokenizer.pretokenizers[1]".
struct Place {
  std::string file;
  std::string key;
};

std::string type_of(const Json& step, const Place& place);

/// An Error about something that is well-formed but not supported, where the model file beside may
/// be used instead.
[[noreturn]] void refuse(const Place& place, std::string_view member, std::string_view what,
                         std::string_view expected, const Json& found);

/// Calls `take` for `step`, or, if it is a "Sequence", for everything in its array `list`,
/// sequences in it taken apart too. Null: no call.
/// @throws Error (data) for more steps than any tokenizer has, or what is no step.
void for_each_step(const Json& step, const Place& place, const char* list,
                   const std::function<void(const Json&, const Place&)>& take);

/// {"pattern": {"String": "…"}} or {"pattern": {"Regex": "…"}}
TextPattern parse_pattern(const Json& step, const Place& place);
/// The pattern of a "Replace": one that does not match an empty text, where Hugging Face's
/// tokenizers put the new text elsewhere.
TextPattern parse_replaced_pattern(const Json& step, const Place& place);
/// The expression of a pattern that is one; else "".
std::string regex_of(const Json& step);

std::string text_at(const Json& step, const Place& place, const char* member);
/// A text of one character.
std::string char_at(const Json& step, const Place& place, const char* member,
                    std::string_view fallback);

}  // namespace moexray::json_steps
