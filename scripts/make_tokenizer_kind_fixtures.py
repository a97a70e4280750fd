#!/usr/bin/env python3
"""Writes tests/data/text/kinds.jsonl.zst: small tokenizers of many kinds, and what Hugging Face makes of texts.

Run from the repository's root, with tokenizers 0.23.3 and the zstd program:

    python3 scripts/make_tokenizer_kind_fixtures.py
"""

import json
import pathlib
import random

from tokenizers import Tokenizer

from tokenizer_kinds import kinds
from tokenizer_probes import encoding, texts, write_lines

OUTPUT = pathlib.Path("tests/data/text")


def main():
    records = []
    for name, tokenizer in kinds().items():
        loaded = Tokenizer.from_str(json.dumps(tokenizer))
        added = [token["content"] for token in tokenizer["added_tokens"]]
        rng = random.Random(4)
        probes = rng.sample(texts(rng, added, 400), 400) + ["ſ it'ſ 'S", "A" * 300, "\u1c89\U00010d4a\u2ffc x", "<0x41>"]
        raw = loaded.encode("he said", add_special_tokens=True).ids
        records.append({"name": name, "tokenizer": tokenizer, "raw": raw,
                        "encodings": [encoding(loaded, text) for text in dict.fromkeys(probes)]})
    write_lines(OUTPUT / "kinds.jsonl.zst", records)


main()
