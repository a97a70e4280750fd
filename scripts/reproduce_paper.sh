#!/bin/bash
# The paper's experiment from prompts to figures, and its numbers beside ours.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
# shellcheck source=scripts/common.sh
source "$repository/scripts/common.sh"

usage() {
  cat <<'END_OF_USAGE'
Usage: scripts/reproduce_paper.sh [MODEL_DIR] [-o DIR]

Traces the 80 prompts of prompts/paper80.jsonl with 32 generated tokens each, as in the paper, runs all analyses,
draws the figures, and prints the paper's numbers beside those found here.

  MODEL_DIR   a checkpoint of OLMoE in Hugging Face layout (default: the bundled model, whose numbers say
              nothing about the paper's)
  -o DIR      where everything goes (default: reproduction): traces/, analysis/, figures/, headlines.{json,tsv}

A run that was stopped goes on where it was when started again with the same arguments. Needs moexray (built by
scripts/quickstart.sh, or installed), jq and, for figures as PNG and PDF, rsvg-convert.
END_OF_USAGE
}

model=()
output=reproduction
while (($# > 0)); do
  case $1 in
    -h | --help)
      usage
      exit 0
      ;;
    -o)
      (($# > 1)) || fail "-o needs a directory"
      output=$2
      shift
      ;;
    -*)
      usage >&2
      exit 2
      ;;
    *)
      ((${#model[@]} == 0)) || fail "one model directory, not two: $1"
      [[ -f $1/config.json ]] || fail "$1: no model is there (expected a directory with config.json)"
      model=(--model "$1")
      ;;
  esac
  shift
done

moexray=$(find_moexray)
command -v jq >/dev/null || fail "jq is not installed (Debian's package jq)"
mkdir -p "$output"

heading "1/4 Trace: 80 prompts, 32 generated tokens each"
resume=()
[[ -e $output/traces ]] && resume=(--resume)
run "$moexray" trace "$repository/prompts/paper80.jsonl" "${model[@]}" --ignore-eos -o "$output/traces" "${resume[@]}"

heading "2/4 Analysis"
run "$moexray" analyze "$output/traces" -o "$output/analysis" --force --verbose >"$output/analysis.txt"
echo "Its tables are in $output/analysis.txt."

heading "3/4 Figures"
mkdir -p "$output/figures"
find "$output/analysis" -maxdepth 1 \( -name 'fig[0-9]_*' -o -name 'experts.*' \) \
  -exec cp -t "$output/figures" {} +
find "$output/figures" -name '*.svg' -printf '%f\n' | sort | sed "s|\(.*\)\.svg|$output/figures/\1.*|"

heading "4/4 The paper's numbers and ours"
name=$(jq -r '.trace.model // "unnamed"' "$output/analysis/report.json")
echo "Here: $name, the prompts of prompts/paper80.jsonl. The paper: OLMoE-1B-7B-0125-Instruct, prompts not published."
echo "Its numbers can only be compared for that model; agreement is about order and sign."
echo
jq -r -L "$repository/scripts" -f "$repository/scripts/paper_table.jq" "$output/analysis/report.json"

# What the headline numbers are when other tokens count: the paper does not say which did.
headlines() {
  local tokens template flags
  for tokens in all prompt generation; do
    for template in yes no; do
      flags=(--tokens "$tokens" --json - --quiet)
      [[ $template == no ]] && flags+=(--exclude-template)
      {
        "$moexray" similarity "$output/traces" "${flags[@]}"
        "$moexray" classify "$output/traces" "${flags[@]}"
      } | jq -s --arg tokens "$tokens" --arg template "$template" \
        '{tokens: $tokens, template: $template} + .[0] + .[1]'
    done
  done | jq -s .
}
echo
echo "By the tokens that count:"
headlines >"$output/headlines.json"
jq -r -L "$repository/scripts" 'include "tables";
  [["tokens", "template", "within", "across", "gap", "Cohen'\''s d", "accuracy"]]
  + map([.tokens, .template, (.within | mean_and_std(4)), (.across | mean_and_std(4)), (.gap | fixed(4)),
         (.cohens_d | fixed(2)), (.accuracy | mean_and_std(3))])
  | table' "$output/headlines.json"
jq -r '["tokens", "template", "within", "across", "gap", "cohens_d", "accuracy"],
  (.[] | [.tokens, .template, .within.mean, .across.mean, .gap, .cohens_d, .accuracy.mean] | map(. // "nan")) | @tsv' \
  "$output/headlines.json" >"$output/headlines.tsv"
