#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <set>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/markup.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

// The small trace's events, read plainly: id → (pos, layer) → record.
std::map<std::string, std::map<std::pair<int, int>, json>> all_events() {
  std::map<std::string, std::map<std::pair<int, int>, json>> events;
  for (const char* name : {"events-00000.jsonl", "events-00001.jsonl"}) {
    std::ifstream file(small_trace() / name);
    for (std::string line; std::getline(file, line);) {
      const json record = json::parse(line);
      events[record.at("prompt_id")][{record.at("pos"), record.at("layer")}] = record;
    }
  }
  return events;
}

TEST(ShowCommand, ShowsTheRecordsOfOnePrompt) {
  const json found = run_for_json({"show", "math-2", small_trace()});
  const auto events = all_events().at("math-2");
  EXPECT_EQ(found.at("id"), "math-2");
  EXPECT_EQ(found.at("category"), "math");
  std::size_t n = 0;
  for (const json& token : found.at("tokens")) {
    for (const json& layer : token.at("layers")) {
      const json& record = events.at({token.at("pos"), layer.at("layer")});
      EXPECT_EQ(layer.at("experts"), record.at("experts"));
      EXPECT_EQ(token.at("type"), record.at("type"));
      EXPECT_EQ(token.at("template"), record.value("template", false));
      if (record.contains("weights")) {
        ASSERT_EQ(layer.at("weights").size(), record.at("weights").size());
        for (std::size_t i = 0; i < record.at("weights").size(); ++i) {
          EXPECT_NEAR(layer.at("weights")[i], record.at("weights")[i].get<double>(), 1e-6);
        }
      }
      ++n;
    }
  }
  EXPECT_EQ(n, events.size());
  const json one = run_for_json({"show", "math-2", small_trace(), "--layer", "1"});
  for (const json& token : one.at("tokens")) {
    ASSERT_EQ(token.at("layers").size(), 1U);
    EXPECT_EQ(token.at("layers")[0].at("layer"), 1);
  }
}

// The mean signature of the other prompts of the category by plain loops, and from it the
// distances.
TEST(ShowCommand, DistancesAreFromTheOtherPromptsOfTheCategory) {
  constexpr int n_experts = 8;
  constexpr int n_layers = 2;
  constexpr int k = 2;
  const auto events = all_events();
  std::map<int, std::vector<double>> mean;
  for (int layer = 0; layer < n_layers; ++layer) mean[layer].assign(n_experts, 0);
  for (const char* id : {"math-1", "math-3", "math-4"}) {
    std::map<int, std::vector<double>> counts;
    std::map<int, double> sums;
    for (const auto& [key, record] : events.at(id)) {
      counts[key.second].resize(n_experts);
      for (const int expert : record.at("experts")) {
        ++counts[key.second][static_cast<std::size_t>(expert)];
        ++sums[key.second];
      }
    }
    for (auto& [layer, values] : counts) {
      for (std::size_t e = 0; e < n_experts; ++e) mean[layer][e] += values[e] / sums[layer] / 3;
    }
  }
  const json found = run_for_json({"show", "math-2", small_trace()});
  EXPECT_EQ(found.at("reference"), "the mean of 3 other prompts of category \"math\"");
  for (const json& token : found.at("tokens")) {
    double sum = 0;
    for (const json& layer : token.at("layers")) {
      std::vector<double> sorted = mean[layer.at("layer")];
      std::sort(sorted.rbegin(), sorted.rend());
      double largest = 0;
      for (int i = 0; i < k; ++i) largest += sorted[static_cast<std::size_t>(i)];
      double chosen = 0;
      for (const int e : layer.at("experts")) {
        chosen += mean[layer.at("layer")][static_cast<std::size_t>(e)];
      }
      EXPECT_NEAR(layer.at("distance"), 1 - chosen / largest, 1e-12);
      sum += layer.at("distance").get<double>();
    }
    EXPECT_NEAR(token.at("distance"), sum / n_layers, 1e-12);
  }
}

TEST(ShowCommand, PrintsATokenALine) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 4,
                   {{"p", "a", {0, 1, 3}}, {"q", "a", {0, 0, 0, 1}}, {"r", "b", {2}}});
  const CommandResult result = run_moexray({"show", "p", place.path() / "t"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out,
            "p (a): 3 tokens, 3 of the prompt\n"
            "Distance of a token's experts from the mean of 1 other prompt of category \"a\", mean "
            "over layers: 0 for the experts used most; 0.17 on average for their own tokens, 0.67 "
            "for tokens routed at random.\n"
            "\n"
            "Top expert of each layer, from 0 (--layer N shows all experts of one):\n"
            "pos token type   distance 0\n"
            "  0 ?     prompt     0.00 0\n"
            "  1 ?     prompt     0.67 1\n"
            "  2 ?     prompt     1.00 3\n");
  const CommandResult layer =
      run_moexray({"show", "p", place.path() / "t", "--layer", "0", "--color-by", "expert"});
  EXPECT_EQ(layer.out,
            "p (a): 3 tokens, 3 of the prompt\n"
            "\n"
            "pos token type   experts (weights), most probable first\n"
            "  0 ?     prompt 0\n"
            "  1 ?     prompt 1\n"
            "  2 ?     prompt 3\n");
}

TEST(ShowCommand, ColoursOnlyWhereTheyAreWanted) {
  const std::vector<std::string> words{"show", "code-1", small_trace()};
  EXPECT_FALSE(holds(run_moexray(words).out, "\x1b"));
  for (const char* what : {"expert", "distance"}) {
    std::vector<std::string> always = words;
    always.insert(always.end(), {"--color", "always", "--color-by", what});
    const std::string out = run_moexray(always).out;
    EXPECT_TRUE(holds(out, "\x1b[48;5;")) << what;
    EXPECT_TRUE(holds(out, "Colours: ")) << what;
  }
}

TEST(ShowCommand, WithoutOthersThereAreNoDistances) {
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 4, {{"p", "a", {0, 1}}, {"q", "b", {2}}, {"r", "", {2}}});
  const CommandResult result = run_moexray({"show", "p", place.path() / "t"});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_EQ(result.err,
            "no distances: there is no other prompt of category \"a\" to compare with\n");
  EXPECT_FALSE(holds(result.out, "distance"));
  // A prompt without a category is compared with all others.
  const json found = run_for_json({"show", "r", place.path() / "t"});
  EXPECT_EQ(found.at("reference"), "the mean of 2 other prompts");
  const json other = run_for_json({"show", "q", place.path() / "t", "--color-by", "expert"});
  EXPECT_TRUE(other.at("reference").is_null());
  EXPECT_TRUE(other.at("tokens")[0].at("distance").is_null());
}

TEST(ShowCommand, NamesIdsThatLookLikeAnUnknownOne) {
  expect_failure({"show", "code-5", small_trace()}, 1,
                 "no such prompt: expected an id of the trace; close ones are \"code-1\"");
  expect_failure({"show", "zzzzzzzzzzzz", small_trace()}, 1,
                 "one of 12 ids: \"code-1\", \"math-1\"");
  expect_failure({"show", "code-1\x1b[2J", small_trace()}, 1, "\\x1b[2J");
  expect_failure({"show", "code-1", small_trace(), "--layer", "2"}, 2, "expected 0 to 1, found 2");
  expect_failure({"show"}, 2, "missing argument ID");
  expect_failure({"show", "code-1", small_trace(), "--json", "-", "--html", "-"}, 2, "only one of");
}

// A prompt whose tokens try everything.
void write_hostile_trace(const std::filesystem::path& directory) {
  write_tiny_trace(directory, 4, {{"p", "a", {0, 1, 2, 3}}, {"q", "a", {0}}});
  const json manifest = {{"format", "moexray-trace"},
                         {"version", 1},
                         {"model", {{"n_layers", 1}, {"n_experts", 4}, {"top_k", 1}}},
                         {"tokenizer", {{"kind", "byte_level_bpe"}}}};
  std::ofstream(directory / "manifest.json") << manifest.dump() << '\n';
  const json p = {{"id", "p"},
                  {"category", "<a>&\"'"},
                  {"events_file", "e.jsonl"},
                  {"prompt", "</title><script>alert(1)</script>"},
                  {"token_ids", {5, 6, 7, 8}},
                  {"tokens", {"<script>", "Ġæ¼¢", "Ċ", "\x1b[2J\"'&"}}};
  const json q = {{"id", "q"}, {"category", "<a>&\"'"}, {"events_file", "e.jsonl"}};
  std::ofstream(directory / "prompts.jsonl") << p.dump() << '\n' << q.dump() << '\n';
}

TEST(ShowCommand, HostileTokensDoNoHarm) {
  const TemporaryDirectory place;
  write_hostile_trace(place.path() / "t");
  const CommandResult text = run_moexray({"show", "p", place.path() / "t"});
  EXPECT_EQ(text.exit_code, 0) << text.err;
  EXPECT_FALSE(holds(text.out, "\x1b"));
  EXPECT_TRUE(holds(text.out, "  1 ␣漢"));
  EXPECT_TRUE(holds(text.out, "  2 ⏎"));
  EXPECT_TRUE(holds(text.out, "\\x1b[2J"));
  for (const char* what : {"expert", "distance"}) {
    const CommandResult page =
        run_moexray({"show", "p", place.path() / "t", "--html", "-", "--color-by", what});
    EXPECT_EQ(page.exit_code, 0) << page.err;
    EXPECT_EQ(markup_fault(page.out), "");
    EXPECT_FALSE(holds(page.out, "<script"));
    EXPECT_FALSE(holds(page.out, "\x1b"));
    EXPECT_TRUE(holds(page.out, ">&lt;script&gt;"));
  }
}

TEST(ShowCommand, WritesAPageOfItsOwn) {
  const TemporaryDirectory place;
  const auto file = place.path() / "p.html";
  const CommandResult result = run_moexray({"show", "code-2", small_trace(), "--html", file});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "wrote " + file.string() + "\n");
  const std::string page = file_content(file);
  EXPECT_EQ(markup_fault(page), "");
  for (const char* never : {"<script", "http://", "https://", "url("}) {
    EXPECT_FALSE(holds(page, never)) << never;
  }
  // One view a layer and one for their mean, one button each.
  EXPECT_EQ(count_of(page, "<input type=\"radio\""), 3U);
  EXPECT_EQ(count_of(page, " checked>"), 1U);
  EXPECT_EQ(count_of(page, "<p class=\"tokens view view-"), 3U);
  const auto n_tokens = all_events().at("code-2").size() / 2;
  EXPECT_EQ(count_of(page, "<span class=\"t "), 3 * n_tokens);
  const json found = run_for_json({"show", "code-2", small_trace()});
  const json& experts = found.at("tokens")[0].at("layers")[1].at("experts");
  EXPECT_TRUE(holds(page, "title=\"layer 1: " + experts[0].dump() + " ("));

  expect_failure({"show", "code-2", small_trace(), "--html", file}, 1, "--force to replace it");
  EXPECT_EQ(run_moexray({"show", "code-2", small_trace(), "--html", file, "--force"}).exit_code, 0);
  EXPECT_EQ(file_content(file), page);
  std::ofstream(file) << "<html>somebody's page";
  expect_failure({"show", "code-2", small_trace(), "--html", file, "--force"}, 1, "not replaced");
}

}  // namespace
}  // namespace moexray::test
