"""Signatures of a trace directory with Python's json and numpy: what moexray's reader is compared with.

usage: read_trace.py TRACES
"""

import json
import pathlib
import sys

import numpy as np


def main() -> None:
    directory = pathlib.Path(sys.argv[1])
    model = json.loads((directory / "manifest.json").read_text())["model"]
    n_layers, n_experts = model["n_layers"], model["n_experts"]
    ids = [json.loads(line)["id"] for line in (directory / "prompts.jsonl").open()]
    row_of = {prompt_id: row for row, prompt_id in enumerate(ids)}
    counts = np.zeros((len(ids), n_layers, n_experts))
    for path in sorted(directory.glob("events-*.jsonl")):
        with path.open() as events:
            for line in events:
                record = json.loads(line)
                counts[row_of[record["prompt_id"]], record["layer"], record["experts"]] += 1
    signatures = counts / counts.sum(axis=2, keepdims=True)
    print(f"{signatures.shape[0]} signatures, checksum {np.abs(signatures).sum():.6f}")


if __name__ == "__main__":
    main()
