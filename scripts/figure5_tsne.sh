#!/bin/bash
# Draws the paper's Figure 5: t-SNE of the signatures.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

draw_figure fig5_tsne "the t-SNE of signatures (the paper's Figure 5)" project --method tsne -- "$@"
