#!/usr/bin/env python3
"""Writes tests/data/text/: what Hugging Face makes of texts, and what SentencePiece does.

Run from the repository's root, with tokenizers 0.23.3, transformers 5.24, sentencepiece 0.2.3 and the
zstd program, giving the directory that holds the tokenizer.json of OLMoE-1B-7B-0125-Instruct (Apache-2.0):

    python3 scripts/make_tokenizer_fixtures.py OLMOE_DIRECTORY

olmoe_tokenizer.json.zst   that tokenizer
olmoe_encodings.jsonl.zst  texts, their ids, and the decoded text where it differs from the text
variants.jsonl.zst         small tokenizers with the options that OLMoE's does not use, and encodings
unicode.json.zst           class of every code point in GPT-2's pattern, and where NFC acts
sentencepiece/             a small model; encodings as transformers' LlamaTokenizer makes them
chat_renders.json          conversations rendered by the templates of chat_templates/
"""

import datetime
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

import sentencepiece
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers
from tokenizers import pre_tokenizers, trainers
from transformers import AutoTokenizer
from transformers.utils.chat_template_utils import _compile_jinja_template

from tokenizer_probes import PROSE, SCRIPTS, encoding, texts, write_lines, write_zst

OUTPUT = pathlib.Path("tests/data/text")
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"


def make_olmoe(directory):
    source = directory / "tokenizer.json"
    write_zst(OUTPUT / "olmoe_tokenizer.json.zst", source.read_text(encoding="utf-8"))
    tokenizer = Tokenizer.from_file(str(source))
    added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
    rng = random.Random(1)
    chosen = texts(rng, added, 3000)
    chosen += ["a" * 100_000, " " * 100_000, "\n" * 100_000, "ab" * 50_000, "é" * 50_000, "e\u0301" * 30_000]
    # Bytes that do not form a character: decoding alone.
    records = [encoding(tokenizer, text) for text in chosen]
    for _ in range(300):
        ids = [rng.randrange(tokenizer.get_vocab_size()) for _ in range(rng.randint(1, 12))]
        if rng.random() < 0.7:
            ids += tokenizer.encode("日本語😀é", add_special_tokens=False).ids[1:rng.randint(2, 7)]
        records.append({"ids": ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                        "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    write_lines(OUTPUT / "olmoe_encodings.jsonl.zst", records)


def make_variants():
    """A small byte-level BPE and its options."""
    base = Tokenizer(models.BPE())
    base.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    base.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=["<s>"], show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    base.train_from_iterator(PROSE * 3 + SCRIPTS, trainer)
    plain = json.loads(base.to_str())

    def pairs(tokenizer):
        tokenizer["model"]["merges"] = [m if isinstance(m, list) else m.split(" ") for m in tokenizer["model"]["merges"]]

    def strings(tokenizer):
        tokenizer["model"]["merges"] = [m if isinstance(m, str) else " ".join(m) for m in tokenizer["model"]["merges"]]

    def prefix(tokenizer):
        tokenizer["pre_tokenizer"]["add_prefix_space"] = True

    def split(tokenizer, behavior="Isolated", invert=False):
        tokenizer["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [
            {"type": "Split", "pattern": {"Regex": GPT2_PATTERN}, "behavior": behavior, "invert": invert},
            {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": False}]}

    def nfc(tokenizer):
        tokenizer["normalizer"] = {"type": "Sequence", "normalizers": [{"type": "NFC"}]}

    def whole(tokenizer):
        tokenizer["model"]["ignore_merges"] = True
        vocab = tokenizer["model"]["vocab"]
        for word in ["Ġfinding", "whole", "Ġ42"]:
            vocab[word] = len(vocab)

    def add(tokenizer, **flags):
        token = {"content": "<t>", "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
                 "special": False, **flags}
        n_vocab = len(tokenizer["model"]["vocab"])
        outside = [t for t in tokenizer["added_tokens"] if t["id"] >= n_vocab]
        own_id = tokenizer["model"]["vocab"].get(token["content"], n_vocab + len(outside))
        tokenizer["added_tokens"].append({"id": own_id, **token})

    def many(tokenizer):
        nfc(tokenizer)
        add(tokenizer, content="<a>", lstrip=True, special=True)
        add(tokenizer, content="<b>", rstrip=True)
        add(tokenizer, content="<a><b>", single_word=True)
        add(tokenizer, content="e\u0301t", normalized=True)
        add(tokenizer, content="Å", normalized=True, lstrip=True, rstrip=True)
        add(tokenizer, content="the", single_word=True, normalized=True)

    changes = {
        "pairs": [pairs], "strings": [strings], "prefix": [prefix], "split": [split],
        "removed": [lambda t: split(t, "Removed", True)], "nfc": [nfc], "ignore_merges": [whole],
        "lstrip": [lambda t: add(t, lstrip=True)], "rstrip": [lambda t: add(t, rstrip=True)],
        "both": [lambda t: add(t, lstrip=True, rstrip=True, special=True)],
        "single_word": [lambda t: add(t, single_word=True)],
        "normalized": [nfc, lambda t: add(t, content="<é>", normalized=True)],
        "raw": [nfc, lambda t: add(t, content="<é>", normalized=False)],
        "space": [lambda t: add(t, content=" ", rstrip=True)],
        "prefix_added": [prefix, lambda t: add(t)],
        "many": [many], "many_prefix": [many, prefix],
    }
    records = []
    for name, steps in changes.items():
        description = json.loads(json.dumps(plain))
        for step in steps:
            step(description)
        tokenizer = Tokenizer.from_str(json.dumps(description))
        added = [t.content for t in tokenizer.get_added_tokens_decoder().values()]
        probes = texts(random.Random(2), added, 150)
        probes += ["".join(random.Random(i).choice(added + [" ", "\n", "\u00a0", "a", "é", "e\u0301", "_", "1", "the"])
                           for _ in range(12)) for i in range(300)]
        probes += ["whole finding a finding 42 whole42", "_the the, the's other"]
        records.append({"name": name, "tokenizer": description,
                        "encodings": [encoding(tokenizer, text) for text in dict.fromkeys(probes)]})
    write_lines(OUTPUT / "variants.jsonl.zst", records)


def make_unicode():
    splitter = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    nfc = normalizers.NFC().normalize_str

    def is_one(text):
        return len(splitter.pre_tokenize_str(text)) == 1

    code_points = [c for c in range(0x110000) if not 0xD800 <= c <= 0xDFFF]
    classes, last = [], None
    for c in code_points:
        kind = next((k for k, before in (("L", "a"), ("N", "1"), ("O", ";")) if is_one(before + chr(c))), "S")
        if kind != last:
            classes.append([c, kind])
            last = kind
    # A text may change because of its own form, or because marks change places.
    acts = []
    for c in code_points:
        forms = [chr(c), "a\u0315" + chr(c), "a\u0334" + chr(c) + "\u0334"]
        results = [nfc(form) for form in forms]
        if results != forms:
            acts.append([c, *results])
    write_zst(OUTPUT / "unicode.json.zst", json.dumps({"classes": classes, "nfc": acts}))


LLAMA_CONFIG = {
    "tokenizer_class": "LlamaTokenizer", "legacy": False, "add_prefix_space": False,
    "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<unk>",
}


def make_sentencepiece():
    directory = OUTPUT / "sentencepiece"
    directory.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        sample = pathlib.Path(scratch, "sample.txt")
        lines = [line for text in PROSE * 4 + SCRIPTS for line in text.split("\n") if line]
        lines += ["    " * n + "return x" for n in range(1, 6)] * 3
        sample.write_text("\n".join(lines), encoding="utf-8")
        sentencepiece.SentencePieceTrainer.train(
            input=str(sample), model_prefix=str(pathlib.Path(scratch, "m")), model_type="bpe", vocab_size=700,
            character_coverage=0.98, byte_fallback=True, split_digits=True, normalization_rule_name="identity",
            add_dummy_prefix=False, remove_extra_whitespaces=False, allow_whitespace_only_pieces=True,
            unk_id=0, bos_id=-1, eos_id=-1, pad_id=-1, control_symbols=["<|endoftext|>"],
            user_defined_symbols=["<|user|>", "<|assistant|>"], num_threads=1, minloglevel=2)
        model = pathlib.Path(scratch, "m.model").read_bytes()
        (directory / "tokenizer.model").write_bytes(model)
        records = []
        added = ["<|endoftext|>", "<|user|>", "<|assistant|>", "<unk>"]
        for name, changes in [("bundled", {}), ("first", {"add_prefix_space": True}), ("default", {"add_prefix_space": None}),
                              ("legacy", {"add_prefix_space": True, "legacy": True}), ("added", {"added_tokens_decoder": {
                                  "1": {"content": "<|endoftext|>", "lstrip": True, "rstrip": True, "normalized": False,
                                        "single_word": False, "special": True},
                                  "700": {"content": "<more>", "lstrip": False, "rstrip": True, "normalized": False,
                                          "single_word": False, "special": True}}})]:
            config = {k: v for k, v in {**LLAMA_CONFIG, **changes}.items() if v is not None}
            place = pathlib.Path(scratch, name)
            place.mkdir()
            (place / "tokenizer.model").write_bytes(model)
            (place / "tokenizer_config.json").write_text(json.dumps(config))
            tokenizer = AutoTokenizer.from_pretrained(place)._tokenizer
            probes = texts(random.Random(3), added + ["<more>"] * (name == "added"), 600)
            probes += [" " * 1000 + "x", "a" * 5000, "▁▁ a▁", "<0x41>", "<0x0A>"]
            records.append({"name": name, "config": config,
                            "encodings": [encoding(tokenizer, text) for text in dict.fromkeys(probes)]})
    write_lines(directory / "encodings.jsonl.zst", records)


def make_renders():
    conversations = [
        ["user:Hi"], ["user:  Hello,\n world \t"], ["system:Be brief.", "user:What is 2+2?"],
        ["user:a", "assistant:b", "user:c"], ["user:a", "assistant: b ", "user: c ", "assistant: d\n"],
        ["system: s \n", "user:\u00a0u\u3000", "assistant:\x1fa\x1f", "user:\x85 z"],
        ["user:"], ["user: \n "], ["system:", "user:"], ["system:s", "user: \n "], ["system:s"], ["assistant:a"],
        ["user:a", "user:b"], ["user:a", "assistant:b"], ["user:a", "system:s", "user:b"],
        ["user:{{ bos_token }}{% x %} <|user|> é 日本 😀"], ["user:{bos}{eos}{date}"],
        ["system:s", "user:a", "assistant:<think>\nwhy\n</think>\n\nb\n", "user:c"],
        ["user:a", "assistant:</think>x</think>", "user:c", "system:s"],
        ["user:a", "assistant:b", "user:<tool_response>r</tool_response>"],
        ["user:<tool_response>r</tool_response>", "assistant:<think>t</think>b"],
    ]
    today = datetime.date(2025, 1, 1)  # the default of --template-date
    records = []
    for path in sorted((OUTPUT / "chat_templates").glob("*.jinja")):
        template = _compile_jinja_template(path.read_text(encoding="utf-8"))
        cases = []
        for conversation in conversations:
            messages = [dict(zip(("role", "content"), m.split(":", 1))) for m in conversation]
            try:
                text = template.render(messages=messages, add_generation_prompt=True, bos_token="<s>", eos_token="</s>",
                                       strftime_now=today.strftime)
            except Exception:  # the template refuses this order of roles
                text = None
            cases.append({"messages": messages, "text": text})
        records.append({"file": path.name, "cases": cases})
    text = json.dumps(records, ensure_ascii=True, indent=1)
    (OUTPUT / "chat_renders.json").write_text(text + "\n", encoding="utf-8")


def main():
    make_olmoe(pathlib.Path(sys.argv[1]))
    make_variants()
    make_unicode()
    make_sentencepiece()
    make_renders()


if __name__ == "__main__":
    main()
