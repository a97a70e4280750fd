#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "command.h"
#include "moexray/core/random.h"

namespace moexray::test {

/// What a random trace has, for flags that name some of it.
struct RandomTrace {
  std::filesystem::path directory;
  std::vector<std::string> ids;
  int n_layers = 1;
  int n_experts = 1;
};

/// Writes a small trace that is odd in some way: shapes, lengths and sizes of categories that meet
/// every limit of an analysis from both sides, and facts that other software leaves out.
RandomTrace write_random_trace(const std::filesystem::path& directory, RandomStream& random);

/// `COMMAND WORDS…` with random flags, drawn from the command's own table; counts of draws stay
/// small. `place` is where files that flags name are written, or lie.
std::vector<std::string> random_words(const app::Command& command, const RandomTrace& trace,
                                      const std::filesystem::path& place, RandomStream& random);

}  // namespace moexray::test
