// Files that are no JSON Lines of prompts, as people give them by mistake: one line tells what the
// file is and what to do.

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>
#include <string>

#include "moexray/core/error.h"
#include "moexray/trace/prompts.h"

namespace moexray {
namespace {

using namespace std::string_literals;

std::string error_of(const std::string& text, const PromptReadOptions& options = {}) {
  std::istringstream in(text);
  try {
    read_prompts(in, "p", options);
  } catch (const Error& error) {
    EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::data));
    return error.what();
  }
  ADD_FAILURE() << "no error for " << text.substr(0, 80);
  return {};
}

void expect_hint(const std::string& text, const std::string& part,
                 const PromptReadOptions& options = {}) {
  const std::string error = error_of(text, options);
  EXPECT_NE(error.find(part), std::string::npos) << error;
  EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 0) << error;
  EXPECT_TRUE(error.starts_with("p: ")) << error;
}

// UTF-8 of ASCII characters as UTF-16 or UTF-32.
std::string widened(const std::string& text, int n_bytes, bool big_endian) {
  std::string wide;
  for (const char c : text) {
    const std::string zeros(static_cast<std::size_t>(n_bytes - 1), '\0');
    wide += big_endian ? zeros + c : c + zeros;
  }
  return wide;
}

const std::string line = R"({"prompt":"Hi there, you"})";

TEST(PromptHints, JsonThatIsNoJsonLines) {
  expect_hint("[\n " + line + ",\n " + line + "\n]\n", "a JSON array, not JSON Lines");
  expect_hint("[" + line + "," + line + "]", "jq -c '.[]' FILE");
  expect_hint("\n\n  [" + line + ",\n" + line + "]\n", "a JSON array");
  expect_hint("[]", "a JSON array");
  expect_hint("{\n  \"prompt\": \"Hi\"\n}\n", "over several lines");
  expect_hint("{ \"a\": [\n1]}", "jq -c . FILE");
  expect_hint("{'prompt': 'Hi'}\n{'prompt': 'Yo'}\n", "a Python dictionary");
  expect_hint("\"Hi\"\n\"Yo\"\n", "jq -c '{prompt: .}' FILE");
  expect_hint("{\"data\":[" + line + "]}", "jq -c '.[\"data\"][]' FILE");
  // Lines that are arrays each are told line by line.
  EXPECT_NE(error_of("[1]\n[2]\n").find("p:2: wrong type of line"), std::string::npos);
  // One bad line does not make the file another format.
  EXPECT_NE(error_of(line + "\n[\n").find("p:2: not valid JSON"), std::string::npos);
  EXPECT_NE(error_of("{\"prompt\":\"Hi\n" + line).find("p:1: not valid JSON"), std::string::npos);
}

TEST(PromptHints, Tables) {
  expect_hint("id,category,prompt\n1,x,\"Hi, you\"\n", "a table (CSV)");
  expect_hint("\"id\",\"prompt\"\r\n\"1\",\"Hi\"\r\n", "pandas.read_csv(FILE)");
  expect_hint("id;prompt\n1;Hi\n", "semicolons");
  expect_hint("id\tprompt\n1\tHi\n", "TSV");
  expect_hint("prompt\nHi\nYo\n", "a table (CSV)");
  expect_hint("Write a story about a fox, please.\nWrite another one.\n", "plain text");
  expect_hint("Wie spät ist es?\n", "jq -cR '{prompt: .}' FILE");
}

TEST(PromptHints, CompressedAndBinaryFiles) {
  expect_hint("\x1F\x8B\x08\0\0\n\n"s, "compressed with gzip");
  expect_hint("\x28\xB5\x2F\xFD\x04\0"s, "compressed with zstd");
  expect_hint("BZh91AY&SY\x01\n", "compressed with bzip2");
  expect_hint("\xFD\x37zXZ\0\0\x04"s, "compressed with xz");
  expect_hint("PK\x03\x04\x14\0"s, "a zip archive");
  expect_hint("PAR1\x15\x04\n", "a Parquet file");
  expect_hint("\x89HDF\r\n\x1A\n", "an HDF5 file");
  expect_hint("SQLite format 3\0\x10"s, "an SQLite database");
  expect_hint("{\0\x01\x02\x03"s, "binary data");
  expect_hint("\x80\x04\x95\x10\0\0"s, "pickled");
}

TEST(PromptHints, WideText) {
  const std::string lines = line + "\n" + line + "\n";
  expect_hint("\xFF\xFE"s + widened(lines, 2, false), "UTF-16");
  expect_hint("\xFE\xFF"s + widened(lines, 2, true), "UTF-16");
  expect_hint(widened(lines, 2, false), "text in UTF-16LE");
  expect_hint(widened(lines, 2, true), "text in UTF-16BE");
  expect_hint("\xFF\xFE\0\0"s + widened(lines, 4, false), "UTF-32");
  expect_hint("\0\0\xFE\xFF"s + widened(lines, 4, true), "UTF-32");
  expect_hint(widened(lines, 4, false), "text in UTF-32LE");
  expect_hint(widened(lines, 4, true), "iconv -f UTF-32BE -t UTF-8 FILE");
}

TEST(PromptHints, FailedDownloads) {
  expect_hint("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
              "a Git LFS pointer in place of the prompts");
  expect_hint("<!DOCTYPE html>\n<html><head>", "an HTML page");
  expect_hint("\n <HTML lang=\"en\">", "an HTML page");
  expect_hint("<?xml version=\"1.0\"?>\n<Error/>", "an XML document");
  expect_hint("", "the file is empty");
  expect_hint("\n \r\n", "no prompts");
}

TEST(PromptHints, AnotherKeyForThePrompt) {
  expect_hint(
      "{\"id\":1,\"question\":\"a\",\"answer\":\"long text\"}\n{\"id\":2,\"question\":\"b\"}",
      "no line has the key \"prompt\"; the lines have \"answer\", \"question\": "
      "--prompt-key question");
  expect_hint(R"({"Prompt":"a"})", "--prompt-key Prompt");
  expect_hint(R"({"foo":"a","bar":"much more text"})", "--prompt-key bar");
  expect_hint(R"({"chat":[{"role":"user","content":"x"}],"n":1})", "--prompt-key chat");
  expect_hint(R"({"prompt":null,"messages":null})", "no line has the key \"prompt\"");
  expect_hint("{}\n{}", "no line has the key \"prompt\"");
  expect_hint(R"({"prompt":"a"})", "no line has the key \"p\"", {"p", "id", "category"});
  expect_hint(R"({"prompt":"a","id":"x"})", "no line has the key \"qid\" (--id-key)",
              {"prompt", "qid", "category"});
  expect_hint(R"({"prompt":"a"})", "no line has the key \"kind\" (--category-key)",
              {"prompt", "id", "kind"});
}

TEST(PromptHints, MessagesNameTheKeyOfTheFile) {
  const std::string error = error_of(
      R"({"question_id":81,"category":"writing","turns":["Write one line about rain.","Snow."]})",
      {"turns", "question_id", "category"});
  EXPECT_EQ(
      error,
      "p:1: key \"turns[0]\": wrong message: expected {\"role\",\"content\"}, found \"Write one "
      "line about rain.\"");
}

}  // namespace
}  // namespace moexray
