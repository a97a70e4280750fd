#!/bin/bash
# Measures the analysis: reading events, and 10,000 prompts through every statistic. Prints one table of seconds,
# processor seconds and peak memory, and the ratios to a plain Python reader in the same run.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if (($# > 1)) || [[ ${1:-} == -h || ${1:-} == --help ]]; then
  cat <<'END'
Usage: bench/analysis.sh [WORK_DIRECTORY]

Makes a 1 GB trace of 10,000 prompts, and another of the same tokens (kept in WORK_DIRECTORY, default build/bench-data),
reads it with moexray and, where python3 has numpy, with json and numpy, and runs the analyses on it. Needs build/bin/moexray and
build/bench/make_trace (cmake --preset default -DMOEXRAY_BUILD_BENCH=ON), and /usr/bin/time.
END
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi

moexray=build/bin/moexray
data=${1:-build/bench-data}
for tool in "$moexray" build/bench/make_trace /usr/bin/time; do
  [[ -x $tool ]] || fail "$tool is missing"
done
mkdir -p "$data"
[[ -e $data/trace/manifest.json ]] || build/bench/make_trace "$data/trace" 10000 42
[[ -e $data/other/manifest.json ]] || build/bench/make_trace "$data/other" 10000 42 4
n_bytes=$(cat "$data"/trace/events-*.jsonl | wc -c)

# measure NAME COMMAND…: seconds, processor seconds and peak memory of one run, remembered by name.
declare -A seconds
measure() {
  local name=$1 log=$data/time.txt
  shift
  /usr/bin/time -f '%e %U %S %M' -o "$log" "$@" >"$data/out.txt" 2>"$data/err.txt" ||
    fail "$name failed: $(tail -n 1 "$data/err.txt")"
  read -r real user system memory <<<"$(tail -n 1 "$log")"
  seconds[$name]=$real
  printf '%-44s %8s s %8.2f s %8d MB\n' "$name" "$real" \
    "$(awk "BEGIN { print $user + $system }")" $((memory / 1024))
}

grep -m 1 'model name' /proc/cpuinfo || true
printf '%d MB of events, %s processors\n' $((n_bytes / 1000000)) "$(nproc)"
printf '%-44s %10s %10s %11s\n' "" elapsed processor memory
cat "$data"/trace/events-*.jsonl >/dev/null # into the page cache, for all alike
measure "moexray signatures" "$moexray" signatures "$data/trace" --quiet
if python3 -c 'import numpy' 2>/dev/null; then
  measure "Python json + numpy" python3 bench/read_trace.py "$data/trace"
fi
for command in similarity layers experts "project --method pca" "classify --folds 5" baselines; do
  # shellcheck disable=SC2086 # a command and its flags
  measure "moexray $command" "$moexray" $command "$data/trace" --quiet
done
cat "$data"/other/events-*.jsonl >/dev/null
measure "moexray compare" "$moexray" compare "$data/trace" --with "$data/other" --quiet
awk -v b="$n_bytes" -v s="${seconds[moexray signatures]}" \
  'BEGIN { printf "\nreading: %.0f MB/s\n", b / 1e6 / s }'
if [[ -n ${seconds[Python json + numpy]:-} ]]; then
  awk -v p="${seconds[Python json + numpy]}" -v s="${seconds[moexray signatures]}" \
    'BEGIN { printf "%.1f times as fast as Python json + numpy\n", p / s }'
fi
