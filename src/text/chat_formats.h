#pragma once

#include <span>
#include <string_view>

namespace moexray {

/// What stands before and after a message's own text. "{bos}" and "{eos}" stand for those tokens'
/// texts, "{date}" for the date of the template ("January 31, 2025").
struct TurnFormat {
  std::string_view before;
  std::string_view after;
};

/// A chat template made of turns.
struct ChatFormat {
  std::string_view name;
  std::string_view start;
  TurnFormat system;
  TurnFormat user;
  TurnFormat assistant;
  std::string_view last_assistant_after;  ///< where the conversation ends with the assistant
  std::string_view generation_prompt;
  std::string_view default_system = {};  ///< what comes first if no system message does
  bool trims = false;                    ///< white space around a message is taken away
  bool has_system = true;                ///< system messages are allowed
  bool alternates = false;               ///< user and assistant must take turns, the user first
  bool system_joins_user =
      false;                ///< Llama 2: a system message, first only, goes into the user's turn
  bool needs_turn = false;  ///< a system message alone gives no prompt
  bool drops_thoughts = false;  ///< Qwen 3: answers begin behind their last "</think>"
};

std::span<const ChatFormat> chat_formats();

/// A published template source that means a format.
struct KnownTemplate {
  std::string_view sha256;  ///< of canonical_template(source)
  std::string_view format;
};

std::span<const KnownTemplate> known_templates();

}  // namespace moexray
