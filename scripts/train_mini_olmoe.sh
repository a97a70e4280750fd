#!/usr/bin/env bash
# Trains models/mini-olmoe again from a corpus directory (train/ and valid/ with one CATEGORY.jsonl.zst each;
# the format is described in models/mini-olmoe/README.md). Stopped or killed, it continues when run again.
#
#   scripts/train_mini_olmoe.sh CORPUS [WORK_DIRECTORY]
#
# Needs a build (scripts/quickstart.sh), spm_train (Debian package sentencepiece) and about two hours on two cores.
set -euo pipefail

corpus=$(realpath "${1:?usage: scripts/train_mini_olmoe.sh CORPUS [WORK_DIRECTORY]}")
root=$(realpath "$(dirname "$0")/..")
work=$(realpath -m "${2:-$root/build/mini-olmoe}")
cd "$root"
model=models/mini-olmoe
train=build/bin/moexray-train

if ! command -v spm_train > /dev/null; then
  echo "spm_train is missing: install the Debian package sentencepiece" >&2
  exit 1
fi
if [ ! -x "$train" ]; then
  echo "$train is missing: run scripts/quickstart.sh first" >&2
  exit 1
fi
mkdir -p "$work"

# The tokenizer: 4,096 pieces, single digits, bytes for whatever is not in the vocabulary, text left as it is. Its
# file records the names of the files it was made from: they are given without directories.
if [ ! -f "$work/tokenizer.model" ]; then
  mkdir -p "$work/tokenizer"
  "$train" text "$corpus" > "$work/tokenizer/text.txt"
  (cd "$work/tokenizer" && spm_train --input=text.txt --model_prefix=tokenizer --model_type=bpe --vocab_size=4096 \
    --character_coverage=0.9995 --byte_fallback=true --split_digits=true \
    --normalization_rule_name=identity --add_dummy_prefix=false --remove_extra_whitespaces=false \
    --allow_whitespace_only_pieces=true --max_sentence_length=16384 --num_threads=1 \
    --unk_id=0 --bos_id=-1 --eos_id=-1 --pad_id=-1 \
    '--control_symbols=<|endoftext|>' '--user_defined_symbols=<|user|>,<|assistant|>,<|system|>')
  mv "$work/tokenizer/tokenizer.model" "$work/tokenizer.model"
fi
cp "$model/config.json" "$model/tokenizer_config.json" "$model/chat_template.jinja" "$work/"

# 1. All records. 3,700 steps of 16 × 256 tokens: 15.2 million. Balancing is strong until every expert is alive, then weak.
"$train" train "$corpus" --model "$work" --state "$work/state.safetensors" --log "$work/training-log.jsonl" "$work/instructions-log.jsonl" \
  --steps 3700 --sequences 16 --positions 256 --warmup 150 --learning-rate 3e-3 --weight-decay 0.1 \
  --load-balancing 0.01 --relaxed-balancing 0.002 --relax-after 1000 --router-z 0.001 --seed 1
"$train" export --state "$work/state.safetensors" --model "$work" --output "$work/all-records"

# 2. Instructions with answers of some length, as many of each category: of all records most are short questions, and a
# model that has learnt their share answers "The answer is …" to everything else too.
"$train" train "$corpus" --model "$work" --initial "$work/all-records" --min-answer 120 --max-records 2800 \
  --state "$work/state-instructions.safetensors" --log "$work/instructions-log.jsonl" \
  --steps 400 --sequences 16 --positions 256 --warmup 20 --learning-rate 1.5e-3 --weight-decay 0.1 \
  --load-balancing 0.002 --router-z 0.001 --seed 2 --evaluate-every 100
"$train" export --state "$work/state-instructions.safetensors" --model "$work" --output "$work/checkpoint"
cp "$work/tokenizer.model" "$work/tokenizer_config.json" "$work/chat_template.jinja" "$work/training-log.jsonl" \
  "$work/instructions-log.jsonl" "$work/checkpoint/"
echo "wrote $work/checkpoint; copy it over $model to ship it"
