#include <fmt/core.h>

#include "category_sizes.h"
#include "moexray/core/wording.h"
#include "moexray/report/npy.h"
#include "moexray/report/table.h"
#include "sections.h"

namespace moexray::app {
namespace {

using report::Json;

report::Document document_of(const stats::Signatures& signatures) {
  report::Table table({"category", "prompts", "tokens"});
  for (const auto& [category, size] : category_sizes(signatures)) {
    table.add_row({category.empty() ? "(none)" : category, std::to_string(size.n_prompts),
                   size.tokens_text()});
  }
  report::Document document;
  document.paragraph(fmt::format("Signatures: {} × {}",
                                 counted(std::ssize(signatures.ids), "prompt"),
                                 counted(signatures.values.cols(), "value")));
  document.table(std::move(table));
  return document;
}

Json json_of(const stats::Signatures& signatures) {
  Json::Array prompts;
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    const std::string& category = signatures.categories[i];
    prompts.push_back(Json::object({{"id", signatures.ids[i]},
                                    {"category", category.empty() ? Json() : Json(category)},
                                    {"n_tokens", signatures.n_tokens[i]}}));
  }
  Json::Array left_out;
  for (const stats::LeftOut& prompt : signatures.left_out) {
    left_out.push_back(Json::object({{"id", prompt.id}, {"reason", prompt.reason}}));
  }
  return Json::object({{"n_prompts", signatures.size()},
                       {"n_features", signatures.values.cols()},
                       {"prompts", std::move(prompts)},
                       {"left_out", std::move(left_out)}});
}

Section run(const AnalysisInput& input, const Arguments&) {
  const stats::Signatures& signatures = input.side().signatures;
  Section section{.json = json_of(signatures), .document = document_of(signatures)};
  section.files.push_back({"signatures.npy", [&signatures](const std::filesystem::path& path) {
                             const stats::Matrix& m = signatures.values;
                             report::write_npy(path, {m.data(), static_cast<std::size_t>(m.size())},
                                               static_cast<std::size_t>(m.rows()),
                                               static_cast<std::size_t>(m.cols()));
                           }});
  section.files.push_back(labels_file(input.side()));
  if (!input.settings.output) {
    section.notices.emplace_back(
        "-o DIR writes the signatures themselves: signatures.npy and labels.tsv");
  }
  return section;
}

}  // namespace

OutputFile labels_file(const Side& side) {
  const stats::Signatures& signatures = side.signatures;
  report::Tsv tsv({"row", "id", "category", "n_tokens"});
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    tsv.add_row({std::to_string(i), signatures.ids[i], signatures.categories[i],
                 std::to_string(signatures.n_tokens[i])});
  }
  return text_file("labels.tsv", tsv.text());
}

Analysis signatures_analysis() {
  return {.name = "signatures",
          .summary = "Routing signatures of the prompts of a trace",
          .description =
              "A signature holds, for every layer and expert, the share of the layer's selections "
              "that went to the expert: L·E values a prompt, column = layer·E + expert. With -o "
              "DIR it writes signatures.npy (float64, prompts × L·E), labels.tsv (row, id, "
              "category, n_tokens) and report.json.",
          .examples = {{"moexray signatures traces -o signatures", "matrix and labels as files"},
                       {"moexray signatures traces --tokens generation --json -",
                        "of the generated tokens; what there is, as JSON"}},
          .in_analyze = InAnalyze{.place = 10, .is_required = always},
          .run = run};
}

}  // namespace moexray::app
