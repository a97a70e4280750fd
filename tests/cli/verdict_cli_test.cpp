// What `analyze` says and prints.
#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "made_trace.h"
#include "moexray/report/text_layout.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream stream(text);
  for (std::string line; std::getline(stream, line);) lines.push_back(line);
  return lines;
}

std::size_t widest(const std::string& text) {
  std::size_t width = 0;
  for (const std::string& line : lines_of(text)) {
    width = std::max(width, report::display_width(line));
  }
  return width;
}

bool says(const std::string& text, const std::string& part) {
  // Lines are folded where they may be.
  std::string flat = text;
  std::replace(flat.begin(), flat.end(), '\n', ' ');
  return flat.find(part) != std::string::npos;
}

// As many categories as a benchmark has subjects, and as many layers as the deepest models.
MadeTrace wide_trace() {
  MadeTrace made;
  made.n_layers = 61;
  for (int i = 0; i < 55; ++i) made.kinds.push_back("high_school_subject_no_" + std::to_string(i));
  made.kinds.emplace_back("高中數學與物理學的問題");
  made.kinds.emplace_back("🙂 a name in 57 characters that nobody would want to read");
  made.n_prompts = 114;
  made.n_tokens = 3;
  return made;
}

CommandResult run_at_width(int columns, std::vector<std::string> words) {
  words.insert(words.begin(),
               {"env", "COLUMNS=" + std::to_string(columns), program_path().string()});
  return run_command(words);
}

// As in a pipe, where nothing says how wide lines may be.
CommandResult run_in_pipe(std::vector<std::string> words) {
  words.insert(words.begin(), {"env", "-u", "COLUMNS", program_path().string()});
  return run_command(words);
}

TEST(AnalyzeScreen, FitsWhateverTheCategoriesAndLayers) {
  const TemporaryDirectory place;
  write_made_trace(place.path() / "t", wide_trace());
  const std::vector<std::string> words{
      "analyze", place.path() / "t", "-o", place.path() / "out", "--force", "--quick", "--draws",
      "4",       "--resamples",      "19", "--permutations",     "39"};
  const CommandResult piped = run_in_pipe(words);
  ASSERT_EQ(piped.exit_code, 0) << piped.err;
  EXPECT_LE(lines_of(piped.out).size(), 60U);
  EXPECT_LE(widest(piped.out), 80U) << piped.out;
  EXPECT_TRUE(says(piped.out, "57 categories: fig1_similarity.tsv")) << piped.out;
  EXPECT_TRUE(says(piped.out, "left out here: stats_layers.tsv has all")) << piped.out;
  for (const int columns : {60, 100, 200}) {
    const CommandResult found = run_at_width(columns, words);
    ASSERT_EQ(found.exit_code, 0) << found.err;
    EXPECT_LE(lines_of(found.out).size(), 60U) << columns;
    EXPECT_LE(widest(found.out), static_cast<std::size_t>(columns)) << found.out;
  }
  std::vector<std::string> verbose = words;
  verbose.emplace_back("--verbose");
  const CommandResult all = run_in_pipe(verbose);
  ASSERT_EQ(all.exit_code, 0) << all.err;
  EXPECT_GT(lines_of(all.out).size(), 200U);
  EXPECT_LE(widest(all.out), 80U);
}

TEST(AnalyzeScreen, SingleCommandsKeepToTheWidthToo) {
  const TemporaryDirectory place;
  MadeTrace made = wide_trace();
  made.n_layers = 7;
  made.n_prompts = 285;
  write_made_trace(place.path() / "t", made);
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"signatures"},
           {"similarity"},
           {"baselines", "--draws", "4", "--shuffles", "99"},
           {"layers"},
           {"stats", "--resamples", "99", "--permutations", "99", "--null-draws", "4"},
           {"project"},
           {"classify", "--nested-repetitions", "0"},
           {"experts"},
           {"information", "--permutations", "99", "--nested-repetitions", "0"}}) {
    std::vector<std::string> all = words;
    all.push_back(place.path() / "t");
    const CommandResult found = run_in_pipe(all);
    ASSERT_EQ(found.exit_code, 0) << found.err;
    EXPECT_LE(widest(found.out), 80U) << words[0] << '\n' << found.out;
  }
}

TEST(AnalyzeVerdict, EndsTheOutputAndStandsInTheReport) {
  const TemporaryDirectory place;
  MadeTrace made;
  made.kinds = {"code", "math", "story"};
  made.n_prompts = 36;
  write_made_trace(place.path() / "t", made);
  const auto out = place.path() / "out";
  const CommandResult found = run_moexray({"analyze", place.path() / "t", "-o", out, "--quiet"});
  ASSERT_EQ(found.exit_code, 0) << found.err;
  EXPECT_EQ(found.err, "");
  const json verdict = json::parse(file_content(out / "report.json")).at("verdict");
  EXPECT_EQ(verdict.at("difference").at("outcome"), "found");
  EXPECT_EQ(verdict.at("classifier").at("outcome"), "found");
  EXPECT_EQ(verdict.at("layers").at("outcome"), "found");
  const std::string text = verdict.at("text");
  EXPECT_TRUE(text.starts_with("Routing differs between the 3 categories"));
  std::string last = found.out.substr(found.out.rfind("\n\n") + 2);
  std::replace(last.begin(), last.end(), '\n', ' ');
  EXPECT_EQ(last, text + " ");
}

TEST(AnalyzeVerdict, ClaimsNothingOfShuffledLabels) {
  const TemporaryDirectory place;
  MadeTrace made;
  made.kinds = {"code", "math", "story"};
  made.n_prompts = 36;
  made.categories = shuffled_names(made.kinds, 36, 3);
  write_made_trace(place.path() / "t", made);
  const json report = run_for_json({"analyze", place.path() / "t", "-o", place.path() / "out"});
  const json& verdict = report.at("verdict");
  EXPECT_EQ(verdict.at("difference").at("outcome"), "not found");
  EXPECT_NE(verdict.at("beyond_tokens_and_positions").at("outcome"), "found");
  EXPECT_EQ(verdict.at("classifier").at("outcome"), "not found");
  EXPECT_NE(verdict.at("layers").at("outcome"), "found");
  EXPECT_TRUE(verdict.at("layers").at("layer").is_null());
  EXPECT_EQ(verdict.at("experts").at("outcome"), "not found");
  EXPECT_EQ(verdict.at("experts").at("named"), json::array());
  const std::string text = verdict.at("text");
  EXPECT_TRUE(text.starts_with("No difference between the 3 categories was found")) << text;
  for (const char* claim : {"Routing differs", "differ from the other",
                            "goes beyond single tokens and positions:", ", better than chance",
                            "separate", "Not excluded"}) {
    EXPECT_FALSE(says(text, claim)) << claim << ": " << text;
  }
}

TEST(AnalyzeVerdict, SaysWhyNothingWasTested) {
  const TemporaryDirectory place;
  const auto verdict = [&](const std::vector<TinyPrompt>& prompts) {
    write_tiny_trace(place.path() / "t", 2, prompts);
    return run_for_json({"analyze", place.path() / "t", "-o", place.path() / "out", "--force"})
        .at("verdict");
  };
  json found = verdict({{"p", "a", {0, 1}}, {"q", "a", {0}}});
  EXPECT_EQ(found.at("difference").at("outcome"), "not tested");
  EXPECT_EQ(found.at("text"),
            "Whether routing differs between categories was not tested: all prompts are of one "
            "category, \"a\".");
  found = verdict({{"p", "", {0, 1}}, {"q", "", {0}}});
  EXPECT_TRUE(says(found.at("text"), "the prompts have no categories"));
  found = verdict({{"p", "", {0, 1}}, {"q", "b", {0}}});
  EXPECT_TRUE(says(found.at("text"), "1 of 2 prompts have no category"));
  found = verdict({{"p", "a", {0, 1}}, {"q", "b", {0}}});
  EXPECT_EQ(found.at("difference").at("outcome"), "cannot tell");
  EXPECT_TRUE(says(found.at("text"), "no two prompts are of one category"));
}

TEST(AnalyzeVerdict, QuickLeavesTheSlowPartsOutAndSaysSo) {
  const TemporaryDirectory place;
  const std::vector<std::string> words{"analyze", small_trace(), "-o",     place.path() / "out",
                                       "--folds", "4",           "--quick"};
  const json report = run_for_json(words);
  EXPECT_FALSE(report.contains("confounds"));
  EXPECT_FALSE(report.contains("information"));
  EXPECT_EQ(report.at("verdict").at("beyond_tokens_and_positions").at("outcome"), "not tested");
  EXPECT_EQ(report.at("verdict").at("beyond_tokens_and_positions").at("reason"),
            "left out by --quick");
  std::vector<std::string> both = words;
  both.emplace_back("--full");
  expect_failure(both, 2, "--quick and --full exclude each other");
}

TEST(AnalyzeVerdict, FoldsThatAreTooFewForConfoundsLeaveThemOut) {
  const TemporaryDirectory place;
  const json report =
      run_for_json({"analyze", small_trace(), "-o", place.path() / "out", "--folds", "3"});
  EXPECT_TRUE(report.at("confounds").is_null());
  EXPECT_TRUE(report.at("information").is_null());
  EXPECT_TRUE(says(report.at("verdict").at("text"),
                   "whether routing goes beyond the words (--folds: number of folds: expected 4 to "
                   "64, found 3)"))
      << report.at("verdict").at("text");
}

}  // namespace
}  // namespace moexray::test
