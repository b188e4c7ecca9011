"""Birdsnap: 500 species of North American birds.

Berg et al. (2014), "Birdsnap: Large-Scale Fine-Grained Visual Categorization of Birds", CVPR. Its archive contains
lists of images and a script that downloads them from Flickr, where some no longer exist.
"""

import csv
import pathlib
from collections.abc import Iterator

import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.datasets.streaming import StreamingBuilder
from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError

FILES = ("species.txt", "images.txt", "test_images.txt")


class Birdsnap(StreamingBuilder):
    """Birds of 500 species; test images are listed in test_images.txt, training images are all others."""

    VERSION = "1.0.0"

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info(__doc__, listed_names("birdsnap"), "filename")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        species, images, tests = (read_list(self.raw / name) for name in FILES)
        label_of = species_labels(species, self.raw / FILES[0])
        test_paths = {row["path"] for row in tests}
        labels = {"train": {}, "test": {}}
        for row in images:
            labels["test" if row["path"] in test_paths else "train"][row["path"]] = label_of[row["species_id"]]
        return {split: self._generate_examples(split, split_labels) for split, split_labels in labels.items()}

    def _generate_examples(self, split: str, labels: dict[str, int]) -> Iterator[dict]:
        folders = [folder for folder in (self.raw / "download" / "images", self.raw / "images") if folder.is_dir()]
        if not folders:
            raise UserError(f"--raw={self.raw} has neither download/images/ nor images/: run its get_birdsnap.py first")
        return self.records(split, folders[0], labels)


def read_list(path: pathlib.Path) -> list[dict[str, str]]:
    """Reads a tab-separated list with a header."""
    if not path.is_file():
        raise UserError(f"--raw={path.parent} has no {path.name}")
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def species_labels(species: list[dict[str, str]], path: pathlib.Path) -> dict[str, int]:
    """The label of each species by its id. The class list's names are those of the folders, without apostrophes."""
    labels = {normalized_name(name): label for label, name in enumerate(listed_names("birdsnap"))}
    for row in species:
        if normalized_name(row["dir"]) not in labels:
            raise UserError(f"{path} has the species {row['dir']!r}, which is not in the class list 'birdsnap'")
    return {row["id"]: labels[normalized_name(row["dir"])] for row in species}
