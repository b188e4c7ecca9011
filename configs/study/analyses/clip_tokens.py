"""Does CLIP's own tokenizer split the names of rare classes?

    python configs/study/analyses/clip_tokens.py --merges=bpe_simple_vocab_16e6.txt.gz \\
        clip-beyond-tail/metadata/freqs/class_frequency_laion400m_*.txt

Arguments are tables of class name, tab, class frequency. The file of merges is part of open_clip. Prints the mean number of tokens
per word and per name by thirds of the classes, from frequent to rare, and their rank correlations with class frequency.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import read_text
from cliptail_jax.input.name_tokens import tokens_per_word
from cliptail_jax.input.tokenizer import load_clip_tokenizer, words
from cliptail_jax.metrics.correlation import rank_correlation
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.report.layout import markdown, text_table

COLUMNS = ("class frequency", "classes", "tokens per word", "correlation", "tokens per name", "correlation")


def describe(tokens: Float[np.ndarray, " class"], frequency: Int[np.ndarray, " class"]) -> list[str]:
    """The means by thirds of the classes, and the rank correlation with class frequency, as text."""
    thirds = ", ".join(f"{tokens[classes].mean():.2f}" for classes in head_mid_tail(frequency))
    return [thirds, f"{rank_correlation(tokens, frequency):.2f}"]


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("tables", type=Path, nargs="+", metavar="TABLE")
    parser.add_argument("--merges", type=Path, required=True, help="CLIP's merges")
    options = parser.parse_args(arguments)
    tokenizer = load_clip_tokenizer(options.merges)
    rows = []
    for path in options.tables:
        lines = [line.split("\t") for line in read_text(path).splitlines()]
        names = [name for name, _ in lines]
        frequency = np.array([int(number) for _, number in lines])
        per_word = tokens_per_word(tokenizer, names)
        per_name = per_word * [len(words(name)) for name in names]
        name = path.stem.removeprefix("class_frequency_")
        rows.append([name, str(len(names)), *describe(per_word, frequency), *describe(per_name, frequency)])
    print("\n".join(markdown(text_table(COLUMNS, rows))))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
