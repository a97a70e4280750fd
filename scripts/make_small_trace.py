#!/usr/bin/env python3
"""Writes tests/data/trace-small, a trace in the least form that other software may write, and
tests/data/trace-small.expected.json, what follows from it by plain loops over the definitions.

Run from the repository's root; needs Python 3 alone:

    python3 scripts/make_small_trace.py

Twelve prompts, four each of three categories with a taste of their own, 2 layers of 8 experts, top-2; the
first token comes from a chat template, the last two or three are generated (none for "story-4"). The prompts
lie in two event files of six, so that tests can take them for two shards.
"""

import itertools
import json
import math
import pathlib
import random
import statistics

OUTPUT = pathlib.Path("tests/data/trace-small")
EXPECTED = pathlib.Path("tests/data/trace-small.expected.json")
N_LAYERS, N_EXPERTS, TOP_K = 2, 8, 2
# The experts that a category's tokens like, by layer.
TASTE = {"code": ((0, 1), (2, 5)), "math": ((2, 3), (4, 5)), "story": ((1, 6), (6, 7))}


def route(rng, category, layer):
    scores = [rng.random() + (0.2 if e in TASTE[category][layer] else 0.0) for e in range(N_EXPERTS)]
    experts = sorted(range(N_EXPERTS), key=lambda e: (-scores[e], e))[:TOP_K]
    first = round(0.3 + 0.4 * rng.random(), 6)
    return experts, [first, round(0.6 * first, 6)]


def signatures(prompts, events, tokens, exclude_template, weighted):
    """Id -> list of layers, each a list of shares; prompts without a token are not in it."""
    sums = {p["id"]: [[0.0] * N_EXPERTS for _ in range(N_LAYERS)] for p in prompts}
    for record in events:
        if tokens != "all" and record["type"] != tokens:
            continue
        if exclude_template and record.get("template"):
            continue
        for expert, weight in zip(record["experts"], record["weights"]):
            sums[record["prompt_id"]][record["layer"]][expert] += weight if weighted else 1.0
    return {i: [[a / sum(layer) for a in layer] for layer in layers]
            for i, layers in sums.items() if sum(map(sum, layers)) > 0}


def similarity(a, b):
    return statistics.fmean(
        sum(x * y for x, y in zip(u, v)) / math.sqrt(sum(x * x for x in u) * sum(y * y for y in v))
        for u, v in zip(a, b))


def expected(prompts, events, tokens, exclude_template, weighted):
    s = signatures(prompts, events, tokens, exclude_template, weighted)
    category = {p["id"]: p["category"] for p in prompts}
    sides = {True: [], False: []}
    for a, b in itertools.combinations(s, 2):
        sides[category[a] == category[b]].append(similarity(s[a], s[b]))
    result = {"tokens": tokens, "exclude_template": exclude_template, "weighted": weighted}
    for name, pairs in (("within", sides[True]), ("across", sides[False])):
        result[name] = {"mean": statistics.fmean(pairs), "std": statistics.stdev(pairs),
                        "n_pairs": len(pairs)}
    n_w, n_a = len(sides[True]), len(sides[False])
    pooled = math.sqrt(((n_w - 1) * result["within"]["std"] ** 2
                        + (n_a - 1) * result["across"]["std"] ** 2) / (n_w + n_a - 2))
    result["cohens_d"] = (result["within"]["mean"] - result["across"]["mean"]) / pooled
    result["left_out"] = [p["id"] for p in prompts if p["id"] not in s]
    return result


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
    cases = [expected(prompts, events[0] + events[1], *case) for case in itertools.product(
        ("all", "prompt", "generation"), (False, True), (False, True))]
    EXPECTED.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")


if __name__ == "__main__":
    main()
