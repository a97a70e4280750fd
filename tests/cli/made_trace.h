#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace moexray::test {

/// A trace whose routing is known: a prompt's tokens choose k experts of every layer, those of its
/// own kind more often.
struct MadeTrace {
  int n_layers = 2;
  int n_experts = 8;
  int top_k = 2;
  std::vector<std::string> kinds;  ///< prompt i is of kind i modulo their number
  int n_prompts = 12;
  int n_tokens = 12;
  /// The chance that a token goes to an expert of its kind, which otherwise is any.
  double preference = 0.5;
  /// [prompts] the category that each prompt is said to have; empty: its kind
  std::vector<std::string> categories = {};
  /// [prompts] further keys and values of each prompt, its `meta`; empty: none
  std::vector<std::map<std::string, std::string>> metas = {};
  std::uint64_t seed = 1;
};

/// Twenty prompts of two kinds, whose routing differs.
inline MadeTrace two_kinds() {
  MadeTrace made;
  made.kinds = {"a", "b"};
  made.n_prompts = 20;
  return made;
}

void write_made_trace(const std::filesystem::path& directory, const MadeTrace& made);

/// `names[i modulo their number]` of n things, in an order that has nothing to do with i.
std::vector<std::string> shuffled_names(const std::vector<std::string>& names, int n,
                                        std::uint64_t seed);

}  // namespace moexray::test
