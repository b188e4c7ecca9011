"""Writes the test images of icons that show more than their class, as tables from which `cliptail build` makes a set:

    python configs/study/analyses/caption_test_images.py --data_dir=DIR --output=runs/composed_icons
    cliptail build image_folder/composed_icons --data_dir=DIR --train=runs/composed_icons/classes.parquet \\
        --test=runs/composed_icons/test.parquet
    cliptail evaluate --workdir=runs/captions/seed_4/clip --sets=image_folder/composed_icons:test

The test images of the icons have a class only where it is the whole name. Here, images of the same split whose name has further
words ("arrow down from line") have the class that the rule of the training labels finds in it. The set's training images,
one of each class, only name its classes.

Stated before the first evaluation on it, for runs of one seed: in the regression of caption_slopes.py on these test images, the second
slope (all images per plain one) is higher by at least 1 than on plain test images for CLIP on class names, whose class name stands for
such images, too. Where further words tell them apart (clip_words, clip_foreign), it is higher by less than that.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet

from cliptail_jax.concepts.class_lists import LONGEST, load_class_list
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.host.errors import command_line


def composed(source: Source) -> tuple[np.ndarray, np.ndarray]:
    """The records without a label of their own whose name contains a class, and their classes, in the order of records."""
    records, labels = ConceptCounter(load_class_list("icons"), LONGEST).matches(source.metadata["name"])
    is_unlabelled = source.metadata["label"].to_numpy()[records] < 0
    return records[is_unlabelled], labels[is_unlabelled]


def write_images(path: Path, source: Source, records: np.ndarray, labels: np.ndarray) -> None:
    names = [source.class_names[label] for label in labels]
    table = pyarrow.table({"image": source.encoded_images(records), "label": names})
    pyarrow.parquet.write_table(table, path)


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data_dir", required=True, help="the folder with the prepared icons")
    parser.add_argument("--output", type=Path, required=True, help="a folder for the tables")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    train, test = (open_source("icons", options.data_dir, split) for split in ("train", "test"))

    labels, first_records = np.unique(train.metadata["label"].to_numpy(), return_index=True)
    is_class = labels >= 0
    write_images(options.output / "classes.parquet", train, first_records[is_class], labels[is_class])

    records, labels = composed(test)
    write_images(options.output / "test.parquet", test, records, labels)
    print(f"{len(records):,} test images of {len(np.unique(labels))} classes")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
