#include "analysis_support.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>

#include "cli/run_command.h"
#include "moexray/core/file.h"

namespace moexray::test {
namespace fs = std::filesystem;
using nlohmann::json;

namespace {

// Tests look for phrases, which lines of 80 columns would break; what is printed in a pipe without
// COLUMNS has tests of its own.
class WideLines : public testing::Environment {
 public:
  void SetUp() override { ::setenv("COLUMNS", "1000", 1); }
};

[[maybe_unused]] const testing::Environment* const wide_lines =
    testing::AddGlobalTestEnvironment(new WideLines);

}  // namespace

fs::path small_trace() { return fs::path(MOEXRAY_TEST_DATA) / "trace-small"; }

void write_small_shard(const fs::path& directory, int first, int last) {
  fs::create_directories(directory);
  fs::copy_file(small_trace() / "manifest.json", directory / "manifest.json");
  std::ifstream prompts(small_trace() / "prompts.jsonl");
  std::ofstream kept(directory / "prompts.jsonl");
  std::ofstream events(directory / "events-00000.jsonl");
  std::string line;
  for (int i = 0; std::getline(prompts, line); ++i) {
    if (i < first || i >= last) continue;
    json prompt = json::parse(line);
    std::ifstream all(small_trace() / prompt.at("events_file").get<std::string>());
    const std::string key = "{\"prompt_id\":\"" + prompt.at("id").get<std::string>() + "\",";
    for (std::string event; std::getline(all, event);) {
      if (event.starts_with(key)) events << event << '\n';
    }
    prompt["events_file"] = "events-00000.jsonl";
    kept << prompt.dump() << '\n';
  }
}

void write_tiny_trace(const fs::path& directory, int n_experts,
                      const std::vector<TinyPrompt>& prompts) {
  fs::create_directories(directory);
  const json manifest = {{"format", "moexray-trace"},
                         {"version", 1},
                         {"model", {{"n_layers", 1}, {"n_experts", n_experts}, {"top_k", 1}}}};
  std::ofstream(directory / "manifest.json") << manifest.dump() << '\n';
  std::ofstream lines(directory / "prompts.jsonl");
  std::ofstream events(directory / "e.jsonl");
  for (const TinyPrompt& prompt : prompts) {
    json line = {{"id", prompt.id}, {"events_file", "e.jsonl"}};
    if (!prompt.category.empty()) line["category"] = prompt.category;
    lines << line.dump() << '\n';
    int pos = 0;
    for (const int expert : prompt.experts) {
      events << json({{"prompt_id", prompt.id},
                      {"layer", 0},
                      {"pos", pos++},
                      {"type", "prompt"},
                      {"expert", expert}})
                    .dump()
             << '\n';
    }
  }
}

json run_for_json(std::vector<std::string> words) {
  words.insert(words.end(), {"--json", "-", "--quiet"});
  const CommandResult result = run_moexray(words);
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.err, "");
  json found = json::parse(result.out);
  EXPECT_EQ(found.at("moexray").at("report_format"), 1);
  return found;
}

std::vector<std::string> keys_of(const json& object) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : object.items()) keys.push_back(key);
  return keys;
}

void expect_failure(const std::vector<std::string>& words, int exit_code, std::string_view part) {
  const CommandResult result = run_moexray(words);
  EXPECT_EQ(result.exit_code, exit_code) << result.err;
  EXPECT_EQ(result.out, "");
  EXPECT_NE(result.err.find(part), std::string::npos)
      << "stderr: " << result.err << "\nexpected to hold: " << part;
}

NpyMatrix read_npy(const fs::path& path) {
  const std::string bytes = read_file(path, 1 << 28);
  NpyMatrix matrix;
  const std::size_t shape = bytes.find("'shape': (");
  if (shape == std::string::npos || std::sscanf(bytes.c_str() + shape, "'shape': (%zu, %zu)",
                                                &matrix.n_rows, &matrix.n_cols) != 2) {
    ADD_FAILURE() << path << " is no matrix";
    return matrix;
  }
  const std::size_t start = bytes.find('\n') + 1;
  matrix.values.resize(matrix.n_rows * matrix.n_cols);
  EXPECT_EQ(bytes.size() - start, matrix.values.size() * sizeof(double));
  std::memcpy(matrix.values.data(), bytes.data() + start,
              std::min(bytes.size() - start, matrix.values.size() * sizeof(double)));
  return matrix;
}

}  // namespace moexray::test
