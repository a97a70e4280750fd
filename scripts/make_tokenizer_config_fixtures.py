#!/usr/bin/env python3
"""Writes tests/data/text/configured.jsonl.zst: what the files beside a tokenizer change.

Run from the repository's root with transformers 5.24, tokenizers 0.23.3, sentencepiece and the zstd program:

    python3 scripts/make_tokenizer_config_fixtures.py

Each record holds the files of a directory and what AutoTokenizer makes of texts: the ids without and with the
tokens that are put around a raw text. "tokenizer.model" stands for that of tests/data/text/sentencepiece. Files that
give a token an id which it does not get are marked: moexray refuses them.
"""

import json
import os
import pathlib
import shutil
import subprocess
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"

from transformers import AutoTokenizer
from transformers.convert_slow_tokenizer import bytes_to_unicode

OUTPUT = pathlib.Path("tests/data/text")
GENERAL = "PreTrainedTokenizerFast"
TEXTS = ["hello the he", "a<|user|>b <|x|>  c", " <|y|> <|x|> e\u0301", "<tool>he<|endoftext|> x", "he 123he", "\n <|user|>\n <|x|>\n"]


def byte_level(prefix=False, normalizer=None, post=None, added=(), digits=False):
    vocab = {char: i for i, char in enumerate(bytes_to_unicode().values())}
    vocab.update({"he": 256, "\u0120he": 257, "<|in_vocab|>": 258})
    part = {"type": "ByteLevel", "add_prefix_space": prefix, "trim_offsets": True, "use_regex": True}
    tokens = [token("<|endoftext|>", id=259), *added]
    steps = {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, part]}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": tokens, "normalizer": normalizer,
            "pre_tokenizer": steps if digits else part, "post_processor": post, "decoder": part,
            "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                      "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                      "vocab": vocab, "merges": [["h", "e"], ["\u0120", "he"]]}}


def token(content, **flags):
    plain = {"content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False,
             "special": True}
    return {**plain, **flags}


def named(content, **flags):
    """A named token with its flags, as transformers writes it."""
    return {"__type": "AddedToken", **token(content, **flags)}


def template(before, after):
    ids = {"<|endoftext|>": 259}
    part = lambda name: {"SpecialToken": {"id": name, "type_id": 0}}
    single = [*map(part, before), {"Sequence": {"id": "A", "type_id": 0}}, *map(part, after)]
    return {"type": "TemplateProcessing", "single": single,
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {name: {"id": name, "ids": [ids[name]], "tokens": [name]} for name in [*before, *after]}}


def cases():
    general = {"tokenizer_class": GENERAL}
    plain = byte_level()
    end = "<|endoftext|>"

    def case(name, config, tokenizer=plain, **files):
        return name, {"tokenizer.json": tokenizer, **({} if config is None else {"tokenizer_config.json": config}),
                      **{key.replace("__", "."): value for key, value in files.items()}}

    yield case("nothing beside", general)
    yield case("decoder", {**general, "added_tokens_decoder": {"260": token("<|user|>"), "261": token("<|x|>")}})
    yield case("decoder flags", {**general, "added_tokens_decoder": {
        "260": token("<|user|>", special=False, normalized=True, lstrip=True), "261": token("<|x|>", rstrip=True)}})
    yield case("decoder, known token", {**general, "added_tokens_decoder": {
        "259": token(end, lstrip=True, rstrip=True), "258": token("<|in_vocab|>")}})
    yield case("decoder, wrong id", {**general, "added_tokens_decoder": {"300": token("<|user|>")}})
    yield case("additional", {**general, "additional_special_tokens": ["<|x|>", "<|user|>"]})
    yield case("extra list", {**general, "extra_special_tokens": ["<|x|>", named("<|user|>", lstrip=True)]})
    yield case("extra object", {**general, "extra_special_tokens": {"image_token": "<|x|>", "b": "<|y|>"}})
    yield case("extra object, own keys", {**general, "a_token": "<tool>", "extra_special_tokens": {
        "b": "<|y|>", "a_token": named("<|x|>", lstrip=True)}})
    yield case("extra, empty list", {**general, "extra_special_tokens": [], "additional_special_tokens": ["<|x|>"]})
    yield case("extra, empty object", {**general, "extra_special_tokens": {}, "additional_special_tokens": ["<|x|>"]})
    yield case("own keys", {**general, "image_token": "<|x|>", "audio_token": "<|y|>", "pad_token": "<tool>"})
    yield case("own keys, list", {**general, "image_token": "<|x|>", "extra_special_tokens": ["<|y|>"],
                                  "eos_token": "<tool>", "image_token_id": 7})
    yield case("own keys, flags", {**general, "image_token": "<|y|>", "audio_token": named("<|x|>", lstrip=True)})
    yield case("own keys, no tokens", {**general, "image_token": token("<|x|>"), "a_token": True, "b_token": None})
    yield case("own keys, map", {**general, "z_token": "<tool>"}, special_tokens_map__json={
        "image_token": "<|y|>", "b_token": token("<|x|>", lstrip=True)})
    yield case("both lists", {**general, "extra_special_tokens": ["<|y|>"], "additional_special_tokens": ["<|x|>"]})
    yield case("named", {**general, "mask_token": "<tool>", "pad_token": "<|y|>", "bos_token": "<|x|>",
                         "eos_token": named("<|user|>", lstrip=True, rstrip=True), "sep_token": None})
    yield case("named, in the vocabulary", {**general, "eos_token": "he", "bos_token": end})
    yield case("decoder and named", {**general, "pad_token": "<|x|>", "bos_token": "<|user|>",
                                     "added_tokens_decoder": {"260": token("<|user|>", rstrip=True)}})
    yield case("added_tokens.json", {**general, "bos_token": "<|x|>"}, added_tokens__json={"<tool>": 260, "<|x|>": 261})
    yield case("added_tokens.json, wrong id", general, added_tokens__json={"<tool>": 270})
    yield case("added_tokens.json, decoder counts", {**general, "added_tokens_decoder": {"260": token("<|user|>")}},
               added_tokens__json={"<tool>": 260})
    yield case("map", {**general, "bos_token": "<|x|>"}, special_tokens_map__json={
        "bos_token": "<|y|>", "additional_special_tokens": ["<|user|>"]})
    yield case("map alone", None, special_tokens_map__json={"eos_token": named("<|x|>", lstrip=True)})
    yield case("map, decoder counts", {**general, "added_tokens_decoder": {"260": token("<|user|>")}},
               special_tokens_map__json={"bos_token": "<|y|>"})
    nfc = {"type": "NFC"}
    for name in (GENERAL, "GPT2Tokenizer", "GPTNeoXTokenizerFast", "LlamaTokenizerFast", None):
        config = {"bos_token": end, "eos_token": end, "unk_token": end, "pad_token": end}
        if name:
            config["tokenizer_class"] = name
        for prefix in (None, True, False):
            with_prefix = config if prefix is None else {**config, "add_prefix_space": prefix}
            model = {"config__json": {"model_type": "olmoe"}}
            yield case(f"{name}, space {prefix}", with_prefix, **model)
            yield case(f"{name}, space {prefix}, true in tokenizer.json", with_prefix, byte_level(True, nfc), **model)
        yield case(f"{name}, begin", config, byte_level(post=template([end], [])), **model)
        yield case(f"{name}, begin and end", {**config, "add_bos_token": False}, byte_level(
            post={"type": "Sequence", "processors": [
                {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True},
                template([end], [end, end])]}), **model)
        yield case(f"{name}, add_bos_token", {**config, "add_bos_token": True, "add_eos_token": True}, **model)


    # The model's type decides whether the class counts.
    for model in ("olmoe", "flex_olmo", "granitemoe", "granitemoeshared", "mixtral", "qwen2_moe", "qwen3_moe"):
        for name in ("GPT2Tokenizer", "GPT2TokenizerFast", "LlamaTokenizer", GENERAL, None):
            config = {"add_prefix_space": True, "eos_token": end, **({"tokenizer_class": name} if name else {})}
            if name is None and model.startswith("qwen"):
                continue  # the class of these models makes its own steps
            yield case(f"{model}, {name}", config, byte_level(digits=True, post=template([end], [])),
                       config__json={"model_type": model})


def sentencepiece_cases():
    base = {"tokenizer_class": "LlamaTokenizer", "legacy": False, "add_prefix_space": False,
            "bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>", "unk_token": "<unk>"}
    decoder = {"0": token("<unk>"), "1": token("<|endoftext|>"), "2": token("<|user|>", special=False),
               "3": token("<|assistant|>", special=False)}

    def case(name, changes, **files):
        return name, {"tokenizer.model": True, "tokenizer_config.json": {**base, **changes},
                      **{key.replace("__", "."): value for key, value in files.items()}}

    yield case("decoder", {"added_tokens_decoder": {**decoder, "700": token("<|x|>"), "701": token("<tool>", rstrip=True)}})
    yield case("decoder, wrong id", {"added_tokens_decoder": {**decoder, "777": token("<|x|>")}})
    yield case("additional", {"added_tokens_decoder": decoder, "additional_special_tokens": ["<|x|>", "<|y|>"]})
    yield case("padding", {"added_tokens_decoder": decoder, "pad_token": "<|x|>"})
    yield case("added_tokens.json", {}, added_tokens__json={"<|x|>": 700, "<tool>": 701})
    yield case("map", {}, special_tokens_map__json={"pad_token": "<|x|>"})
    yield case("begin", {"added_tokens_decoder": decoder, "add_bos_token": True})
    yield case("end", {"added_tokens_decoder": decoder, "add_eos_token": True, "add_bos_token": False})
    for space in (True, False):
        yield case(f"space {space}", {"added_tokens_decoder": decoder, "add_prefix_space": space})


def record(name, files):
    with tempfile.TemporaryDirectory() as directory:
        for file, content in files.items():
            path = pathlib.Path(directory, file)
            if file == "tokenizer.model":
                shutil.copy(OUTPUT / "sentencepiece" / file, path)
            else:
                path.write_text(json.dumps(content), encoding="utf-8")
        tokenizer = AutoTokenizer.from_pretrained(directory)
    result = {"name": name, "files": files, "encodings": [
        {"text": text, "ids": tokenizer.encode(text, add_special_tokens=False), "raw": tokenizer.encode(text)}
        for text in TEXTS]}
    if "wrong id" in name:
        result["refused"] = "added token with an id that is not its own"
    return result


def main():
    records = [record(*case) for case in [*cases(), *sentencepiece_cases()]]
    text = "".join(json.dumps(r, ensure_ascii=True, separators=(",", ":")) + "\n" for r in records)
    path = OUTPUT / "configured.jsonl.zst"
    subprocess.run(["zstd", "-q", "-f", "-19", "-o", str(path)], input=text.encode(), check=True)


main()
