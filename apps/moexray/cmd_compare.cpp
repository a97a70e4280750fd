#include <utility>

#include "analysis.h"
#include "compare_agreement.h"
#include "compare_pair.h"
#include "moexray/core/error.h"

namespace moexray::app {
namespace {

using report::Json;

// Every part of the comparison of one pair.
Section section_of(const ComparedPair& pair) {
  Section section{.json = Json::object({})};
  add_agreement(pair, section);
  section.json.set("notices", Json::array(section.notices));
  return section;
}

Section run(const AnalysisInput& input, const Arguments&) {
  if (input.settings.selection.weighted) {
    throw Error(ErrorKind::data,
                "agreement counts experts, not their weights: not with --weighted");
  }
  const Side& first = input.sides[0];
  const Side& other = input.sides[1];
  const Side* floor = input.sides.size() > 2 ? &input.sides[2] : nullptr;
  return section_of({input, first, other, floor, checked_alignment(first, other)});
}

}  // namespace

Analysis compare_analysis() {
  return {
      .name = "compare",
      .summary = "Do two routings of the same tokens choose the same experts?",
      .description =
          "Compares two traces of the same prompts, of two checkpoints, precisions or programs "
          "say: "
          "how many of a token's experts both choose at each layer, beside what chance would give "
          "with nothing, the experts' popularity, the prompt, or the token's type held fixed; and "
          "which ranks the experts had that the other does not choose. Tokens are aligned by "
          "prompt "
          "id and position, up to the first that differs: trace --replay feeds another model the "
          "same ones. A layer that fits the other's neighbour better, by much, is an error. With "
          "-o DIR it writes compare.tsv, the figures compare_agreement and compare_ranks, and "
          "report.json.",
      .flags = {group_by_flag()},
      .examples = {{"moexray compare traces --with traces-float32",
                    "agreement by layer, with intervals over prompts"},
                   {"moexray compare base --with tuned --floor base-again --tokens prompt",
                    "beside what a second run of the same model gives; prompts alone"}},
      .needs = {.tokens = true},
      .other_sides = {{.name = "--with",
                       .type = FlagType::texts,
                       .value_name = "OTHER",
                       .help = "trace directories of the other routing"}},
      .optional_sides = {{.name = "--floor",
                          .type = FlagType::texts,
                          .value_name = "DIR",
                          .help = "the first routing once more (another batch plan or kernel): "
                                  "what no change at all looks like"}},
      .run = run};
}

}  // namespace moexray::app
