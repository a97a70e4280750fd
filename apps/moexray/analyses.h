#pragma once

#include "analysis.h"

// The analyses, in the order of the help: the one place where a new one is entered. Each
// name_analysis() is defined in cmd_<name>.cpp.
#define MOEXRAY_ANALYSES(ROW) \
  ROW(signatures)             \
  ROW(similarity)             \
  ROW(baselines)              \
  ROW(layers)                 \
  ROW(project)                \
  ROW(classify)               \
  ROW(stats)                  \
  ROW(shadow)                 \
  ROW(confounds)              \
  ROW(information)            \
  ROW(experts)                \
  ROW(load)                   \
  ROW(compare)

namespace moexray::app {

#define MOEXRAY_DECLARE(name) Analysis name##_analysis();
MOEXRAY_ANALYSES(MOEXRAY_DECLARE)
#undef MOEXRAY_DECLARE

/// The table of all analyses.
std::span<const Analysis> analyses();

}  // namespace moexray::app
