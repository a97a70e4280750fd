// An analysis as a contributor would write it: all of it is here, and its row stands in the table
// of analysis_frame_test.cpp.
#include <fmt/core.h>

#include <utility>

#include "analysis.h"
#include "moexray/core/error.h"
#include "moexray/report/html_page.h"
#include "moexray/report/number.h"

namespace moexray::app {
namespace {

struct Busiest {
  Eigen::Index layer = 0;
  Eigen::Index expert = 0;
  double share = 0;  // mean over prompts
};

Busiest busiest(const stats::Signatures& signatures, int layer) {
  if (layer >= signatures.shape.n_layers) {
    throw Error(ErrorKind::data, "there is no layer " + std::to_string(layer));
  }
  Busiest found{.layer = layer};
  const auto n_experts = static_cast<Eigen::Index>(signatures.shape.n_experts);
  found.share = signatures.values.middleCols(layer * n_experts, n_experts)
                    .colwise()
                    .mean()
                    .maxCoeff(&found.expert);
  return found;
}

std::string text_of(const Busiest& found) {
  return fmt::format("{}/{}", found.layer, found.expert);
}

Section run(const AnalysisInput& input, const Arguments& arguments) {
  const Busiest found =
      busiest(input.side().signatures, static_cast<int>(arguments.integer("of-layer")));
  const std::string share = report::fixed(found.share, 3);
  Section section{.json = report::Json::object(
                      {{"layer", found.layer}, {"expert", found.expert}, {"share", found.share}})};
  section.document.paragraph("busiest expert: " + text_of(found) + ", share " + share);
  section.files.push_back(text_file("busiest.tsv", "layer\texpert\n"));
  section.headlines = {{.quantity = "busiest expert",
                        .value = text_of(found),
                        .remark = "of layer " + std::to_string(found.layer),
                        .is_first = true},
                       {.quantity = "its share", .value = share}};
  section.summary.paragraph("The busiest expert is " + text_of(found) + ".");
  section.page_part =
      PagePart{.title = "The busiest expert",
               .html = [found](const Section&, const AnalysisInput&, const Site&) {
                 return report::html_paragraph("Most tokens go to " + text_of(found) + ".");
               }};
  return section;
}

}  // namespace

Analysis busiest_analysis() {
  const std::vector<Flag> flags = {{.name = "--of-layer",
                                    .type = FlagType::integer,
                                    .value_name = "L",
                                    .default_value = "0",
                                    .help = "the layer to look at",
                                    .min = 0,
                                    .max = 1000}};
  return {.name = "busiest",
          .summary = "The expert that a layer uses most",
          .description = "Names it.",
          .flags = flags,
          .examples = {{"moexray busiest traces --of-layer 3", "of the fourth layer"}},
          .in_analyze = InAnalyze{.place = 5, .remark = "(of one layer)", .flags = flags},
          .run = run};
}

}  // namespace moexray::app
