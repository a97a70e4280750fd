#!/usr/bin/env python3
"""Writes tests/data/trace-small: a trace in the least form that other software may write.

Run from the repository's root; needs Python 3 alone:

    python3 scripts/make_small_trace.py

Twelve prompts, four each of three categories with a taste of their own, 2 layers of 8 experts, top-2; the
first token comes from a chat template, the last two or three are generated (none for "story-4"). The prompts
lie in two event files of six, so that tests can take them for two shards.
"""

import json
import pathlib
import random

OUTPUT = pathlib.Path("tests/data/trace-small")
N_LAYERS, N_EXPERTS, TOP_K = 2, 8, 2
# The experts that a category's tokens like, by layer.
TASTE = {"code": ((0, 1), (2, 5)), "math": ((2, 3), (4, 5)), "story": ((1, 6), (6, 7))}


def route(rng, category, layer):
    scores = [rng.random() + (0.2 if e in TASTE[category][layer] else 0.0) for e in range(N_EXPERTS)]
    experts = sorted(range(N_EXPERTS), key=lambda e: (-scores[e], e))[:TOP_K]
    first = round(0.3 + 0.4 * rng.random(), 6)
    return experts, [first, round(0.6 * first, 6)]


def main():
    rng = random.Random(7)
    OUTPUT.mkdir(parents=True, exist_ok=True)
    manifest = {
        "format": "moexray-trace",
        "version": 1,
        "model": {"name": "small", "n_layers": N_LAYERS, "n_experts": N_EXPERTS, "top_k": TOP_K},
    }
    (OUTPUT / "manifest.json").write_text(json.dumps(manifest) + "\n")
    prompts, events = [], [[], []]
    ids = [(f"{category}-{n}", category) for n in range(1, 5) for category in TASTE]
    for i, (prompt_id, category) in enumerate(ids):
        part = i // 6
        prompts.append({
            "id": prompt_id, "category": category, "events_file": f"events-{part:05}.jsonl",
            "meta": {"source": "odd" if i % 2 else "even"},
        })
        n_prompt = 4 + i % 3
        n_generated = 0 if prompt_id == "story-4" else 2 + i % 2
        for pos in range(n_prompt + n_generated):
            for layer in range(N_LAYERS):
                experts, weights = route(rng, category, layer)
                record = {"prompt_id": prompt_id, "layer": layer, "pos": pos,
                          "type": "prompt" if pos < n_prompt else "generation"}
                if pos == 0:
                    record["template"] = True
                events[part].append(record | {"experts": experts, "weights": weights})
    lines = lambda rows: "".join(json.dumps(row, separators=(",", ":")) + "\n" for row in rows)
    (OUTPUT / "prompts.jsonl").write_text(lines(prompts))
    for part, rows in enumerate(events):
        (OUTPUT / f"events-{part:05}.jsonl").write_text(lines(rows))


if __name__ == "__main__":
    main()
