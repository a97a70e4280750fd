#include "trace_time.h"

#include <algorithm>
#include <cmath>

namespace moexray {

void TraceTime::begin_batch(const Tokens& planned) {
  planned_ = planned;
  batch_ = {};
  ahead_.prompt -= planned.prompt;
  ahead_.generated -= planned.generated;
}

void TraceTime::add_pass(TokenType type, std::int64_t n_tokens, double seconds) {
  const bool is_prompt = type == TokenType::prompt;
  (is_prompt ? batch_.prompt : batch_.generated) += n_tokens;
  (is_prompt ? done_.prompt : done_.generated) += n_tokens;
  (is_prompt ? prompt_seconds_ : generation_seconds_) += seconds;
}

void TraceTime::end_batch() {
  n_could_generate_ += planned_.generated;
  n_did_generate_ += batch_.generated;
  planned_ = {};
  batch_ = {};
}

TraceTime::Tokens TraceTime::expected_ahead() const {
  const double share = n_could_generate_ > 0 ? static_cast<double>(n_did_generate_) /
                                                   static_cast<double>(n_could_generate_)
                                             : 1.0;
  const auto expected = [&](std::int64_t planned) {
    return static_cast<std::int64_t>(std::llround(share * static_cast<double>(planned)));
  };
  return {ahead_.prompt + std::max<std::int64_t>(planned_.prompt - batch_.prompt, 0),
          expected(ahead_.generated) +
              std::max<std::int64_t>(expected(planned_.generated) - batch_.generated, 0)};
}

std::int64_t TraceTime::n_expected() const { return n_done() + expected_ahead().total(); }

std::optional<double> TraceTime::seconds_left() const {
  const Tokens ahead = expected_ahead();
  double seconds = 0;
  if (ahead.prompt > 0) {
    if (done_.prompt == 0) return std::nullopt;
    seconds +=
        prompt_seconds_ * static_cast<double>(ahead.prompt) / static_cast<double>(done_.prompt);
  }
  if (ahead.generated > 0) {
    if (done_.generated == 0) return std::nullopt;
    seconds += generation_seconds_ * static_cast<double>(ahead.generated) /
               static_cast<double>(done_.generated);
  }
  return seconds;
}

}  // namespace moexray
