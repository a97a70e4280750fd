// The SentencePiece module against transformers, and broken models.

#include <gtest/gtest.h>

#include "fixtures.h"
#include "moexray/core/random.h"
#include "moexray/runtime/modules.h"
#include "sentencepiece_proto.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

std::string model_bytes() { return read_text(text_data("sentencepiece/tokenizer.model")); }

Json bundled_config() {
  return {{"tokenizer_class", "LlamaTokenizer"}, {"legacy", false},
          {"add_prefix_space", false},           {"bos_token", "<|endoftext|>"},
          {"eos_token", "<|endoftext|>"},        {"unk_token", "<unk>"}};
}

class SentencePiece : public ::testing::Test {
 protected:
  void SetUp() override {
#ifndef MOEXRAY_HAS_SENTENCEPIECE
    GTEST_SKIP() << "built without SentencePiece";
#endif
  }

  std::unique_ptr<Tokenizer> open(const std::string& model, const Json& config) {
    write_text(directory_.path() / "tokenizer.model", model);
    std::filesystem::remove(directory_.path() / "tokenizer_config.json");
    if (!config.is_null()) write_text(directory_.path() / "tokenizer_config.json", config.dump());
    return open_tokenizer(directory_.path(), module_directory());
  }

  TemporaryDirectory directory_;
};

TEST_F(SentencePiece, encodes_and_decodes_as_transformers) {
  for (const Json& variant : read_lines_zst("sentencepiece/encodings.jsonl.zst")) {
    SCOPED_TRACE(variant.at("name").get<std::string>());
    const auto tokenizer = open(model_bytes(), variant.at("config"));
    expect_encodings(*tokenizer, variant.at("encodings").get<std::vector<Json>>());
  }
}

TEST_F(SentencePiece, decoding_gives_the_text_back) {
  const auto tokenizer = open(model_bytes(), bundled_config());
  for (const std::string text :
       {"", " ", "  a\n\n b", "\t\r\n", "<|user|>\n x <|endoftext|>", "\u65e5\u672c \U0001F600"}) {
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(text).ids, false), text);
  }
  const std::string with_nul("a\0 b", 4);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(with_nul).ids, false), with_nul);
  EXPECT_EQ(tokenizer->decode(std::vector<TokenId>{1, 2}, true), "<|user|>");
}

TEST_F(SentencePiece, facts_of_the_model) {
  const auto tokenizer = open(model_bytes(), bundled_config());
  EXPECT_EQ(tokenizer->kind(), "sentencepiece");
  EXPECT_EQ(tokenizer->vocab_size(), 700);
  EXPECT_EQ(tokenizer->bos_token(), "<|endoftext|>");
  EXPECT_EQ(tokenizer->id_of("<|endoftext|>"), 1);
  EXPECT_EQ(tokenizer->piece(0), "<unk>");
  expect_error(ErrorKind::data, "0 to 699", [&] { tokenizer->piece(700); });
  expect_error(ErrorKind::data, "byte offset 1", [&] { tokenizer->encode("a\xFF"); });
}

TEST_F(SentencePiece, without_a_configuration_the_model_decides) {
  const auto tokenizer = open(model_bytes(), nullptr);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(" a  b ").ids, false), " a  b ");
  EXPECT_EQ(tokenizer->encode("<|endoftext|>").ids, (std::vector<TokenId>{1}));
}

TEST_F(SentencePiece, unsupported_configurations_are_refused) {
  Json config = bundled_config();
  config["tokenizer_class"] = "T5Tokenizer";
  expect_error(ErrorKind::data, "tokenizer_class", [&] { open(model_bytes(), config); });
  config = bundled_config();
  config["added_tokens_decoder"] = {{"5", {{"content", "<new>"}}}};
  expect_error(ErrorKind::data, "not its own", [&] { open(model_bytes(), config); });
  config["added_tokens_decoder"] = {{"x", {{"content", "<new>"}}}};
  expect_error(ErrorKind::data, "added_tokens_decoder", [&] { open(model_bytes(), config); });
}

TEST_F(SentencePiece, a_named_token_outside_the_vocabulary_gets_the_next_id) {
  Json config = bundled_config();
  config["bos_token"] = "<nowhere>";
  config["add_bos_token"] = true;
  const auto tokenizer = open(model_bytes(), config);
  EXPECT_EQ(tokenizer->vocab_size(), 701);
  EXPECT_EQ(tokenizer->encode("<nowhere>").ids, std::vector<TokenId>{700});
  EXPECT_EQ(tokenizer->begin_ids().front(), 700);
  config["bos_token"] = nullptr;
  expect_error(ErrorKind::data, "add_bos_token", [&] { open(model_bytes(), config); });
}

TEST_F(SentencePiece, a_missing_module_is_no_fault_of_the_model) {
  write_text(directory_.path() / "tokenizer.model", model_bytes());
  expect_error(ErrorKind::runtime, "module",
               [&] { open_tokenizer(directory_.path(), directory_.path()); });
}

// Whatever a damaged model makes of SentencePiece, this process goes on.
TEST_F(SentencePiece, damaged_models_are_errors_or_work) {
  const std::string good = model_bytes();
  RandomStream random(7);
  int n_refused = 0;
  for (int i = 0; i < 60; ++i) {
    std::string bad = good;
    if (i % 4 == 0) {
      bad.resize(random.below(bad.size()));
    } else {
      // The end holds the settings of training and normaliser.
      const std::size_t from = i % 4 == 1 ? 0 : bad.size() - bad.size() / 40;
      for (int k = 0; k <= i % 5; ++k) {
        bad[from + random.below(bad.size() - from)] = static_cast<char>(random.below(256));
      }
    }
    try {
      const auto tokenizer = open(bad, i % 2 == 0 ? bundled_config() : Json());
      const auto ids = tokenizer->encode("hello  world\n42 \u00e9").ids;
      tokenizer->decode(ids, false);
    } catch (const Error&) {
      ++n_refused;
    }
  }
  EXPECT_GT(n_refused, 10);
}

TEST(SentencePieceProto, reads_the_models_facts) {
  const SentencePieceProto proto = parse_sentencepiece_proto(model_bytes(), "file");
  EXPECT_EQ(proto.pieces.size(), 700U);
  EXPECT_TRUE(proto.is_bpe);
  EXPECT_TRUE(proto.byte_fallback);
  EXPECT_FALSE(proto.add_dummy_prefix);
  EXPECT_FALSE(proto.remove_extra_whitespaces);
  EXPECT_FALSE(proto.has_character_map);
  EXPECT_EQ(proto.bos_id, -1);
  EXPECT_EQ(proto.pieces[1].type, SentencePieceProto::PieceType::control);
  EXPECT_EQ(parse_sentencepiece_proto(with_identity_normalizer(proto), "file").pieces.size(), 700U);
}

TEST(SentencePieceProto, refuses_what_is_not_a_model) {
  const auto expect_refused = [](const std::string& bytes) {
    expect_error(ErrorKind::data, "file", [&] { parse_sentencepiece_proto(bytes, "file"); });
  };
  expect_refused("");
  expect_refused("{}");
  expect_refused(std::string(20, '\xFF'));
  const std::string good = model_bytes();
  expect_refused(good.substr(0, good.size() - 3));
  // A piece twice; a piece that is not UTF-8; a length beyond the end.
  expect_refused(good + std::string("\x0A\x07\x0A\x05<unk>", 9));
  expect_refused(good + std::string("\x0A\x04\x0A\x02\xFF\xFF", 6));
  expect_refused(good + std::string("\x0A\x7F", 2));
}

}  // namespace
}  // namespace moexray::test
