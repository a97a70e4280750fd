#include "analyses.h"

#include <vector>

namespace moexray::app {

std::span<const Analysis> analyses() {
#define MOEXRAY_MAKE(name) name##_analysis(),
  static const std::vector<Analysis> table = {MOEXRAY_ANALYSES(MOEXRAY_MAKE)};
#undef MOEXRAY_MAKE
  return table;
}

}  // namespace moexray::app
