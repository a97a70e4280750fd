#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>

#include "analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

// Two categories of eight prompts. Each token type prefers an expert; in category b, with
// `context`, the next one is taken in place of it. Eight tokens of each are generated.
void write_trace(const fs::path& directory, bool context, bool with_ids, int n_prompt_tokens) {
  fs::create_directories(directory);
  std::ofstream(directory / "manifest.json")
      << R"({"format":"moexray-trace","version":1,"model":{"n_layers":1,"n_experts":6,"top_k":1}})"
      << '\n';
  std::ofstream lines(directory / "prompts.jsonl");
  std::ofstream events(directory / "e.jsonl");
  for (int i = 0; i < 16; ++i) {
    const std::string id = "p" + std::to_string(i);
    const bool is_b = i % 2 == 1;
    lines << json({{"id", id},
                   {"category", is_b ? "b" : "a"},
                   {"events_file", "e.jsonl"},
                   {"meta", {{"source", "s" + std::to_string(i / 4)}}}})
                 .dump()
          << '\n';
    for (int t = 0; t < n_prompt_tokens + 8; ++t) {
      const int type = (t * 7 + i * 3 + t * t * i) % 5;
      const int noise = (t * 11 + i * 5) % 4 == 0 ? 2 : 0;
      json event = {{"prompt_id", id},
                    {"layer", 0},
                    {"pos", t},
                    {"type", t < n_prompt_tokens ? "prompt" : "generation"},
                    {"experts", {(type + noise + (context && is_b ? 1 : 0)) % 6}}};
      if (with_ids) event["token_id"] = type;
      events << event.dump() << '\n';
    }
  }
}

class InferenceCommands : public ::testing::Test {
 protected:
  fs::path trace(bool context, bool with_ids = true, int n_prompt_tokens = 12) {
    const fs::path path = place_.path() / ("t" + std::to_string(n_++));
    write_trace(path, context, with_ids, n_prompt_tokens);
    return path;
  }
  TemporaryDirectory place_;
  int n_ = 0;
};

TEST_F(InferenceCommands, ConfoundsHasTheKeysAndAVerdict) {
  const json r = run_for_json(
      {"confounds", trace(true), "--nested-repetitions", "3", "--classifier-permutations", "99"});
  std::vector<std::string> names;
  for (const json& feature : r.at("features")) {
    names.push_back(feature.at("name"));
    EXPECT_EQ(feature.at("accuracy").at("mean").is_null(), !feature.at("left_out").is_null());
    EXPECT_TRUE(feature.contains("coverage"));
    EXPECT_TRUE(feature.at("accuracy").contains("ci95"));
  }
  for (const char* name : {"signature", "signature_rarefied", "lengths", "token_unigrams",
                           "layer_0", "expected_from_types", "signature_minus_expected",
                           "without_template", "prompt_only", "generated_only"}) {
    EXPECT_EQ(std::count(names.begin(), names.end(), name), 1) << name;
  }
  EXPECT_EQ(r.at("verdict").at("outcome"), "adds");
  EXPECT_LE(r.at("verdict").at("p_value"), 0.05);
  EXPECT_GT(r.at("verdict").at("smallest_detectable"), 0);
  EXPECT_EQ(r.at("verdict").at("held_fixed"), json({"token types", "positions", "part"}));
  EXPECT_EQ(r.at("verdict").at("not_excluded"), json({"previous token", "order", "syntax"}));
  EXPECT_EQ(r.at("verdict").at("positions"), "first 12 prompt tokens");
  ASSERT_EQ(r.at("ladder").size(), 5U);
  for (const json& rung : r.at("ladder")) {
    EXPECT_FALSE(rung.contains("p_value"));
    EXPECT_TRUE(rung.at("accuracy").is_number());
    EXPECT_EQ(rung.at("decisive"), rung.at("name") == "types_and_positions");
  }
  EXPECT_FALSE(r.contains("shadow"));
}

TEST_F(InferenceCommands, ConfoundsSetsAShadowBesideTheTrace) {
  const fs::path own = trace(true);
  const fs::path other = trace(false);
  const json r = run_for_json({"confounds", own, "--shadow", other, "--nested-repetitions", "0",
                               "--classifier-permutations", "99"});
  EXPECT_EQ(r.at("verdict").at("outcome"), "adds");
  EXPECT_EQ(r.at("shadow").at("verdict").at("outcome"), "no evidence");
  EXPECT_EQ(r.at("shadow").at("ladder").size(), 5U);
  // The decisive rung is what the verdict tests.
  EXPECT_EQ(r.at("ladder").at(2).at("accuracy"), r.at("verdict").at("accuracy"));
  EXPECT_GT(r.at("ladder").at(0).at("accuracy"), 0.5);
  EXPECT_EQ(r.at("traces").size(), 2U);
  // A trace is its own shadow.
  const json same = run_for_json({"confounds", own, "--shadow", own, "--nested-repetitions", "0",
                                  "--classifier-permutations", "99"});
  EXPECT_EQ(same.at("shadow").at("ladder"), same.at("ladder"));
  const CommandResult text =
      run_moexray({"confounds", own, "--shadow", other, "--nested-repetitions", "0"});
  EXPECT_NE(text.out.find("is what hidden states carry"), std::string::npos)
      << text.out << text.err;
  expect_failure({"confounds", own, "--shadow", small_trace(), "--nested-repetitions", "0"}, 1,
                 "--shadow is not of the same prompts");
}

TEST_F(InferenceCommands, ConfoundsSpeaksPlainly) {
  const CommandResult none = run_moexray({"confounds", trace(false), "--nested-repetitions", "0"});
  EXPECT_EQ(none.exit_code, 0) << none.err;
  EXPECT_NE(none.out.find("Verdict: no evidence that routing tells the category beyond"),
            std::string::npos)
      << none.out;
  const CommandResult no_ids =
      run_moexray({"confounds", trace(true, false), "--nested-repetitions", "0"});
  EXPECT_NE(no_ids.out.find("the trace has no token ids."), std::string::npos) << no_ids.out;
  EXPECT_NE(no_ids.err.find("token unigrams (tf-idf) left out"), std::string::npos);
  const CommandResult small = run_moexray({"confounds", small_trace()});
  EXPECT_EQ(small.exit_code, 0) << small.err;
  EXPECT_NE(small.out.find("cannot tell"), std::string::npos);
  EXPECT_NE(small.out.find("at least one per fold is needed"), std::string::npos);
}

TEST_F(InferenceCommands, GroupsAreKeptTogether) {
  // Four sources hold both categories: labels are exchanged inside them.
  const auto verdict_of = [&](bool context) {
    const json r = run_for_json({"confounds", trace(context, true, 40), "--folds", "4",
                                 "--group-by", "meta.source", "--nested-repetitions", "0",
                                 "--classifier-permutations", "99"});
    EXPECT_EQ(r.at("n_units"), 4);
    return r.at("verdict");
  };
  const json verdict = verdict_of(true);
  EXPECT_EQ(verdict.at("outcome"), "adds");
  EXPECT_EQ(verdict.at("accuracy"), 1);
  EXPECT_EQ(verdict.at("positions"), "first 40 prompt tokens");
  EXPECT_EQ(verdict_of(false).at("outcome"), "no evidence");
  const json classified = run_for_json({"classify", trace(true), "--folds", "4", "--group-by",
                                        "meta.source", "--nested-repetitions", "0"});
  for (std::size_t i = 0; i < 16; ++i) {
    EXPECT_EQ(classified.at("predictions").at(i).at("fold"),
              classified.at("predictions").at(i / 4 * 4).at("fold"));
  }
  expect_failure({"classify", trace(true), "--group-by", "meta.source"}, 1,
                 "2 categories have 4 groups (\"a\", \"b\"): at least one per fold is needed, of 5 "
                 "folds (--folds 4 would do)");
}

TEST_F(InferenceCommands, InformationHasTheKeys) {
  const json r = run_for_json({"information", trace(true), "--nested-repetitions", "3"});
  EXPECT_NEAR(r.at("bound").at("entropy"), 1, 1e-12);
  EXPECT_LT(r.at("bound").at("ci95").at(0), r.at("bound").at("ci95").at(1));
  EXPECT_EQ(r.at("layers").size(), 1U);
  ASSERT_EQ(r.at("experts").size(), 6U);
  for (const json& expert : r.at("experts")) {
    // 16 prompts in two categories.
    EXPECT_NEAR(expert.at("bits").get<double>() * (1 - 1.0 / 15),
                expert.at("plug_in").get<double>() - expert.at("null_mean").get<double>(), 1e-12);
    EXPECT_GE(expert.at("q_value"), expert.at("p_value"));
  }
  EXPECT_EQ(r.at("permutations"), 120);
  EXPECT_EQ(r.at("adjustment"), "Benjamini-Hochberg");
  const json few = run_for_json(
      {"information", trace(true), "--nested-repetitions", "0", "--permutations", "19"});
  EXPECT_EQ(few.at("adjustment"), "max-T");
  EXPECT_TRUE(few.at("bound").at("bits").is_null());
  expect_failure({"information", small_trace(), "--weighted"}, 1, "not --weighted");
}

TEST_F(InferenceCommands, SameBytesWhateverTheThreads) {
  const fs::path path = trace(true);
  for (const char* command : {"confounds", "information"}) {
    std::vector<std::string> words{command, path, "--nested-repetitions", "2", "--json", "-"};
    const std::string one = run_moexray([&] {
                              auto w = words;
                              w.insert(w.end(), {"--threads", "1"});
                              return w;
                            }())
                                .out;
    words.insert(words.end(), {"--threads", "3"});
    EXPECT_EQ(one, run_moexray(words).out) << command;
    EXPECT_NE(one, "") << command;
  }
}

TEST_F(InferenceCommands, AnalyzeRunsThemWhenAsked) {
  const fs::path path = trace(true);
  const fs::path out = place_.path() / "out";
  const CommandResult result =
      run_moexray({"analyze", path, "-o", out, "--full", "--nested-repetitions", "2", "--quiet"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  const json report = json::parse(file_content(out / "report.json"));
  EXPECT_EQ(report.at("confounds").at("verdict").at("outcome"), "adds");
  EXPECT_EQ(report.at("information").at("experts").size(), 6U);
  EXPECT_TRUE(fs::exists(out / "confounds.tsv"));
  const std::string rungs = file_content(out / "fig7_ladder.tsv");
  EXPECT_NE(rungs.find("\ntoken types, positions and part (decides)\t"), std::string::npos)
      << rungs;
  EXPECT_TRUE(fs::exists(out / "information.tsv"));
  EXPECT_NE(file_content(out / "report.html").find("Verdict: routing tells the category"),
            std::string::npos);
}

}  // namespace
}  // namespace moexray::test
