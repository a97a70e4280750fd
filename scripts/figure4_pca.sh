#!/bin/bash
# Draws the paper's Figure 4: principal components of the signatures.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

draw_figure fig4_pca "the principal components of signatures (the paper's Figure 4)" project --method pca -- "$@"
