#include <fmt/core.h>

#include <cmath>
#include <cstdint>

#include "category_sizes.h"
#include "moexray/core/wording.h"
#include "moexray/report/npy.h"
#include "moexray/report/table.h"
#include "moexray/trace/counts.h"
#include "sections.h"
#include "text_or_null.h"

namespace moexray::app {
namespace {

using report::Json;

// Counts do not say how many tokens there were if nobody knows how many experts one takes.
bool knows_tokens(const stats::Signatures& signatures) { return signatures.shape.top_k > 0; }

report::Document document_of(const stats::Signatures& signatures) {
  report::Table table({"category", "prompts", "tokens"});
  for (const auto& [category, size] : category_sizes(signatures)) {
    table.add_row({category.empty() ? "(none)" : category, std::to_string(size.n_prompts),
                   knows_tokens(signatures) ? size.tokens_text() : "not known"});
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
    prompts.push_back(Json::object(
        {{"id", signatures.ids[i]},
         {"category", text_or_null(category)},
         {"n_tokens", knows_tokens(signatures) ? Json(signatures.n_tokens[i]) : Json()}}));
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

Section signatures_section(const AnalysisInput& input) {
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

// How often the prompt of a row selected each expert, [L, E].
std::vector<std::int64_t> counts_of(const stats::Signatures& signatures, std::size_t row) {
  const auto n_experts = static_cast<Eigen::Index>(signatures.shape.n_experts);
  const auto r = static_cast<Eigen::Index>(row);
  std::vector<std::int64_t> counts;
  for (Eigen::Index column = 0; column < signatures.values.cols(); ++column) {
    const double sum = signatures.layer_sums(r, column / n_experts);
    counts.push_back(std::llround(signatures.values(r, column) * sum));
  }
  return counts;
}

// The counts behind the signatures, as a directory that analyses read.
void write_counts(const std::filesystem::path& directory, const AnalysisInput& input) {
  const Side& side = input.side();
  const stats::Selection& selection = input.settings.selection;
  const bool is_whole =
      selection.tokens == stats::TokenSelection::all && !selection.exclude_template;
  CountsWriter writer(directory, side.signatures.shape);
  for (std::size_t row = 0; row < side.signatures.size(); ++row) {
    TracePrompt prompt = side.traces.prompts[side.signatures.prompt_indices[row]];
    if (!is_whole) {
      prompt.n_prompt_tokens = prompt.n_generated_tokens = -1;
      prompt.positions.clear();
    }
    writer.append(prompt, counts_of(side.signatures, row));
  }
  TraceManifest manifest = side.traces.manifests.front();
  ManifestComplete& complete = manifest.complete;
  complete.prompt = complete.prompt && !selection.exclude_template &&
                    selection.tokens != stats::TokenSelection::generation;
  complete.generation = complete.generation && selection.tokens != stats::TokenSelection::prompt;
  complete.prompts_left_out += std::ssize(side.signatures.left_out);
  writer.finish(std::move(manifest));
}

Section run(const AnalysisInput& input, const Arguments&) {
  Section section = signatures_section(input);
  if (input.settings.selection.weighted) {
    section.notices.emplace_back("--weighted: sums of weights are no counts: no counts.npy");
    return section;
  }
  section.files.push_back({"counts.npy", [&input](const std::filesystem::path& path) {
                             write_counts(path.parent_path(), input);
                           }});
  // The writer of counts.npy has made these.
  for (const char* name : {"manifest.json", "prompts.jsonl"}) {
    section.files.push_back({name, [](const std::filesystem::path&) {}});
  }
  return section;
}

Section run_in_analyze(const AnalysisInput& input, const Arguments&) {
  return signatures_section(input);
}

}  // namespace

OutputFile labels_file(const Side& side) {
  const stats::Signatures& signatures = side.signatures;
  report::Tsv tsv({"row", "id", "category", "n_tokens"});
  for (std::size_t i = 0; i < signatures.size(); ++i) {
    tsv.add_row({std::to_string(i), signatures.ids[i], signatures.categories[i],
                 knows_tokens(signatures) ? std::to_string(signatures.n_tokens[i]) : ""});
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
              "category, n_tokens), report.json, and the counts themselves (counts.npy, "
              "prompts.jsonl, manifest.json): DIR can be read in place of traces, also together "
              "with others, by every analysis that needs no single tokens.",
          .examples = {{"moexray signatures traces -o signatures", "matrix and labels as files"},
                       {"moexray signatures traces --tokens generation --json -",
                        "of the generated tokens; what there is, as JSON"},
                       {"moexray signatures counts-a counts-b -o counts --force",
                        "the counts of two directories as one"}},
          .in_analyze = InAnalyze{.place = 10, .run = run_in_analyze, .is_required = always},
          .run = run};
}

}  // namespace moexray::app
