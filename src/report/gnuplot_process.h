#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "moexray/report/plot.h"

namespace moexray::report {

/// The gnuplot that PATH finds; empty without one. Relative parts of PATH are ignored.
std::optional<std::filesystem::path> find_gnuplot();

/// Runs `gnuplot --default-settings SCRIPT` in `directory`, without a shell, with nothing on its
/// standard input and a bare environment.
/// @return what went wrong in one line; empty if nothing did.
std::string run_gnuplot(const std::filesystem::path& program,
                        const std::filesystem::path& directory, const std::string& script,
                        const PlotOptions& options);

}  // namespace moexray::report
