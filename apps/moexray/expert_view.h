#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "analysis.h"
#include "moexray/stats/expert_categories.h"
#include "moexray/stats/expert_profile.h"

namespace moexray::app {

/// A token that goes to the expert, with what stands around it. Texts are fit for printing, with
/// visible blanks.
struct ShownContext {
  std::string id;
  std::string category;
  std::int64_t pos = 0;
  bool is_generated = false;
  std::string before;
  std::string token;
  std::string after;
  int rank = 0;
  double weight = stats::undefined;
};

/// What is shown of one expert: its numbers, and what tokens are called.
struct ExpertView {
  RoutingShape shape;
  stats::ExpertProfile profile;
  std::size_t n_prompts = 0;                                  ///< of the trace that are counted
  const stats::ExpertCategoriesResult* categories = nullptr;  ///< must outlive this
  std::vector<std::string> type_names;                        ///< [profile.types]
  std::vector<ShownContext> contexts;
  std::vector<std::string> missing;  ///< what the trace lacks, a sentence each

  /// The cells of this expert: [K], or none.
  std::vector<stats::ExpertCell> cells() const;
};

/// Views of some experts, with one more pass over the events for the router's weights.
/// @param categories must outlive the views
std::vector<ExpertView> expert_views(const AnalysisInput& input,
                                     const stats::ExpertCategoriesResult& categories,
                                     std::span<const stats::ExpertName> experts);

/// "9/11".
std::string text_of(const stats::ExpertName& name);

std::string expert_text(const ExpertView& view);
report::Json expert_json(const ExpertView& view);
/// A page of its own.
std::string expert_html(const ExpertView& view, const std::string& model_name);

/// A page to be written into the folder of an analysis.
struct ExpertPage {
  std::string name;  ///< "L09E011.html"
  std::string html;
};

/// The name of an expert's page, wide enough to sort.
std::string expert_page_name(const stats::ExpertName& name);

/// The pages of some experts: those that an analysis names.
std::vector<ExpertPage> expert_pages(const AnalysisInput& input,
                                     const stats::ExpertCategoriesResult& categories,
                                     std::span<const stats::ExpertName> experts);

}  // namespace moexray::app
