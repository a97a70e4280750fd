// Manners of all analyses: ties, singular and plural, facts told once, names of columns.
#include <gtest/gtest.h>

#include <regex>
#include <set>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t n = 0;
  for (std::size_t at = text.find(part); at != std::string_view::npos; at = text.find(part, at + 1))
    ++n;
  return n;
}

TEST(Manners, EqualMeansAreTies) {
  const TemporaryDirectory place;
  const fs::path trace = place.path() / "t";
  // One expert for all: every similarity is 1.
  write_tiny_trace(trace, 1, {{"p", "a", {0, 0}}, {"q", "a", {0}}, {"r", "b", {0, 0, 0}}});
  const CommandResult result = run_moexray({"baselines", trace, "-q"});
  EXPECT_NE(result.out.find("ordering: within = across = permutation = load balance\n"),
            std::string::npos)
      << result.out;
  const json found = run_for_json({"baselines", trace});
  EXPECT_EQ(found.at("ordering"), json({"within", "across", "permutation", "load_balance"}));
  EXPECT_EQ(found.at("ordering_groups"), json::array({found.at("ordering")}));
  const json small = run_for_json({"baselines", small_trace()});
  EXPECT_EQ(small.at("ordering").size(), 4U);
  EXPECT_EQ(small.at("ordering_groups").size(), 4U);
}

TEST(Manners, OneIsSingular) {
  static const std::regex wrong(
      "(^|[^0-9.,/–])1 (prompt|(MoE "
      ")?layer|token|expert|draw|shuffle|fold|unit|group|pair|resample|"
      "relabelling|permutation|repetition|categorie|file|batche|value)s\\b");
  const TemporaryDirectory place;
  const fs::path trace = place.path() / "t";
  const auto expect_singular = [](const std::string& text, const std::string& what) {
    std::smatch found;
    EXPECT_FALSE(std::regex_search(text, found, wrong)) << what << ": " << found.str();
  };
  for (const auto& prompts :
       {std::vector<TinyPrompt>{{"p", "a", {0}}}, {{"p", "a", {0}}, {"q", "a", {0}}}, ordinary}) {
    write_tiny_trace(trace, prompts.size() > 2 ? 4 : 1, prompts);
    for (const std::vector<std::string>& command : std::vector<std::vector<std::string>>{
             {"signatures"},
             {"similarity"},
             {"baselines", "--draws", "1", "--shuffles", "1"},
             {"layers"},
             {"stats", "--resamples", "1", "--permutations", "1", "--rarefy-to", "1"},
             {"project"},
             {"classify", "--folds", "3", "--nested-repetitions", "1"},
             {"confounds", "--permutations", "1", "--nested-repetitions", "1"},
             {"information", "--permutations", "1", "--nested-repetitions", "1"},
             {"experts"},
             {"load", "--ep-size", "1", "--window", "1"},
             {"analyze", "-o", place.path() / "out", "--force"},
             {"show", prompts[0].id}}) {
      std::vector<std::string> words = command;
      words.insert(words.begin() + (command[0] == "show" ? 2 : 1), trace);
      const CommandResult result = run_moexray(words);
      expect_singular(result.out, command[0]);
      expect_singular(result.err, command[0]);
    }
    expect_singular(file_content(place.path() / "out" / "report.html"), "report.html");
  }
}

TEST(Manners, SmallDataAreToldOnce) {
  const TemporaryDirectory place;
  const auto notices_of = [&](const std::vector<TinyPrompt>& prompts) {
    write_tiny_trace(place.path() / "t", 4, prompts);
    const CommandResult result =
        run_moexray({"analyze", place.path() / "t", "-o", place.path() / "out", "--force"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.err;
  };
  const std::string one_prompt = notices_of({{"p", "a", {0, 1}}});
  EXPECT_EQ(count_of(one_prompt, "only one prompt"), 1U) << one_prompt;
  EXPECT_EQ(count_of(one_prompt, "category"), 0U) << one_prompt;
  EXPECT_NE(one_prompt.find("t-SNE left out"), std::string::npos) << one_prompt;
  EXPECT_NE(one_prompt.find("classify"), std::string::npos) << one_prompt;
  const std::string one_category = notices_of({{"p", "a", {0, 1}}, {"q", "a", {1, 1}}});
  EXPECT_EQ(count_of(one_category, "one category"), 1U) << one_category;
  std::vector<TinyPrompt> many;
  for (int i = 0; i < 30; ++i) {
    many.push_back({"p" + std::to_string(i), "c" + std::to_string(i), {0, i % 4}});
    many.push_back({"q" + std::to_string(i), "d" + std::to_string(i), {1, i % 4}});
    many.push_back({"r" + std::to_string(i), "d" + std::to_string(i), {2, i % 4}});
  }
  const std::string small = notices_of(many);
  EXPECT_EQ(count_of(small, "30 categories have one prompt (\"c0\", "), 1U) << small;
  EXPECT_EQ(count_of(small, "30 categories have 2 prompts (\"d0\", "), 1U) << small;
  EXPECT_LT(count_of(small, "\n"), 15U) << small;
}

TEST(Manners, ClassifyWritesProbabilities) {
  const TemporaryDirectory place;
  const json found = run_for_json({"classify", small_trace(), "--folds", "2",
                                   "--nested-repetitions", "0", "-o", place.path() / "out"});
  const std::size_t n_categories = found.at("categories").size();
  for (const json& prediction : found.at("predictions")) {
    const auto probabilities = prediction.at("probabilities").get<std::vector<double>>();
    ASSERT_EQ(probabilities.size(), n_categories);
    double sum = 0;
    for (const double p : probabilities) sum += p;
    EXPECT_NEAR(sum, 1, 1e-9);
    const auto likeliest = std::max_element(probabilities.begin(), probabilities.end());
    EXPECT_EQ(found.at("categories")[static_cast<std::size_t>(likeliest - probabilities.begin())],
              prediction.at("predicted"));
  }
  const std::string table = file_content(place.path() / "out" / "classify.tsv");
  std::string header = "id\tcategory\tpredicted\tfold";
  for (const json& category : found.at("categories"))
    header += "\tp_" + category.get<std::string>();
  EXPECT_TRUE(table.starts_with(header + "\n")) << table;
}

TEST(Manners, ColumnsHaveOneNameEach) {
  // Other words for what the files call id, layer, expert, category, n_tokens, ci95_low, p_value.
  const std::set<std::string> others{"prompt_id", "prompt",  "x",    "index",    "layer_index",
                                     "moe_layer", "experts", "low",  "high",     "ci_low",
                                     "ci_high",   "p",       "q",    "label",    "tokens",
                                     "class",     "d",       "name", "expert_id"};
  const TemporaryDirectory place;
  const fs::path out = place.path() / "out";
  const CommandResult result = run_moexray({"analyze", small_trace(), "-o", out, "--folds", "2"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  int n_files = 0;
  for (const auto& entry : fs::directory_iterator(out)) {
    const fs::path& path = entry.path();
    // Figures name theirs after what they draw.
    const bool is_figure = fs::exists(fs::path(path).replace_extension(".svg")) ||
                           fs::exists(fs::path(path).replace_extension(".gp"));
    if (path.extension() != ".tsv" || is_figure) continue;
    ++n_files;
    std::istringstream header(file_content(path));
    std::string line;
    std::getline(header, line);
    std::istringstream columns(line);
    for (std::string column; std::getline(columns, column, '\t');) {
      EXPECT_FALSE(others.contains(column)) << path.filename() << ": " << column;
    }
  }
  EXPECT_GE(n_files, 6);
}

}  // namespace
}  // namespace moexray::test
