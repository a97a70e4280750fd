#!/bin/bash
# Draws the paper's Figure 1: similarity of routing by category.
set -euo pipefail
# shellcheck source=scripts/common.sh
source "$(dirname "$0")/common.sh"

draw_figure fig1_similarity "the similarity of routing by category (the paper's Figure 1)" similarity -- "$@"
