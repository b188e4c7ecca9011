"""Compares the tokenizers with open_clip's on real captions, with unusual characters added, and on texts that are too long.

    python scripts/check_tokenizer_parity.py --captions FILE.tsv [--tokenizer FOLDER]

Needs the extra `parity`. The file has a column TEXT; the folder has a Hugging Face tokenizer, without which CLIP's own is
compared. Prints one JSON line with the number of texts whose tokens differ.
"""

import argparse
import csv
import json
from itertools import cycle, islice
from pathlib import Path

import numpy as np
from open_clip.tokenizer import HFTokenizer, SimpleTokenizer, default_bpe

from cliptail_jax.input.huggingface_tokenizer import load_tokenizer
from cliptail_jax.input.tokenizer import load_clip_tokenizer

CONTEXT = 77
CAPTIONS = 10_000
ODD = [
    "caf\u00e9 &amp; cr\u00e8me &lt;b&gt;",
    "\u65e5\u672c\u8a9e \ud55c\uad6d\uc5b4 mixed \u0645\u0631\u062d\u0628\u0627",
    "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467",
    "na\u00efve \u201cquotes\u201d \u2014 \u00e2\u20ac\u2122 \u00c3\u00a9",
    "A&amp;amp;B&nbsp;#1,234.5!!??",
]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--captions", required=True, type=Path)
    parser.add_argument("--tokenizer", type=Path)
    args = parser.parse_args()
    with args.captions.open(encoding="utf-8") as file:
        captions = [row["TEXT"] for row in islice(csv.DictReader(file, delimiter="\t"), CAPTIONS)]
    texts = [vary(i, captions, odd) for i, odd in zip(range(len(captions)), cycle(ODD))]
    if args.tokenizer:
        theirs = HFTokenizer(str(args.tokenizer), context_length=CONTEXT)
        ours = load_tokenizer(args.tokenizer / "tokenizer.json", {"context_length": CONTEXT})
    else:
        theirs, ours = SimpleTokenizer(context_length=CONTEXT), load_clip_tokenizer(default_bpe(), CONTEXT)
    differ = (theirs(texts).numpy() != ours(texts)).any(1)
    print(json.dumps({"texts": len(texts), "characters": sum(map(len, texts)), "differ": int(np.sum(differ))}))


def vary(i: int, captions: list[str], odd: str) -> str:
    """The caption as it is, with odd text behind it or for its first space, in capitals, or with its successors."""
    caption = captions[i]
    variations = (caption, f"{caption} {odd}", caption.upper(), caption.replace(" ", odd, 1))
    return (*variations, " ".join(captions[i : i + 12]))[i // len(ODD) % 5]


if __name__ == "__main__":
    main()
