#include "corpus.h"

#include <gtest/gtest.h>
#include <zstd.h>

#include <numeric>

#include "moexray/core/file.h"
#include "support/expect_error.h"
#include "support/temporary_directory.h"

namespace moexray::train {
namespace {

class Corpus : public testing::Test {
 protected:
  void write(const std::string& text) {
    std::string compressed(ZSTD_compressBound(text.size()), '\0');
    compressed.resize(
        ZSTD_compress(compressed.data(), compressed.size(), text.data(), text.size(), 1));
    std::filesystem::create_directories(directory_.path() / "train");
    write_file_atomically(directory_.path() / "train" / "code.jsonl.zst", compressed);
  }
  // The texts of the selected records, one after the other.
  std::string texts(const RecordSelection& selection) const {
    const auto records = read_records(directory_.path(), "train", "code", selection);
    return std::accumulate(
        records.begin(), records.end(), std::string(),
        [](const std::string& all, const CorpusRecord& record) { return all + record.text + ' '; });
  }

  test::TemporaryDirectory directory_;
};

TEST_F(Corpus, SelectsInstructionsByTheLengthOfTheirAnswers) {
  write(R"({"prompt":"","text":"aaaa"}
{"prompt":"p","text":"bbbb"}
{"prompt":"p","text":"ccc"}

{"prompt":"p","text":"ddddd"})");
  EXPECT_EQ(texts({}), "aaaa bbbb ccc ddddd ");
  EXPECT_EQ(texts({.min_answer_bytes = 4}), "bbbb ddddd ");
}

TEST_F(Corpus, SpacesAnUpperNumberOfRecordsEvenly) {
  std::string lines;
  for (char c = 'a'; c < 'k'; ++c)
    lines += std::string("{\"prompt\":\"\",\"text\":\"") + c + "\"}\n";
  write(lines);
  EXPECT_EQ(texts({.max_records = 10}), "a b c d e f g h i j ");
  EXPECT_EQ(texts({.max_records = 4}), "a c f h ");
  EXPECT_EQ(texts({.max_records = 100}), "a b c d e f g h i j ");
}

TEST_F(Corpus, NamesTheLineOfABadRecord) {
  write("{\"prompt\":\"\",\"text\":\"a\"}\n{\"prompt\":1,\"text\":\"a\"}\n");
  test::expect_error(ErrorKind::data, "code.jsonl.zst:2", [&] { texts({}); });
}

}  // namespace
}  // namespace moexray::train
