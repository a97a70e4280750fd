// Tokenizers of many kinds against Hugging Face's tokenizers: pre-tokenizers, normalisers, byte
// fallback, decoders.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>

#include "fixtures.h"
#include "moexray/text/chat_template.h"
#include "support/expect_error.h"
#include "tokenizers.h"

namespace moexray::test {
namespace {

const std::vector<Json>& kinds() {
  static const std::vector<Json> records = read_lines_zst("kinds.jsonl.zst");
  return records;
}

const Json& tokenizer_of(std::string_view name) {
  const auto found = std::find_if(kinds().begin(), kinds().end(),
                                  [&](const Json& record) { return record.at("name") == name; });
  if (found == kinds().end()) throw std::runtime_error("no such kind");
  return found->at("tokenizer");
}

std::unique_ptr<Tokenizer> open(const Json& tokenizer) {
  return parse_tokenizer_json(tokenizer.dump(), "file", {});
}

TEST(TokenizerKinds, encode_and_decode_as_hugging_face) {
  ASSERT_GE(kinds().size(), 28U);
  for (const Json& kind : kinds()) {
    const auto name = kind.at("name").get<std::string>();
    SCOPED_TRACE(name);
    const auto tokenizer = open(kind.at("tokenizer"));
    const std::vector<Json> records = kind.at("encodings");
    ASSERT_GE(records.size(), 300U);
    const bool loses_text = name.starts_with("Removed");
    for (const Json& record : records) {
      const auto text = record.at("text").get<std::string>();
      const auto ids = record.at("ids").get<std::vector<TokenId>>();
      ASSERT_EQ(tokenizer->encode(text).ids, ids) << record.dump().substr(0, 300);
      const std::string decoded = record.value("decoded", text);
      ASSERT_EQ(tokenizer->decode(ids, false), decoded) << record.dump().substr(0, 300);
      ASSERT_EQ(tokenizer->decode(ids, true), record.value("skipped", decoded));
    }
    if (!loses_text) expect_good_encodings(*tokenizer, records);
    const std::vector<ChatMessage> messages = {{"user", "he said"}};
    const TokenizedPrompt raw =
        tokenize_chat(*make_chat_template("none", *tokenizer), *tokenizer, messages);
    EXPECT_EQ(raw.ids, kind.at("raw").get<std::vector<TokenId>>());
    EXPECT_TRUE(raw.is_template.front());
    EXPECT_EQ(std::count(raw.is_template.begin(), raw.is_template.end(), true), 1);
  }
}

TEST(TokenizerKinds, long_words_take_little_time) {
  const auto start = std::chrono::steady_clock::now();
  constexpr std::size_t n = 100'000;
  std::string marks = "a";
  for (std::size_t i = 0; i < n / 4; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0316";
  for (const char* kind : {"qwen", "o200k", "starcoder", "deepseek2", "deepseek3", "mixtral"}) {
    const auto tokenizer = open(tokenizer_of(kind));
    for (const std::string& text :
         {std::string(n, 'a'), std::string(n, 'A'), std::string(n, ' ') + "x", std::string(n, '\n'),
          std::string(n, '1'), std::string(n, '!'), marks}) {
      EXPECT_EQ(tokenizer->encode(text).spans.back().end, text.size());
    }
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 60.0);
}

TEST(TokenizerKinds, spans_are_bytes_of_the_text_before_normalisation) {
  const auto spans_of = [](const char* kind, const std::string& text) {
    const auto tokenizer = open(tokenizer_of(kind));
    const Encoding encoding = tokenizer->encode(text);
    std::vector<std::pair<std::string, std::string>> pieces;
    for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
      const TextSpan span = encoding.spans[i];
      pieces.emplace_back(tokenizer->piece(encoding.ids[i]),
                          text.substr(span.begin, span.end - span.begin));
    }
    return pieces;
  };
  using Pieces = std::vector<std::pair<std::string, std::string>>;
  // Prepend and Replace: the mark in front stands for nothing, the others for spaces.
  EXPECT_EQ(spans_of("mixtral", "q  q"),
            (Pieces{{"▁", ""}, {"q", "q"}, {"▁", " "}, {"▁", " "}, {"q", "q"}}));
  // Bytes of one character stand for it all, each of them.
  EXPECT_EQ(spans_of("mixtral", "\u2603"),
            (Pieces{{"▁", ""}, {"<0xE2>", "\u2603"}, {"<0x98>", "\u2603"}, {"<0x83>", "\u2603"}}));
  // NFC: the composed letter stands for both code points.
  const auto qwen = spans_of("qwen", "q\u0301e\u0301");
  EXPECT_EQ(qwen.back().second, "e\u0301");
}

TEST(TokenizerKinds, ids_without_a_token_are_passed_over) {
  Json json = tokenizer_of("qwen");
  const int n = static_cast<int>(json["model"]["vocab"].size());
  json["model"]["vocab"]["hole"] = n + 10;
  json["added_tokens"] = Json::array();
  json["post_processor"] = nullptr;
  const auto tokenizer = open(json);
  const std::vector<TokenId> ids = {tokenizer->encode("a").ids[0], n + 5, n + 10};
  EXPECT_EQ(tokenizer->decode(ids, false), "ahole");
  EXPECT_EQ(tokenizer->piece(n + 5), "");
  expect_error(ErrorKind::data, "outside the vocabulary", [&] { tokenizer->piece(n + 11); });
}

// --- What is refused
// --------------------------------------------------------------------------------------

void expect_refused(std::string_view part, const Json& json) {
  SCOPED_TRACE(part);
  expect_error(ErrorKind::data, part, [&] { open(json); });
}

Json with_pattern(const std::string& pattern) {
  Json json = minimal_tokenizer_json();
  json["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"use_regex", false}, {"add_prefix_space", false}}}}};
  return json;
}

TEST(TokenizerKinds, bad_patterns_are_named_with_their_place) {
  const std::string key = "file: key \"pre_tokenizer.pretokenizers[0].pattern.Regex\": ";
  for (const auto& [pattern, what] : std::vector<std::pair<std::string, std::string>>{
           {"ab(c", "a group is not closed at byte 4"},
           {"ab)c", "a bracket that closes no group at byte 2"},
           {"a[bc", "a bracket is not closed at byte 1"},
           {"a[]b]", "a bracket with nothing in it at byte 2"},
           {R"((a)\1)", "a back reference at byte 3"},
           {R"((?<n>a)\k<n>)", "a group of a kind that is not supported at byte 0"},
           {"a(?{x})", "a group of a kind that is not supported at byte 1"},
           {"(*FAIL)", "a callout at byte 0"},
           {"(?~a)", "a group of a kind"},
           {"(?x:a # b)", "a group of a kind"},
           {R"(\g<0>)", "\\g at byte 0"},
           {R"(a\p)", "a property without a name at byte 1"},
           {R"(a\)", "nothing is escaped at byte 1"},
           {"x(?!a*b)", "repetition without limit inside look-around at byte 5"},
           {"x(?=a{2,})", "repetition without limit inside look-around"},
           {"(?:a{1000}){1000}", "too much repetition at byte 11"},
           {std::string(200, '(') + std::string(200, ')'), "groups nested too deeply at byte 100"},
           {std::string(20'000, 'a'), "pattern too long"}}) {
    SCOPED_TRACE(pattern.substr(0, 40));
    expect_refused(key, with_pattern(pattern));
    expect_refused(what, with_pattern(pattern));
  }
  expect_refused("malformed pattern", with_pattern(R"(\p{NoSuchProperty})"));
  expect_refused("malformed pattern", with_pattern("[b-a]"));
  expect_refused("malformed pattern", with_pattern("*a"));
}

// Each would take longer than the universe lasts, or more memory than there is.
TEST(TokenizerKinds, hostile_steps_end_with_an_error) {
  const std::string text = std::string(1000, 'a') + "!b";
  const auto slow = open(with_pattern("(?:a|aa)+[^a!]|(?:a|a)*[^a!]"));
  expect_error(ErrorKind::data, "too long on this text", [&] { slow->encode(text); });
  Json json = minimal_tokenizer_json();
  Json grow = {
      {"type", "Replace"}, {"pattern", {{"String", "a"}}}, {"content", std::string(1000, 'a')}};
  json["normalizer"] = {{"type", "Sequence"}, {"normalizers", Json::array()}};
  for (int i = 0; i < 20; ++i) json["normalizer"]["normalizers"].push_back(grow);
  const auto tokenizer = open(json);
  expect_error(ErrorKind::data, "too long on this text", [&] { tokenizer->encode(text); });
  for (int i = 0; i < 60; ++i) json["normalizer"]["normalizers"].push_back(grow);
  expect_refused("too many steps", json);
}

TEST(TokenizerKinds, characters_that_would_be_lost_are_refused) {
  Json json = tokenizer_of("mixtral");
  json["model"]["byte_fallback"] = false;
  json["model"]["unk_token"] = nullptr;
  expect_refused("characters outside the vocabulary would be lost", json);
  json["model"]["byte_fallback"] = true;
  EXPECT_NO_THROW(open(json));
  json["model"]["vocab"].erase("<0xE2>");
  expect_refused("no token for a byte", json);
  json["model"]["unk_token"] = "<none>";
  expect_refused("model.unk_token", json);
}

TEST(TokenizerKinds, malformed_steps_are_named) {
  const auto decoder = [](Json step) {
    Json json = tokenizer_of("mixtral");
    json["decoder"] = std::move(step);
    return json;
  };
  expect_refused("decoder.content", decoder({{"type", "Strip"}, {"content", "ab"}}));
  expect_refused("decoder.start",
                 decoder({{"type", "Strip"}, {"content", " "}, {"start", -1}, {"stop", 0}}));
  expect_refused("decoder.pattern",
                 decoder({{"type", "Replace"}, {"pattern", {{"String", ""}}}, {"content", ""}}));
  expect_refused("one that does not match an empty text",
                 decoder({{"type", "Replace"}, {"pattern", {{"Regex", "x*"}}}, {"content", ""}}));
  expect_refused("decoder.decoders", decoder({{"type", "Sequence"}, {"decoders", 3}}));
  expect_refused("decoder", decoder(nullptr));
  Json json = tokenizer_of("mixtral");
  json["normalizer"] = {{"type", "Prepend"}, {"prepend", 7}};
  expect_refused("normalizer.prepend", json);
  json["normalizer"] = nullptr;
  json["pre_tokenizer"] = {{"type", "Metaspace"}, {"prepend_scheme", "last"}};
  expect_refused("pre_tokenizer.prepend_scheme", json);
  json["pre_tokenizer"] = {{"type", "Metaspace"}, {"replacement", ""}};
  expect_refused("pre_tokenizer.replacement", json);
}

}  // namespace
}  // namespace moexray::test
