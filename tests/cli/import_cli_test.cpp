// From responses of a server to a report.

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

#include "cli/analysis_support.h"
#include "cli/run_command.h"
#include "support/files.h"
#include "support/temporary_directory.h"

namespace moexray::test {
namespace {

using nlohmann::json;

std::string text_of(const std::filesystem::path& path) { return path.string(); }

class ImportCommand : public testing::Test {
 protected:
  // Responses in order of completion, prompts in another; two categories with tastes of their own.
  ImportCommand() {
    std::ofstream responses(temporary_.path() / "responses.jsonl");
    std::ofstream prompts(temporary_.path() / "prompts.jsonl");
    for (int i = 0; i < 24; ++i) {
      json rows = json::array();
      for (int t = 0; t < 15; ++t) {
        const int first = (i * t) % 4 + i % 2;
        rows.push_back({{first, 5 + (i + t) % 3}, {(first + t) % 4, 4 + (i + t) % 2 + i % 2}});
      }
      const json response = {{"id", "cmpl-p" + std::to_string(23 - i)},
                             {"object", "text_completion"},
                             {"choices", {{{"index", 0}, {"routed_experts", rows}}}},
                             {"usage", {{"prompt_tokens", 12}, {"completion_tokens", 4}}}};
      responses << response.dump() << '\n';
      prompts << json({{"id", "p" + std::to_string(i)},
                       {"category", i % 2 == 0 ? "even" : "odd"},
                       {"prompt", "hello"}})
                     .dump()
              << '\n';
    }
  }

  std::string path(const char* name) const { return text_of(temporary_.path() / name); }

  TemporaryDirectory temporary_;
};

TEST_F(ImportCommand, TheRecipeOfTheDocumentation) {
  const CommandResult checked =
      run_moexray({"import", "--from", "vllm", path("responses.jsonl"), "--prompts",
                   path("prompts.jsonl"), "--experts", "8", "--check"});
  EXPECT_EQ(checked.exit_code, 0) << checked.err;
  EXPECT_TRUE(holds(checked.out, "24 prompts, 360 routed tokens; 2 layers × 8 experts, top-2"))
      << checked.out;
  EXPECT_TRUE(holds(checked.out, "nothing written"));
  const CommandResult imported =
      run_moexray({"import", path("responses.jsonl"), "--prompts", path("prompts.jsonl"),
                   "--experts", "8", "-o", path("traces")});
  EXPECT_EQ(imported.exit_code, 0) << imported.err;
  const json report = run_for_json({"analyze", path("traces"), "--quick", "-o", path("analysis")});
  EXPECT_EQ(report.at("trace").at("origin"),
            "imported from vllm: no weights, order of experts unknown, no token ids");
  EXPECT_GT(report.at("similarity").at("gap").get<double>(), 0);
  EXPECT_TRUE(holds(file_content(temporary_.path() / "analysis" / "report.html"),
                    "imported from vllm: no weights"));
}

TEST_F(ImportCommand, SaysWhatIsMissing) {
  expect_failure({"import", path("responses.jsonl")}, 2, "-o DIR");
  expect_failure({"import", path("responses.jsonl"), "-o", path("t")}, 2, "--experts E");
  expect_failure({"import", path("prompts.jsonl"), "-o", path("t")}, 2, "--from KIND");
  expect_failure(
      {"import", path("responses.jsonl"), "--experts", "8", "--axes", "layer", "-o", path("t")}, 2,
      "--axes");
  expect_failure({"import", path("none.jsonl"), "-o", path("t")}, 1, "cannot open");
  EXPECT_FALSE(std::filesystem::exists(path("t")));
}

}  // namespace
}  // namespace moexray::test
