#pragma once

#include <vector>

#include "analysis.h"

namespace moexray::app {

// The analyses. Each is defined in its cmd_<name>.cpp, which runs it alone; `analyze` runs them
// all.
Section signatures_section(const AnalysisInput& input, const Arguments& arguments);
Section similarity_section(const AnalysisInput& input, const Arguments& arguments);
Section baselines_section(const AnalysisInput& input, const Arguments& arguments);
Section layers_section(const AnalysisInput& input, const Arguments& arguments);
/// One projection, by --method.
Section project_section(const AnalysisInput& input, const Arguments& arguments);
/// Both: {"pca": …, "tsne": …}, t-SNE left out (null) where there are too few prompts or too many.
Section projections_section(const AnalysisInput& input, const Arguments& arguments);
Section classify_section(const AnalysisInput& input, const Arguments& arguments);
Section stats_section(const AnalysisInput& input, const Arguments& arguments);
/// The same with fewer draws where there are many prompts: for `analyze`.
Section affordable_stats_section(const AnalysisInput& input, const Arguments& arguments);
Section experts_section(const AnalysisInput& input, const Arguments& arguments);
/// What `experts` says of experts and categories.
stats::ExpertCategoriesResult expert_categories_result(const AnalysisInput& input,
                                                       const Arguments& arguments);
Section confounds_section(const AnalysisInput& input, const Arguments& arguments);
Section information_section(const AnalysisInput& input, const Arguments& arguments);

// Flags that a section reads beside those of all analyses.
std::vector<Flag> baselines_flags();
std::vector<Flag> classify_flags();
std::vector<Flag> experts_flags();
std::vector<Flag> project_flags();
std::vector<Flag> similarity_flags();
std::vector<Flag> stats_flags(int n_resamples, int n_permutations);

/// A p-value from n_draws permutations, with the decimals that they support.
std::string p_value_text(double p_value, int n_draws);
std::vector<Flag> confounds_flags();
std::vector<Flag> information_flags();

/// labels.tsv: row, id, category, n_tokens of every row of the matrices.
OutputFile labels_file(const AnalysisInput& input);

}  // namespace moexray::app
