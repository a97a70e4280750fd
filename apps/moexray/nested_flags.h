#pragma once

#include <string>

#include "analysis.h"

namespace moexray::app {

/// --nested-repetitions, of what is cross-validated.
inline Flag nested_repetitions_flag(const std::string& default_value) {
  return {.name = "--nested-repetitions",
          .type = FlagType::integer,
          .value_name = "N",
          .default_value = default_value,
          .help = "repetitions of nested cross-validation, for intervals; 0: none",
          .min = 0,
          .max = 1'000'000};
}

/// --folds, of what also chooses its penalty by cross-validation: 4 folds at least, 64 at most.
inline Flag nested_folds_flag() {
  return {.name = "--folds",
          .type = FlagType::integer,
          .value_name = "N",
          .default_value = "5",
          .help = "folds of the cross-validation",
          .min = 4,
          .max = 64};
}

/// What ConfoundsOptions and InformationOptions have in common. A command that has not these flags
/// (`analyze`) leaves their defaults.
template <typename Options>
void read_nested_options(const AnalysisInput& input, const Arguments& arguments, Options& options) {
  if (arguments.has("folds")) options.n_folds = static_cast<int>(arguments.integer("folds"));
  if (arguments.has("nested-repetitions")) {
    options.n_repetitions = static_cast<int>(arguments.integer("nested-repetitions"));
  }
  options.seed = input.settings.seed;
  options.groups = input.groups;
  options.n_threads = input.settings.n_threads;
}

}  // namespace moexray::app
