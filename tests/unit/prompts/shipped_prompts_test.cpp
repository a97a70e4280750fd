// The prompts that the project ships, through the reader that every user's prompts go through.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
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

// A prompt of crossed80.jsonl, and how its topic is called in the text.
struct CrossedPrompt {
  Prompt prompt;
  std::string topic;
  std::string wording;
  std::string phrase;
};

std::vector<CrossedPrompt> crossed_prompts() {
  const std::map<std::string, std::string> phrases = {
      {"prime numbers", "prime numbers"},
      {"dragon", "a dragon"},
      {"sorting", "sorting"},
      {"French Revolution", "the French Revolution"}};
  std::vector<CrossedPrompt> result;
  for (const Prompt& prompt : read_prompts(MOEXRAY_TEST_CROSSED_PROMPTS).prompts) {
    const auto meta = nlohmann::json::parse(prompt.meta_json);
    const std::string topic = meta.at("topic");
    result.push_back({prompt, topic, meta.at("wording"), phrases.at(topic)});
  }
  return result;
}

TEST(CrossedPrompts, have_five_wordings_in_every_cell) {
  std::map<std::pair<std::string, std::string>, std::set<std::string>> wordings;
  std::set<std::string> ids;
  std::set<std::string> texts;
  const std::vector<CrossedPrompt> prompts = crossed_prompts();
  EXPECT_EQ(prompts.size(), 80u);
  for (const CrossedPrompt& one : prompts) {
    wordings[{one.prompt.category, one.topic}].insert(one.wording);
    ids.insert(one.prompt.id);
    texts.insert(one.prompt.text);
    EXPECT_EQ(one.prompt.id.rfind(one.wording + "-", 0), 0u) << one.prompt.id;
    EXPECT_TRUE(std::all_of(one.prompt.text.begin(), one.prompt.text.end(), [](char c) {
      return c >= 0x20 && c < 0x7f;
    })) << one.prompt.id;
  }
  EXPECT_EQ(wordings.size(), 16u);
  for (const auto& [cell, own] : wordings) EXPECT_EQ(own.size(), 5u) << cell.first << cell.second;
  EXPECT_EQ(ids.size(), 80u);
  EXPECT_EQ(texts.size(), 80u);
}

// Otherwise a difference between topics could be one between wordings.
TEST(CrossedPrompts, topics_share_their_wordings_and_nothing_else) {
  std::map<std::string, std::set<std::string>> patterns;
  std::map<std::string, std::set<std::string>> tasks;
  for (const CrossedPrompt& one : crossed_prompts()) {
    const std::size_t at = one.prompt.text.find(one.phrase);
    ASSERT_NE(at, std::string::npos) << one.prompt.id << " does not name its topic";
    std::string pattern = one.prompt.text;
    pattern.replace(at, one.phrase.size(), "...");
    for (const char* word : {"prime", "dragon", "sort", "Revolution"}) {
      EXPECT_EQ(pattern.find(word), std::string::npos) << one.prompt.id;
    }
    patterns[one.wording].insert(pattern);
    tasks[one.wording].insert(one.prompt.category);
  }
  EXPECT_EQ(patterns.size(), 20u);
  std::set<std::string> all;
  for (const auto& [wording, own] : patterns) {
    EXPECT_EQ(own.size(), 1u) << wording;
    EXPECT_EQ(tasks[wording].size(), 1u) << wording;
    all.insert(own.begin(), own.end());
  }
  EXPECT_EQ(all.size(), 20u);
}

// Tests compare the first tokens that prompts have in common: the topic is to be among them.
TEST(CrossedPrompts, are_equally_long_and_name_the_topic_early) {
  std::map<std::string, int> n_words;
  for (const CrossedPrompt& one : crossed_prompts()) {
    const int n_topic = count_words(one.phrase);
    const int n = count_words(one.prompt.text) - n_topic;
    EXPECT_GE(n, 26) << one.prompt.id;
    EXPECT_LE(n, 30) << one.prompt.id;
    const std::size_t at = one.prompt.text.find(one.phrase);
    EXPECT_LE(count_words(one.prompt.text.substr(0, at)), 8) << one.prompt.id;
    n_words[one.prompt.category] += n;
  }
  for (const auto& [category, n] : n_words) EXPECT_NEAR(n / 20.0, 28, 1) << category;
}

}  // namespace
}  // namespace moexray
