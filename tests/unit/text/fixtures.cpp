#include "fixtures.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <fstream>
#include <memory>
#include <sstream>

#include "byte_alphabet.h"
#include "moexray/core/file.h"

namespace moexray::test {
namespace {

constexpr std::uint64_t max_fixture_bytes = 100'000'000;

std::string shown(const Json& record) { return record.dump().substr(0, 300); }

// Spans ascend, lie in the text, do not cut characters, and every character belongs to a token.
void expect_good_spans(const Encoding& encoding, const std::string& text) {
  ASSERT_EQ(encoding.spans.size(), encoding.ids.size());
  std::size_t covered = 0;
  std::size_t last_begin = 0;
  const auto cuts = [&](std::size_t pos) {
    return pos < text.size() && (static_cast<unsigned char>(text[pos]) & 0xC0) == 0x80;
  };
  for (const TextSpan& span : encoding.spans) {
    ASSERT_LE(span.begin, span.end);
    ASSERT_LE(span.end, text.size());
    ASSERT_GE(span.begin, last_begin);
    ASSERT_LE(span.begin, covered) << "characters without a token";
    ASSERT_FALSE(cuts(span.begin) || cuts(span.end));
    last_begin = span.begin;
    covered = std::max(covered, span.end);
  }
  EXPECT_EQ(covered, text.size());
}

}  // namespace

std::filesystem::path text_data(const std::string& name) {
  return std::filesystem::path(MOEXRAY_TEST_DATA) / "text" / name;
}

std::string read_text(const std::filesystem::path& path) {
  return read_file(path, max_fixture_bytes);
}

std::string read_zst(const std::string& name) {
  const std::string packed = read_text(text_data(name));
  const std::unique_ptr<ZSTD_DCtx, decltype(&ZSTD_freeDCtx)> context(ZSTD_createDCtx(),
                                                                     ZSTD_freeDCtx);
  std::string text;
  std::string block(ZSTD_DStreamOutSize(), '\0');
  for (ZSTD_inBuffer input{packed.data(), packed.size(), 0}; input.pos < input.size;) {
    ZSTD_outBuffer output{block.data(), block.size(), 0};
    if (ZSTD_isError(ZSTD_decompressStream(context.get(), &output, &input)) != 0) {
      throw std::runtime_error("cannot decompress " + name);
    }
    text.append(block, 0, output.pos);
  }
  return text;
}

std::vector<Json> read_lines_zst(const std::string& name) {
  std::vector<Json> records;
  std::istringstream lines(read_zst(name));
  for (std::string line; std::getline(lines, line);) records.push_back(Json::parse(line));
  return records;
}

void write_text(const std::filesystem::path& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

void expect_encodings(const Tokenizer& tokenizer, const std::vector<Json>& records) {
  ASSERT_FALSE(records.empty());
  for (const Json& record : records) {
    const auto ids = record.at("ids").get<std::vector<TokenId>>();
    const std::string text = record.value("text", "");
    if (record.contains("text")) {
      const Encoding encoding = tokenizer.encode(text);
      EXPECT_EQ(encoding.ids, ids) << shown(record);
      ASSERT_NO_FATAL_FAILURE(expect_good_spans(encoding, text)) << shown(record);
    }
    const std::string decoded = record.value("decoded", text);
    EXPECT_EQ(tokenizer.decode(ids, false), decoded) << shown(record);
    EXPECT_EQ(tokenizer.decode(ids, true), record.value("skipped", decoded)) << shown(record);
  }
}

void expect_good_encodings(const Tokenizer& tokenizer, const std::vector<Json>& records) {
  for (const Json& record : records) {
    const auto text = record.at("text").get<std::string>();
    ASSERT_NO_FATAL_FAILURE(expect_good_spans(tokenizer.encode(text), text)) << shown(record);
  }
}

Json minimal_tokenizer_json() {
  Json vocab = Json::object();
  const ByteAlphabet alphabet;
  for (int byte = 0; byte < 256; ++byte)
    vocab[alphabet.of(static_cast<unsigned char>(byte))] = byte;
  vocab["he"] = 256;
  vocab["\u0120he"] = 257;
  return {
      {"version", "1.0"},
      {"added_tokens", Json::array()},
      {"normalizer", nullptr},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"h e", "\u0120 he"}}}}};
}

}  // namespace moexray::test
