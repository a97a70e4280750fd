#!/bin/bash
# Draws the paper's Figure 3: Cohen's d by layer.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

draw_figure fig3_layers "Cohen's d by layer (the paper's Figure 3)" layers -- "$@"
