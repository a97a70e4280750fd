"""The share of expert choices that two traces of the same prompts have in common.

    kernel_agreement.py TRACE_A TRACE_B

Both traces grouped, uncompressed, of the same tokens (`trace --max-new-tokens 0`): what `--kernels plain` and `--kernels
fast` chose. A choice agrees if both selected the expert for that token and layer, whatever its rank.
"""

import json
import pathlib
import sys


def events(directory):
    for path in sorted(pathlib.Path(directory).glob("events-*.jsonl")):
        with open(path, encoding="utf-8") as file:
            yield from map(json.loads, file)


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    n_same = n = 0
    for a, b in zip(events(sys.argv[1]), events(sys.argv[2]), strict=True):
        if any(a[key] != b[key] for key in ("prompt_id", "token_id", "layer", "pos")):
            sys.exit("the traces are not of the same tokens")
        n_same += len(set(a["experts"]) & set(b["experts"]))
        n += len(a["experts"])
    print(f"{n_same} of {n} expert choices agree: {100 * n_same / n:.3f}%")


main()
