"""Iconify's collection of open icon sets: drawings of 200,000 names by hundreds of designers, as images with captions.

The npm package @iconify/json (https://iconify.design) has each set under its designer's license.
"""

import functools
import re
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import tensorflow_datasets as tfds
from tqdm import tqdm

from cliptail_jax.concepts.class_lists import LONGEST, listed_names, load_class_list
from cliptail_jax.concepts.counter import ConceptCounter, concepts_by_phrase
from cliptail_jax.concepts.workers import worker_processes
from cliptail_jax.datasets.icons.drawings import check_renderer, png
from cliptail_jax.datasets.icons.families import MARKS, Member, read_copies, read_families
from cliptail_jax.datasets.icons.marks import is_mark
from cliptail_jax.datasets.icons.sets import IconSet, read_sets, svg
from cliptail_jax.datasets.icons.words import captions_of, distinct
from cliptail_jax.datasets.streaming import StreamingBuilder, clean_text
from cliptail_jax.host.cores import usable_cores
from cliptail_jax.host.errors import UserError

CLASS_LIST = "icons"
MAX_SIZE = 1024
CHUNK = 64  # drawings that a worker renders at a time
SPLITS = ("train", "validation", "test", MARKS)
TEXTS = ("name", "style", "set", "title", "license", "author", "palette", "filename")


class Icons(StreamingBuilder):
    """Icons on white with the words of their names. Each family of sets is in one split; marks are logos and flags."""

    VERSION = "1.0.0"
    ANY_CONFIG = True

    def __init__(self, *, size: str | int = 32, licenses: str = "", **kwargs):
        self.size, self.licenses = read_size(size), licenses
        self.members = licensed(read_families(), licenses)
        super().__init__(**kwargs)

    @property
    def CITATION(self) -> str:
        return "\n".join(f"{member.title} by {member.author}, {member.address}" for member in self.members.values())

    @property
    def LICENSE(self) -> str:
        return ", ".join(sorted({member.license for member in self.members.values()}))

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(self.size, self.size, 3), encoding_format="png")
        return self.dataset_info(__doc__, listed_names(CLASS_LIST), *TEXTS, image=image)

    def check_raw(self) -> None:
        super().check_raw()
        check_renderer()

    def _generate_splits(self, *arguments) -> list[tfds.core.SplitInfo]:
        with worker_processes(usable_cores()) as self.workers:
            return super()._generate_splits(*arguments)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        splits = dict.fromkeys(member.split for member in self.members.values())
        return {split: self._generate_examples(split) for split in sorted(splits, key=SPLITS.index)}

    def _generate_examples(self, split: str) -> Iterator[dict]:
        copies = read_copies()
        with tqdm(desc=f"{self.name} {split}", unit=" images", disable=None) as progress:
            for icon_set in read_sets(self.raw, lambda prefix: self._may_be_in(prefix, split), self.skip):
                names = self._names(icon_set, split, copies.get(icon_set.prefix, set()))
                labels = self._labels([words for words, _ in names.values()], split)
                documents = (svg(icon_set.icons[name], icon_set, self.size) for name in names)
                images = self.workers.map(png, documents, chunksize=CHUNK)
                for (name, (words, style)), label, image in zip(names.items(), labels, images, strict=True):
                    progress.update()
                    if image is None:
                        self.skip(
                            "drawings that cannot be rendered, or show nothing",
                            f"{icon_set.prefix}:{name} shows nothing",
                        )
                    else:
                        texts = {"name": words, "style": style} | texts_of(icon_set, name)
                        yield {"image": image, "label": label} | texts

    def _may_be_in(self, prefix: str, split: str) -> bool:
        """Whether a split may have drawings of a set. Marks are in all sets."""
        if prefix not in self.members:
            is_known = prefix in read_families()
            if split == "train" and not is_known:
                self.skip("icon sets that the list of families lacks", f"the set {prefix} is not of version 2.2.535")
            return False
        return split in (MARKS, self.members[prefix].split)

    def _names(self, icon_set: IconSet, split: str, copies: set[str]) -> dict[str, tuple[str, str]]:
        """The words and the style of each of a set's names in the split."""
        captions = captions_of(
            name for name, icon in icon_set.icons.items() if not icon.hidden and not icon.is_animated
        )
        distinct_names, names = distinct(captions), {}
        for name, icon in icon_set.icons.items():
            if icon.hidden:
                reason = "that the designer withdrew or renamed"
            elif icon.is_animated:
                reason = "that are animated, whose first frame is often a part only"
            elif not captions[name][0]:
                reason = "whose name has no word"
            elif name not in distinct_names:
                reason = "of a name that the set has already, in another style"
            elif is_mark(distinct_names[name][0], icon_set.prefix, icon_set.info) != (split == MARKS):
                reason = "of logos and flags"
            elif name in copies:
                reason = "that another split has, too"
            else:
                names[name] = distinct_names[name]
                continue
            if (
                split == self.members[icon_set.prefix].split
            ):  # counts each drawing once, and not for the split 'marks' again
                self.skip(f"drawings {reason}", f"{icon_set.prefix}:{name} is one of the drawings {reason}")
        return names

    def _labels(self, captions: list[str], split: str) -> np.ndarray:
        """The class that each caption names; in validation and test, the class that equals the caption; -1 for none."""
        labels = np.full(len(captions), -1)
        if split == "train":
            rows, classes = counter().matches(pa.array(captions, pa.string()))
            labels[rows] = classes
        elif split != MARKS:
            labels[:] = [whole_names().get(words, -1) for words in captions]
        return labels


@functools.cache
def counter() -> ConceptCounter:
    return ConceptCounter(load_class_list(CLASS_LIST), LONGEST)


@functools.cache
def whole_names() -> dict[str, int]:
    """The class of each of its phrases."""
    return {phrase: classes[0] for phrase, classes in concepts_by_phrase(load_class_list(CLASS_LIST)).items()}


def texts_of(icon_set: IconSet, name: str) -> dict[str, str]:
    """The text fields that do not depend on the words of the name."""
    info = icon_set.info
    return {
        "filename": f"{icon_set.prefix}/{name}.svg",
        "set": icon_set.prefix,
        "title": clean_text(info.name),
        "license": clean_text(info.license.spdx),
        "author": clean_text(info.author.name),
        "palette": "several colours" if info.palette else "one colour",
    }


def read_size(size: str | int) -> int:
    if not re.fullmatch("[0-9]{1,4}", str(size)) or not 1 <= int(size) <= MAX_SIZE:
        raise UserError(f"--size={size} is not a number of pixels from 1 to {MAX_SIZE}")
    return int(size)


def licensed(members: dict[str, Member], licenses: str) -> dict[str, Member]:
    """The sets with one of the licenses; all if none is given. Raises UserError for one that no set has."""
    selection = set(filter(None, licenses.split(",")))
    names = {member.license: {member.license, re.sub(r"-\d.*", "", member.license)} for member in members.values()}
    if unknown_names := selection - set().union(*names.values()):
        raise UserError(
            f"--licenses={licenses}: no set has the license {min(unknown_names)!r}; there is {', '.join(sorted(names))}"
        )
    return {prefix: member for prefix, member in members.items() if not selection or names[member.license] & selection}
