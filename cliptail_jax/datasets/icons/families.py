"""Families of icon sets, their splits, and drawings that are copied from one family to another.

The lists beside this module are made by scripts/make_icon_lists.py with the functions here:

- families.tsv: each set, its family (named by its largest set), the split of the family, and whom to cite.
- copies.tsv: a set of validation or test, and the names of its drawings that are copies.
"""

import collections
import dataclasses
import importlib.resources
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from cliptail_jax.datasets.icons.sets import Info

FOLDER = importlib.resources.files(__package__)
MARKS = "marks"
SHARES = {"train": 0.7, "test": 0.2, "validation": 0.1}  # of the pairs
LARGE = 0.02  # share of all pairs
SIMILAR = 0.99
SHARED = 1 / 3
DIMENSIONS = 32  # of the projection by which candidates for similar drawings are found


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


def path_data(body: str) -> str:
    """A key that is equal for drawings that differ only in colours and white space."""
    return re.sub(r"[\s,]+", " ", "".join(re.findall(r'\bd="([^"]+)"', body)) or body).strip()


def similar_pairs(pixels: Float[np.ndarray, "drawing 256"]) -> Int[np.ndarray, "pair 2"]:
    """The pairs of drawings, 16 × 16 grey levels less their mean, with a cosine above 0.99.

    The distance of such unit vectors is below √0.02, and so is that of their projections on the principal components.
    Drawings are sorted by the first component, so that each is compared with a window only.
    """
    unit = pixels - pixels.mean(1, keepdims=True)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    _, axes = np.linalg.eigh(unit.T @ unit)
    projected = unit @ axes[:, : -DIMENSIONS - 1 : -1]
    order = np.argsort(projected[:, 0], kind="stable")
    unit, projected = unit[order], projected[order]
    farthest, block, found = np.sqrt(2 - 2 * SIMILAR), 1024, []
    for start in range(0, len(unit), block):
        rows = slice(start, start + block)
        end = np.searchsorted(projected[:, 0], projected[rows, 0][-1] + farthest)
        norms = np.square(projected[start:end]).sum(1)
        near = norms[: len(projected[rows]), None] + norms - 2 * projected[rows] @ projected[start:end].T < farthest**2
        first, second = np.nonzero(np.triu(near, 1))
        cosines = np.einsum("pd,pd->p", unit[start + first], unit[start + second])
        pairs = np.stack([start + first, start + second], 1)[cosines > SIMILAR]
        found.append(order[pairs])
    return np.concatenate(found)


def equal_pairs(keys: Sequence[str]) -> Int[np.ndarray, "pair 2"]:
    """The pairs of drawings with equal keys."""
    places = collections.defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    pairs = [pair for equal in places.values() for pair in itertools.combinations(equal, 2)]
    return np.array(pairs, np.int64).reshape(-1, 2)


def families(infos: Mapping[str, Info], sets: Sequence[str], twins: Int[np.ndarray, "pair 2"]) -> dict[str, str]:
    """The family of each set: sets belong together that have

    - the same prefix before a hyphen, such as fa-solid and fa-regular;
    - the same author, or the same repository;
    - more than a third of the drawings of the smaller set in common.

    Args:
        infos: the sets.
        sets: the set of each drawing.
        twins: pairs of equal or similar drawings.
    """
    sizes = collections.Counter(sets)
    groups = collections.defaultdict(list)
    for prefix, info in infos.items():
        groups["prefix", prefix.partition("-")[0]].append(prefix)
        groups["author", info.author.name.lower()].append(prefix)
        groups["repository", repository(info.author.url) or prefix].append(prefix)
    together = [group for (_, name), group in groups.items() if name]
    shared = collections.defaultdict(set)  # the drawings of a set that another has, too
    for first, second in twins.tolist():
        shared[sets[first], sets[second]].add(first)
        shared[sets[second], sets[first]].add(second)
    together += [
        pair
        for pair, common in shared.items()
        if pair[0] != pair[1] and len(common) > SHARED * min(sizes[p] for p in pair)
    ]
    return connected(sorted(infos, key=lambda prefix: (-sizes[prefix], prefix)), together)


def repository(url: str) -> str:
    """The owner and name of a repository, without 'https://github.com/' and folders; '' for other addresses."""
    match = re.match(r"https?://(?:github|gitlab)\.com/([^/]+/[^/]+)", url.lower())
    return match[1] if match else ""


def connected(items: Sequence[str], groups: Iterable[Sequence[str]]) -> dict[str, str]:
    """Names each item by the first item that groups connect it with."""
    rank, name = {item: place for place, item in enumerate(items)}, {item: item for item in items}
    groups = list(groups)
    changed = True
    while changed:
        changed = False
        for group in groups:
            first = min((name[item] for item in group), key=rank.get)
            for item in group:
                changed |= name[item] != first
                name[item] = first
    return name


def splits(sizes: Mapping[str, int]) -> dict[str, str]:
    """The split of each family, given its number of pairs.

    Families with more than 2 % of all pairs are in train: in another split, a few designers would dominate. The others,
    from the largest to the smallest, go to the split that lacks the largest share of its pairs.
    """
    total, filled, split_of = sum(sizes.values()), collections.Counter(), {}
    for family in sorted(sizes, key=lambda family: (-sizes[family], family)):
        split = max(SHARES, key=lambda split: 1 - filled[split] / (SHARES[split] * total))
        split = "train" if sizes[family] > LARGE * total else split
        split_of[family], filled[split] = split, filled[split] + sizes[family]
    return split_of


def copied(splits_of: Sequence[str], twins: Int[np.ndarray, "pair 2"]) -> Bool[np.ndarray, " drawing"]:
    """The drawings of validation and test to remove: those with a twin in another split.

    Of twins in validation and test, the one in validation is removed.
    """
    keeps = ("train", "test", "validation")
    removed = np.zeros(len(splits_of), bool)
    for first, second in twins.tolist():
        if splits_of[first] != splits_of[second]:
            removed[max(first, second, key=lambda place: keeps.index(splits_of[place]))] = True
    return removed
