#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/markup.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;

bool has_rsvg_convert() {
  return std::system("command -v rsvg-convert >/dev/null 2>&1") == 0;  // NOLINT
}

// Runs moexray where PATH leads to nothing.
CommandResult run_without_programs(const std::vector<std::string>& words) {
  std::vector<std::string> all{"env", "PATH=/nowhere", program_path()};
  all.insert(all.end(), words.begin(), words.end());
  return run_command(all);
}

std::size_t count(const std::string& text, const std::string& part) {
  std::size_t n = 0;
  for (std::size_t at = 0; (at = text.find(part, at)) != std::string::npos; at += part.size()) ++n;
  return n;
}

TEST(Figures, ComeAsSvgWithDataEvenWithoutRsvgConvert) {
  const TemporaryDirectory place;
  const CommandResult result =
      run_without_programs({"similarity", small_trace(), "-o", place.path() / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(count(result.err, "librsvg2-bin"), 1U) << result.err;
  EXPECT_NE(result.err.find("fig1_similarity.{tsv,svg}, fig1_pairs.{tsv,svg}, "
                            "fig1_prompts.{tsv,svg}"),
            std::string::npos)
      << result.err;
  const auto files = directory_contents(place.path() / "out");
  for (const std::string name : {"fig1_similarity", "fig1_prompts"}) {
    EXPECT_EQ(files.at(name + ".svg").find("var("), std::string::npos) << name;
    EXPECT_EQ(markup_fault(files.at(name + ".svg")), "") << name;
    EXPECT_FALSE(files.contains(name + ".png") || files.contains(name + ".pdf")) << name;
  }
  const std::string& table = files.at("fig1_similarity.tsv");
  EXPECT_TRUE(table.starts_with("category\tother_category\tmean_similarity\n")) << table;
  EXPECT_EQ(count(table, "\n"), 1U + 9U) << "three categories";
  EXPECT_EQ(count(files.at("fig1_prompts.tsv"), "\n"), 1U + 144U) << "twelve prompts";
  EXPECT_TRUE(run_without_programs({"similarity", small_trace()}).err.empty())
      << "nothing is drawn without -o, and nothing missed";
}

// Prompts of two categories that share no expert, or whose categories mean nothing.
std::vector<TinyPrompt> prompts_with(bool effect) {
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < 16; ++i) {
    const int expert = effect ? 2 * (i % 2) : 2 * (i / 8);
    std::vector<int> experts(12, expert);
    experts.back() += (i / 2) % 2;
    prompts.push_back({"p" + std::to_string(i), i % 2 == 0 ? "a" : "b", experts});
  }
  return prompts;
}

TEST(Figures, RingALayerOnlyIfItsAdjustedPSaysSo) {
  for (const bool effect : {true, false}) {
    const TemporaryDirectory place;
    const fs::path out = place.path() / "out";
    write_tiny_trace(place.path() / "t", 4, prompts_with(effect));
    const CommandResult result = run_without_programs(
        {"layers", place.path() / "t", "-o", out, "--permutations", "199", "--resamples", "199"});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    const auto files = directory_contents(out);
    const std::string& drawing = files.at("fig3_layers.svg");
    EXPECT_EQ(markup_fault(drawing), "");
    EXPECT_EQ(drawing.find(">peak: layer 0, adjusted p = 0.0") != std::string::npos, effect);
    EXPECT_EQ(drawing.find("No layer is marked: none separates") != std::string::npos, !effect);
    EXPECT_EQ(result.out.find("peak: layer 0") == std::string::npos, !effect) << result.out;
    EXPECT_TRUE(files.at("fig3_layers.tsv")
                    .starts_with("layer\tcohens_d\tci95_low\tci95_high\ttested\tnull95\n0\t"));
  }
}

TEST(Figures, HaveScalesOfTheirOwnNotOfTheData) {
  const TemporaryDirectory place;
  const fs::path out = place.path() / "out";
  write_tiny_trace(place.path() / "t", 4, prompts_with(false));
  ASSERT_EQ(run_without_programs({"similarity", place.path() / "t", "-o", out}).exit_code, 0);
  const auto files = directory_contents(out);
  for (const char* const name : {"fig1_similarity.svg", "fig1_prompts.svg"}) {
    const std::string& drawing = files.at(name);
    EXPECT_NE(drawing.find("(fixed scale)"), std::string::npos) << name;
    EXPECT_NE(drawing.find(">0.0</text>"), std::string::npos) << name;
    EXPECT_NE(drawing.find(">1.0</text>"), std::string::npos) << name;
    EXPECT_NE(drawing.find("uniform routing of as many tokens"), std::string::npos) << name;
  }
  const std::string& pairs = files.at("fig1_pairs.tsv");
  EXPECT_TRUE(pairs.starts_with("pairs\tsimilarity_from\tsimilarity_to\tshare\n")) << pairs;
  EXPECT_NE(pairs.find("within categories"), std::string::npos);
  EXPECT_NE(files.at("fig1_pairs.svg").find("uniform routing, mean"), std::string::npos);
}

TEST(Figures, AreDrawnTheSameEveryTime) {
  if (!has_rsvg_convert()) GTEST_SKIP() << "rsvg-convert is not installed";
  const TemporaryDirectory place;
  for (const char* const name : {"a", "b"}) {
    const CommandResult result =
        run_moexray({"similarity", small_trace(), "-o", place.path() / name});
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err.find("missing"), std::string::npos) << result.err;
    EXPECT_NE(result.err.find("fig1_similarity.{tsv,svg,png,pdf}"), std::string::npos)
        << result.err;
  }
  const auto files = directory_contents(place.path() / "a");
  EXPECT_EQ(files, directory_contents(place.path() / "b"));
  for (const auto& [name, bytes] : files) EXPECT_FALSE(bytes.empty()) << name;
  EXPECT_NE(files.at("fig1_prompts.svg").find("story"), std::string::npos);
}

TEST(Figures, HoldHostileNamesHarmlessly) {
  const TemporaryDirectory place;
  const fs::path out = place.path() / "out";
  write_tiny_trace(place.path() / "t", 4,
                   {{"`touch pwned`", "`touch pwned`", {0, 1}},
                    {"'; system('touch pwned'); '", "$(touch pwned)", {1, 2}},
                    {"\"`touch pwned`\"\\", "''; system 'touch pwned' #", {2, 3}},
                    {"p", "\\", {3, 0}},
                    {"# p", "100% {/Bold x} <b>&", {1, 3}}});
  const CommandResult result = run_moexray({"similarity", place.path() / "t", "-o", out});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err.find("missing:"), std::string::npos) << result.err;
  EXPECT_FALSE(fs::exists(out / "pwned"));
  EXPECT_FALSE(fs::exists(place.path() / "pwned"));
  EXPECT_FALSE(fs::exists("pwned"));
  const std::string drawing = directory_contents(out).at("fig1_similarity.svg");
  EXPECT_EQ(markup_fault(drawing), "");
  for (const char* const text : {">`touch pwned`</text>", ">$(touch pwned)</text>", ">\\</text>",
                                 ">&#39;&#39;; system &#39;touch pwned&#39; #</text>",
                                 ">100% {/Bold x} &lt;b&gt;&amp;</text>"}) {
    EXPECT_NE(drawing.find(text), std::string::npos) << text;
  }
}

TEST(Figures, OfManyPromptsAreLeftOut) {
  const TemporaryDirectory place;
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < 501; ++i) {
    prompts.push_back({"p" + std::to_string(i), i % 2 == 0 ? "a" : "b", {i % 3}});
  }
  write_tiny_trace(place.path() / "t", 4, prompts);
  const CommandResult result =
      run_without_programs({"similarity", place.path() / "t", "-o", place.path() / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("fig1_prompts is not drawn for more than 500 prompts"),
            std::string::npos)
      << result.err;
  const auto files = directory_contents(place.path() / "out");
  EXPECT_TRUE(files.contains("fig1_similarity.svg"));
  EXPECT_FALSE(files.contains("fig1_prompts.svg"));
}

}  // namespace
}  // namespace moexray::test
