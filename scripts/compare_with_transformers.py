#!/usr/bin/env python3
"""Compares a float32 trace with what transformers computes for the same prompts.

    moexray trace prompts/paper80.jsonl --dtype float32 -o traces-f32
    python3 scripts/compare_with_transformers.py models/mini-olmoe traces-f32

Checks for every prompt: token ids of the rendered template, the greedy continuation, and for every token and
layer the selected experts, in order, and their weights. Prints what it counted; exits with 1 if anything but a near
tie differs. Needs torch and transformers (checked with torch 2.15 and transformers 5.23); not part of the tests.
"""

import argparse
import json
import sys
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

NEAR_TIE = 1e-5  # probabilities closer than this may change places between two summation orders
WEIGHT_TOLERANCE = 1e-5


def read_events(directory, prompt):
    with open(directory / prompt["events_file"], "rb") as file:
        file.seek(prompt["offset"])
        lines = file.read(prompt["n_bytes"]).splitlines()
    return [json.loads(line) for line in lines]


def refuse_what_is_not_compared(manifest):
    """This script computes one thing: greedy continuations in float32, with the checkpoint's template."""
    generation = manifest["generation"]
    expected = {
        "model.dtype": (manifest["model"]["dtype"], "float32"),
        "model.norm_topk_prob": (manifest["model"]["norm_topk_prob"], False),
        "generation.do_sample": (generation["do_sample"], False),
        "generation.ignore_eos": (generation["ignore_eos"], False),
        "events": (manifest.get("events", "grouped"), "grouped"),
        "compress": (manifest.get("compress", False), False),
    }
    for key, (found, wanted) in expected.items():
        if found != wanted:
            sys.exit(f"manifest.json: {key}: this comparison needs {wanted}, found {found}")


def router_probabilities(model, ids):
    """softmax over all experts for every layer: a list of [tokens, experts]."""
    with torch.no_grad():
        logits = model(ids, output_router_logits=True).router_logits
    return [torch.softmax(layer.float(), dim=-1) for layer in logits]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("trace", type=Path)
    arguments = parser.parse_args()

    manifest = json.loads((arguments.trace / "manifest.json").read_text())
    refuse_what_is_not_compared(manifest)
    tokenizer = AutoTokenizer.from_pretrained(arguments.model)
    model = AutoModelForCausalLM.from_pretrained(arguments.model, dtype=torch.float32, attn_implementation="eager").eval()
    top_k = manifest["model"]["top_k"]
    n_prompts = n_tokens = n_rows = n_near_ties = 0
    worst_weight = 0.0
    failures = []
    for line in (arguments.trace / "prompts.jsonl").read_text().splitlines():
        prompt = json.loads(line)
        n_prompts += 1
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": prompt["prompt"]}], tokenize=False, add_generation_prompt=True)
        expected_ids = tokenizer(text, add_special_tokens=False)["input_ids"]
        ids = prompt["token_ids"]
        if ids[: prompt["n_prompt_tokens"]] != expected_ids:
            failures.append(f"{prompt['id']}: token ids differ")
            continue
        n_tokens += len(ids)
        if prompt["n_generated_tokens"] > 0:
            with torch.no_grad():
                generated = model.generate(torch.tensor([expected_ids]), do_sample=False, pad_token_id=0,
                                           max_new_tokens=manifest["generation"]["max_new_tokens"])
            if generated[0].tolist() != ids:
                failures.append(f"{prompt['id']}: continuation differs")
        n_passed = prompt["n_prompt_tokens"] + max(prompt["n_generated_tokens"] - 1, 0)
        events = read_events(arguments.trace, prompt)
        if len(events) != n_passed * manifest["model"]["n_layers"]:
            failures.append(f"{prompt['id']}: {len(events)} records for {n_passed} tokens")
            continue
        layers = router_probabilities(model, torch.tensor([ids[:n_passed]]))
        for event in events:
            p = layers[event["layer"]][event["pos"]]
            values, experts = torch.topk(p, top_k)
            n_rows += 1
            difference = (p[event["experts"]] - torch.tensor(event["weights"])).abs().max().item()
            worst_weight = max(worst_weight, difference)
            if difference > WEIGHT_TOLERANCE:
                failures.append(f"{prompt['id']}: layer {event['layer']} pos {event['pos']}: weights differ by {difference:.2g}")
            if experts.tolist() != event["experts"]:
                gaps = (p[event["experts"]] - values).abs().max().item()
                if gaps < NEAR_TIE:
                    n_near_ties += 1
                else:
                    failures.append(f"{prompt['id']}: layer {event['layer']} pos {event['pos']}: experts differ")
    print(f"{n_prompts} prompts, {n_tokens} tokens, {n_rows} routing records")
    print(f"near ties that changed places: {n_near_ties}; largest difference of a weight: {worst_weight:.2g}")
    for failure in failures[:20]:
        print(failure)
    print("all equal" if not failures else f"{len(failures)} differences")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
