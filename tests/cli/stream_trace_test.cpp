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
