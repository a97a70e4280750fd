#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

namespace moexray::test {

/// The trace of tests/data/trace-small.
std::filesystem::path small_trace();

/// Copies the small trace's prompts [first, last) with their events to `directory`: a shard.
void write_small_shard(const std::filesystem::path& directory, int first, int last);

/// A prompt of a hand-made trace with one layer and one expert a token: which expert each takes.
struct TinyPrompt {
  std::string id;
  std::string category;  ///< empty: no such key
  std::vector<int> experts;
};

/// Two categories of three prompts; every prompt uses expert 3 for half of its tokens.
inline const std::vector<TinyPrompt> ordinary{{"a1", "a", {0, 3}}, {"a2", "a", {0, 3}},
                                              {"a3", "a", {1, 3}}, {"b1", "b", {2, 3}},
                                              {"b2", "b", {2, 3}}, {"b3", "b", {1, 3}}};

/// Writes a trace of one layer, top-1.
void write_tiny_trace(const std::filesystem::path& directory, int n_experts,
                      const std::vector<TinyPrompt>& prompts);

/// Runs `moexray WORDS… --json - --quiet` and parses stdout; the run must succeed and say nothing
/// else.
nlohmann::json run_for_json(std::vector<std::string> words);

/// The keys of an object, in alphabetical order.
std::vector<std::string> keys_of(const nlohmann::json& object);

/// Runs moexray and expects this exit code, an empty stdout, and `part` in stderr.
void expect_failure(const std::vector<std::string>& words, int exit_code, std::string_view part);

/// A .npy file of float64, [rows, cols].
struct NpyMatrix {
  std::size_t n_rows = 0;
  std::size_t n_cols = 0;
  std::vector<double> values;
};
NpyMatrix read_npy(const std::filesystem::path& path);

}  // namespace moexray::test
