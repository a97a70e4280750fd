#pragma once

#include <string>

#include "moexray/report/json.h"
#include "moexray/stats/compared_prompts.h"

namespace moexray::app {

/// What a test of labels looked at: "on the first 12 prompt tokens of 76 of 80 prompts"; or why
/// there is none: "not tested: …".
inline std::string tested_text(const stats::ComparedPrompts& compared) {
  return compared.comparable() ? "on the " + compared.text()
                               : "not tested: " + compared.check.reason;
}

/// {m, part, n_prompts, n_shorter}: the positions that tests compared.
inline report::Json common_positions_json(const stats::CommonPositions& positions) {
  const bool is_prompt = positions.part == TokenType::prompt;
  return report::Json::object({{"m", positions.n_tokens},
                               {"part", is_prompt ? "prompt" : "generation"},
                               {"n_prompts", positions.rows.size()},
                               {"n_shorter", positions.n_short}});
}

/// Adds `common_positions`, and `not_tested`: null, or why.
inline void add_compared(const stats::ComparedPrompts& compared, report::Json& json) {
  json.set("common_positions", common_positions_json(compared.positions));
  json.set("not_tested",
           compared.comparable() ? report::Json() : report::Json(compared.check.reason));
}

}  // namespace moexray::app
