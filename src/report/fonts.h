#pragma once

#include <span>
#include <string>

#include "moexray/report/plot.h"

namespace moexray::report {

/// One line about the characters of the figures that no installed font has, with the packages that
/// bring one; empty if there are none, or without fc-list.
std::string font_notice(std::span<const std::string> drawings, const PlotOptions& options);

}  // namespace moexray::report
