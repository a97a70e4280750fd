#!/bin/bash
# From a fresh clone to results: packages, build, a trace of the 80 prompts with the bundled model, analysis.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if (($# > 0)); then
  cat <<'END'
Usage: scripts/quickstart.sh

Installs missing Debian packages (as root or through sudo), builds moexray into build/, lets the bundled model
run the 80 prompts of prompts/paper80.jsonl, and analyses which experts they went through. Results: traces/ and
analysis/. Can be run again; it then replaces these two.
END
  [[ $1 == -h || $1 == --help ]] && exit 0
  exit 2
fi

heading "1/4 Packages"
scripts/install_packages.sh

heading "2/4 Build"
# shellcheck disable=SC2046 # nothing at all if there is no ccache
run cmake --preset default -DMOEXRAY_BUILD_TESTS=OFF $(compiler_launcher) --log-level=WARNING
run cmake --build --preset default -j "$(build_jobs)"

heading "3/4 Trace: which experts does the bundled model use for 80 prompts?"
# Plain kernels: the same text on every processor, that of the README.
# 20 random routers watch: does the trained one separate the categories better?
run build/bin/moexray trace prompts/paper80.jsonl -o traces --kernels plain --shadow random --force

heading "4/4 Analysis"
run build/bin/moexray analyze traces -o analysis --force

heading "Done. What was written:"
find traces analysis -type f -printf '%10s bytes  %p\n' | sort -k 3
cat <<'END'

Next: build/bin/moexray --help, or one analysis alone, with its table on the terminal:
  build/bin/moexray classify traces --folds 5
  build/bin/moexray similarity traces
scripts/reproduce_paper.sh sets the paper's numbers beside those found here.
The README tells how to run the full-size OLMoE.
END
heading "Open this in a browser: the verdict, all figures and tables"
echo "$PWD/analysis/report.html"
