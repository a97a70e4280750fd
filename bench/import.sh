#!/bin/bash
# Measures import and export: 10,000 responses of a server as a stream of lines. Prints processor seconds, peak memory
# and megabytes of ids per processor second; and peak memory of a tenth of the responses, which must not be less by much.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

if (($# > 2)) || [[ ${1:-} == -h || ${1:-} == --help ]]; then
  cat <<'END'
Usage: bench/import.sh [BUILD [WORK_DIRECTORY]]

Makes a trace of 10,000 prompts (kept in WORK_DIRECTORY, default build/bench-data), exports it as responses of vLLM, and
imports them again. Needs BUILD/bin/moexray and BUILD/bench/make_trace (default build; cmake --preset default
-DMOEXRAY_BUILD_BENCH=ON), and /usr/bin/time.
END
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi

build=${1:-build}
data=${2:-build/bench-data}
moexray=$build/bin/moexray
for tool in "$moexray" "$build/bench/make_trace" /usr/bin/time; do
  [[ -x $tool ]] || fail "$tool is missing"
done
mkdir -p "$data"
[[ -e $data/trace/manifest.json ]] || "$build/bench/make_trace" "$data/trace" 10000 42
# The shape that make_trace gives: 16 layers of 64 experts, 8 of them, a byte each.
[[ -e $data/responses.jsonl ]] || "$moexray" export --to vllm "$data/trace" -o "$data/responses.jsonl" --quiet
head -n 1000 "$data/responses.jsonl" >"$data/tenth.jsonl"

# payload FILE: megabytes of ids in base64.
payload() {
  grep -o '"routed_experts":"[^"]*"' "$1" | awk '{ n += (length($0) - 19) * 3 / 4 } END { print n / 1e6 }'
}

# measure NAME MEGABYTES COMMAND…
measure() {
  local name=$1 megabytes=$2 log=$data/time.txt
  shift 2
  /usr/bin/time -f '%e %U %S %M' -o "$log" "$@" >"$data/out.txt" 2>"$data/err.txt" ||
    fail "$name failed: $(tail -n 1 "$data/err.txt")"
  read -r real user system memory <<<"$(tail -n 1 "$log")"
  awk -v name="$name" -v r="$real" -v u="$user" -v s="$system" -v m="$memory" -v mb="$megabytes" \
    'BEGIN { printf "%-36s %8.2f s %8.2f s %8.2f s %7.1f MB %8.0f MB/s\n", name, r, u, s, m / 1024, mb / (u + s) }'
}

grep -m 1 'model name' /proc/cpuinfo || true
all=$(payload "$data/responses.jsonl")
tenth=$(payload "$data/tenth.jsonl")
events=$(cat "$data"/trace/events-*.jsonl | wc -c | awk '{ print $1 / 1e6 }')
printf '%.1f MB of ids in %.1f MB of responses; %s processors\n' "$all" \
  "$(($(stat -c %s "$data/responses.jsonl") / 1000))e-3" "$(nproc)"
printf '%-36s %10s %10s %10s %10s %13s\n' "" elapsed user system peak "of ids, or text"
check=("$moexray" import --from vllm --experts 64 --check --quiet)
measure "import --check, 1,000 responses" "$tenth" "${check[@]}" "$data/tenth.jsonl"
measure "import --check, 10,000 responses" "$all" "${check[@]}" "$data/responses.jsonl"
measure "import --check --check-prefixes" "$all" "${check[@]}" --check-prefixes "$data/responses.jsonl"
measure "import, text of events written" "$events" "$moexray" import --from vllm --experts 64 --quiet --force \
  "$data/responses.jsonl" -o "$data/imported"
for form in npz vllm counts; do
  measure "export --to $form, text of events read" "$events" "$moexray" export --to "$form" "$data/trace" --quiet --force \
    -o "$data/exported.$form"
done
