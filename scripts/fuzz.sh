#!/bin/bash
# Gives the parsers of foreign files mutated input, under the sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

seconds=${1:-60}
build=${2:-build-asan}
if (($# > 2)) || ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  cat <<'END_OF_HELP'
Usage: scripts/fuzz.sh [SECONDS] [BUILD_DIRECTORY]

Runs every fuzz target of BUILD_DIRECTORY (default build-asan) for SECONDS (default 60), as many at a time as there are
processors, from seeds that are valid files. The corpus grows in BUILD_DIRECTORY/fuzz/corpus; a finding is kept in
BUILD_DIRECTORY/fuzz/findings and makes the status 1: fix it, and keep it as a unit test. To build the targets:
  cmake --preset asan -DCMAKE_CXX_COMPILER=clang++-19 -DMOEXRAY_FUZZ=ON \
        -DMOEXRAY_SANITIZE=address,undefined,fuzzer-no-link && cmake --build --preset asan
END_OF_HELP
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi

targets=("$build"/fuzz/fuzz_*)
[[ -x ${targets[0]} ]] || fail "no fuzz targets in $build/fuzz: build them first (--help says how)"
corpus=$build/fuzz/corpus
findings=$build/fuzz/findings

# seed TARGET FILE…: valid input for a target, named by its content so that seeds of one name stay apart.
seed() {
  local target=$1 file
  shift
  mkdir -p "$corpus/$target"
  for file in "$@"; do
    cp "$file" "$corpus/$target/seed-$(sha1sum <"$file" | cut -c 1-12)"
  done
}

seeds=tests/fuzz/seeds
seed fuzz_config tests/data/parity/*/config.json models/mini-olmoe/config.json
seed fuzz_prompts $seeds/prompts.jsonl
seed fuzz_safetensors tests/data/parity/sharded/*.safetensors
seed fuzz_sentencepiece tests/data/text/sentencepiece/tokenizer.model
seed fuzz_tokenizer_json $seeds/tokenizer.json tests/data/text/chat_templates/*.jinja
joined=$(mktemp)
trap 'rm -f "$joined"' EXIT
{
  cat $seeds/trace-manifest.json
  printf '\0'
  cat $seeds/trace-prompts.jsonl
  printf '\0'
  cat $seeds/trace-events.jsonl
} >"$joined"
seed fuzz_trace "$joined"

mkdir -p "$findings"

fuzz() {
  local name log
  name=$(basename "$1")
  log=$findings/$name.log
  if "$1" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1 \
    -artifact_prefix="$findings/$name-" "$corpus/$name" >"$log" 2>&1; then
    printf '%-20s no finding in %s inputs\n' "$name" "$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")"
  else
    printf '%-20s FAILED, see %s\n' "$name" "$log"
    tail -n 30 "$log"
    return 1
  fi
}
export -f fuzz
export corpus findings seconds
# shellcheck disable=SC2016 # the other shell expands it
printf '%s\0' "${targets[@]}" | xargs -0 -n 1 -P "$(nproc)" bash -c 'fuzz "$0"'
