#pragma once

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "moexray/text/tokenizer.h"

namespace moexray {

struct ChatMessage {
  std::string role;  ///< "system", "user" or "assistant"
  std::string content;
};

/// A conversation rendered as the text a model reads, ready for its answer.
struct RenderedChat {
  std::string text;
  std::vector<TextSpan> message_spans;  ///< where the messages' own characters are in `text`
};

/// The day that templates write which ask for today's: the same on every day, so that the same run
/// gives the same tokens.
inline constexpr std::string_view default_template_date = "2025-01-01";

/// A chat template that moexray implements by name. Templates of checkpoints are recognised, never
/// executed.
class ChatTemplate {
 public:
  virtual ~ChatTemplate() = default;
  virtual std::string_view name() const = 0;  ///< "none", "olmoe", "chatml", "llama2", …
  /// The day that the template writes into conversations, as YYYY-MM-DD; "" if it writes none.
  virtual std::string_view date() const { return {}; }
  /// @throws Error (data) for a role or an order the template does not allow.
  virtual RenderedChat render(std::span<const ChatMessage> messages) const = 0;
};

/// All names `make_chat_template` knows, "none" first.
std::vector<std::string_view> chat_template_names();

/// A template by name; `tokenizer` gives its begin and end tokens, `date` the day it writes where
/// it writes one.
/// @throws Error (usage) for an unknown name, listing the choices, or what is no day.
std::unique_ptr<ChatTemplate> make_chat_template(std::string_view name, const Tokenizer& tokenizer,
                                                 std::string_view date = default_template_date);

/// The template of a checkpoint (`chat_template.jinja`, or `chat_template` in
/// tokenizer_config.json), recognised by its text. A checkpoint without one gets "none".
/// @throws Error (data) for a template that is not recognised, naming the choices of `--template`.
std::unique_ptr<ChatTemplate> recognise_chat_template(
    const std::filesystem::path& model_directory, const Tokenizer& tokenizer,
    std::string_view date = default_template_date);

struct TokenizedPrompt {
  std::vector<TokenId> ids;
  std::vector<bool> is_template;  ///< [ids]: true where a token holds no character of any message
};

/// Renders and encodes a conversation. With template "none" the contents are joined as they are,
/// and only what the tokenizer itself puts before and after a text (Tokenizer::begin_ids()) counts
/// as template.
TokenizedPrompt tokenize_chat(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                              std::span<const ChatMessage> messages);

}  // namespace moexray
