#include "compare_pair.h"

#include <fmt/core.h>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/trace/origin.h"

namespace moexray::app {
namespace {

// Less is not enough to speak of two traces: a few common prefixes are the easy tokens.
constexpr double least_share = 0.5;

}  // namespace

bool ComparedPair::same_experts() const {
  return first.traces.shape.n_layers == other.traces.shape.n_layers &&
         first.traces.shape.n_experts == other.traces.shape.n_experts;
}

bool ComparedPair::ordered() const {
  return has_expert_order(first.traces) && has_expert_order(other.traces);
}

std::string shape_text(const Side& side) {
  const RoutingShape& shape = side.traces.shape;
  return fmt::format("{} × {} experts, top-{}", counted(shape.n_layers, "layer"), shape.n_experts,
                     shape.top_k);
}

stats::Alignment checked_alignment(const Side& first, const Side& other) {
  stats::Alignment alignment =
      stats::align(first.signatures, first.tokens, other.signatures, other.tokens, first.groups);
  const std::string names = printable(first.name, 60) + " and " + printable(other.name, 60);
  if (alignment.n_shared_prompts == 0) {
    throw Error(ErrorKind::data, {"the traces have no prompt in common", names,
                                  "the same prompt ids", "other ones"});
  }
  if (!(alignment.share() >= least_share)) {
    throw Error(ErrorKind::data,
                {"too few tokens are the same in both (feed the recorded ones with trace --replay, "
                 "or compare prompts alone with --tokens prompt)",
                 names, "half of them at least, from the start of each prompt",
                 report::fixed(100 * alignment.share(), 1) + "%"});
  }
  return alignment;
}

}  // namespace moexray::app
