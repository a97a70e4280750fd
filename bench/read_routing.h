#pragma once

#include <span>
#include <utility>
#include <vector>

#include "moexray/stats/routed_tokens.h"
#include "moexray/stats/signatures.h"
#include "moexray/trace/reader.h"

namespace moexray::bench {

/// The signatures of a trace and the routing of its single tokens.
struct TraceRouting {
  stats::Signatures signatures;
  stats::RoutedTokens tokens;
};

inline TraceRouting read_routing(const TraceSet& traces) {
  class Collector : public EventVisitor {
   public:
    Collector(stats::SignatureAccumulator& signatures, stats::TokenAccumulator& tokens)
        : signatures_(signatures), tokens_(tokens) {}
    void on_record(std::size_t prompt, const RoutingRecord& record) override {
      signatures_.add(prompt, record);
      tokens_.add(prompt, record);
    }

   private:
    stats::SignatureAccumulator& signatures_;
    stats::TokenAccumulator& tokens_;
  };
  std::vector<stats::PromptLabel> labels;
  for (const TracePrompt& prompt : traces.prompts) labels.push_back({prompt.id, prompt.category});
  stats::SignatureAccumulator signatures(traces.shape, labels, {});
  stats::TokenAccumulator tokens(traces.shape, labels.size(), {});
  Collector collector(signatures, tokens);
  read_events(traces, collector, {});
  TraceRouting routing{std::move(signatures).finish(), {}};
  routing.tokens = std::move(tokens).finish(routing.signatures);
  return routing;
}

}  // namespace moexray::bench
