#pragma once

#include <fmt/core.h>

#include <cstdint>
#include <optional>
#include <string>

#include "analysis.h"
#include "moexray/core/error.h"

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
  options.groups = input.sides.front().groups;
  options.n_threads = input.settings.n_threads;
}

/// What cannot be computed with the folds that `analyze` was told to take is left out there.
/// @throws Error (data)
inline void check_nested_folds(const Arguments& arguments) {
  const std::int64_t n = arguments.integer("folds");
  if (n < 4 || n > 64) {
    throw Error(ErrorKind::data, {"number of folds", "--folds", "4 to 64", std::to_string(n)});
  }
}

/// Why `analyze` leaves an analysis out that it could not do in a few seconds.
inline Error too_much_work(const std::string& command, const stats::Signatures& signatures) {
  return {ErrorKind::data,
          fmt::format("{} prompts, {} layers and {} experts take minutes; moexray {} (or --full) "
                      "takes the time",
                      signatures.size(), signatures.shape.n_layers, signatures.shape.n_experts,
                      command)};
}

/// That there are fewer repetitions than for small inputs.
inline std::string fewer_repetitions_notice(const std::string& command, int n_repetitions) {
  return n_repetitions == 0
             ? fmt::format(
                   "{}: no intervals for so many prompts; moexray {} (or --full) computes "
                   "them",
                   command, command)
             : fmt::format(
                   "{}: {} repetitions of nested cross-validation, fewer than for few "
                   "prompts",
                   command, n_repetitions);
}

/// A section of `analyze` with what stats::affordable leaves of `asked`; repetitions that the user
/// asked for are kept.
/// @throws Error (data) for numbers of folds that do not go, or if nothing is affordable
template <typename Options>
Section affordable_nested_section(const std::string& command, const AnalysisInput& input,
                                  const Arguments& arguments, Options asked,
                                  Section (*section_of)(const AnalysisInput&, Options)) {
  check_nested_folds(arguments);
  read_nested_options(input, arguments, asked);
  std::optional<Options> options = stats::affordable(asked, input.side().signatures);
  if (!options) throw too_much_work(command, input.side().signatures);
  if (arguments.has("nested-repetitions")) options->n_repetitions = asked.n_repetitions;
  Section section = section_of(input, *options);
  if (options->n_repetitions < asked.n_repetitions) {
    section.notices.push_back(fewer_repetitions_notice(command, options->n_repetitions));
  }
  return section;
}

}  // namespace moexray::app
