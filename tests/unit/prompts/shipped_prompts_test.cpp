// The 80 prompts that the project ships, through the reader that every user's prompts go through.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "moexray/trace/prompts.h"

namespace moexray {
namespace {

int count_words(const std::string& text) {
  std::istringstream words(text);
  std::string word;
  int n_words = 0;
  while (words >> word) ++n_words;
  return n_words;
}

TEST(ShippedPrompts, are_twenty_of_each_category_with_unique_ids) {
  const PromptSet set = read_prompts(MOEXRAY_TEST_PROMPTS);
  EXPECT_EQ(set.prompts.size(), 80u);
  std::map<std::string, int> n_in_category;
  std::set<std::string> ids;
  std::set<std::string> texts;
  for (const Prompt& prompt : set.prompts) {
    ++n_in_category[prompt.category];
    ids.insert(prompt.id);
    texts.insert(prompt.text);
    EXPECT_EQ(prompt.id.rfind(prompt.category + "-", 0), 0u) << prompt.id;
    EXPECT_EQ(prompt.meta_json, "{}") << prompt.id;
    EXPECT_TRUE(std::all_of(prompt.text.begin(), prompt.text.end(), [](char c) {
      return c >= 0x20 && c < 0x7f;
    })) << prompt.id;
  }
  const std::map<std::string, int> expected = {
      {"code", 20}, {"factual", 20}, {"math", 20}, {"story", 20}};
  EXPECT_EQ(n_in_category, expected);
  EXPECT_EQ(ids.size(), 80u);
  EXPECT_EQ(texts.size(), 80u);
}

// Routing similarity depends on the number of tokens: categories of different lengths would differ
// for that reason alone.
TEST(ShippedPrompts, lengths_do_not_tell_the_category) {
  std::map<std::string, std::vector<int>> lengths;
  for (const Prompt& prompt : read_prompts(MOEXRAY_TEST_PROMPTS).prompts) {
    lengths[prompt.category].push_back(count_words(prompt.text));
  }
  ASSERT_EQ(lengths.size(), 4u);
  for (auto& [category, values] : lengths) std::sort(values.begin(), values.end());
  for (const auto& [category, values] : lengths) {
    ASSERT_EQ(values.size(), lengths["code"].size());
    EXPECT_GE(values.front(), 8) << category;
    EXPECT_LE(values.back(), 90) << category;
    for (std::size_t i = 0; i < values.size(); ++i) {
      EXPECT_NEAR(values[i], lengths["code"][i], 2 + 0.15 * values[i]) << category << " " << i;
    }
  }
}

}  // namespace
}  // namespace moexray
