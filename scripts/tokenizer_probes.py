"""Texts that probe tokenizers, and how fixtures record what Hugging Face's tokenizers make of them."""

import json
import subprocess

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
