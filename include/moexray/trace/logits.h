#pragma once

#include <cstddef>
#include <span>

#include "moexray/core/routing.h"
#include "moexray/trace/reader.h"

namespace moexray {

/// True if every record of the set has its router's logits (`trace --router-logits`).
bool has_router_logits(const TraceSet& traces);

/// Receives what routers computed before they chose. Records of one prompt come from one thread;
/// different prompts may come from different threads at the same time.
class LogitVisitor {
 public:
  virtual ~LogitVisitor() = default;
  /// @param logits [E] before the softmax
  virtual void on_logits(std::size_t prompt_index, const RoutingRecord& record,
                         std::span<const float> logits) = 0;
};

/// Streams the logits of every record of the set through the visitor, once, and checks the records
/// as read_events() does.
/// @throws Error (data) as read_events() does, and with file and line for a record without logits
/// or with others than E finite numbers.
void read_router_logits(const TraceSet& traces, LogitVisitor& visitor, const ReadOptions& options);

}  // namespace moexray
