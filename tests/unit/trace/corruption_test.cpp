#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "moexray/core/error.h"
#include "moexray/core/random.h"
#include "support/temporary_directory.h"
#include "trace_maker.h"

namespace moexray {
namespace {

using test::MadeRun;
using test::Snapshot;
using test::TemporaryDirectory;

// What a reader learns of a trace.
struct Content {
  std::vector<std::vector<test::KeptRecord>> records;
  std::vector<std::string> prompts;

  bool operator==(const Content&) const = default;
};

Content content_of(const std::filesystem::path& directory) {
  test::ReadTrace trace = test::read_trace({directory}, {false, {}, 1});
  Content content;
  content.records = std::move(trace.records);
  for (const TracePrompt& p : trace.set.prompts) {
    std::string text = p.id + "|" + p.category + "|" + p.text + "|" + p.completion + "|" +
                       p.finish_reason + "|" + p.meta_json + "|" +
                       std::to_string(p.n_prompt_tokens);
    for (const TokenId id : p.token_ids) text += " " + std::to_string(id);
    for (const std::string& token : p.tokens) text += " " + token;
    content.prompts.push_back(text);
  }
  return content;
}

class Corruption : public testing::TestWithParam<std::tuple<EventsForm, bool>> {
 protected:
  Corruption() {
    std::tie(run_.events, run_.compress) = GetParam();
    test::write_trace(path(), run_);
    whole_ = test::snapshot(path());
    content_ = content_of(path());
  }
  std::filesystem::path path() const { return temporary_.path() / "t"; }

  // Reads a damaged directory: an error, or the same content. Returns true for an error.
  bool check(const std::string& what) {
    try {
      EXPECT_EQ(content_of(path()), content_) << what;
      return false;
    } catch (const Error& error) {
      EXPECT_EQ(static_cast<int>(error.kind()), static_cast<int>(ErrorKind::data)) << error.what();
      EXPECT_NE(std::string(error.what()).find(path().string()), std::string::npos)
          << what << ": the file is not named: " << error.what();
      return true;
    }
  }

  TemporaryDirectory temporary_;
  MadeRun run_;
  Snapshot whole_;
  Content content_;
};

TEST_P(Corruption, FlippedBitsAreFoundOrHarmless) {
  RandomStream random(11);
  int n_found = 0;
  int n = 0;
  for (const auto& [name, text] : whole_) {
    for (int i = 0; i < 300; ++i, ++n) {
      std::string changed = text;
      const std::size_t byte = random.below(text.size());
      changed[byte] = static_cast<char>(changed[byte] ^ (1 << random.below(8)));
      test::write_text(path() / name, changed);
      n_found += check(name + ", byte " + std::to_string(byte)) ? 1 : 0;
    }
    test::write_text(path() / name, text);
  }
  EXPECT_GT(n_found, n * 9 / 10);
}

TEST_P(Corruption, CutFilesAreFound) {
  RandomStream random(12);
  for (const auto& [name, text] : whole_) {
    for (int i = 0; i < 40; ++i) {
      const std::size_t size = random.below(text.size());
      test::write_text(path() / name, std::string_view(text).substr(0, size));
      // Without its last newline a list of prompts still says everything.
      const bool is_harmless = size + 1 == text.size();
      EXPECT_TRUE(check(name) || is_harmless) << name << " cut to " << size;
    }
    test::write_text(path() / name, text);
  }
}

TEST_P(Corruption, MovedBytesAreFound) {
  RandomStream random(13);
  for (const auto& [name, text] : whole_) {
    for (int i = 0; i < 40; ++i) {
      std::string changed = text;
      const std::size_t from = random.below(text.size());
      const std::size_t n = 1 + random.below(std::min<std::size_t>(text.size() - from, 300));
      const std::string piece = changed.substr(from, n);
      if (i % 2 == 0) changed.erase(from, n);
      changed.insert(random.below(changed.size() + 1), piece);
      test::write_text(path() / name, changed);
      check(name);
    }
    test::write_text(path() / name, text);
  }
}

// What a bad sector or a crash of the machine leaves: zeros or rubbish in place of bytes, or behind
// them.
TEST_P(Corruption, SpoiltBlocksAreFound) {
  RandomStream random(14);
  for (const auto& [name, text] : whole_) {
    for (int i = 0; i < 60; ++i) {
      std::string changed = text;
      const std::size_t n = 1 + random.below(512);
      const std::size_t from = i % 3 == 0 ? text.size() : random.below(text.size());
      changed.resize(std::max(text.size(), from + n));
      for (std::size_t at = from; at < from + n; ++at) {
        changed[at] = i % 2 == 0 ? '\0' : static_cast<char>(random.below(256));
      }
      test::write_text(path() / name, changed);
      if (changed == text) continue;
      const bool is_found =
          check(name + ", " + std::to_string(n) + " bytes from " + std::to_string(from));
      // A frame has bits that decide nothing, and nobody looks behind the last record.
      if (from < text.size() && !run_.compress) {
        EXPECT_TRUE(is_found) << name << ", byte " << from;
      }
    }
    test::write_text(path() / name, text);
  }
}

TEST_P(Corruption, MissingDoubledAndSwappedLinesAndFilesAreFound) {
  RandomStream random(15);
  for (const auto& [name, text] : whole_) {
    std::filesystem::remove(path() / name);
    EXPECT_TRUE(check(name + " removed"));
    if (name != "manifest.json" && !run_.compress) {
      for (int i = 0; i < 20; ++i) {
        const std::size_t line = text.rfind('\n', random.below(text.size() - 1)) + 1;
        const std::size_t next = text.find('\n', line) + 1;
        std::string changed = text;
        if (i % 2 == 0) changed.erase(line, next - line);
        if (i % 2 == 1) changed.insert(line, text.substr(line, next - line));
        test::write_text(path() / name, changed);
        // Nobody looks behind the last record.
        const bool is_harmless = i % 2 == 1 && next == text.size() && name != "prompts.jsonl";
        EXPECT_TRUE(check(name + ", line at " + std::to_string(line)) || is_harmless);
      }
    }
    for (const auto& [other, other_text] : whole_) {
      if (other == name) continue;
      test::write_text(path() / name, other_text);
      EXPECT_TRUE(check(name + " holding " + other));
    }
    test::write_text(path() / name, text);
  }
}

TEST_P(Corruption, SwappedRecordsAreFound) {
  if (run_.compress) return;  // the records are inside frames
  std::string& text = whole_["events-00000.jsonl"];
  const std::size_t second = text.find('\n') + 1;
  const std::size_t third = text.find('\n', second) + 1;
  test::write_text(path() / "events-00000.jsonl", text.substr(second, third - second) +
                                                      text.substr(0, second) + text.substr(third));
  EXPECT_TRUE(check("swapped"));
}

INSTANTIATE_TEST_SUITE_P(Forms, Corruption,
                         testing::Combine(testing::Values(EventsForm::grouped, EventsForm::flat),
                                          testing::Bool()));

}  // namespace
}  // namespace moexray
