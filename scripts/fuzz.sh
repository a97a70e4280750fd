#!/bin/bash
# Gives the parsers of foreign files mutated input, under the sanitizers.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

seconds=${1:-60}
if (($# > 1)) || ! [[ $seconds =~ ^[1-9][0-9]*$ ]]; then
  cat <<'END_OF_HELP'
Usage: scripts/fuzz.sh [SECONDS]

Builds the fuzz targets into build-fuzz/ (with clang++-19) and runs each for SECONDS (default 60; those of arrays and
responses for a third of that), as many at a time as there are processors, from seeds that are valid files. The corpus
grows in build-fuzz/fuzz/corpus; a finding is kept in build-fuzz/fuzz/findings and makes the status 1: fix it, and
keep it as a unit test. Status 77: the compiler or its runtimes are not there, so nothing was tried.
END_OF_HELP
  [[ ${1:-} == -h || ${1:-} == --help ]] && exit 0
  exit 2
fi

# cannot_try MESSAGE: status 77, which scripts/test.sh counts as skipped.
cannot_try() {
  printf '%s: %s\n' "$(basename "$0")" "$*" >&2
  exit 77
}

# Debian's clang-19 only recommends the package of the runtimes that -fsanitize links.
can_link_fuzz_target() {
  echo 'extern "C" int LLVMFuzzerTestOneInput(const unsigned char*, unsigned long) { return 0; }' |
    clang++-19 -fsanitize=address,undefined,fuzzer -x c++ - -o /dev/null 2>/dev/null
}

command -v clang++-19 >/dev/null || cannot_try "no clang++-19: install the Debian package clang-19"
can_link_fuzz_target ||
  cannot_try "clang++-19 links no fuzz target: install the Debian package libclang-rt-19-dev"
# shellcheck disable=SC2046 # nothing at all if there is no ccache
cmake --preset fuzz $(compiler_launcher)
cmake --build --preset fuzz -j "$(build_jobs)"

build="build-fuzz"
targets=("$build"/fuzz/fuzz_*)
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
seed fuzz_config tests/data/parity/*/config.json tests/data/configs/*.json models/mini-olmoe/config.json $seeds/config-double.json
seed fuzz_gguf $seeds/imatrix.gguf
seed fuzz_npy $seeds/ids.npy
seed fuzz_npz tests/data/import/vllm-offline.npz
seed fuzz_responses tests/data/import/vllm-0.33-completion.json $seeds/lists.json
seed fuzz_prompts $seeds/prompts.jsonl $seeds/numbers.jsonl $seeds/no-prompts/*
seed fuzz_safetensors tests/data/parity/sharded/*.safetensors
seed fuzz_sentencepiece tests/data/text/sentencepiece/tokenizer.model
seed fuzz_pattern $seeds/patterns/*
seed fuzz_tokenizer_json $seeds/tokenizer.json $seeds/tokenizer-*.json tests/data/text/chat_templates/*.jinja
joined=$(mktemp)
trap 'rm -f "$joined"' EXIT
# seed_trace DIRECTORY NAME: the trace DIRECTORY with its events under another name.
seed_trace() {
  {
    cat "$1/manifest.json"
    printf '\0'
    sed "s/events-00000.jsonl/$2/" "$1/prompts.jsonl"
    printf '\0'
    cat "$1/events-00000.jsonl"
  } >"$joined"
  seed fuzz_trace "$joined"
}
seed_trace $seeds/trace events-00000.jsonl
seed_trace $seeds/trace events-00001.jsonl.zst # the target compresses these
seed_trace tests/data/trace-small events-00000.jsonl

mkdir -p "$findings"

fuzz() {
  local name log time=$seconds
  name=$(basename "$1")
  log=$findings/$name.log
  # What these parse has few forms: a third will do.
  case $name in fuzz_gguf | fuzz_npy | fuzz_npz | fuzz_responses) time=$(((seconds + 2) / 3)) ;; esac
  if "$1" -max_total_time="$time" -timeout=20 -rss_limit_mb=3000 -max_len=65536 -print_final_stats=1 \
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
