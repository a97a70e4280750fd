#!/usr/bin/env python3
"""Writes tests/data/sampling.json: the distributions that the logits warpers of Hugging Face give.

    python scripts/make_sampling_fixtures.py tests/data/sampling.json

Made with transformers 5.23.0, torch 2.15.0 and Python 3.11.
"""

import json
import sys

import torch
from transformers import TemperatureLogitsWarper, TopPLogitsWarper

CASES = [  # vocabulary, scale of the logits, temperature, top_p
    (12, 1.0, 1.0, 1.0),
    (12, 1.0, 0.7, 0.9),
    (12, 2.0, 1.5, 0.5),
    (12, 2.0, 1.0, 0.0),
    (40, 3.0, 0.3, 0.95),
    (40, 0.1, 1.0, 0.8),
    (40, 5.0, 2.5, 0.99),
    (5, 1.0, 0.01, 0.9),
]


def main() -> None:
    generator = torch.Generator().manual_seed(7)
    cases = []
    for n, scale, temperature, top_p in CASES:
        # Values that float32 holds exactly and JSON prints in full.
        logits = (torch.randn(n, generator=generator) * scale * 64).round() / 64
        scores = TemperatureLogitsWarper(temperature)(None, logits.double().unsqueeze(0))
        if top_p < 1:
            scores = TopPLogitsWarper(top_p)(None, scores)
        cases.append(
            {
                "logits": logits.tolist(),
                "temperature": temperature,
                "top_p": top_p,
                "probabilities": scores.softmax(-1)[0].tolist(),
            }
        )
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        json.dump(cases, file, indent=1)
        file.write("\n")


if __name__ == "__main__":
    main()
