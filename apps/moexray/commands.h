#pragma once

#include "command.h"

namespace moexray::app {

// Each is defined in cmd_<name>.cpp.
Command analyze_command();
Command baselines_command();
Command classify_command();
Command completions_command();
Command confounds_command();
Command expert_command();
Command experts_command();
Command information_command();
Command layers_command();
Command model_command();
Command project_command();
Command show_command();
Command signatures_command();
Command similarity_command();
Command stats_command();
Command tokenize_command();
Command trace_command();

}  // namespace moexray::app
