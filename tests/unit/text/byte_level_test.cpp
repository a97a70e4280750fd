// Byte-level BPE against Hugging Face's tokenizers, on OLMoE's tokenizer and on small ones.

#include <gtest/gtest.h>

#include <chrono>

#include "fixtures.h"
#include "moexray/core/sha256.h"
#include "support/expect_error.h"
#include "tokenizers.h"

namespace moexray::test {
namespace {

const Tokenizer& olmoe() {
  static const auto tokenizer =
      parse_tokenizer_json(read_zst("olmoe_tokenizer.json.zst"), "olmoe", {});
  return *tokenizer;
}

TEST(ByteLevel, olmoe_encodes_and_decodes_as_hugging_face) {
  const auto records = read_lines_zst("olmoe_encodings.jsonl.zst");
  EXPECT_GT(records.size(), 4000U);
  expect_encodings(olmoe(), records);
}

TEST(ByteLevel, every_option_works_as_in_hugging_face) {
  for (const Json& variant : read_lines_zst("variants.jsonl.zst")) {
    SCOPED_TRACE(variant.at("name").get<std::string>());
    const auto tokenizer = parse_tokenizer_json(variant.at("tokenizer").dump(), "variant", {});
    std::vector<Json> records = variant.at("encodings");
    for (const Json& record : records) {
      const auto text = record.at("text").get<std::string>();
      const auto ids = record.at("ids").get<std::vector<TokenId>>();
      EXPECT_EQ(tokenizer->encode(text).ids, ids) << record.dump().substr(0, 200);
      EXPECT_EQ(tokenizer->decode(ids, false), record.value("decoded", text));
      EXPECT_EQ(tokenizer->decode(ids, true),
                record.value("skipped", record.value("decoded", text)));
    }
  }
}

TEST(ByteLevel, facts_of_the_olmoe_tokenizer) {
  const Tokenizer& tokenizer = olmoe();
  EXPECT_EQ(tokenizer.kind(), "byte_level_bpe");
  EXPECT_EQ(tokenizer.vocab_size(), 50280);
  EXPECT_EQ(tokenizer.sha256(), sha256_hex(read_zst("olmoe_tokenizer.json.zst")));
  EXPECT_EQ(tokenizer.bos_token(), "<|endoftext|>");
  EXPECT_EQ(tokenizer.eos_token(), "<|endoftext|>");
  EXPECT_EQ(tokenizer.id_of("<|endoftext|>"), 50279);
  EXPECT_EQ(tokenizer.piece(50279), "<|endoftext|>");
  EXPECT_EQ(tokenizer.id_of("\u0120the"), tokenizer.encode(" the").ids.front());
  EXPECT_EQ(tokenizer.id_of("no such piece"), std::nullopt);
}

TEST(ByteLevel, named_tokens_come_from_the_files_beside) {
  const std::string json = read_zst("olmoe_tokenizer.json.zst");
  TokenizerConfig config;
  config.bos_token = "";
  config.eos_token = "|||IP_ADDRESS|||";
  const auto tokenizer = parse_tokenizer_json(json, "olmoe", config);
  EXPECT_EQ(tokenizer->bos_token(), "");
  EXPECT_EQ(tokenizer->eos_token(), "|||IP_ADDRESS|||");
  config = {};
  config.tokenizer_class = "PreTrainedTokenizerFast";
  EXPECT_EQ(parse_tokenizer_json(json, "olmoe", config)->bos_token(), "");
}

TEST(ByteLevel, spans_are_bytes_of_the_original_text) {
  // "é" in two code points becomes one, which the vocabulary has as one token or two bytes.
  const std::string text = "a e\u0301 <|endoftext|>  b";
  const Encoding encoding = olmoe().encode(text);
  for (std::size_t i = 0; i < encoding.ids.size(); ++i) {
    const TextSpan span = encoding.spans[i];
    const std::string piece = olmoe().decode(std::vector{encoding.ids[i]}, false);
    const std::string original = text.substr(span.begin, span.end - span.begin);
    EXPECT_EQ(original, piece == " \u00E9" ? " e\u0301" : piece);
  }
  ASSERT_EQ(olmoe().encode("\u2603").ids.size(), 2U);
  for (const TextSpan& span : olmoe().encode("\u2603").spans) {
    EXPECT_EQ(span.begin, 0U);
    EXPECT_EQ(span.end, 3U);
  }
}

TEST(ByteLevel, an_added_space_belongs_to_no_character) {
  Json json = minimal_tokenizer_json();
  json["pre_tokenizer"]["add_prefix_space"] = true;
  const auto tokenizer = parse_tokenizer_json(json.dump(), "test", {});
  const Encoding with_letters = tokenizer->encode("he");
  ASSERT_EQ(with_letters.ids, (std::vector<TokenId>{257}));
  EXPECT_EQ(with_letters.spans[0].end, 2U);
  const Encoding alone = tokenizer->encode("x");
  ASSERT_EQ(alone.ids.size(), 2U);
  EXPECT_EQ(alone.spans[0].begin, alone.spans[0].end);
  EXPECT_EQ(alone.spans[1].begin, 0U);
  EXPECT_EQ(alone.spans[1].end, 1U);
}

TEST(ByteLevel, malformed_text_is_refused_with_its_offset) {
  for (const auto& [text, offset] : {std::pair<std::string, int>{"ab\xFF", 2},
                                     {"a\xC3", 1},
                                     {"\xED\xA0\x80", 0},
                                     {"xyz\xC0\x80", 3},
                                     {std::string("\0\x80", 2), 1}}) {
    expect_error(ErrorKind::data, "byte offset " + std::to_string(offset),
                 [&] { olmoe().encode(text); });
  }
}

TEST(ByteLevel, foreign_ids_are_refused) {
  for (const TokenId id : {-1, 50280, 1 << 30}) {
    expect_error(ErrorKind::data, "0 to 50279", [&] { olmoe().decode(std::vector{id}, false); });
    expect_error(ErrorKind::data, "0 to 50279", [&] { olmoe().piece(id); });
  }
}

// Quadratic merging or normalising would take minutes.
TEST(ByteLevel, long_runs_take_little_time) {
  const auto start = std::chrono::steady_clock::now();
  constexpr std::size_t n = 200'000;
  std::string marks = "a";
  for (std::size_t i = 0; i < n / 4; ++i) marks += i % 2 == 0 ? "\u0301" : "\u0316";
  for (const std::string& text :
       {std::string(n, 'a'), std::string(n, ' '), std::string(n, '\n'), marks}) {
    const Encoding encoding = olmoe().encode(text);
    EXPECT_EQ(encoding.spans.back().end, text.size());
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 60.0);
}

}  // namespace
}  // namespace moexray::test
