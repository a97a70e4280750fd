#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/run_command.h"
#include "moexray/core/file.h"
#include "support/temporary_directory.h"

namespace moexray {
namespace {

using nlohmann::json;
using test::CommandOptions;
using test::CommandResult;
using test::run_moexray;

// A checkpoint directory with the small SentencePiece model of the test data.
class TokenizeCommand : public ::testing::Test {
 protected:
  void SetUp() override {
#ifndef MOEXRAY_HAS_SENTENCEPIECE
    GTEST_SKIP() << "built without SentencePiece";
#endif
    std::filesystem::copy(MOEXRAY_TEST_DATA "/text/sentencepiece/tokenizer.model",
                          directory_.path() / "tokenizer.model");
    std::ofstream(directory_.path() / "tokenizer_config.json")
        << R"({"tokenizer_class":"LlamaTokenizer","add_prefix_space":false,"bos_token":"<|endoftext|>",)"
        << R"("eos_token":"<|endoftext|>"})";
  }

  CommandResult run(std::vector<std::string> words, const std::string& input = {}) {
    words.insert(words.begin(), {"tokenize", "--model", directory_.path().string()});
    CommandOptions options;
    options.input = input;
    return run_moexray(words, options);
  }

  test::TemporaryDirectory directory_;
};

TEST_F(TokenizeCommand, PrintsIdsAndPieces) {
  const CommandResult result = run({"the", "\n<|user|>\x1b"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.out.find("       2  <|user|>\n"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("  <0x0A>\n"), std::string::npos);
  EXPECT_EQ(result.out.find('\x1b'), std::string::npos);
  EXPECT_NE(result.err.find(" tokens\n"), std::string::npos);
  EXPECT_EQ(run({"--quiet", "the"}).err, "");
}

TEST_F(TokenizeCommand, ReadsStandardInputAsOneText) {
  const CommandResult from_input = run({}, "a b\n");
  EXPECT_EQ(from_input.exit_code, 0);
  EXPECT_EQ(from_input.out, run({"a b\n"}).out);
  EXPECT_EQ(run({}, "").out, "");
}

TEST_F(TokenizeCommand, LinesGoThereAndBack) {
  const std::vector<std::string> texts = {"", " a  b\n", "\u65e5\u672c <|endoftext|>",
                                          std::string("x\0y", 3)};
  std::string input;
  for (const std::string& text : texts) input += json{{"text", text}}.dump() + "\n";
  const CommandResult encoded = run({"--jsonl"}, input);
  ASSERT_EQ(encoded.exit_code, 0) << encoded.err;
  EXPECT_EQ(encoded.out.substr(0, encoded.out.find('\n')), R"({"ids":[],"tokens":[]})");
  const CommandResult decoded = run({"--decode"}, encoded.out);
  ASSERT_EQ(decoded.exit_code, 0) << decoded.err;
  EXPECT_EQ(decoded.out, input);
}

TEST_F(TokenizeCommand, AnUnsupportedFileBesideAUsableOneIsANotice) {
  const std::string expected = run({"the"}).out;
  const auto write = [&](const std::string& text) {
    std::ofstream(directory_.path() / "tokenizer.json") << text;
  };
  write(R"({"model":{"type":"Unigram","vocab":[]},"decoder":{"type":"ByteLevel"}})");
  const CommandResult result = run({"the"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.out, expected);
  EXPECT_NE(result.err.find("tokenizer.model is used"), std::string::npos) << result.err;
  EXPECT_NE(result.err.find("key \"model.type\""), std::string::npos) << result.err;
  write("{");  // malformed, not unsupported
  EXPECT_EQ(run({"the"}).exit_code, 1);
}

TEST_F(TokenizeCommand, ErrorsNameTheLine) {
  const auto expect_failure = [&](const std::string& flag, const std::string& input,
                                  const std::string& part) {
    const CommandResult result = run({flag}, input);
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_NE(result.err.find("standard input:2"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find(part), std::string::npos) << result.err;
  };
  const std::string good = "{\"text\":\"a\"}\n";
  expect_failure("--jsonl", good + "{\"text\":3}\n", "\"text\"");
  expect_failure("--jsonl", good + "{\"text\":\"a\"\n", "not valid JSON");
  expect_failure("--jsonl", good + "[]\n", "not a JSON object");
  expect_failure("--jsonl", good + std::string(16'000'001, ' '), "line too long");
  expect_failure("--jsonl", good + std::string(1000, '[') + "\n", "nested too deeply");
  expect_failure("--decode", "{\"ids\":[]}\n{\"ids\":[700]}\n", "0 to 699");
  expect_failure("--decode", "{\"ids\":[]}\n{\"ids\":[-1]}\n", "0 to 699");
  expect_failure("--decode", "{\"ids\":[]}\n{\"ids\":[18446744073709551615]}\n", "0 to 699");
  expect_failure("--decode", "{\"ids\":[]}\n{\"ids\":[1.5]}\n", "0 to 699");
  expect_failure("--decode", "{\"ids\":[]}\n{\"ids\":\"1\"}\n", "\"ids\"");
}

TEST_F(TokenizeCommand, MalformedTextIsRefused) {
  const CommandResult result = run({"a\xFF"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_NE(result.err.find("byte offset 1"), std::string::npos) << result.err;
}

TEST_F(TokenizeCommand, WrongUseIsRefused) {
  EXPECT_EQ(run({"--jsonl", "text"}).exit_code, 2);
  EXPECT_EQ(run({"--jsonl", "--decode"}).exit_code, 2);
  EXPECT_EQ(run_moexray({"tokenize", "--model", "/nonexistent", "a"}).exit_code, 1);
}

TEST_F(TokenizeCommand, AClosedPipeEndsTheWork) {
  std::string input;
  for (int i = 0; i < 20'000; ++i) input += "{\"text\":\"the quick brown fox\"}\n";
  CommandOptions options;
  options.input = input;
  options.close_stdout = true;
  EXPECT_NE(run_moexray({"tokenize", "--model", directory_.path().string(), "--jsonl"}, options)
                .exit_code,
            0);
}

}  // namespace
}  // namespace moexray
