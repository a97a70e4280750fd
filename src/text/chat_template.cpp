#include "moexray/text/chat_template.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>
#include <optional>
#include <utility>

#include "chat_formats.h"
#include "jinja_text.h"
#include "json_file.h"
#include "moexray/core/error.h"
#include "moexray/core/file_kind.h"
#include "moexray/core/sha256.h"
#include "unicode.h"

namespace moexray {
namespace {

constexpr std::string_view none_name = "none";
constexpr std::uint64_t max_template_bytes = 1'000'000;
constexpr std::uint64_t max_config_bytes = 32'000'000;

std::string choices() {
  std::string list;
  for (const std::string_view name : chat_template_names()) {
    if (!list.empty()) list += ", ";
    list += name;
  }
  return list;
}

void check_messages(std::span<const ChatMessage> messages) {
  if (messages.empty()) throw Error(ErrorKind::data, "a conversation without messages");
  for (const ChatMessage& message : messages) {
    if (message.role != "system" && message.role != "user" && message.role != "assistant") {
      throw Error(ErrorKind::data,
                  {"unknown role", {}, "system, user or assistant", "\"" + message.role + "\""});
    }
  }
}

// --- No template
// ----------------------------------------------------------------------------------

class NoTemplate final : public ChatTemplate {
 public:
  std::string_view name() const override { return none_name; }
  RenderedChat render(std::span<const ChatMessage> messages) const override {
    check_messages(messages);
    RenderedChat chat;
    for (const ChatMessage& message : messages) {
      chat.message_spans.push_back({chat.text.size(), chat.text.size() + message.content.size()});
      chat.text += message.content;
    }
    return chat;
  }
};

// --- Turns
// ----------------------------------------------------------------------------------------

constexpr std::string_view date_place = "{date}";

// "2025-01-31" → "January 31, 2025"
std::string long_date(std::string_view date) {
  constexpr std::array<std::string_view, 12> months = {
      "January", "February", "March",     "April",   "May",      "June",
      "July",    "August",   "September", "October", "November", "December"};
  const auto number = [&](std::size_t begin, std::size_t size) {
    int value = -1;
    const char* first = date.data() + begin;
    const auto [end, code] = std::from_chars(first, first + size, value);
    return code == std::errc() && end == first + size ? value : -1;
  };
  const bool has_form = date.size() == 10 && date[4] == '-' && date[7] == '-';
  const std::chrono::year_month_day day =
      has_form
          ? std::chrono::year_month_day(std::chrono::year(number(0, 4)),
                                        std::chrono::month(static_cast<unsigned>(number(5, 2))),
                                        std::chrono::day(static_cast<unsigned>(number(8, 2))))
          : std::chrono::year_month_day();
  if (!has_form || number(0, 4) < 0 || !day.ok()) {
    throw Error(ErrorKind::usage, {"wrong date of the chat template",
                                   {},
                                   "a day as YYYY-MM-DD",
                                   "\"" + std::string(date) + "\""});
  }
  return std::string(months[static_cast<unsigned>(day.month()) - 1]) + ' ' +
         std::string(date.substr(8)) + ", " + std::string(date.substr(0, 4));
}

// White space as Python's str.strip() sees it.
bool is_python_space(char32_t c) { return unicode::is_white_space(c) || (c >= 0x1C && c <= 0x1F); }

std::string_view trim_right(std::string_view text) {
  while (!text.empty()) {
    std::size_t pos = text.size();
    if (!is_python_space(unicode::previous_code_point(text, pos))) break;
    text = text.substr(0, pos);
  }
  return text;
}

std::string_view trim_left(std::string_view text) {
  while (!text.empty()) {
    std::size_t pos = 0;
    if (!is_python_space(unicode::next_code_point(text, pos))) break;
    text.remove_prefix(pos);
  }
  return text;
}

constexpr std::string_view thought_end = "</think>";

// What Qwen 3 takes for a result that the user's side passes on, not for a question.
bool is_tool_response(std::string_view content) {
  return content.starts_with("<tool_response>") && content.ends_with("</tool_response>");
}

class TurnTemplate final : public ChatTemplate {
 public:
  TurnTemplate(const ChatFormat& format, const Tokenizer& tokenizer, std::string_view date)
      : format_(format), bos_(tokenizer.bos_token()), eos_(tokenizer.eos_token()) {
    if (format.default_system.find(date_place) == std::string_view::npos) return;
    date_ = date;
    long_date_ = long_date(date);
  }

  std::string_view name() const override { return format_.name; }
  std::string_view date() const override { return date_; }
  RenderedChat render(std::span<const ChatMessage> messages) const override;

 private:
  void check_order(std::span<const ChatMessage> messages) const;
  void check_thoughts(std::span<const ChatMessage> messages) const;
  const TurnFormat& turn_of(const ChatMessage& message) const;
  std::string filled(std::string_view text) const;
  void add_message(const ChatMessage& message, std::string_view after, bool continues,
                   RenderedChat& chat) const;

  const ChatFormat& format_;
  std::string bos_;
  std::string eos_;
  std::string date_;
  std::string long_date_;
};

void TurnTemplate::check_order(std::span<const ChatMessage> messages) const {
  const std::string where = "chat template \"" + std::string(format_.name) + "\"";
  std::size_t n_turns = 0;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role == "system") {
      if (!format_.has_system || (format_.system_joins_user && i > 0)) {
        throw Error(ErrorKind::data, {"misplaced system message", where,
                                      format_.has_system ? "at most one, in front" : "none",
                                      "message " + std::to_string(i + 1)});
      }
      continue;
    }
    const std::string_view expected = n_turns++ % 2 == 0 ? "user" : "assistant";
    if (format_.alternates && messages[i].role != expected) {
      throw Error(ErrorKind::data, {"roles do not alternate", where, std::string(expected),
                                    messages[i].role + " as message " + std::to_string(i + 1)});
    }
  }
  if (format_.needs_turn && n_turns == 0) {
    throw Error(ErrorKind::data, {"a system message alone", where, "a message of the user", {}});
  }
}

// Behind the user's last question the template keeps an answer's thoughts, and gives the last
// answer empty ones.
void TurnTemplate::check_thoughts(std::span<const ChatMessage> messages) const {
  const auto question = std::find_if(messages.rbegin(), messages.rend(), [](const auto& message) {
    return message.role == "user" && !is_tool_response(message.content);
  });
  if (question == messages.rend()) return;
  for (auto message = messages.rbegin(); message != question; ++message) {
    if (message->role != "assistant") continue;
    const bool has_thoughts = message->content.find(thought_end) != std::string::npos;
    if (message != messages.rbegin() && !has_thoughts) continue;
    throw Error(ErrorKind::data, {"an answer behind the user's last question",
                                  "chat template \"" + std::string(format_.name) + "\"",
                                  "a conversation that ends with a question, or --template chatml",
                                  {}});
  }
}

const TurnFormat& TurnTemplate::turn_of(const ChatMessage& message) const {
  if (message.role == "system") return format_.system;
  return message.role == "user" ? format_.user : format_.assistant;
}

std::string TurnTemplate::filled(std::string_view text) const {
  const std::array<std::pair<std::string_view, const std::string&>, 3> places = {
      {{"{bos}", bos_}, {"{eos}", eos_}, {date_place, long_date_}}};
  std::string result;
  while (!text.empty()) {
    const auto place = std::find_if(places.begin(), places.end(), [&](const auto& known) {
      return text.starts_with(known.first);
    });
    if (place == places.end()) {
      result += text.front();
      text.remove_prefix(1);
    } else {
      result += place->second;
      text.remove_prefix(place->first.size());
    }
  }
  return result;
}

// `continues`: the message follows a system message within one turn, so that white space before it
// stays.
void TurnTemplate::add_message(const ChatMessage& message, std::string_view after, bool continues,
                               RenderedChat& chat) const {
  if (!continues) chat.text += filled(turn_of(message).before);
  std::string_view content = message.content;
  if (format_.trims) content = trim_right(continues ? content : trim_left(content));
  const std::size_t thoughts = format_.drops_thoughts && message.role == "assistant"
                                   ? content.rfind(thought_end)
                                   : std::string_view::npos;
  if (thoughts != std::string_view::npos) {
    content.remove_prefix(thoughts + thought_end.size());
    content.remove_prefix(std::min(content.find_first_not_of('\n'), content.size()));
  }
  chat.message_spans.push_back({chat.text.size(), chat.text.size() + content.size()});
  chat.text += content;
  if (format_.trims && continues && content.empty()) {
    // The trimming goes on into what stands between the system message and this one.
    chat.text.resize(trim_right(chat.text).size());
    chat.message_spans.back() = {chat.text.size(), chat.text.size()};
  }
  chat.text += filled(after);
}

RenderedChat TurnTemplate::render(std::span<const ChatMessage> messages) const {
  check_messages(messages);
  check_order(messages);
  if (format_.drops_thoughts) check_thoughts(messages);
  RenderedChat chat;
  chat.text = filled(format_.start);
  if (messages.front().role != "system") chat.text += filled(format_.default_system);
  bool after_system = false;
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const ChatMessage& message = messages[i];
    const TurnFormat& turn = turn_of(message);
    if (message.role == "system" && format_.system_joins_user) {
      chat.text += filled(turn.before);
      chat.message_spans.push_back({chat.text.size(), chat.text.size() + message.content.size()});
      chat.text += message.content;
      chat.text += filled(turn.after);
      after_system = true;
      continue;
    }
    const bool is_last_answer = i + 1 == messages.size() && message.role == "assistant";
    add_message(message, is_last_answer ? format_.last_assistant_after : turn.after, after_system,
                chat);
    after_system = false;
  }
  chat.text += filled(format_.generation_prompt);
  return chat;
}

// --- Recognition
// ----------------------------------------------------------------------------------

// A list of templates is a list of {name, template}; the one named "default" counts.
std::optional<std::string> template_in_config(const std::filesystem::path& path) {
  using json_file::Json;
  const auto config = json_file::read_object_if_there(path, max_config_bytes);
  if (!config) return std::nullopt;
  const Json& value = json_file::member(*config, "chat_template");
  if (value.is_null()) return std::nullopt;
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array()) {
    for (const Json& entry : value) {
      if (entry.is_object() &&
          json_file::string_or(entry, "name", "", path.string()) == "default") {
        return json_file::string_or(entry, "template", "", path.string());
      }
    }
  }
  json_file::fail(path.string(), "chat_template", "wrong type",
                  "a string or a list with \"default\"", value);
}

}  // namespace

std::vector<std::string_view> chat_template_names() {
  std::vector<std::string_view> names = {none_name};
  for (const ChatFormat& format : chat_formats()) names.push_back(format.name);
  return names;
}

std::unique_ptr<ChatTemplate> make_chat_template(std::string_view name, const Tokenizer& tokenizer,
                                                 std::string_view date) {
  if (name == none_name) return std::make_unique<NoTemplate>();
  for (const ChatFormat& format : chat_formats()) {
    if (format.name == name) return std::make_unique<TurnTemplate>(format, tokenizer, date);
  }
  throw Error(ErrorKind::usage, {"unknown chat template",
                                 {},
                                 "auto or one of " + choices(),
                                 "\"" + std::string(name) + "\""});
}

std::unique_ptr<ChatTemplate> recognise_chat_template(const std::filesystem::path& model_directory,
                                                      const Tokenizer& tokenizer,
                                                      std::string_view date) {
  auto path = model_directory / "chat_template.jinja";
  std::optional<std::string> source;
  std::error_code code;
  if (std::filesystem::exists(path, code)) {
    source = read_downloaded_file(path, max_template_bytes);
  } else {
    path = model_directory / "tokenizer_config.json";
    source = template_in_config(path);
  }
  if (!source) return make_chat_template(none_name, tokenizer);
  const std::string hash = sha256_hex(canonical_template(*source));
  for (const KnownTemplate& known : known_templates()) {
    if (known.sha256 == hash) return make_chat_template(known.format, tokenizer, date);
  }
  throw Error(ErrorKind::data,
              {"unknown chat template (templates are recognised, never executed)", path.string(),
               "a known one; or choose with --template: " + choices(), "fingerprint " + hash});
}

TokenizedPrompt tokenize_chat(const ChatTemplate& chat_template, const Tokenizer& tokenizer,
                              std::span<const ChatMessage> messages) {
  const RenderedChat chat = chat_template.render(messages);
  Encoding encoding = tokenizer.encode(chat.text);
  TokenizedPrompt prompt;
  const bool has_template = chat_template.name() != none_name;
  std::size_t message = 0;  // spans of tokens and of messages ascend
  for (const TextSpan& token : encoding.spans) {
    while (message < chat.message_spans.size() && chat.message_spans[message].end <= token.begin)
      ++message;
    const bool in_message =
        message < chat.message_spans.size() && chat.message_spans[message].begin < token.end;
    prompt.is_template.push_back(has_template && !in_message);
  }
  prompt.ids = std::move(encoding.ids);
  if (has_template) return prompt;
  // A template writes its own; what the tokenizer adds to raw text is no part of it either.
  const auto begin = tokenizer.begin_ids();
  const auto end = tokenizer.end_ids();
  prompt.ids.insert(prompt.ids.begin(), begin.begin(), begin.end());
  prompt.is_template.insert(prompt.is_template.begin(), begin.size(), true);
  prompt.ids.insert(prompt.ids.end(), end.begin(), end.end());
  prompt.is_template.insert(prompt.is_template.end(), end.size(), true);
  return prompt;
}

}  // namespace moexray
