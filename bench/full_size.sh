#!/bin/bash
# Makes a checkpoint of a published model's shapes, if it is not there, and measures on it.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if (($# < 1 || $# > 3)) || [[ $1 == -* ]]; then
  cat <<'END'
Usage: bench/full_size.sh DIR [fast|plain [CONFIG]]

Writes a checkpoint with the names, shapes and shards of CONFIG, a config.json (tests/data/configs has some; without one,
that of OLMoE-1B-7B, 13.8 GB), and random weights to DIR (kept, and used again by the next run), reads it into the page cache, and measures in one run, each figure beside its limit: load time,
prefill, decode of 1, 8, 32 and 80 sequences, the 80-prompt experiment, the cost of tracing, and memory. With OLMoE's
shapes it takes five minutes and 16 GB of memory. Needs build/bench (cmake --preset default -DMOEXRAY_BUILD_BENCH=ON).
END
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi

checkpoint=$1
make=build/bench/make_full_checkpoint
measure=build/bench/full_size
for tool in "$make" "$measure"; do
  [[ -x $tool ]] || fail "$tool is missing: build with cmake --preset default -DMOEXRAY_BUILD_BENCH=ON"
done

# The index is written last.
if [[ ! -e $checkpoint/model.safetensors.index.json ]]; then
  mkdir -p "$checkpoint"
  echo "Writing the checkpoint to $checkpoint"
  "$make" "$checkpoint" ${3:+"$3"}
fi

grep -m 1 'model name' /proc/cpuinfo || true
cat "$checkpoint"/*.safetensors >/dev/null # into the page cache
"$measure" "$checkpoint" "${2:-fast}"
