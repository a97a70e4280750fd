// What the files beside a tokenizer change, against transformers' AutoTokenizer.

#include <gtest/gtest.h>

#include <sstream>

#include "fixtures.h"
#include "moexray/runtime/modules.h"
#include "moexray/text/chat_template.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

// The order of keys gives tokens their ids.
using OrderedJson = nlohmann::ordered_json;

void write_files(const std::filesystem::path& directory, const OrderedJson& files) {
  for (const auto& [name, content] : files.items()) {
    write_text(directory / name, name == "tokenizer.model"
                                     ? read_text(text_data("sentencepiece/tokenizer.model"))
                                     : content.dump());
  }
}

std::vector<TokenId> ids_of(const OrderedJson& record, const char* key) {
  return record.at(key).get<std::vector<TokenId>>();
}

TEST(ConfiguredTokenizer, counts_what_stands_beside_as_transformers_does) {
  std::istringstream lines(read_zst("configured.jsonl.zst"));
  for (std::string line; std::getline(lines, line);) {
    const OrderedJson record = OrderedJson::parse(line);
    SCOPED_TRACE(record.at("name").get<std::string>());
    const TemporaryDirectory directory;
    write_files(directory.path(), record.at("files"));
#ifndef MOEXRAY_HAS_SENTENCEPIECE
    if (record.at("files").contains("tokenizer.model")) continue;
#endif
    const auto open = [&] { return open_tokenizer(directory.path(), module_directory()); };
    if (record.contains("refused")) {
      expect_error(ErrorKind::data, record.at("refused").get<std::string>(), open);
      continue;
    }
    const auto tokenizer = open();
    const auto raw = make_chat_template("none", *tokenizer);
    for (const OrderedJson& expected : record.at("encodings")) {
      const auto text = expected.at("text").get<std::string>();
      EXPECT_EQ(tokenizer->encode(text).ids, ids_of(expected, "ids")) << text;
      const std::vector<ChatMessage> messages = {{"user", text}};
      EXPECT_EQ(tokenize_chat(*raw, *tokenizer, messages).ids, ids_of(expected, "raw")) << text;
    }
  }
}

TEST(ConfiguredTokenizer, names_the_token_and_its_file_where_an_id_is_wrong) {
  const TemporaryDirectory directory;
  write_files(directory.path(),
              {{"tokenizer.json", minimal_tokenizer_json()},
               {"tokenizer_config.json",
                {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"added_tokens_decoder", {{"300", {{"content", "<|user|>"}}}}}}}});
  const auto open = [&] { open_tokenizer(directory.path(), module_directory()); };
  expect_error(ErrorKind::data,
               "tokenizer_config.json: \"<|user|>\": added token with an id that is not its own: "
               "expected 258, found 300",
               open);
  std::filesystem::remove(directory.path() / "tokenizer_config.json");
  write_text(directory.path() / "added_tokens.json", R"({"<tool>": 999})");
  expect_error(ErrorKind::data, "added_tokens.json: \"<tool>\"", open);
  write_text(directory.path() / "added_tokens.json", R"({"<tool>": -1})");
  expect_error(ErrorKind::data, "bad token id", open);
  write_text(directory.path() / "added_tokens.json", "[]");
  expect_error(ErrorKind::data, "added_tokens.json", open);
}

TEST(ConfiguredTokenizer, a_class_that_is_not_known_may_not_change_the_space) {
  const TemporaryDirectory directory;
  write_files(directory.path(),
              {{"tokenizer.json", minimal_tokenizer_json()},
               {"tokenizer_config.json",
                {{"tokenizer_class", "Qwen2Tokenizer"}, {"add_prefix_space", true}}}});
  expect_error(ErrorKind::data, "tokenizer_config.json: key \"add_prefix_space\"",
               [&] { open_tokenizer(directory.path(), module_directory()); });
}

TEST(ConfiguredTokenizer, what_is_beside_is_part_of_the_hash) {
  const TemporaryDirectory directory;
  const auto hash = [&](const Json& config) {
    write_files(directory.path(),
                {{"tokenizer.json", minimal_tokenizer_json()}, {"tokenizer_config.json", config}});
    return open_tokenizer(directory.path(), module_directory())->sha256();
  };
  const std::string plain = hash({{"tokenizer_class", "PreTrainedTokenizerFast"}});
  EXPECT_EQ(hash({{"tokenizer_class", "PreTrainedTokenizerFast"}, {"add_prefix_space", true}}),
            plain);
  EXPECT_NE(hash({{"tokenizer_class", "GPT2Tokenizer"}, {"add_prefix_space", true}}), plain);
  EXPECT_NE(hash({{"tokenizer_class", "PreTrainedTokenizerFast"}, {"bos_token", "<s>"}}), plain);
}

TEST(ConfiguredTokenizer, what_is_put_around_a_text_counts_as_template) {
  Json json = minimal_tokenizer_json();
  json["post_processor"] = {
      {"type", "TemplateProcessing"},
      {"single", {{{"SpecialToken", {{"id", "he"}}}}, {{"Sequence", {{"id", "A"}}}}}},
      {"special_tokens", {{"he", {{"ids", {256}}}}}}};
  const TemporaryDirectory directory;
  write_files(directory.path(), {{"tokenizer.json", json}});
  const auto tokenizer = open_tokenizer(directory.path(), module_directory());
  const std::vector<ChatMessage> messages = {{"user", "ab"}};
  const TokenizedPrompt raw =
      tokenize_chat(*make_chat_template("none", *tokenizer), *tokenizer, messages);
  EXPECT_EQ(raw.ids.size(), 3U);
  EXPECT_EQ(raw.is_template, (std::vector<bool>{true, false, false}));
  const TokenizedPrompt chat =
      tokenize_chat(*make_chat_template("chatml", *tokenizer), *tokenizer, messages);
  EXPECT_NE(chat.ids.front(), 256);
  for (const auto& [key, value] : {std::pair<const char*, Json>{"single", "x"},
                                   {"single", {1}},
                                   {"special_tokens", {{"he", {{"ids", "x"}}}}},
                                   {"special_tokens", {{"he", {{"ids", {-1}}}}}},
                                   {"special_tokens", Json::object()}}) {
    Json bad = json;
    bad["post_processor"][key] = value;
    write_files(directory.path(), {{"tokenizer.json", bad}});
    expect_error(ErrorKind::data, "post_processor.",
                 [&] { open_tokenizer(directory.path(), module_directory()); });
  }
}

}  // namespace
}  // namespace moexray::test
