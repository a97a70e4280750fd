#include <array>
#include <string>
#include <string_view>

#include "output_list.h"

namespace moexray::report {
namespace {

struct NamesOfCommand {
  std::string_view command;
  std::array<std::string_view, 2> files;
  std::array<std::string_view, 2> figures;  ///< without suffix
};

// Version 0.1.0 listed nothing. These are all names that it gave, command by command.
constexpr std::array<NamesOfCommand, 10> names_of_0_1_0{
    {{"signatures", {"signatures.npy", "labels.tsv"}, {}},
     {"similarity", {"similarity.npy", "labels.tsv"}, {"fig1_similarity", "fig1_prompts"}},
     {"baselines", {"baselines.tsv"}, {"fig2_baselines"}},
     {"layers", {"layers.tsv"}, {"fig3_layers"}},
     {"stats", {"stats_layers.tsv"}, {}},
     {"project", {}, {"fig4_pca", "fig5_tsne"}},
     {"classify", {"classify.tsv", "top_experts.tsv"}, {}},
     {"confounds", {"confounds.tsv"}, {}},
     {"information", {"information.tsv"}, {}},
     {"experts", {"expert_usage.tsv"}, {"experts"}}}};

constexpr std::array<std::string_view, 5> figure_suffixes{".tsv", ".gp", ".svg", ".png", ".pdf"};

}  // namespace

std::vector<OutputEntry> outputs_of_0_1_0(std::string_view command) {
  const bool is_all = command == "analyze";
  std::vector<OutputEntry> entries{{std::string(report_name), 0, {}}};
  if (is_all) entries.push_back({"report.html", 0, {}});
  for (const NamesOfCommand& names : names_of_0_1_0) {
    if (!is_all && names.command != command) continue;
    for (const std::string_view file : names.files) {
      if (!file.empty()) entries.push_back({std::string(file), 0, {}});
    }
    for (const std::string_view figure : names.figures) {
      if (figure.empty()) continue;
      for (const std::string_view suffix : figure_suffixes) {
        entries.push_back({std::string(figure) + std::string(suffix), 0, {}});
      }
    }
  }
  return entries;
}

}  // namespace moexray::report
