#include "moexray/text/chat_template.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "chat_formats.h"
#include "fixtures.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tokenizers.h"

namespace moexray::test {
namespace {

// A tokenizer that says what the fixtures' begin and end tokens are: "<s>" and "</s>".
const Tokenizer& tokenizer() {
  static const auto instance = [] {
    Json json = minimal_tokenizer_json();
    int id = 258;
    for (const char* content : {"<s>", "</s>", "<|user|>"}) {
      json["added_tokens"].push_back({{"id", id++}, {"content", content}, {"special", true}});
    }
    TokenizerConfig config;
    config.bos_token = "<s>";
    config.eos_token = "</s>";
    return parse_tokenizer_json(json.dump(), "test", config);
  }();
  return *instance;
}

std::vector<ChatMessage> messages_of(const Json& list) {
  std::vector<ChatMessage> messages;
  for (const Json& message : list) messages.push_back({message.at("role"), message.at("content")});
  return messages;
}

std::string format_of(const std::string& file) {
  const std::string stem = file.substr(0, file.rfind(".jinja"));
  return stem.substr(0, stem.rfind('.'));
}

// Some templates drop or misplace a system message without a word, or write thoughts that nobody
// had; moexray refuses it.
bool is_refused_by_us_alone(const std::string& format, const std::vector<ChatMessage>& messages) {
  const bool is_lone_system = messages.size() == 1 && messages.front().role == "system";
  if (format == "mixtral" || format == "granite-3.1") return is_lone_system;
  if (format == "qwen3") {
    const auto is_question = [](const ChatMessage& message) {
      return message.role == "user" && !message.content.starts_with("<tool_response>");
    };
    return messages.back().role == "assistant" &&
           std::any_of(messages.begin(), messages.end(), is_question);
  }
  if (format != "llama2" && format != "gemma") return false;
  return messages.size() == 1
             ? is_lone_system
             : std::any_of(messages.begin() + 1, messages.end(),
                           [](const ChatMessage& message) { return message.role == "system"; });
}

TEST(ChatTemplate, published_templates_are_recognised_and_rendered_as_by_transformers) {
  const TemporaryDirectory directory;
  std::size_t n_rendered = 0;
  const Json files = Json::parse(read_text(text_data("chat_renders.json")));
  EXPECT_EQ(files.size(), known_templates().size());
  for (const Json& entry : files) {
    const std::string file = entry.at("file");
    SCOPED_TRACE(file);
    write_text(directory.path() / "chat_template.jinja",
               read_text(text_data("chat_templates/" + file)));
    const auto chat_template = recognise_chat_template(directory.path(), tokenizer());
    EXPECT_EQ(chat_template->name(), format_of(file));
    for (const Json& one : entry.at("cases")) {
      SCOPED_TRACE(one.dump());
      const auto messages = messages_of(one.at("messages"));
      if (one.at("text").is_null() || is_refused_by_us_alone(format_of(file), messages)) {
        expect_error(ErrorKind::data, "chat template", [&] { chat_template->render(messages); });
        continue;
      }
      const RenderedChat chat = chat_template->render(messages);
      EXPECT_EQ(chat.text, one.at("text").get<std::string>());
      ASSERT_EQ(chat.message_spans.size(), messages.size());
      for (std::size_t i = 0; i < messages.size(); ++i) {
        const auto [begin, end] = chat.message_spans[i];
        ASSERT_LE(begin, end);
        ASSERT_LE(end, chat.text.size());
        EXPECT_NE(messages[i].content.find(chat.text.substr(begin, end - begin)),
                  std::string::npos);
      }
      ++n_rendered;
    }
  }
  EXPECT_GT(n_rendered, 150U);
}

TEST(ChatTemplate, a_checkpoint_without_a_template_has_none) {
  const TemporaryDirectory directory;
  EXPECT_EQ(recognise_chat_template(directory.path(), tokenizer())->name(), "none");
  write_text(directory.path() / "tokenizer_config.json", "{}");
  EXPECT_EQ(recognise_chat_template(directory.path(), tokenizer())->name(), "none");
}

TEST(ChatTemplate, templates_in_the_tokenizer_config_are_found) {
  const TemporaryDirectory directory;
  const std::string source = read_text(text_data("chat_templates/zephyr.published.jinja"));
  const auto path = directory.path() / "tokenizer_config.json";
  write_text(path, Json{{"chat_template", source}}.dump());
  EXPECT_EQ(recognise_chat_template(directory.path(), tokenizer())->name(), "zephyr");
  write_text(
      path,
      Json{{"chat_template",
            {{{"name", "tools"}, {"template", "x"}}, {{"name", "default"}, {"template", source}}}}}
          .dump());
  EXPECT_EQ(recognise_chat_template(directory.path(), tokenizer())->name(), "zephyr");
  write_text(path, R"({"chat_template": 3})");
  expect_error(ErrorKind::data, "chat_template",
               [&] { recognise_chat_template(directory.path(), tokenizer()); });
  // The file of its own goes first.
  write_text(directory.path() / "chat_template.jinja",
             read_text(text_data("chat_templates/tulu3.published.jinja")));
  EXPECT_EQ(recognise_chat_template(directory.path(), tokenizer())->name(), "tulu3");
}

TEST(ChatTemplate, an_unknown_template_is_an_error_that_names_the_choices) {
  const TemporaryDirectory directory;
  std::string source = read_text(text_data("chat_templates/olmoe.0125.jinja"));
  source.insert(source.find("<|user|>"), " ");
  write_text(directory.path() / "chat_template.jinja", source);
  expect_error(ErrorKind::data, "none, olmoe, ",
               [&] { recognise_chat_template(directory.path(), tokenizer()); });
  expect_error(ErrorKind::usage, "none, olmoe, ",
               [&] { make_chat_template("vicuna", tokenizer()); });
}

TEST(ChatTemplate, every_name_can_be_made) {
  ASSERT_EQ(chat_template_names().front(), "none");
  for (const std::string_view name : chat_template_names()) {
    EXPECT_EQ(make_chat_template(name, tokenizer())->name(), name);
  }
}

TEST(ChatTemplate, a_date_is_written_where_the_template_asks_for_one) {
  const std::vector<ChatMessage> messages = {{"user", "Hi"}};
  const auto dated = make_chat_template("granite-3.1", tokenizer(), "2024-02-29");
  EXPECT_EQ(dated->date(), "2024-02-29");
  EXPECT_NE(dated->render(messages).text.find("Today's Date: February 29, 2024.\n"),
            std::string::npos);
  EXPECT_EQ(make_chat_template("granite-3.1", tokenizer())->date(), default_template_date);
  EXPECT_EQ(make_chat_template("granite-3.0", tokenizer(), "2024-02-29")->date(), "");
  for (const char* date : {"", "2025-02-29", "2025-13-01", "2025-1-1", "20250101", "2025-01-0x",
                           "-025-01-01", "2025-01-011", "2025-00-10"}) {
    SCOPED_TRACE(date);
    expect_error(ErrorKind::usage, "a day as YYYY-MM-DD",
                 [&] { make_chat_template("granite-3.1", tokenizer(), date); });
  }
}

TEST(ChatTemplate, thoughts_of_a_last_answer_are_refused) {
  const auto qwen3 = make_chat_template("qwen3", tokenizer());
  const std::vector<ChatMessage> messages = {{"user", "a"}, {"assistant", "<think>x</think>b"}};
  expect_error(ErrorKind::data, "behind the user's last question",
               [&] { qwen3->render(messages); });
  // A result that is passed on is no question.
  const std::vector<ChatMessage> with_result = {{"user", "a"},
                                                {"assistant", "<think>x</think>b"},
                                                {"user", "<tool_response>r</tool_response>"}};
  expect_error(ErrorKind::data, "behind the user's last question",
               [&] { qwen3->render(with_result); });
}

TEST(ChatTemplate, roles_are_checked) {
  for (const char* name : {"none", "olmoe"}) {
    const auto chat_template = make_chat_template(name, tokenizer());
    expect_error(ErrorKind::data, "role",
                 [&] { chat_template->render(std::vector<ChatMessage>{{"tool", "x"}}); });
    expect_error(ErrorKind::data, "without messages",
                 [&] { chat_template->render(std::vector<ChatMessage>{}); });
  }
}

// The tokens of messages, as one text.
std::string message_text(const TokenizedPrompt& prompt) {
  std::vector<TokenId> ids;
  for (std::size_t i = 0; i < prompt.ids.size(); ++i) {
    if (!prompt.is_template[i]) ids.push_back(prompt.ids[i]);
  }
  return tokenizer().decode(ids, false);
}

TEST(TokenizeChat, marks_the_tokens_of_the_template) {
  const std::vector<ChatMessage> messages = {
      {"user", "he said"}, {"assistant", "\u00e9\n"}, {"user", "x"}};
  const auto olmoe = make_chat_template("olmoe", tokenizer());
  const TokenizedPrompt prompt = tokenize_chat(*olmoe, tokenizer(), messages);
  EXPECT_EQ(prompt.ids, tokenizer().encode(olmoe->render(messages).text).ids);
  ASSERT_EQ(prompt.is_template.size(), prompt.ids.size());
  EXPECT_EQ(message_text(prompt), "he said\u00e9\nx");
  EXPECT_TRUE(prompt.is_template.front());
  EXPECT_TRUE(prompt.is_template.back());
}

TEST(TokenizeChat, a_token_that_holds_any_character_of_a_message_is_not_the_templates) {
  // "[INST] he" has the token "Ġhe", whose space is the template's.
  const auto mistral = make_chat_template("mistral", tokenizer());
  const TokenizedPrompt prompt =
      tokenize_chat(*mistral, tokenizer(), std::vector<ChatMessage>{{"user", "he"}});
  EXPECT_EQ(message_text(prompt), " he");
}

TEST(TokenizeChat, without_a_template_no_token_is_one) {
  const auto none = make_chat_template("none", tokenizer());
  const TokenizedPrompt prompt =
      tokenize_chat(*none, tokenizer(), std::vector<ChatMessage>{{"system", "a "}, {"user", "he"}});
  EXPECT_EQ(tokenizer().decode(prompt.ids, false), "a he");
  EXPECT_EQ(std::count(prompt.is_template.begin(), prompt.is_template.end(), true), 0);
  EXPECT_TRUE(
      tokenize_chat(*none, tokenizer(), std::vector<ChatMessage>{{"user", ""}}).ids.empty());
}

TEST(TokenizeChat, an_empty_message_has_no_tokens) {
  const auto olmoe = make_chat_template("olmoe", tokenizer());
  const TokenizedPrompt prompt =
      tokenize_chat(*olmoe, tokenizer(), std::vector<ChatMessage>{{"user", ""}});
  EXPECT_EQ(std::count(prompt.is_template.begin(), prompt.is_template.end(), false), 0);
}

}  // namespace
}  // namespace moexray::test
