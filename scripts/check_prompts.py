#!/usr/bin/env python3
"""Checks that no prompt is a copy or near copy of a record of a text corpus, or of another prompt.

    python3 scripts/check_prompts.py prompts/paper80.jsonl CORPUS_DIR [CORPUS_DIR ...]

Reads every *.jsonl and *.jsonl.zst file below the directories (records with "prompt" and "text"; the zstd
program unpacks). A prompt is reported if
  - it equals a record's prompt, or is part of it, after normalisation (lower case, words only),
  - it shares a run of 8 words with a record, or
  - its content words overlap with those of a record's prompt by a Jaccard index of 0.6 or more
    (prompts of at least 4 content words).
Prompts of one "wording" are one sentence with another topic, and are not compared with each other.
Ends with status 1 if anything is reported. Only the Python standard library is needed.
"""

import argparse
import json
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

RUN_LENGTH = 8
MIN_JACCARD = 0.6
MIN_CONTENT_WORDS = 4
STOP_WORDS = set(
    "a an and are as at be been but by can could did do does each every find for from give had has have he "
    "her him his how i if in into is it its let like list many me much my name no not of on one or our out "
    "please she should show so some such tell than that the their them then there these they this to up use "
    "was we were what when where which who why will with would write you your".split())


def words_of(text):
    return re.findall(r"[a-z0-9]+", text.lower())


def content_words(words):
    return {word for word in words if word not in STOP_WORDS}


def runs_of(words):
    return {tuple(words[i:i + RUN_LENGTH]) for i in range(len(words) - RUN_LENGTH + 1)}


def lines_of(path):
    if path.suffix != ".zst":
        yield from path.open(encoding="utf-8")
        return
    with subprocess.Popen(["zstd", "-dcq", path], stdout=subprocess.PIPE, text=True,
                          encoding="utf-8") as unpacker:
        yield from unpacker.stdout
    if unpacker.returncode != 0:
        raise SystemExit(f"{path}: zstd failed")


def corpus_records(directories):
    n_files = 0
    for directory in directories:
        for path in sorted(Path(directory).rglob("*.jsonl*")):
            n_files += 1
            for number, line in enumerate(lines_of(path), 1):
                record = json.loads(line)
                yield f"{path}:{number}", record.get("prompt") or "", record.get("text") or ""
    if n_files == 0:
        raise SystemExit("no *.jsonl or *.jsonl.zst file in the corpus directories")


class Checker:
    def __init__(self, prompts):
        self.findings = []
        self.words = {prompt["id"]: words_of(prompt["prompt"]) for prompt in prompts}
        self.content = {key: content_words(words) for key, words in self.words.items()}
        self.runs = defaultdict(set)
        for key, words in self.words.items():
            for run in runs_of(words):
                self.runs[run].add(key)

    def report(self, key, where, reason):
        self.findings.append(f"{key}: {where}: {reason}")

    def compare(self, where, prompt, text, but_not=()):
        prompt_words, text_words = words_of(prompt), words_of(text)
        reported = set(but_not)
        for words in (prompt_words, text_words):
            for i in range(len(words) - RUN_LENGTH + 1):
                run = tuple(words[i:i + RUN_LENGTH])
                for key in self.runs.get(run, ()):
                    if key not in reported:
                        reported.add(key)
                        self.report(key, where, "shares the words \"" + " ".join(run) + "\"")
        record_content = content_words(prompt_words)
        joined = " ".join(prompt_words)
        for key, content in self.content.items():
            if key in reported:
                continue
            if prompt_words == self.words[key]:
                self.report(key, where, "is equal")
            elif len(self.words[key]) < RUN_LENGTH and f" {' '.join(self.words[key])} " in f" {joined} ":
                self.report(key, where, "is contained")
            elif len(content) >= MIN_CONTENT_WORDS and record_content:
                shared = len(content & record_content)
                jaccard = shared / (len(content) + len(record_content) - shared)
                if jaccard >= MIN_JACCARD:
                    self.report(key, where, f"content words overlap by {jaccard:.2f}: {prompt[:120]!r}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("prompts", type=Path)
    parser.add_argument("corpus", nargs="*")
    options = parser.parse_args()
    prompts = [json.loads(line) for line in options.prompts.open(encoding="utf-8")]
    checker = Checker(prompts)
    of_wording = defaultdict(set)
    for prompt in prompts:
        of_wording[prompt.get("wording", prompt["id"])].add(prompt["id"])
    for prompt in prompts:
        related = of_wording[prompt.get("wording", prompt["id"])]
        checker.compare("another prompt, " + prompt["id"], prompt["prompt"], "", but_not=related)
    n_records = 0
    if options.corpus:
        for where, prompt, text in corpus_records(options.corpus):
            n_records += 1
            checker.compare(where, prompt, text)
    for finding in checker.findings:
        print(finding)
    print(f"{len(prompts)} prompts, {n_records} corpus records, {len(checker.findings)} findings")
    sys.exit(1 if checker.findings else 0)


if __name__ == "__main__":
    main()
