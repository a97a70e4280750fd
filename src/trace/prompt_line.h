#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "moexray/trace/reader.h"
#include "moexray/trace/writer.h"

namespace moexray::trace {

/// Where the events of a prompt are.
struct EventsPlace {
  std::string events_file;
  std::uint64_t offset = 0;
  std::uint64_t n_bytes = 0;             ///< of the records, uncompressed
  std::uint64_t n_compressed_bytes = 0;  ///< 0: not compressed
  std::string checksum;
};

/// The line of prompts.jsonl of a finished prompt, newline included.
std::string make_prompt_line(const FinishedPrompt& prompt, const EventsPlace& place);

/// The same where what stands at the place is not `prompt.routing`. A negative n_prompt_tokens is
/// not known.
std::string make_prompt_line(const FinishedPrompt& prompt, const EventsPlace& place,
                             std::int64_t n_events);

/// Reads lines of prompts.jsonl.
class PromptLineParser {
 public:
  PromptLineParser();
  ~PromptLineParser();

  /// Checks types, sizes that depend on each other, and the line's checksum if it has one.
  /// @throws Error (data) with `where`.
  TracePrompt parse(std::string_view line, const RoutingShape& shape, const std::string& where);
  /// True if the last line had a checksum.
  bool had_checksum() const { return had_checksum_; }

 private:
  struct State;
  std::unique_ptr<State> state_;
  bool had_checksum_ = false;
};

/// T of a prompt, or −1 if its line does not tell.
std::int64_t n_traced_tokens(const TracePrompt& prompt);

/// How many positions of a prompt have records, or −1 if its line does not tell.
std::int64_t n_routed_tokens(const TracePrompt& prompt);

}  // namespace moexray::trace
