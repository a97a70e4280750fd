#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <sstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// The points of a figure's .tsv as the JSON has them. `axes`: what it calls the coordinates.
json points_of(const fs::path& tsv, const std::string& axes) {
  std::istringstream lines(file_content(tsv));
  std::string line;
  std::getline(lines, line);
  EXPECT_EQ(line, "id\tcategory\t" + axes);
  json points = json::array();
  while (std::getline(lines, line)) {
    std::istringstream row(line);
    std::array<std::string, 4> cells;
    for (std::string& cell : cells) std::getline(row, cell, '\t');
    points.push_back({{"id", cells[0]},
                      {"category", cells[1] == "(none)" ? json() : json(cells[1])},
                      {"x", std::stod(cells[2])},
                      {"y", std::stod(cells[3])}});
  }
  return points;
}

TEST(ProjectCommand, PrintsThePcaByHand) {
  // Shares of the first expert: 1, 0.5, 0; the other two mirror it between them.
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  write_tiny_trace(trace, 2, {{"p", "a", {0, 0}}, {"q", "", {0, 1}}, {"r", "b", {1}}});
  const CommandResult result = run_moexray({"project", trace, "-o", place.path() / "out"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out,
            "3 prompts, 1 layer × 2 experts, top-1; all tokens\n"
            "\n"
            "PCA: the first two components explain 100.0% and 0.0% of the variance\n"
            "\n"
            "centre  prompts      PC1     PC2\n"
            "(none)        1   0.0000  0.0000\n"
            "a             1   0.7071  0.0000\n"
            "b             1  -0.7071  0.0000\n");
  const json report = json::parse(file_content(place.path() / "out" / "report.json")).at("project");
  EXPECT_EQ(report.at("method"), "pca");
  EXPECT_EQ(report.at("explained_variance_ratio").size(), 2U);
  EXPECT_NEAR(report.at("explained_variance_ratio").at(0), 1, 1e-14);
  EXPECT_EQ(report.at("explained_variance_ratio").at(1), 0);
  EXPECT_EQ(report.at("points"), points_of(place.path() / "out" / "fig4_pca.tsv", "pc1\tpc2"));
  EXPECT_NEAR(report.at("points").at(0).at("x"), std::sqrt(0.5), 1e-14);
  EXPECT_TRUE(report.at("points").at(1).at("category").is_null());
}

TEST(ProjectCommand, EmbedsByTsne) {
  const TemporaryDirectory place;
  const auto out = place.path() / "out";
  const std::vector<std::string> words{"project", small_trace(), "--method", "tsne"};
  std::vector<std::string> writing = words;
  writing.insert(writing.end(), {"-o", out, "--threads", "1"});
  const CommandResult result = run_moexray(writing);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("t-SNE: perplexity 3.667, KL divergence "), std::string::npos)
      << result.out;
  EXPECT_NE(result.err.find("12 prompts: perplexity of t-SNE lowered from 30 to 3.667"),
            std::string::npos)
      << result.err;
  const json found = run_for_json(words);
  EXPECT_EQ(found.at("method"), "tsne");
  EXPECT_EQ(found.at("perplexity"), 11.0 / 3);
  EXPECT_GT(found.at("kl_divergence"), 0);
  EXPECT_LE(found.at("trustworthiness"), 1);
  EXPECT_GT(found.at("trustworthiness"), 0.5);
  EXPECT_EQ(found.at("points").size(), 12U);
  EXPECT_EQ(found.at("points"), points_of(out / "fig5_tsne.tsv", "x\ty"));
  std::vector<std::string> narrow = words;
  narrow.insert(narrow.end(), {"--perplexity", "2"});
  EXPECT_EQ(run_for_json(narrow).at("perplexity"), 2);
}

TEST(ProjectCommand, StandardizesOnRequest) {
  const json plain = run_for_json({"project", small_trace()});
  const json scaled = run_for_json({"project", small_trace(), "--standardize"});
  EXPECT_EQ(plain.at("standardize"), false);
  EXPECT_EQ(scaled.at("standardize"), true);
  EXPECT_NE(plain.at("explained_variance_ratio"), scaled.at("explained_variance_ratio"));
}

TEST(ProjectCommand, SaysWhatFewOrEqualPromptsMean) {
  const TemporaryDirectory place;
  const auto trace = place.path() / "t";
  write_tiny_trace(trace, 2, {{"p", "a", {0, 1}}, {"q", "a", {1, 0}}, {"r", "b", {0, 1}}});
  CommandResult result = run_moexray({"project", trace});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("all signatures are equal"), std::string::npos) << result.err;
  EXPECT_NE(result.out.find("explain n/a and n/a of"), std::string::npos) << result.out;
  expect_failure({"project", trace, "--method", "tsne"}, 1, "3 prompts: t-SNE needs 4 to 20000");
  result = run_moexray({"analyze", trace, "-o", place.path() / "out", "--folds", "2"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.err.find("3 prompts: t-SNE left out"), std::string::npos) << result.err;
  const json report = json::parse(file_content(place.path() / "out" / "report.json")).at("project");
  EXPECT_TRUE(report.at("tsne").is_null());
  EXPECT_TRUE(report.at("pca").at("explained_variance_ratio").at(0).is_null());
  write_tiny_trace(trace, 2, {{"p", "a", {0, 1}}});
  result = run_moexray({"project", trace});
  EXPECT_EQ(result.exit_code, 0);
  EXPECT_NE(result.err.find("only one prompt: there is no variance"), std::string::npos)
      << result.err;
}

TEST(ProjectCommand, RefusesFlagsThatDoNothing) {
  expect_failure({"project", small_trace(), "--perplexity", "5"}, 2, "--method tsne");
  expect_failure({"project", small_trace(), "--method", "umap"}, 2, "--method");
  expect_failure({"project", small_trace(), "--method", "tsne", "--perplexity", "0.5"}, 2,
                 "--perplexity");
}

TEST(AnalyzeCommand, HoldsBothProjections) {
  const TemporaryDirectory place;
  const json both = run_for_json(
      {"analyze", small_trace(), "-o", place.path() / "out", "--folds", "4", "--perplexity", "3"});
  const json pca = run_for_json({"project", small_trace()});
  const json tsne =
      run_for_json({"project", small_trace(), "--method", "tsne", "--perplexity", "3"});
  for (const auto& [method, alone] : {std::pair{"pca", pca}, {"tsne", tsne}}) {
    const json& part = both.at("project").at(method);
    EXPECT_EQ(part.at("method"), method);
    for (const auto& [key, value] : part.items()) EXPECT_EQ(alone.at(key), value) << key;
  }
}

}  // namespace
}  // namespace moexray::test
