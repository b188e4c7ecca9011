"""Families of icon sets, their splits, and drawings that are copied from one family to another.

scripts/make_icon_lists.py makes the lists beside this module:

- families.tsv: each set, its family (named by its largest set), the split of the family, and whom to cite.
- copies.tsv: a set of validation or test, and the names of its drawings that are copies.
"""

import dataclasses
import importlib.resources

FOLDER = importlib.resources.files(__package__)
MARKS = "marks"


@dataclasses.dataclass(frozen=True)
class Member:
    """A set of a family, in one split. Sets of logos and flags have no family, and are in the split 'marks'."""

    family: str
    split: str
    license: str  # SPDX's name
    title: str
    author: str
    address: str


def read_families() -> dict[str, Member]:
    """Each set's member of a family, by prefix."""
    return {prefix: Member(*fields) for prefix, *fields in read_lines("families.tsv")}


def read_copies() -> dict[str, set[str]]:
    """The names of the copied drawings of each set."""
    return {prefix: set(names.split()) for prefix, names in read_lines("copies.tsv")}


def read_lines(name: str) -> list[list[str]]:
    """The lines of a list without its comments, each split at its tabs."""
    lines = (FOLDER / name).read_text(encoding="utf-8").splitlines()
    return [line.split("\t") for line in lines if not line.startswith("#")]
