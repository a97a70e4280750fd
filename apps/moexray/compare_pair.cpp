#include "compare_pair.h"

#include <fmt/core.h>

#include <cstdlib>

#include "moexray/core/error.h"
#include "moexray/core/escape.h"
#include "moexray/core/wording.h"
#include "moexray/report/number.h"
#include "moexray/trace/counts.h"
#include "moexray/trace/origin.h"

namespace moexray::app {
namespace {

using report::Json;

// Less is not enough to speak of two traces: a few common prefixes are the easy tokens.
constexpr double least_share = 0.5;

std::string aligned_text(const stats::Alignment& alignment) {
  std::string text = fmt::format("{} of {} aligned ({}% of what either has)",
                                 counted(static_cast<std::int64_t>(alignment.n_tokens), "token"),
                                 counted(std::ssize(alignment.prompts), "prompt"),
                                 report::fixed(100 * alignment.share(), 1));
  if (alignment.n_units != alignment.prompts.size()) {
    text += fmt::format(", {}", counted(static_cast<std::int64_t>(alignment.n_units), "unit"));
  }
  const std::size_t n_alone = alignment.n_only_first + alignment.n_only_second;
  if (n_alone > 0) {
    text += fmt::format("; {} in one of the traces alone",
                        counted(static_cast<std::int64_t>(n_alone), "prompt"));
  }
  return text;
}

}  // namespace

void ComparedPair::check_aligned(const std::string& part) const {
  if (not_aligned.empty()) return;
  throw Error(ErrorKind::data, part + " needs the same tokens in both: " + not_aligned);
}

bool ComparedPair::same_experts() const {
  return first.traces.shape.n_layers == other.traces.shape.n_layers &&
         first.traces.shape.n_experts == other.traces.shape.n_experts;
}

bool ComparedPair::ordered() const {
  return has_expert_order(first.traces) && has_expert_order(other.traces);
}

std::string names_of(const Side& first, const Side& other) {
  return printable(first.name, 60) + " and " + printable(other.name, 60);
}

std::string shape_text(const Side& side) {
  const RoutingShape& shape = side.traces.shape;
  return fmt::format("{} × {} experts, top-{}", counted(shape.n_layers, "layer"), shape.n_experts,
                     shape.top_k);
}

stats::Alignment checked_alignment(const Side& first, const Side& other) {
  const std::string names = names_of(first, other);
  check_has_tokens(first.traces);
  check_has_tokens(other.traces);
  stats::Alignment alignment =
      stats::align(first.signatures, first.tokens, other.signatures, other.tokens, first.groups);
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

void add_alignment(const ComparedPair& pair, Section& section) {
  const stats::Alignment& alignment = pair.alignment;
  if (!pair.not_aligned.empty()) {
    section.json.set("aligned", Json());
    return;
  }
  section.json.set("aligned", Json::object({{"prompts", alignment.prompts.size()},
                                            {"units", alignment.n_units},
                                            {"only_in_traces", alignment.n_only_first},
                                            {"only_in_with", alignment.n_only_second},
                                            {"tokens", alignment.n_tokens},
                                            {"share", alignment.share()},
                                            {"by_token_ids", alignment.has_ids}}));
  section.document.paragraph(aligned_text(alignment));
}

void check_same_experts(const ComparedPair& pair, const std::string& part) {
  if (pair.same_experts()) return;
  throw Error(ErrorKind::data,
              fmt::format("{} needs the same layers and experts: {} has {}, {} has {}", part,
                          printable(pair.first.name, 60), shape_text(pair.first),
                          printable(pair.other.name, 60), shape_text(pair.other)));
}

void check_layer_numbers(const ComparedPair& pair) {
  const Side& first = pair.first;
  const Side& other = pair.other;
  const int shift = stats::winning_shift(
      stats::layer_shifts(pair.first_tokens, pair.other_tokens, pair.alignment));
  if (shift == 0) return;
  throw Error(ErrorKind::data,
              {"the layers of the traces are counted differently", printable(other.name, 60),
               "layers that agree best with those of the same number",
               fmt::format("layer ℓ of {} agrees best with layer ℓ {} {}",
                           printable(first.name, 60), shift > 0 ? "+" : "−", std::abs(shift))});
}

}  // namespace moexray::app
