#include "prompt_pages.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <filesystem>
#include <utility>

#include "analysis_input.h"
#include "moexray/core/error.h"
#include "moexray/trace/reader.h"
#include "shown_prompt.h"
#include "support/files.h"
#include "support/markup.h"
#include "support/temporary_directory.h"

namespace moexray::app {
namespace {

namespace fs = std::filesystem;
using test::TemporaryDirectory;

class PromptPagesTest : public testing::Test {
 protected:
  PromptPagesTest() {
    const std::vector<fs::path> traces{fs::path(MOEXRAY_TEST_DATA) / "trace-small"};
    Side side;
    side.traces = open_traces(traces, {});
    side.signatures = read_signatures(side.traces, {}, {}, stop_);
    input_.sides.push_back(std::move(side));
    input_.stop = &stop_;
  }

  // The bytes of the pages, written to a folder.
  static std::vector<std::string> written(const PromptPages& pages) {
    const TemporaryDirectory place;
    fs::create_directories(place.path() / "prompts");
    std::vector<std::string> texts;
    for (const OutputFile& file : pages.files) {
      file.write(place.path() / file.name);
      texts.push_back(test::file_content(place.path() / file.name));
    }
    return texts;
  }

  static std::int64_t bytes_of(const std::vector<std::string>& texts) {
    std::int64_t n = 0;
    for (const std::string& text : texts) n += static_cast<std::int64_t>(text.size());
    return n;
  }

  std::size_t n_named(const PromptPages& pages) const {
    return static_cast<std::size_t>(std::count_if(pages.names.begin(), pages.names.end(),
                                                  [](const auto& name) { return !name.empty(); }));
  }

  std::atomic<bool> stop_ = false;
  AnalysisInput input_;
};

TEST_F(PromptPagesTest, AllPromptsHaveOneByRow) {
  const PromptPages pages = prompt_pages(input_);
  ASSERT_EQ(pages.files.size(), 12U);
  ASSERT_EQ(pages.names.size(), 12U);
  EXPECT_EQ(pages.names.front(), "prompts/0001.html");
  EXPECT_EQ(pages.names.back(), "prompts/0012.html");
  const std::vector<std::string> texts = written(pages);
  for (std::size_t row = 0; row < texts.size(); ++row) {
    EXPECT_EQ(pages.files[row].name, pages.names[row]);
    EXPECT_EQ(test::markup_fault(texts[row]), "");
    EXPECT_NE(texts[row].find("<h1>Routing of " + input_.side().signatures.ids[row] + "</h1>"),
              std::string::npos);
    EXPECT_NE(texts[row].find("<a href=\"../report.html#prompts\">"), std::string::npos);
  }
}

TEST_F(PromptPagesTest, SizesAloneDecideWhetherAllDo) {
  const std::int64_t all = bytes_of(written(prompt_pages(input_)));
  EXPECT_EQ(prompt_pages(input_, all).files.size(), 12U);
  // One byte less, and only the ends of each category have a page.
  const PromptPages fewer = prompt_pages(input_, all - 1);
  const std::vector<std::size_t> rows = typical_and_extreme_rows(input_.side().signatures);
  EXPECT_EQ(fewer.files.size(), rows.size());
  EXPECT_EQ(n_named(fewer), rows.size());
  for (const std::size_t row : rows) EXPECT_NE(fewer.names[row], "") << row;
  const std::vector<std::string> texts = written(fewer);
  // What a page holds does not depend on which others there are.
  const std::vector<std::string> of_all = written(prompt_pages(input_));
  std::size_t i = 0;
  for (std::size_t row = 0; row < of_all.size(); ++row) {
    if (fewer.names[row].empty()) continue;
    EXPECT_EQ(texts[i++], of_all[row]);
  }
}

TEST_F(PromptPagesTest, NeverMoreThanTheLimit) {
  const std::int64_t all = bytes_of(written(prompt_pages(input_)));
  std::size_t n_before = 12;
  for (std::int64_t limit = all; limit > 0; limit -= all / 7) {
    const PromptPages pages = prompt_pages(input_, limit);
    EXPECT_LE(bytes_of(written(pages)), limit);
    EXPECT_LE(pages.files.size(), n_before);
    EXPECT_EQ(n_named(pages), pages.files.size());
    n_before = pages.files.size();
  }
  EXPECT_EQ(prompt_pages(input_, 0).files.size(), 0U);
}

TEST_F(PromptPagesTest, EndsWhenAsked) {
  stop_ = true;
  try {
    prompt_pages(input_);
    FAIL() << "went on";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::interrupted);
  }
}

TEST(TypicalAndExtremeRows, AreTheEndsOfEachCategory) {
  stats::Signatures signatures;
  signatures.shape = {1, 2, 1};
  signatures.values.resize(6, 2);
  signatures.values << 1, 0, 0.9, 0.1, 0, 1, 0.8, 0.2, 0.5, 0.5, 0.5, 0.5;
  signatures.ids = {"a", "b", "c", "d", "e", "f"};
  signatures.categories = {"x", "x", "x", "y", "z", "z"};
  // Of x: b lies between a and c, c is the one apart. The only one of y. Two of z that are alike.
  EXPECT_EQ(typical_and_extreme_rows(signatures), (std::vector<std::size_t>{1, 3, 4, 2}));
}

}  // namespace
}  // namespace moexray::app
