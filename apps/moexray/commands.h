#pragma once

#include "command.h"

namespace moexray::app {

// Each is defined in cmd_<name>.cpp. The analyses have a table of their own: analyses.h.
Command completions_command();
Command expert_command();
Command export_command();
Command import_command();
Command man_command();
Command model_command();
Command show_command();
Command tokenize_command();
Command trace_command();

}  // namespace moexray::app
