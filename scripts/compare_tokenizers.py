#!/usr/bin/env python3
"""Compares moexray's token ids and decoded texts with those of Hugging Face's tokenizers.

    python3 scripts/compare_tokenizers.py build/bin/moexray [--texts N] [--mixtral FILE] [--qwen FILE]

For each of the small tokenizers of scripts/tokenizer_kinds.py, and for real vocabularies that are given: Mixtral's
tokenizer.model.v1, which the package mistral-common carries, and Qwen's qwen.tiktoken, which dashscope carries. At
least N texts each (default 5000): prose and code in many scripts, emoji, combining marks, control characters, and
words of 100,000 bytes. Prints what it compared; exits with 1 if anything differs. Needs tokenizers (checked with
0.23.3), and transformers (5.24) and sentencepiece for the real vocabularies; not part of the tests.
"""

import argparse
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import time

from tokenizers import Tokenizer, __version__

from tokenizer_kinds import LLAMA3, O200K, QWEN, SPM_DECODER, SPM_NORMALIZER, begin_with, byte_level, kinds, metaspace, split, steps
from tokenizer_probes import texts

LONG = ["a" * 100_000, "A" * 100_000, " " * 100_000, " " * 50_000 + "x", "\n" * 100_000, "ab" * 50_000, "é" * 50_000,
        "e\u0301" * 30_000, "漢字" * 16_000, "1" * 100_000, "!?" * 50_000, "\u0301" * 50_000, "😀" * 25_000, "aB" * 50_000]


def probes(tokenizer, n):
    added = [token["content"] for token in tokenizer["added_tokens"]][:20]
    found = dict.fromkeys(texts(random.Random(5), added, n))
    return [*found, *LONG]


def run(moexray, directory, flag, records):
    lines = "".join(json.dumps(record) + "\n" for record in records)
    result = subprocess.run([moexray, "tokenize", "--model", directory, flag], input=lines, text=True,
                            capture_output=True, check=False)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return [json.loads(line) for line in result.stdout.split("\n") if line]


def compare(moexray, name, tokenizer, n):
    reference = Tokenizer.from_str(json.dumps(tokenizer))
    chosen = probes(tokenizer, n)
    start = time.monotonic()
    ids = [reference.encode(text, add_special_tokens=False).ids for text in chosen]
    decoded = [reference.decode(one, skip_special_tokens=False) for one in ids]
    middle = time.monotonic()
    with tempfile.TemporaryDirectory() as directory:
        pathlib.Path(directory, "tokenizer.json").write_text(json.dumps(tokenizer), encoding="utf-8")
        found = run(moexray, directory, "--jsonl", [{"text": text} for text in chosen])
        end = time.monotonic()
        back = run(moexray, directory, "--decode", [{"ids": one} for one in ids])
    wrong = [i for i in range(len(chosen)) if found[i]["ids"] != ids[i]]
    wrong_back = [i for i in range(len(chosen)) if back[i]["text"] != decoded[i]]
    print(f"{name}: {len(chosen)} texts, {len(wrong)} with other ids, {len(wrong_back)} decoded otherwise; "
          f"tokenizers {middle - start:.1f} s (both ways), moexray {end - middle:.1f} s (encoding)", flush=True)
    for i in wrong[:3]:
        print(f"  {chosen[i][:60]!r}: expected {ids[i][:20]}, found {found[i]['ids'][:20]}")
    for i in wrong_back[:3]:
        print(f"  {ids[i][:20]}: expected {decoded[i][:60]!r}, found {back[i]['text'][:60]!r}")
    return not wrong and not wrong_back


def mixtral(path):
    """The tokenizers that transformers 4 (Prepend, Replace) and 5 (Metaspace) make of a SentencePiece model."""
    from transformers.tokenization_utils_sentencepiece import SentencePieceExtractor

    vocab, _, merges = SentencePieceExtractor(str(path)).extract()
    base = {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [
        {"id": i, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
         "special": True} for i, content in enumerate(["<unk>", "<s>", "</s>"])],
        "normalizer": None, "pre_tokenizer": None, "post_processor": begin_with("<s>", 1), "decoder": SPM_DECODER,
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>", "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": True, "byte_fallback": True, "ignore_merges": False,
                  "vocab": vocab, "merges": [list(merge) for merge in merges]}}
    return {"Mixtral, transformers 4": {**base, "normalizer": SPM_NORMALIZER},
            "Mixtral, transformers 5": {**base, "pre_tokenizer": metaspace()}}


def qwen(path):
    from transformers.convert_slow_tokenizer import TikTokenConverter

    converter = TikTokenConverter(vocab_file=str(path), pattern=QWEN,
                                  extra_special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"])
    tokenizer = json.loads(converter.converted().to_str())
    tokenizer["pre_tokenizer"] = steps(split(QWEN), byte_level())
    result = {"Qwen": {**tokenizer, "normalizer": {"type": "NFC"}}}
    for name, pattern in (("Qwen's vocabulary, Llama-3's words", LLAMA3), ("Qwen's vocabulary, o200k's words", O200K)):
        result[name] = {**tokenizer, "pre_tokenizer": steps(split(pattern), byte_level())}
    return result


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("moexray", type=pathlib.Path)
    parser.add_argument("--texts", type=int, default=5000)
    parser.add_argument("--mixtral", type=pathlib.Path)
    parser.add_argument("--qwen", type=pathlib.Path)
    parser.add_argument("--kind", help="only kinds with this in their name")
    arguments = parser.parse_args()
    print(f"tokenizers {__version__}")
    tokenizers = kinds()
    if arguments.mixtral:
        tokenizers.update(mixtral(arguments.mixtral))
    if arguments.qwen:
        tokenizers.update(qwen(arguments.qwen))
    good = [compare(arguments.moexray, name, tokenizer, arguments.texts) for name, tokenizer in tokenizers.items()
            if (arguments.kind or "") in name]
    sys.exit(0 if all(good) else 1)


main()
