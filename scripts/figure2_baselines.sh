#!/bin/bash
# Draws the paper's Figure 2: similarity within and across categories, and its baselines.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

draw_figure fig2_baselines "similarity and its baselines (the paper's Figure 2)" baselines -- "$@"
