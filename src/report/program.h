#pragma once

#include <atomic>
#include <chrono>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace moexray::report {

/// A program that PATH finds; empty without one. Relative parts of PATH are ignored.
std::optional<std::filesystem::path> find_program(const std::string& name);

struct ProgramRun {
  std::filesystem::path program;
  std::vector<std::string> arguments;
  std::filesystem::path directory;  ///< to run in
  std::chrono::seconds time_limit{120};
  const std::atomic<bool>* stop = nullptr;  ///< once true, the program is killed
};

struct ProgramResult {
  std::string problem;  ///< what went wrong, in one line; empty if nothing did
  std::string output;   ///< the beginning of its standard output
};

/// Runs a program without a shell, with nothing on its standard input and a bare environment: a
/// fixed locale, time zone and date, and where fontconfig finds fonts.
ProgramResult run_program(const ProgramRun& run);

}  // namespace moexray::report
