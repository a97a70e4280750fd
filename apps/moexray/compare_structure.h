#pragma once

#include <optional>
#include <string>
#include <vector>

#include "analysis_input.h"
#include "command.h"
#include "moexray/stats/cka.h"
#include "moexray/stats/expert_matching.h"
#include "moexray/stats/paired_prompts.h"
#include "moexray/stats/paired_structure.h"
#include "moexray/stats/rsa.h"
#include "section.h"

namespace moexray::app {

/// How alike the shadows of the first side's trace are to it: what a random router of the same
/// hidden states gives.
struct RandomRouterLevel {
  std::string form;  ///< "load matched", or "as it is" where there is none
  int n_routers = 0;
  double mean = 0;
  double sd = 0;  ///< NaN: there is one
};

/// What two routings of the same prompts have in common beside the experts of single tokens.
struct ComparedStructure {
  stats::PairedPrompts pair;
  stats::TestedPair tested;
  stats::MatchingResult matching;
  std::optional<stats::PairedStructure> structure;
  std::string no_structure;  ///< why there is none
  stats::RsaResult rsa;
  std::optional<RandomRouterLevel> random_router;
  stats::CkaResult cka;
  std::vector<std::string> notices;
};

/// Compares how two sides separate the categories, which prompts they find alike, and which experts
/// go with which. They may have other shapes and other tokens, or counts: what cannot be had then
/// is said in the notices.
/// @throws Error (data) if they have no prompt in common, (interrupted)
ComparedStructure compare_structure(const AnalysisInput& input, const Arguments& arguments,
                                    const Side& first, const Side& other);

/// Adds it to a section: the keys `structure`, `transfer`, `rsa`, `cka` and `matching`, tables,
/// compare_cka.tsv and compare_matching.tsv, the figure compare_cka, and the notices.
/// @param suffix of the names of files and figures
void add_structure(const ComparedStructure& compared, const std::string& suffix, Section& section);

}  // namespace moexray::app
