"""Writes the tables of records and texts on which `configs/study/captions.py` trains.

    python configs/study/analyses/caption_tables.py --data_dir=DIR --output=runs/caption_tables

DIR contains the icons. Each table has the columns filepath, label and caption, as `data.table` takes them. A caption such as "user
minus" consists of the phrase by which it names its class ("person") and of *further words* ("minus"). A record without further
words is *plain*: its image shows its class and nothing else. The tables of plain records are

    plain             the class name
    plain_captions    the caption, which is the class name or a synonym

and those of all records with a class have as texts

    synonyms          the phrase by which the caption names the class
    words             the class name and the record's further words
    foreign           the class name and the further words of another record that has some
    frequent_third    the class name, and the record's further words in the most frequent third of the classes only
    rare_thirds       the same in the other two thirds only
    equal_share       the same for an equal share of each class, a fifth; the other records have none
"""

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from cliptail_jax.concepts.class_lists import load_class_list
from cliptail_jax.concepts.counter import concepts_by_phrase
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError, command_line
from cliptail_jax.host.files import write_text

SEED = 0
SHARE = 0.2  # of each class's records that keep their further words in `equal_share`


def parts_of(caption: str, label: int, classes_of: Mapping[str, Sequence[int]]) -> tuple[str, str]:
    """The longest phrase of the class in its caption, and the further words."""
    words = caption.split()
    for length in range(len(words), 0, -1):
        for start in range(len(words) - length + 1):
            phrase = " ".join(words[start : start + length])
            if label in classes_of.get(phrase, ()):
                return phrase, " ".join([*words[:start], *words[start + length :]])
    raise UserError(f"the caption '{caption}' has no phrase of its class: build the icons again")


def drawn_share(labels: np.ndarray, is_composed: Bool[np.ndarray, " record"], share: float) -> np.ndarray:
    """Marks composed records: a share of all records of each class, or all of them where there are fewer."""
    is_drawn = np.zeros(len(labels), bool)
    rng = np.random.default_rng(SEED)
    for label in np.unique(labels):
        candidates = rng.permutation(np.flatnonzero(is_composed & (labels == label)))
        is_drawn[candidates[: round(share * np.sum(labels == label))]] = True
    return is_drawn


def tables(data_dir: str) -> dict[str, tuple[np.ndarray, np.ndarray, list[str]]]:
    """The file paths, labels and texts of each table."""
    source = open_source("icons", data_dir, "train")
    names, classes_of = source.class_names, concepts_by_phrase(load_class_list("icons"))
    labels = source.metadata["label"].to_numpy()
    is_labelled = labels >= 0
    labels = labels[is_labelled]
    paths = np.array(source.metadata["filename"].to_pylist())[is_labelled]
    captions = np.array(source.metadata["name"].to_pylist())[is_labelled]

    parts = [parts_of(caption, label, classes_of) for caption, label in zip(captions, labels)]
    synonyms = [phrase for phrase, _ in parts]
    further_words = np.array([words for _, words in parts], object)
    is_composed = further_words != ""
    class_texts = [names[label] for label in labels]

    frequency = np.bincount(labels, minlength=len(names))
    frequent_third = np.argsort(-frequency, kind="stable")[: round(len(names) / 3)]
    is_frequent = np.isin(labels, frequent_third)
    foreign_words = further_words.copy()
    foreign_words[is_composed] = np.random.default_rng(SEED).permutation(further_words[is_composed])

    def named(words: np.ndarray, has_words: np.ndarray) -> list[str]:
        """The class names, with further words where marked."""
        return [f"{name} {text}".strip() for name, text in zip(class_texts, np.where(has_words, words, ""))]

    texts = {
        "synonyms": synonyms,
        "words": named(further_words, is_composed),
        "foreign": named(foreign_words, is_composed),
        "frequent_third": named(further_words, is_frequent),
        "rare_thirds": named(further_words, ~is_frequent),
        "equal_share": named(further_words, drawn_share(labels, is_composed, SHARE)),
    }
    is_plain = ~is_composed
    plain_names = [names[label] for label in labels[is_plain]]
    plain_rows = paths[is_plain], labels[is_plain]
    return {
        "plain": (*plain_rows, plain_names),
        "plain_captions": (*plain_rows, list(captions[is_plain])),
        **{name: (paths, labels, rows) for name, rows in texts.items()},
    }


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="the folder with the prepared icons")
    parser.add_argument("--output", type=Path, required=True, help="a folder for the tables")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    for name, (paths, labels, texts) in tables(options.data_dir).items():
        rows = [f"{path}\t{label}\t{text}" for path, label, text in zip(paths, labels, texts)]
        write_text(options.output / f"{name}.tsv", "\n".join(["filepath\tlabel\tcaption", *rows]) + "\n")
        print(f"{name}: {len(rows):,} records")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
