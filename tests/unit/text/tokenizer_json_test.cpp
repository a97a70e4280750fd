// What is refused in a tokenizer.json, and that the message names the key.

#include <gtest/gtest.h>

#include <functional>

#include "fixtures.h"
#include "moexray/runtime/modules.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"
#include "tokenizers.h"

namespace moexray::test {
namespace {

void expect_refused(std::string_view part, const std::function<void(Json&)>& change) {
  SCOPED_TRACE(part);
  Json json = minimal_tokenizer_json();
  change(json);
  expect_error(ErrorKind::data, part, [&] { parse_tokenizer_json(json.dump(), "file", {}); });
}

Json split(const std::string& regex, const std::string& behavior) {
  return {{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", behavior}};
}

Json added_token(int id, const std::string& content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

TEST(TokenizerJson, the_minimal_file_is_accepted) {
  const auto tokenizer = parse_tokenizer_json(minimal_tokenizer_json().dump(), "file", {});
  EXPECT_EQ(tokenizer->encode("he he").ids, (std::vector<TokenId>{256, 257}));
  EXPECT_EQ(tokenizer->vocab_size(), 258);
  EXPECT_EQ(tokenizer->bos_token(), "");
}

TEST(TokenizerJson, unsupported_parts_are_named) {
  expect_refused("normalizer.type", [](Json& j) { j["normalizer"] = {{"type", "NFKC"}}; });
  expect_refused("normalizer.normalizers", [](Json& j) {
    j["normalizer"] = {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}};
  });
  expect_refused("pre_tokenizer", [](Json& j) { j["pre_tokenizer"] = nullptr; });
  expect_refused("pre_tokenizer.type",
                 [](Json& j) { j["pre_tokenizer"] = {{"type", "Whitespace"}}; });
  expect_refused("pre_tokenizer.pretokenizers[1].behavior", [](Json& j) {
    j["pre_tokenizer"] = {{"type", "Sequence"},
                          {"pretokenizers", {{{"type", "Digits"}}, split("\\s+", "Merged")}}};
  });
  expect_refused("pre_tokenizer.pretokenizers[1]", [](Json& j) {
    j["pre_tokenizer"] = {{"type", "Sequence"},
                          {"pretokenizers", {{{"type", "ByteLevel"}}, {{"type", "Digits"}}}}};
  });
  expect_refused("post_processor.type",
                 [](Json& j) { j["post_processor"] = {{"type", "BertProcessing"}}; });
  expect_refused("decoder.type", [](Json& j) { j["decoder"]["type"] = "WordPiece"; });
  expect_refused("model.type", [](Json& j) { j["model"]["type"] = "Unigram"; });
  expect_refused("model.dropout", [](Json& j) { j["model"]["dropout"] = 0.1; });
  expect_refused("model.end_of_word_suffix",
                 [](Json& j) { j["model"]["end_of_word_suffix"] = "</w>"; });
}

TEST(TokenizerJson, a_bad_vocabulary_is_refused) {
  expect_refused("model.vocab", [](Json& j) { j["model"]["vocab"] = 3; });
  expect_refused("out of range", [](Json& j) { j["model"]["vocab"]["x1"] = -1; });
  expect_refused("out of range", [](Json& j) { j["model"]["vocab"]["x1"] = 1 << 30; });
  expect_refused("out of range", [](Json& j) { j["model"]["vocab"]["x1"] = 1e30; });
  expect_refused("out of range",
                 [](Json& j) { j["model"]["vocab"]["x1"] = 9223372036854775808ULL; });
  expect_refused("out of range", [](Json& j) { j["model"]["vocab"]["x1"] = "5"; });
  expect_refused("same id", [](Json& j) { j["model"]["vocab"]["x1"] = 5; });
  expect_refused("no token for a byte", [](Json& j) { j["model"]["vocab"].erase("A"); });
}

TEST(TokenizerJson, bad_merges_are_refused) {
  expect_refused("model.merges", [](Json& j) { j["model"].erase("merges"); });
  expect_refused("outside the vocabulary", [](Json& j) { j["model"]["merges"].push_back("h zz"); });
  expect_refused("outside the vocabulary", [](Json& j) { j["model"]["merges"].push_back("h x"); });
  expect_refused("malformed merge", [](Json& j) { j["model"]["merges"].push_back("h e x"); });
  expect_refused("malformed merge", [](Json& j) { j["model"]["merges"].push_back("he"); });
  expect_refused("malformed merge",
                 [](Json& j) { j["model"]["merges"].push_back(Json{"h", "e", "x"}); });
  expect_refused("malformed merge", [](Json& j) { j["model"]["merges"].push_back(Json{"h", 3}); });
}

TEST(TokenizerJson, bad_added_tokens_are_refused) {
  expect_refused("added_tokens", [](Json& j) { j["added_tokens"] = "x"; });
  expect_refused("added_tokens", [](Json& j) { j["added_tokens"] = Json::array({1}); });
  expect_refused("not its own",
                 [](Json& j) { j["added_tokens"] = Json::array({added_token(300, "<x>")}); });
  expect_refused("not its own",
                 [](Json& j) { j["added_tokens"] = Json::array({added_token(5, "he")}); });
  expect_refused("out of range",
                 [](Json& j) { j["added_tokens"] = Json::array({added_token(-5, "<x>")}); });
  expect_refused("length",
                 [](Json& j) { j["added_tokens"] = Json::array({added_token(258, "")}); });
  expect_refused("length", [](Json& j) {
    j["added_tokens"] = Json::array({added_token(258, std::string(2000, 'x'))});
  });
  expect_refused("lstrip", [](Json& j) {
    j["added_tokens"] = Json::array({added_token(258, "<x>")});
    j["added_tokens"][0]["lstrip"] = "yes";
  });
}

TEST(TokenizerJson, malformed_files_are_refused) {
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[]"), std::string("{\"model\":[]}"),
        std::string("\xFF\xFE"), std::string("{}"), std::string("null")}) {
    expect_error(ErrorKind::data, "file", [&] { parse_tokenizer_json(text, "file", {}); });
  }
  const std::string deep = std::string(100'000, '[') + std::string(100'000, ']');
  expect_error(ErrorKind::data, "nested too deeply",
               [&] { parse_tokenizer_json(deep, "file", {}); });
}

TEST(OpenTokenizer, missing_files_are_named) {
  const TemporaryDirectory directory;
  expect_error(ErrorKind::data, "no tokenizer",
               [&] { open_tokenizer(directory.path(), module_directory()); });
}

TEST(OpenTokenizer, reads_the_files_beside) {
  const TemporaryDirectory directory;
  write_text(directory.path() / "tokenizer.json", minimal_tokenizer_json().dump());
  write_text(directory.path() / "tokenizer_config.json",
             R"({"bos_token":{"content":"he"},"eos_token":null})");
  auto tokenizer = open_tokenizer(directory.path(), module_directory());
  EXPECT_EQ(tokenizer->bos_token(), "he");
  EXPECT_EQ(tokenizer->eos_token(), "");
  write_text(directory.path() / "tokenizer_config.json", R"({"tokenizer_class":"X"})");
  write_text(directory.path() / "special_tokens_map.json", R"({"eos_token":"he"})");
  tokenizer = open_tokenizer(directory.path(), module_directory());
  EXPECT_EQ(tokenizer->bos_token(), "");
  EXPECT_EQ(tokenizer->eos_token(), "he");
  write_text(directory.path() / "tokenizer_config.json", R"({"bos_token":7})");
  expect_error(ErrorKind::data, "bos_token",
               [&] { open_tokenizer(directory.path(), module_directory()); });
}

}  // namespace
}  // namespace moexray::test
