#!/usr/bin/env python3
"""Writes tests/data/text/: what Hugging Face makes of texts, and what SentencePiece does.

Run from the repository's root, with tokenizers 0.23.3, transformers 5.23, sentencepiece 0.2.3 and the
zstd program, giving the directory that holds the tokenizer.json of OLMoE-1B-7B-0125-Instruct (Apache-2.0):

    python3 scripts/make_tokenizer_fixtures.py OLMOE_DIRECTORY

olmoe_tokenizer.json.zst   that tokenizer
olmoe_encodings.jsonl.zst  texts, their ids, and the decoded text where it differs from the text
variants.jsonl.zst         small tokenizers with the options that OLMoE's does not use, and encodings
unicode.json.zst           class of every code point in GPT-2's pattern, and where NFC acts
sentencepiece/             a small model; encodings as transformers' LlamaTokenizer makes them
chat_renders.json          conversations rendered by the templates of chat_templates/
"""

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

OUTPUT = pathlib.Path("tests/data/text")
GPT2_PATTERN = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"

PROSE = [
    "The quick brown fox jumps over the lazy dog.",
    "It's what they'd've said: \"we'll see\", didn't they? I'M SURE IT'S FINE.",
    "In 1905, Einstein published four papers; by 1915 he'd 3,000+ pages of notes.",
    "def fib(n):\n    if n < 2:\n        return n\n    return fib(n - 1) + fib(n - 2)\n",
    "for (int i = 0; i < n; ++i) {\n\tsum += a[i] * b[i];  // dot product\n}\n",
    "SELECT name, COUNT(*) FROM users WHERE age >= 18 GROUP BY name;\r\n",
    "<html>\n  <body class=\"x\">&nbsp;&amp;</body>\n</html>",
    "#!/bin/sh\nset -eu\nprintf '%s\\n' \"${HOME:?}\" | sed -e 's/a/b/g'\n",
    "∫₀^∞ e^{-x²} dx = √π/2, ∀ε>0 ∃δ>0: |x−a|<δ ⇒ |f(x)−f(a)|<ε",
    "\\frac{d}{dx} \\left( x^n \\right) = n x^{n-1}, \\quad n \\in \\mathbb{N}",
    "Ⅷ × ½ = ④ ± 10⁻⁷ ≈ ٣٫١٤ ≠ ३.१४",
]
SCRIPTS = [
    "Zażółć gęślą jaźń. Příliš žluťoučký kůň. Đây là tiếng Việt. İstanbul'da ışık.",
    "Съешь же ещё этих мягких французских булок. Њива, ђак, ћуп.",
    "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία. ΐ ΰ ᾷ",
    "שלום עולם, בְּרֵאשִׁית בָּרָא אֱלֹהִים",
    "السَّلَامُ عَلَيْكُمْ ١٢٣٤ فارسی اُردُو",
    "हिन्दी में लिखा हुआ वाक्य। क़ख़ग़ ज़ड़ढ़ বাংলা তামিল தமிழ் తెలుగు ಕನ್ನಡ മലയാളം ਪੰਜਾਬੀ",
    "ภาษาไทยไม่มีช่องว่าง ລາວ မြန်မာ ខ្មែរ བོད་ཡིག",
    "我能吞下玻璃而不伤身体。私はガラスを食べられます。パピプペポ ﾊﾟ 나는 유리를 먹을 수 있어요. 각",
    "አማርኛ ქართული Հայերեն ᏣᎳᎩ ᐃᓄᒃᑎᑐᑦ ᠮᠣᠩᠭᠣᠯ",
    "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𝟘𝟙𝟚 𐍈 𒀀𒁀 𓀀 𠀋𠂢 🀄",
]
EMOJI = ["😀😃", "👩‍👩‍👧‍👦 and 👍🏽!", "🇩🇪🇫🇷🇯🇵", "❤️‍🔥 ☕︎ ☕️", "1️⃣2️⃣ #️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "a🙂b 🙂 c"]
MARKS = [
    "e\u0301 é e\u0323\u0302 ệ a\u0315\u0300\u05ae\u0300 b",
    "A\u030a Å Å \u212b \u1100\u1161\u11a8 각 \uac00\u11a8",
    "q\u0307\u0323 q\u0323\u0307 \u0344 \u0958 \u2126 \u1e9b\u0323 \ufb01 \ufb2c",
    "\u0301 begins \u0301\u0302\u0303", "\u0f71\u0f72\u0f74 \u0fb2\u0f80", "\u3099か\u3099 は\u309a",
    "x" + "\u0301\u0316" * 50 + "y", "\u09c7\u09be \u0bc6\u0bd7 \U00011131\U00011127",
]
CONTROLS = ["\0", "a\0b", "\x01\x02\x1b[31mred\x1b[0m", "\x7f\x80\x9f", "\ufeffBOM", "\u200b\u200e\u202eRTL",
            "\ufffd\ufffe\uffff", "\U0010ffff \ue000", "\x1c\x1d\x1e\x1f", "\x85\u2028\u2029"]
SPACES = ["", " ", "\n", "\t", "\r\n", "  ", " \n", "\n ", " \n \n", "a ", "a  ", " a", "  a", "   a  b   ", "\ta\t\tb",
          "\n\n\na\n\n", "\u00a0a\u00a0\u00a0b", "\u3000あ\u3000\u3000", "a\u2003b\u2003\u2003c", "\x0b\x0ca\x0b\x0bb",
          " \u00a0 x", "\u1680\u205f\u202fx", "\u180ex \u200bx"]


def texts(rng, added, n_random):
    """Texts that between them meet every rule: fixed ones, then mixtures of them."""
    fixed = PROSE + SCRIPTS + EMOJI + MARKS + CONTROLS + SPACES
    result = list(fixed)
    result += [" " * n for n in range(1, 70)] + ["x" + " " * n + "y" for n in range(1, 40)]
    result += ["\n" * n for n in range(1, 20)] + ["\n" * n + "x" for n in range(1, 9)]
    result += [chr(c) for c in range(0x180)] + [f"a{chr(c)}1 {chr(c)}{chr(c)}" for c in range(0x100)]
    for token in added:
        result += [token, f"a{token}b", f" {token} ", f"{token}{token}", f"x {token}\n\n {token}s", token[:-1], token + token[:2]]
    pieces = fixed + list(added) * 2 + [" ", "  ", "\n", "'s", "'S", ".", "0", "42", "e\u0301", "\u0323"]
    ranges = [(0, 0x80), (0x80, 0x300), (0x300, 0x370), (0x370, 0x600), (0x600, 0x1000), (0x1000, 0x2000),
              (0x2000, 0x3000), (0x3000, 0xD800), (0xE000, 0x10000), (0x10000, 0x20000), (0x1F000, 0x1FB00),
              (0x20000, 0x110000)]
    for i in range(n_random):
        if i % 3 == 0:
            parts = []
            for _ in range(rng.randint(1, 5)):
                piece = rng.choice(pieces)
                start = rng.randrange(len(piece) + 1)
                parts.append(piece[start:start + rng.randint(0, 30)])
            result.append("".join(parts))
        elif i % 3 == 1:
            spans = [rng.choice(ranges), rng.choice(ranges), (32, 127)]
            result.append("".join(chr(rng.randrange(*rng.choice(spans))) for _ in range(rng.randint(1, 25))))
        else:
            alphabet = "aeiouAS가각'1 2\t\n  \u0301\u0316\u0323\u0334\u0344\u05b0\u093c\u0f71\u1161\u11a8\u3099.,"
            result.append("".join(rng.choice(alphabet) for _ in range(rng.randint(1, 30))))
    return result


def encoding(tokenizer, text):
    """The ids of a text; the decoded text where it is another one, with and without special tokens."""
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    record = {"text": text, "ids": ids}
    decoded = tokenizer.decode(ids, skip_special_tokens=False)
    skipped = tokenizer.decode(ids, skip_special_tokens=True)
    if decoded != text:
        record["decoded"] = decoded
    if skipped != decoded:
        record["skipped"] = skipped
    return record


def write_zst(path, text):
    subprocess.run(["zstd", "-q", "-f", "-19", "-o", str(path)], input=text.encode(), check=True)


def write_lines(path, records):
    write_zst(path, "".join(json.dumps(r, ensure_ascii=True, separators=(",", ":")) + "\n" for r in records))


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
        ["user:{{ bos_token }}{% x %} <|user|> é 日本 😀"], ["user:{bos}{eos}"],
    ]
    records = []
    for path in sorted((OUTPUT / "chat_templates").glob("*.jinja")):
        template = _compile_jinja_template(path.read_text(encoding="utf-8"))
        cases = []
        for conversation in conversations:
            messages = [dict(zip(("role", "content"), m.split(":", 1))) for m in conversation]
            try:
                text = template.render(messages=messages, add_generation_prompt=True, bos_token="<s>", eos_token="</s>")
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


main()
