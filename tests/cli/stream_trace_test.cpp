// A trace of routing that something else recorded, of which only the experts are known.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "cli/analysis_support.h"
#include "cli/run_command.h"
#include "moexray/trace/stream_writer.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

constexpr RoutingShape shape{2, 8, 2};
constexpr int n_prompts = 24;

// Prompts of two categories, each of which prefers experts of its own.
void write_stream(const std::filesystem::path& directory) {
  TraceStreamWriter writer = TraceStreamWriter::create(directory, bare_manifest(shape), false);
  for (int i = 0; i < n_prompts; ++i) {
    Prompt prompt;
    prompt.id = "p" + std::to_string(i);
    prompt.category = i % 2 == 0 ? "even" : "odd";
    FinishedPrompt finished;
    finished.prompt = &prompt;
    finished.n_prompt_tokens = 12;
    finished.routing = RoutingBuffer(shape, false, false);
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      for (int pos = 0; pos < 12; ++pos) {
        const ExpertId first = (i * pos + layer) % 4 + i % 2;
        finished.routing.append(layer, 1, std::vector<ExpertId>{first, 5 + (i + pos) % 3});
      }
    }
    writer.append(finished);
  }
  writer.finish();
}

// Generated tokens alone, each prompt from a position of its own, of unknown order.
void write_generated(const std::filesystem::path& directory) {
  TraceManifest manifest = bare_manifest(shape);
  manifest.version = 2;
  manifest.source.system = "made up";
  manifest.recorded = {ManifestRecorded::Order::unknown, ManifestRecorded::Weights::none, true,
                       false};
  TraceStreamWriter writer = TraceStreamWriter::create(directory, manifest, false);
  for (int i = 0; i < n_prompts; ++i) {
    Prompt prompt;
    prompt.id = "p" + std::to_string(i);
    prompt.category = i % 2 == 0 ? "even" : "odd";
    FinishedPrompt finished;
    finished.prompt = &prompt;
    finished.n_prompt_tokens = 3 + i % 3;
    finished.n_generated_tokens = 13;
    finished.positions = {{finished.n_prompt_tokens, finished.n_prompt_tokens + 11}};
    finished.routing = RoutingBuffer(shape, false, false);
    for (int pos = 0; pos < finished.n_prompt_tokens + 13; ++pos) {
      finished.token_ids.push_back(pos * 7 % 5 + i % 2);
    }
    for (int layer = 0; layer < shape.n_layers; ++layer) {
      for (int row = 0; row < 12; ++row) {
        const ExpertId first = (i * row + layer) % 4 + i % 2;
        finished.routing.append(layer, 1, std::vector<ExpertId>{first, 5 + (i + row) % 3});
      }
    }
    writer.append(finished);
  }
  manifest.complete.prompt = false;
  writer.finish(manifest);
}

class StreamTrace : public testing::Test {
 protected:
  StreamTrace() { write_stream(path_); }

  TemporaryDirectory temporary_;
  std::string path_ = (temporary_.path() / "t").string();
};

TEST_F(StreamTrace, IsAnalysed) {
  const json report =
      run_for_json({"analyze", path_, "--quick", "-o", (temporary_.path() / "analysis").string()});
  EXPECT_EQ(report.at("trace").at("n_prompts"), n_prompts);
  EXPECT_EQ(report.at("similarity").at("within").at("n_pairs"), 2 * 66);
  EXPECT_GT(report.at("similarity").at("gap").get<double>(), 0);
}

class GeneratedTrace : public testing::Test {
 protected:
  GeneratedTrace() { write_generated(path_); }

  TemporaryDirectory temporary_;
  std::string path_ = (temporary_.path() / "t").string();
};

TEST_F(GeneratedTrace, EveryAnalysisReadsItAndSaysWhatItIs) {
  const std::string origin =
      "imported from made up: no weights, order of experts unknown, no positions before 3";
  for (const std::vector<std::string>& words :
       {std::vector<std::string>{"signatures", path_},
        {"stats", path_, "--permutations", "99", "--resamples", "99"},
        {"confounds", path_, "--nested-repetitions", "0"},
        {"information", path_},
        {"load", path_, "--window", "2"},
        {"expert", "0/1", path_},
        {"show", "p1", path_}}) {
    const CommandResult result = run_moexray(words);
    EXPECT_EQ(result.exit_code, 0) << words[0] << ": " << result.err;
    EXPECT_NE(result.out.find(origin), std::string::npos) << words[0] << ": " << result.out;
  }
  const json stats = run_for_json({"stats", path_, "--permutations", "99"});
  EXPECT_EQ(stats.at("trace").at("origin"), origin);
  EXPECT_EQ(stats.at("common_positions").at("part"), "generation") << stats.dump(1);
}

TEST_F(GeneratedTrace, ShowsPositionsAndNoTopExpert) {
  const CommandResult shown = run_moexray({"show", "p1", path_});
  EXPECT_NE(shown.out.find("no top expert is shown"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("\n  4 "), std::string::npos) << shown.out;
  EXPECT_EQ(shown.out.find("\n  3 "), std::string::npos) << shown.out;
  EXPECT_NE(run_moexray({"show", "p1", path_, "--layer", "0"}).out.find("in no known order"),
            std::string::npos);
  expect_failure({"show", "p1", path_, "--color-by", "expert"}, 1, "order of experts is unknown");
}

TEST_F(GeneratedTrace, RefusesWhatItLacksByName) {
  expect_failure({"signatures", path_, "--weighted"}, 1, "--weighted needs the router's weights");
  expect_failure({"similarity", path_, "--exclude-template"}, 1, "which tokens the chat template");
  expect_failure({"layers", path_, "--tokens", "prompt"}, 1, "no routing of prompt tokens");
  const json expert = run_for_json({"expert", "0/1", path_});
  EXPECT_TRUE(expert.at("ranks").empty());
  EXPECT_NE(expert.at("missing").dump().find("no ranks"), std::string::npos);
}

TEST_F(StreamTrace, WhatNeedsWeightsRefuses) {
  expect_failure({"signatures", path_, "--weighted"}, 1, "no router weights recorded");
}

TEST_F(StreamTrace, WhatNeedsTokenIdsIsLeftOutByName) {
  const CommandResult result = run_moexray({"confounds", path_, "--nested-repetitions", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("the trace has no token ids"), std::string::npos) << result.out;
}

}  // namespace
}  // namespace moexray::test
