#include <gtest/gtest.h>

#include <fstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

const std::vector<std::string> small_ids = {"code-1",  "math-1",  "story-1", "code-2",
                                            "math-2",  "story-2", "code-3",  "math-3",
                                            "story-3", "code-4",  "math-4",  "story-4"};

// The folds file that puts prompt i into fold (i / 3) % n_folds.
std::string folds_text(int n_folds, std::size_t n = 12) {
  std::string text = "prompt_id\tfold\n";
  for (std::size_t i = 0; i < n; ++i) {
    text += small_ids[i] + "\t" + std::to_string(static_cast<int>(i / 3) % n_folds) + "\n";
  }
  return text;
}

class FoldsFile : public ::testing::Test {
 protected:
  fs::path write(const std::string& text) {
    std::ofstream(path_) << text;
    return path_;
  }
  TemporaryDirectory place_;
  fs::path path_ = place_.path() / "folds.tsv";
};

TEST(ClassifyCommand, ReportsConsistentNumbers) {
  const json r = run_for_json({"classify", small_trace(), "--folds", "4"});
  EXPECT_EQ(r.at("categories"), json({"code", "math", "story"}));
  EXPECT_EQ(r.at("n_prompts"), 12);
  EXPECT_EQ(r.at("n_features"), 16);
  EXPECT_TRUE(r.at("converged"));
  const json& interval = r.at("accuracy").at("ci95");
  EXPECT_LT(interval.at(0), interval.at(1));
  EXPECT_GE(interval.at(0), 0);
  EXPECT_LE(interval.at(1), 1);
  EXPECT_EQ(r.at("accuracy").at("folds").size(), 4U);
  EXPECT_NEAR(r.at("chance"), 1.0 / 3, 1e-15);
  json confusion(3, json(3, 0));
  int n_correct = 0;
  for (const json& p : r.at("predictions")) {
    const auto index = [&](const json& name) {
      return static_cast<std::size_t>(
          std::find(r["categories"].begin(), r["categories"].end(), name) -
          r["categories"].begin());
    };
    json& cell = confusion[index(p.at("category"))][index(p.at("predicted"))];
    cell = cell.get<int>() + 1;
    n_correct += p.at("category") == p.at("predicted");
  }
  EXPECT_EQ(r.at("confusion"), confusion);
  // Folds of equal size: their mean is the pooled accuracy.
  EXPECT_NEAR(r.at("accuracy").at("mean"), n_correct / 12.0, 1e-15);
  EXPECT_EQ(r.at("top_experts").at(0).at("category"), "code");
}

TEST(ClassifyCommand, SeedChoosesTheFolds) {
  const auto folds = [](const std::string& seed) {
    json result = json::array();
    const json r = run_for_json({"classify", small_trace(), "--folds", "4", "--seed", seed});
    for (const json& p : r.at("predictions")) result.push_back(p.at("fold"));
    return result;
  };
  EXPECT_EQ(folds("1"), folds("1"));
  EXPECT_NE(folds("1"), folds("2"));
}

TEST(ClassifyCommand, NestedRepetitionsCanBeLeftOut) {
  const CommandResult result =
      run_moexray({"classify", small_trace(), "--folds", "4", "--nested-repetitions", "0"});
  EXPECT_EQ(result.out.find("nested"), std::string::npos);
  EXPECT_NE(result.err.find("no nested cross-validation interval"), std::string::npos);
  const json r =
      run_for_json({"classify", small_trace(), "--folds", "4", "--nested-repetitions", "0"});
  EXPECT_TRUE(r.at("accuracy").at("ci95").is_null());
}

TEST(ClassifyCommand, SaysThatIntervalsNearOneAreNotCalibrated) {
  const TemporaryDirectory place;
  std::vector<TinyPrompt> prompts;
  for (int i = 0; i < 60; ++i) {
    const bool second = i % 2 == 1;
    // One prompt of b is routed as those of a are.
    prompts.push_back({"p" + std::to_string(i), second ? "b" : "a", {second && i > 1 ? 1 : 0}});
  }
  write_tiny_trace(place.path() / "t", 2, prompts);
  const CommandResult result =
      run_moexray({"classify", place.path() / "t", "--nested-repetitions", "5"});
  EXPECT_NE(result.out.find("accuracy 0.983"), std::string::npos) << result.out;
  EXPECT_NE(result.out.find("nested cross-validation 95% interval"), std::string::npos);
  EXPECT_NE(result.err.find("not calibrated for accuracies above 0.97"), std::string::npos);
}

TEST(ClassifyCommand, NamesWhatIsTooSmall) {
  expect_failure({"classify", small_trace()}, 1, "--folds 4 would do");
  expect_failure({"classify", small_trace(), "--folds", "1"}, 2, "--folds");
  const TemporaryDirectory place;
  write_tiny_trace(place.path() / "t", 2, {{"p", "a", {0}}, {"q", "a", {1}}});
  expect_failure({"classify", place.path() / "t"}, 1, "only one category");
}

TEST_F(FoldsFile, IsUsed) {
  const json r = run_for_json({"classify", small_trace(), "--folds-file", write(folds_text(2))});
  EXPECT_EQ(r.at("accuracy").at("folds").size(), 2U);
  for (std::size_t i = 0; i < 12; ++i) {
    EXPECT_EQ(r.at("predictions").at(i).at("id"), small_ids[i]);
    EXPECT_EQ(r.at("predictions").at(i).at("fold"), static_cast<int>(i / 3) % 2);
  }
  // Rows in any order, Windows line ends, no newline at the end.
  std::string text = "prompt_id\tfold\r\n";
  for (std::size_t i = 12; i-- > 0;) {
    text +=
        small_ids[i] + "\t" + std::to_string(static_cast<int>(i / 3) % 2) + (i > 0 ? "\r\n" : "");
  }
  EXPECT_EQ(r, run_for_json({"classify", small_trace(), "--folds-file", write(text)}));
  // The column's name in the files that moexray writes.
  text.replace(0, text.find('\t'), "id");
  EXPECT_EQ(r, run_for_json({"classify", small_trace(), "--folds-file", write(text)}));
}

TEST_F(FoldsFile, MayNamePromptsThatWereLeftOut) {
  const json r = run_for_json(
      {"classify", small_trace(), "--tokens", "generation", "--folds-file", write(folds_text(2))});
  EXPECT_EQ(r.at("n_prompts"), 11);
}

TEST_F(FoldsFile, ErrorsAreExact) {
  const auto expect = [&](const std::string& text, const std::string& message) {
    expect_failure({"classify", small_trace(), "--folds-file", write(text)}, 1,
                   path_.string() + message);
  };
  const std::string good = folds_text(2);
  const std::string header = ":1: header: expected prompt_id (or id) and fold, separated by a tab";
  expect("", header + ", found \"\"");
  expect("name\tfold\n", header + ", found \"name\\x09fold\"");
  expect("fold\tid\n", header);
  expect("id\tfold\tid\n", header);
  expect(folds_text(2, 11),
         ": prompts without a fold: expected a row for every prompt, found none for \"story-4\"");
  expect(good + "code-9\t0\n", ":14: prompt_id: expected a prompt of the trace, found \"code-9\"");
  expect(good + "code-2\t0\n", ":14: prompt_id: expected each prompt once (first in line 5)");
  expect("prompt_id\tfold\ncode-1\t-1\n", ":2: fold: expected an integer from 0, found \"-1\"");
  expect("prompt_id\tfold\ncode-1\t1.0\n", ":2: fold: expected an integer from 0");
  expect("prompt_id\tfold\ncode-1\t99999999999\n", ":2: fold: expected an integer from 0");
  expect("prompt_id\tfold\ncode-1 0\n", ":2: row: expected a prompt id, a tab and a fold");
  expect("prompt_id\tfold\ncode-1\t0\t1\n", ":2: row:");
  expect_failure({"classify", small_trace(), "--folds-file", place_.path() / "none.tsv"}, 1,
                 "none.tsv: cannot open");
  expect_failure({"classify", small_trace(), "--folds-file", write(folds_text(1))}, 1,
                 "number of folds: expected at least 2");
  std::string gap = folds_text(2);
  gap.replace(gap.find("\t1"), 2, "\t3");
  expect_failure({"classify", small_trace(), "--folds-file", write(gap)}, 1,
                 "fold 2 has no prompt");
  expect_failure({"classify", small_trace(), "--folds-file", write(good), "--folds", "3"}, 2,
                 "exclude each other");
  expect_failure({"analyze", small_trace(), "-o", place_.path() / "out", "--folds-file",
                  write(folds_text(2, 11))},
                 1, "prompts without a fold");
}

}  // namespace
}  // namespace moexray::test
