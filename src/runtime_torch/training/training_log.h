#pragma once

#include <filesystem>
#include <fstream>
#include <string>

#include "evaluate.h"
#include "moexray/runtime/training.h"

namespace moexray::torch_runtime {

/// The record of a training run: one JSON object a line, each with a "step".
class TrainingLog {
 public:
  /// Opens `path` and drops the lines of steps after `step`, which a continued run writes again.
  TrainingLog(const std::filesystem::path& path, std::int64_t step);

  void write_step(const StepReport& report);
  void write_evaluation(std::int64_t step, std::int64_t n_tokens, const Evaluation& evaluation);

 private:
  void write_line(const std::string& line);

  std::filesystem::path path_;
  std::ofstream file_;
};

}  // namespace moexray::torch_runtime
