"""Builds small tokenizers of the kinds that Mixture-of-Experts checkpoints have, as tokenizer.json has them.

The steps are those of the published files; the vocabularies are trained on a few lines.
"""

import json

from tokenizers import Tokenizer, models, pre_tokenizers, trainers

from tokenizer_probes import PROSE, SCRIPTS

CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
QWEN = CONTRACTIONS + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = QWEN.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
UPPER, LOWER = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]"
O200K = (rf"[^\r\n\p{{L}}\p{{N}}]?{UPPER}*{LOWER}+{CONTRACTIONS}?|[^\r\n\p{{L}}\p{{N}}]?{UPPER}+{LOWER}*{CONTRACTIONS}?"
         r"|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")
LING = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]++[\r\n]*|\s*[\r\n]|\s+(?!\S)|\s+")
DEEPSEEK2 = [
    "[\r\n]",
    "\\s?[A-Za-zµÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-\u1f7dᾀ-ᾴᾶ-ᾼ\u1fbe"
    "ῂ-ῄῆ-ῌῐ-\u1fd3ῖ-\u1fdbῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓℕℙ-ℝℤ\u2126ℨ\u212a-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃]+",
    r"\s?[!-/:-~！-／：-～‘-‟　-。]+",
    r"\s+$",
    "[一-龥ࠀ-一가-퟿]+",
]
DEEPSEEK3 = [
    r"\p{N}{1,3}",
    "[一-龥぀-ゟ゠-ヿ]+",
    r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
    r"|\s*[\r\n]+|\s+(?!\S)|\s+",
]
# The bytes that UTF-8 never uses are added tokens in DeepSeek's first vocabularies, spelled in their stand-ins, and so
# match these letters.
UNUSED_BYTES = "ÀÁõö÷øùúûüýþÿ"


def split(pattern, behavior="Isolated", invert=False, kind="Regex"):
    return {"type": "Split", "pattern": {kind: pattern}, "behavior": behavior, "invert": invert}


def byte_level(use_regex=False, add_prefix_space=False):
    return {"type": "ByteLevel", "add_prefix_space": add_prefix_space, "trim_offsets": True, "use_regex": use_regex}


def digits(individual=True):
    return {"type": "Digits", "individual_digits": individual}


def metaspace(scheme="first", split=False):
    return {"type": "Metaspace", "replacement": "▁", "prepend_scheme": scheme, "split": split}


def sequence(kind, steps):
    return {"type": "Sequence", kind: steps}


def replace(pattern, content, kind="String"):
    return {"type": "Replace", "pattern": {kind: pattern}, "content": content}


def added_token(token_id, content, **flags):
    return {"id": token_id, "content": content, "single_word": False, "lstrip": False, "rstrip": False,
            "normalized": False, "special": True, **flags}


def begin_with(content, token_id):
    special = {"SpecialToken": {"id": content, "type_id": 0}}
    return {"type": "TemplateProcessing", "single": [special, {"Sequence": {"id": "A", "type_id": 0}}],
            "pair": [special, {"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 1}}],
            "special_tokens": {content: {"id": content, "ids": [token_id], "tokens": [content]}}}


SPM_DECODER = sequence("decoders", [replace("▁", " "), {"type": "ByteFallback"}, {"type": "Fuse"},
                                    {"type": "Strip", "content": " ", "start": 1, "stop": 0}])
SPM_NORMALIZER = sequence("normalizers", [{"type": "Prepend", "prepend": "▁"}, replace(" ", "▁")])


def small_byte_level():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(vocab_size=560, show_progress=False,
                                  initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    tokenizer.train_from_iterator(PROSE * 3 + SCRIPTS, trainer)
    return json.loads(tokenizer.to_str())


def small_byte_fallback():
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="always", split=True)
    special = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    trainer = trainers.BpeTrainer(vocab_size=620, show_progress=False, special_tokens=special, limit_alphabet=90)
    tokenizer.train_from_iterator(PROSE * 3 + SCRIPTS, trainer)
    plain = json.loads(tokenizer.to_str())
    plain["added_tokens"] = [added_token(i, content) for i, content in enumerate(special[:3])]
    return plain


def byte_level_kind(base, pre_tokenizer, added=("<|endoftext|>",), **changes):
    """A byte-level tokenizer with these steps; special tokens behind the vocabulary, the first one at the begin."""
    tokenizer = json.loads(json.dumps(base))
    n = len(tokenizer["model"]["vocab"])
    tokenizer["added_tokens"] = [added_token(n + i, content) for i, content in enumerate(added)]
    tokenizer["pre_tokenizer"] = pre_tokenizer
    tokenizer["decoder"] = byte_level(use_regex=True, add_prefix_space=True)
    tokenizer["post_processor"] = begin_with(added[0], n)
    tokenizer["model"].update(changes.pop("model", {}))
    tokenizer.update(changes)
    return tokenizer


def fallback_kind(base, pre_tokenizer, normalizer=None, decoder=SPM_DECODER, **model):
    tokenizer = json.loads(json.dumps(base))
    tokenizer.update(pre_tokenizer=pre_tokenizer, normalizer=normalizer, decoder=decoder,
                     post_processor=begin_with("<s>", 1))
    tokenizer["model"].update({"byte_fallback": True, "fuse_unk": True, **model})
    return tokenizer


def steps(*parts):
    return sequence("pretokenizers", list(parts))


def deepseek2(base):
    used = [piece for piece in base["model"]["vocab"] if piece not in UNUSED_BYTES]
    model = {"vocab": {piece: i for i, piece in enumerate(used)}}
    base = {**base, "model": {**base["model"], **model}}
    tokenizer = byte_level_kind(base, steps(*map(split, DEEPSEEK2), digits(), byte_level()))
    tokenizer["added_tokens"] += [added_token(len(used) + 1 + i, letter, normalized=True, special=False)
                                  for i, letter in enumerate(UNUSED_BYTES)]
    return tokenizer


def without_bytes(tokenizer):
    """No token for some bytes: what they would spell is unknown."""
    for byte in range(0xE0, 0xF0):
        del tokenizer["model"]["vocab"][f"<0x{byte:02X}>"]
    return tokenizer


def kinds():
    """Name → tokenizer.json."""
    base, spm = small_byte_level(), small_byte_fallback()
    nfc = {"type": "NFC"}
    result = {
        "qwen": byte_level_kind(base, steps(split(QWEN), byte_level()), ("<|endoftext|>", "<|im_start|>"), normalizer=nfc),
        "llama3": byte_level_kind(base, steps(split(LLAMA3), byte_level()), model={"ignore_merges": True}),
        "o200k": byte_level_kind(base, steps(split(O200K), byte_level())),
        "starcoder": byte_level_kind(base, steps(digits(), byte_level(use_regex=True))),
        "deepseek2": deepseek2(base),
        "deepseek3": byte_level_kind(base, steps(*map(split, DEEPSEEK3), byte_level())),
        "ling": byte_level_kind(base, steps(split(LING), byte_level())),
        "mixtral": fallback_kind(spm, None, SPM_NORMALIZER),
        "mixtral, first": fallback_kind(spm, metaspace()),
        "metaspace, always, split": fallback_kind(spm, metaspace("always", True), decoder={
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": "always", "split": True}),
        "metaspace, never": fallback_kind(spm, metaspace("never"), decoder={
            "type": "Metaspace", "replacement": "▁", "prepend_scheme": "never", "split": False}),
        "unknown": fallback_kind(spm, metaspace(), byte_fallback=False),
        "unknown, apart": fallback_kind(spm, metaspace("always", True), byte_fallback=False, fuse_unk=False),
        "unknown, some bytes": without_bytes(fallback_kind(spm, metaspace(), nfc)),
        "ignore_merges": fallback_kind(spm, metaspace("always", True), ignore_merges=True),
        "digits together": byte_level_kind(base, steps(digits(False), byte_level(use_regex=True, add_prefix_space=True))),
        "byte level alone": byte_level_kind(base, byte_level()),
        "replaced": byte_level_kind(base, byte_level(use_regex=True), normalizer=sequence("normalizers", [
            replace(r"\s+", " ", "Regex"), nfc, replace("e", "é"), {"type": "Prepend", "prepend": "e\u0301"},
            replace("x+", "-", "Regex")])),
    }
    for behavior in ("Isolated", "Removed", "MergedWithPrevious", "MergedWithNext", "Contiguous"):
        for invert in (False, True):
            name = f"{behavior}{', inverted' if invert else ''}"
            result[name] = byte_level_kind(base, steps(split(" ", behavior, invert, "String"),
                                                       split(r"[a-m\p{P}]|\d*", behavior, invert), byte_level()))
    return result
