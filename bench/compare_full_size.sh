#!/bin/bash
# The 80-prompt experiment at full size by moexray, by transformers and by llama.cpp, in turns.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/common.sh

usage() {
  cat <<'END'
Usage: bench/compare_full_size.sh [OPTIONS] CHECKPOINT

Runs prompts/paper80.jsonl with 32 new tokens each on one checkpoint, bfloat16, greedy: moexray, transformers, moexray,
llama.cpp, moexray, each alone and with its weights in the page cache. Prints one table with the ratios.

  CHECKPOINT        OLMoE-1B-7B, or what bench/full_size.sh wrote
  --tokenizer DIR   where tokenizer.json and chat_template.jinja are, if CHECKPOINT has none
  --python FILE     a Python with torch and transformers [default: python3]
  --prompts N       how many of the 80 prompts transformers generates [default: 4]; its time is extrapolated
  --llama DIR       llama.cpp's source, with convert_hf_to_gguf.py and build/bin/llama-batched-bench
  --gguf FILE       CHECKPOINT as bfloat16 GGUF; without it the converter makes one, which is removed at the end
  --work DIR        for links, traces and the GGUF (13.8 GB) [default: CHECKPOINT-compare]
  --run COMMAND     put before every measured command ("taskset -c 0-3", say)

moexray is timed as a whole: loading, tokenizing, writing the trace. transformers goes prompt by prompt with hooks on the
routers; its loading does not count. llama.cpp decodes 80 sequences of the prompts' mean length at once, without any
tracing; its loading does not count. What is missing is named and left out. Needs build/bin/moexray, 16 GB of memory (24 GB
for transformers) and 14 GB of disk for the GGUF.
END
}

checkpoint="" tokenizer="" python=python3 n_prompts=4 llama="" gguf="" work="" run_with=()
while (($# > 0)); do
  case $1 in
    -h | --help) usage && exit 0 ;;
    --tokenizer | --python | --prompts | --llama | --gguf | --work | --run)
      (($# > 1)) || fail "$1 needs a value"
      case $1 in
        --tokenizer) tokenizer=$2 ;;
        --python) python=$2 ;;
        --prompts) n_prompts=$2 ;;
        --llama) llama=$2 ;;
        --gguf) gguf=$2 ;;
        --work) work=$2 ;;
        --run) read -ra run_with <<<"$2" ;;
      esac
      shift
      ;;
    -*) usage >&2 && exit 2 ;;
    *)
      [[ -z $checkpoint ]] || fail "one checkpoint only"
      checkpoint=$1
      ;;
  esac
  shift
done
[[ -n $checkpoint ]] || { usage >&2 && exit 2; }
[[ $n_prompts =~ ^[1-9][0-9]?$ && $n_prompts -le 80 ]] || fail "--prompts: expected 1 to 80, found $n_prompts"

n_new=32
moexray=build/bin/moexray
tokenizer=${tokenizer:-$checkpoint}
work=${work:-${checkpoint%/}-compare}
[[ -x $moexray ]] || fail "$moexray is missing: build with cmake --preset default"
[[ -e $checkpoint/model.safetensors.index.json ]] || fail "$checkpoint holds no checkpoint; bench/full_size.sh makes one"
[[ -e $tokenizer/tokenizer.json ]] || fail "$tokenizer has no tokenizer.json; name its directory with --tokenizer"

# What can take part.
with_transformers=true with_llama=true
converter=$llama/convert_hf_to_gguf.py
batched_bench=$llama/build/bin/llama-batched-bench
leave_out() {
  echo "Notice: $1 is left out: $2" >&2
}
if ! "$python" -c 'import torch, transformers' 2>/dev/null; then
  leave_out transformers "$python has no torch and transformers (--python)"
  with_transformers=false
fi
if [[ ! -x $batched_bench ]]; then
  leave_out llama.cpp "no build/bin/llama-batched-bench in its directory (--llama)"
  with_llama=false
elif [[ -n $gguf && ! -e $gguf ]]; then
  fail "--gguf: no such file: $gguf"
elif [[ -z $gguf && ! -e $converter ]]; then
  leave_out llama.cpp "no convert_hf_to_gguf.py in its directory (--llama), and no --gguf"
  with_llama=false
elif [[ -z $gguf ]] && ! $with_transformers; then
  leave_out llama.cpp "its converter needs torch and transformers (--python, or --gguf)"
  with_llama=false
fi

mkdir -p "$work/checkpoint"
trap 'rm -rf "$work/checkpoint" "$work/weights.gguf" "$work"/trace-?' EXIT
for file in "$checkpoint"/*.safetensors "$checkpoint"/*.json; do
  ln -sf "$(realpath "$file")" "$work/checkpoint/"
done
for file in tokenizer.json tokenizer_config.json chat_template.jinja; do
  [[ ! -e $tokenizer/$file ]] || ln -sf "$(realpath "$tokenizer/$file")" "$work/checkpoint/"
done

# measured COMMAND…: runs it and puts its seconds into $elapsed.
measured() {
  local start=$EPOCHREALTIME
  "${run_with[@]}" "$@" >"$work/out.txt" 2>"$work/err.txt" || fail "$1 failed: $(tail -n 5 "$work/err.txt")"
  elapsed=$(awk "BEGIN { print $EPOCHREALTIME - $start }")
}

into_page_cache() {
  cat "$@" >/dev/null
}

# turn_moexray I: the I-th run, its seconds in moexray_seconds[I].
moexray_seconds=()
turn_moexray() {
  into_page_cache "$checkpoint"/*.safetensors
  measured "$moexray" trace prompts/paper80.jsonl --model "$work/checkpoint" --max-new-tokens $n_new --ignore-eos \
    -o "$work/trace-$1" --force --quiet
  moexray_seconds[$1]=$elapsed
  n_prompt_tokens=$(sed -n 's/^ *tokens *\([0-9,]*\) in prompts.*/\1/p' "$work/out.txt" | tr -d ,)
  row "moexray, whole command" "$elapsed" "$(moexray_rates "$elapsed")" ""
}

moexray_rates() {
  awk -v s="$1" -v n="$n_prompt_tokens" -v g=$n_new 'BEGIN { printf "%.0f", (n + 80 * (g - 1)) / s }'
}

row() {
  printf '%-58s %10.1f %10s %16s\n' "$@"
}

# ratio SECONDS I: to the mean of the moexray runs before and after.
ratio() {
  awk -v s="$1" -v a="${moexray_seconds[$2]}" -v b="${moexray_seconds[$(($2 + 1))]}" \
    'BEGIN { printf "%.1f", 2 * s / (a + b) }'
}

field() {
  sed -n "s/.*\"$1\": *\"\{0,1\}\([^\",}]*\).*/\1/p" "$work/$2"
}

# Part of the prompts, and the whole in proportion.
turn_transformers() {
  into_page_cache "$checkpoint"/*.safetensors
  measured "$python" bench/transformers_full_size.py "$work/checkpoint" "$work/trace-1" "$n_prompts"
  grep '^{' "$work/out.txt" >"$work/transformers.json"
  transformers_seconds=$(awk -v s="$(field seconds transformers.json)" -v n="$(field n_prompts transformers.json)" \
    'BEGIN { print 80 * s / n }')
  row "transformers, 80 / $n_prompts of the time for $n_prompts prompts" "$transformers_seconds" \
    "$(moexray_rates "$transformers_seconds")" ""
}

# As many tokens go through the model as in moexray: the last token of a sequence is not fed back.
turn_llama() {
  into_page_cache "$gguf"
  local length=$(((n_prompt_tokens + 40) / 80)) context
  # llama.cpp rounds the context of each sequence up to 256.
  context=$((80 * ((length + n_new + 255) / 256) * 256))
  measured "$batched_bench" -m "$gguf" -c "$context" -b 2048 -ub 2048 -npp "$length" -ntg $((n_new - 1)) -npl 80 -t "$(nproc)" \
    --output-format jsonl
  grep -h '^{' "$work/out.txt" "$work/err.txt" >"$work/llama.json"
  llama_seconds=$(field t llama.json)
  row "llama.cpp, batched-bench, 80 sequences of $length + $n_new tokens" "$llama_seconds" \
    "$(moexray_rates "$llama_seconds")" ""
}

if $with_llama && [[ -z $gguf ]]; then
  echo "Converting to GGUF" >&2
  gguf=$work/weights.gguf
  "$python" "$converter" --outtype bf16 --outfile "$gguf" "$work/checkpoint" >"$work/convert.log" 2>&1 ||
    fail "the converter failed: $(tail -n 5 "$work/convert.log")"
fi

grep -m 1 'model name' /proc/cpuinfo || true
printf '%s, %s processors\n\n' "$("$moexray" --version)" "$(nproc)"
printf '%-58s %10s %10s %16s\n' "80 prompts, $n_new new tokens each" seconds tokens/s ""
turn_moexray 1
if $with_transformers; then
  turn_transformers
  turn_moexray 2
fi
if $with_llama; then
  turn_llama
  turn_moexray 3
fi
echo
if $with_transformers; then
  printf '%s times as fast as transformers (%s; %s experts; loaded in %s s; peak %s GB)\n' \
    "$(ratio "$transformers_seconds" 1)" "$(field versions transformers.json)" "$(field experts transformers.json)" \
    "$(field load_seconds transformers.json)" "$(field peak_gb transformers.json)"
  printf '  %s%% of its expert choices for the prompt tokens are those of moexray\n' \
    "$(field agreement_percent transformers.json)"
fi
if $with_llama; then
  printf '%s times as fast as llama.cpp (%s; prompts %s s, %s tokens/s; decoding %s s, %s tokens/s)\n' \
    "$(ratio "$llama_seconds" 2)" "$("$batched_bench" --version 2>&1 | sed -n 's/^version: //p')" \
    "$(field t_pp llama.json)" "$(field speed_pp llama.json)" "$(field t_tg llama.json)" "$(field speed_tg llama.json)"
fi
