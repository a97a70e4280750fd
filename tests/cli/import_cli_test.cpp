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

// A response to "hello" whose prompt has these ids of tokens.
void write_response(const std::filesystem::path& path, const json& prompt_ids) {
  json rows = json::array();
  for (std::size_t t = 0; t < prompt_ids.size() + 1; ++t) rows.push_back({{t % 3, 5}, {t % 2, 4}});
  const json choice = {{"index", 0},
                       {"prompt_token_ids", prompt_ids},
                       {"token_ids", {7, 8}},
                       {"routed_experts", rows}};
  std::ofstream(path) << json({{"id", "p0"}, {"choices", {choice}}}).dump() << '\n';
}

TEST_F(ImportCommand, TokenIdsAreThoseOfTheModelsTokenizer) {
  const std::string tokenizer = MOEXRAY_TEST_DATA "/../../models/mini-olmoe";
  std::ofstream(path("one.jsonl")) << R"({"id":"p0","prompt":"hello, world"})" << '\n';
  const CommandResult tokens =
      run_moexray({"tokenize", "--model", tokenizer, "--jsonl"},
                  {.input = "{\"text\":\"hello, world\"}\n", .working_directory = {}});
  ASSERT_EQ(tokens.exit_code, 0) << tokens.err;
  json ids = json::parse(tokens.out).at("ids");
  const std::vector<std::string> words = {
      "import",    "--from", "vllm",        path("one.json"), "--prompts", path("one.jsonl"),
      "--experts", "8",      "--tokenizer", tokenizer,        "--check"};
  write_response(path("one.json"), ids);
  const CommandResult right = run_moexray(words);
  EXPECT_EQ(right.exit_code, 0) << right.err;
  ids.back() = ids.back().get<int>() + 1;
  write_response(path("one.json"), ids);
  expect_failure(words, 1, "the record has other token ids than prompt \"p0\"");
}

TEST_F(ImportCommand, CountsGoThroughTheAnalysesThatNeedNoTokens) {
  ASSERT_EQ(run_moexray({"import", path("responses.jsonl"), "--prompts", path("prompts.jsonl"),
                         "--experts", "8", "-o", path("traces")})
                .exit_code,
            0);
  const CommandResult written = run_moexray({"signatures", path("traces"), "-o", path("counts")});
  ASSERT_EQ(written.exit_code, 0) << written.err;
  const std::string counts = path("counts");
  // The same numbers as of the events, whatever needs no single tokens.
  for (const std::string command : {"signatures", "similarity", "project"}) {
    json of_counts = run_for_json({command, counts});
    json of_events = run_for_json({command, path("traces")});
    for (json* report : {&of_counts, &of_events}) {
      report->erase("trace");
      report->at("moexray").erase("seed");
    }
    EXPECT_EQ(of_counts, of_events) << command;
  }
  const json counted = run_for_json({"experts", counts});
  EXPECT_EQ(counted.at("layers"), run_for_json({"experts", path("traces")}).at("layers"));
  const json stats = run_for_json({"stats", counts});
  EXPECT_EQ(stats.at("trace").at("origin"), "imported from vllm: counts, not tokens");
  EXPECT_TRUE(stats.at("noise_corrected").at("within").at("mean").is_null());
  EXPECT_LE(stats.at("permanova").at("p_value").get<double>(), 0.05);
  for (const std::string command : {"layers", "classify", "baselines", "information", "load"}) {
    const CommandResult result = run_moexray({command, counts});
    EXPECT_EQ(result.exit_code, 0) << command << ": " << result.err;
  }
  for (const std::string& first : {counts, path("traces")}) {
    const json compared = run_for_json({"compare", first, "--with", counts});
    EXPECT_TRUE(compared.at("agreement").is_null());
    EXPECT_TRUE(holds(compared.at("notices").dump(), "counts, not tokens")) << compared;
    EXPECT_EQ(compared.at("usage").at("n_significant"), 0);
  }
  const CommandResult all = run_moexray({"analyze", counts, "--quick", "-o", path("analysis")});
  EXPECT_EQ(all.exit_code, 0) << all.err;
  for (const std::vector<std::string>& words : {std::vector<std::string>{"confounds", counts},
                                                {"shadow", counts},
                                                {"show", "p0", counts},
                                                {"expert", "0/1", counts},
                                                {"similarity", counts, "--tokens", "generation"},
                                                {"similarity", counts, "--weighted"},
                                                {"similarity", counts, "--exclude-template"},
                                                {"layers", counts, "--common-tokens", "8"},
                                                {"load", counts, "--window", "4"},
                                                {"experts", counts, path("traces")}}) {
    const CommandResult refused = run_moexray(words);
    EXPECT_EQ(refused.exit_code, 1) << words[0];
    EXPECT_TRUE(holds(refused.err, "counts")) << words[0] << ": " << refused.err;
  }
}

TEST_F(ImportCommand, CountsOfSeveralDirectoriesAreOne) {
  ASSERT_EQ(run_moexray({"import", path("responses.jsonl"), "--prompts", path("prompts.jsonl"),
                         "--experts", "8", "-o", path("traces")})
                .exit_code,
            0);
  ASSERT_EQ(run_moexray({"export", "--to", "counts", path("traces"), "-o", path("a")}).exit_code,
            0);
  std::ofstream(path("c.json")) << R"({"logical_count":[[9,1,0,0,0,0,0,2],[3,3,3,3,0,0,0,0]]})";
  std::ofstream(path("d.json")) << R"({"logical_count":[[1,1,0,0,0,0,0,2],[1,1,1,1,0,0,0,0]]})";
  const CommandResult imported =
      run_moexray({"import", "--from", "counts", path("c.json"), path("d.json"), "--top-k", "2",
                   "--moe-layers", "0-1", "-o", path("b")});
  ASSERT_EQ(imported.exit_code, 0) << imported.err;
  const CommandResult joined = run_moexray({"signatures", path("a"), path("b"), "-o", path("all")});
  ASSERT_EQ(joined.exit_code, 0) << joined.err;
  const json all = run_for_json({"signatures", path("all")});
  EXPECT_EQ(all.at("n_prompts"), 26);
  EXPECT_EQ(all.at("prompts").at(24).at("id"), "c");
  EXPECT_EQ(all.at("prompts").at(24).at("n_tokens"), 6);
}

TEST_F(ImportCommand, APoolIsForExpertsAndLoadAlone) {
  std::ofstream(path("pool.json")) << R"({"logical_count":[[9,1,0,2],[3,3,3,3]]})";
  ASSERT_EQ(run_moexray({"import", path("pool.json"), "-o", path("pool")}).exit_code, 0);
  const json report = run_for_json({"experts", path("pool")});
  EXPECT_EQ(report.at("layers").at(0).at("busiest").at("count"), 9);
  EXPECT_TRUE(report.at("trace").at("top_k").is_null());
  const json load = run_for_json({"load", path("pool"), "--ep-size", "2"});
  EXPECT_NEAR(load.at("layers").at(0).at("max_over_mean"), 3, 1e-15);
  EXPECT_NEAR(load.at("layers").at(0).at("balancedness"), 6.0 / 10, 1e-15);
  EXPECT_TRUE(load.at("units").at("n").is_null());
  EXPECT_TRUE(load.at("dead_bound").is_null());
  for (const char* null : {"uniform", "clusters"}) {
    EXPECT_TRUE(load.at("layers").at(0).at("nulls").at(null).is_null()) << null;
  }
  for (const std::string command : {"signatures", "similarity", "layers", "stats", "analyze"}) {
    expect_failure({command, path("pool")}, 1, "one pool of counts");
  }
}

TEST_F(ImportCommand, ExportsComeBack) {
  ASSERT_EQ(run_moexray({"import", path("responses.jsonl"), "--prompts", path("prompts.jsonl"),
                         "--experts", "8", "-o", path("traces")})
                .exit_code,
            0);
  const CommandResult exported =
      run_moexray({"export", "--to", "npz", path("traces"), "-o", path("traces.npz")});
  EXPECT_EQ(exported.exit_code, 0) << exported.err;
  EXPECT_TRUE(holds(exported.out, "24 prompts")) << exported.out;
  expect_failure({"export", "--to", "npz", path("traces"), "-o", path("traces.npz")}, 2, "--force");
  expect_failure({"export", path("traces"), "-o", path("x")}, 2, "--to FORM");
  ASSERT_EQ(run_moexray({"import", path("traces.npz"), "-o", path("again")}).exit_code, 0);
  EXPECT_EQ(file_content(temporary_.path() / "again" / "events-00000.jsonl"),
            file_content(temporary_.path() / "traces" / "events-00000.jsonl"));
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
