"""Makes the lists of cliptail_jax/datasets/icons, and cuts those classes that too few designers draw.

    python scripts/make_icon_lists.py --raw=iconify-json-2.2.535.tgz

marks.tsv: brands are the names that six designers of logos use, except for ordinary words; countries are those of three
sets of emojis. families.tsv and copies.tsv are made by the rules below. The classes
are those of cliptail_jax/concepts/lists/icons.txt, written by hand; of these stay the ones that the whole name of 8
or more test images is, from 4 families or more, and of training images from 5 or more.
"""

import argparse
import collections
import itertools
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
import tqdm
from jaxtyping import Bool, Float, Int
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from cliptail_jax.concepts import class_lists
from cliptail_jax.datasets.icons import families, marks
from cliptail_jax.datasets.icons.drawings import render
from cliptail_jax.datasets.icons.icons import whole_names
from cliptail_jax.datasets.icons.sets import Info, read_sets, svg
from cliptail_jax.datasets.icons.words import captions_of, distinct

SIDE = 16  # pixels of the drawings that are compared
SHARES = {"train": 0.7, "test": 0.2, "validation": 0.1}  # of the pairs
LARGE = 0.02  # share of all pairs
SIMILAR = 0.99
SHARED = 1 / 3
ROWS = 256  # drawings that are compared with all others at a time
LOGO_DESIGNERS, EMOJI_SETS = 6, 3
TEST_IMAGES, TEST_FAMILIES, TRAIN_FAMILIES = 8, 4, 5
WORDS = """
    android apple arc astro atom audible babel bamboo biome blender bluetooth bower box brave buffer bun c chef circle cloud
    composer crystal css cucumber cursor dart discourse discover drone edge electron element elm ember expo fire flask flux
    fox frigate gemini ghost git go grav grunt helm hermes hive html hugo intercom jest json julia kick latex less lighthouse
    line loom markdown matrix max maya medium mermaid meta meteor mix mocha neon nest notion obsidian opera oracle origin
    outline pandora passport peacock phoenix pocket polygon postman prisma processing pug r railway readme realm rider ring
    ripple rocket rss ruby rust safari seat sentry shell signal sketch sky spring square steam storybook stripe stylus svg
    swagger swift tapas target threads tidal transmission typo unity vault wise x yaml yarn zoom
""".split()
NO_COUNTRIES = {"turkey", "in hole", "black flag", "chequered flag", "crossed flags", "triangular flag", "white flag"}
HEADER = "# Made by scripts/make_icon_lists.py from @iconify/json 2.2.535.\n"


FOLDER = pathlib.Path(families.__file__).parent
CLASSES = pathlib.Path(class_lists.__file__).parent / "lists" / "icons.txt"


class Drawing(NamedTuple):
    set: str
    name: str
    words: str
    path: str
    grey: np.ndarray | None  # [256], 16 × 16 grey levels; None of marks, or where nothing is seen


def main(raw: pathlib.Path) -> None:
    infos, drawings = read_drawings(raw)
    names = [(drawing.words, infos[drawing.set]) for drawing in drawings]
    write_list("marks.tsv", [*brands(names), *countries(names)])
    visible = [
        drawing
        for drawing in drawings
        if drawing.grey is not None and not marks.is_mark(drawing.words, drawing.set, infos[drawing.set])
    ]
    print(f"{len(drawings):,} drawings, {len(visible):,} are shown and no marks")
    split_of, family_of, is_copied = make_families(infos, visible)
    originals = [drawing for drawing, is_copy in zip(visible, is_copied) if not is_copy]
    cut_classes(originals, split_of, family_of)


def read_drawings(raw: pathlib.Path) -> tuple[dict[str, Info], list[Drawing]]:
    """All sets, and their drawings as the builder selects them."""
    infos, drawings = {}, []
    for icon_set in tqdm.tqdm(read_sets(raw, lambda prefix: True, print), unit=" sets"):
        infos[icon_set.prefix] = icon_set.info
        names = [name for name, icon in icon_set.icons.items() if not icon.hidden and not icon.is_animated]
        for name, (words, _) in distinct(captions_of(names)).items():
            icon, pixels = icon_set.icons[name], None
            if not marks.is_mark_set(icon_set.prefix, icon_set.info):
                pixels = render(svg(icon, icon_set, SIDE))
            grey = None if pixels is None else pixels.mean(2).ravel().astype(np.float32)
            drawings.append(Drawing(icon_set.prefix, name, words, path_data(icon.body), grey))
    return infos, drawings


def brands(names: Sequence[tuple[str, Info]]) -> list[tuple[str, str]]:
    designers = collections.defaultdict(set)
    for words, info in names:
        if info.category == "Logos":
            designers[re.sub(" (logo|icon)$", "", words)].add(info.author.name)
    return [
        ("brand", name)
        for name, makers in sorted(designers.items())
        if len(makers) >= LOGO_DESIGNERS and name not in WORDS
    ]


def countries(names: Sequence[tuple[str, Info]]) -> list[tuple[str, str]]:
    sets = collections.defaultdict(set)
    for words, info in names:
        if info.category == "Emoji" and (match := re.fullmatch("flag (?:for )?(?:flag )?(.+)", words)):
            sets[match[1]].add(info.name)
    return [
        ("country", name)
        for name, members in sorted(sets.items())
        if len(members) >= EMOJI_SETS and name not in NO_COUNTRIES
    ]


def make_families(
    infos: Mapping[str, Info], drawings: Sequence[Drawing]
) -> tuple[dict[str, str], dict[str, str], np.ndarray]:
    """Writes families.tsv and copies.tsv; the split and the family of each set, and which drawings are copies."""
    sets = [drawing.set for drawing in drawings]
    similar = similar_pairs(np.stack([drawing.grey for drawing in drawings]))
    twins = np.concatenate([similar, equal_pairs([drawing.path for drawing in drawings])])
    mark_sets = {prefix for prefix, info in infos.items() if marks.is_mark_set(prefix, info)}
    family_of = connected_families(
        {prefix: info for prefix, info in infos.items() if prefix not in mark_sets}, sets, twins
    )
    sizes = collections.Counter(family_of[prefix] for prefix in sets)
    split_by_family = splits({family: sizes[family] for family in family_of.values()})
    split_of = {prefix: split_by_family[family] for prefix, family in family_of.items()}
    write_list("families.tsv", [line_of(prefix, info, family_of, split_of) for prefix, info in sorted(infos.items())])
    is_copied = copies([split_of[prefix] for prefix in sets], twins)
    names = collections.defaultdict(list)
    for drawing, is_copy in zip(drawings, is_copied):
        if is_copy:
            names[drawing.set].append(drawing.name)
    write_list("copies.tsv", [(prefix, " ".join(copied_names)) for prefix, copied_names in sorted(names.items())])
    for split in SHARES:
        prefixes = [prefix for prefix in split_of if split_of[prefix] == split]
        pairs = np.array([split_of[prefix] == split for prefix in sets])
        print(
            f"{split}: {len({family_of[prefix] for prefix in prefixes})} families, {len(prefixes)} sets, {pairs.sum():,} "
            f"drawings, {is_copied[pairs].sum():,} of them copies"
        )
    return split_of, family_of, is_copied


def path_data(body: str) -> str:
    """A key that is equal for drawings that differ only in colours and white space."""
    return re.sub(r"[\s,]+", " ", "".join(re.findall(r'\bd="([^"]+)"', body)) or body).strip()


def similar_pairs(pixels: Float[np.ndarray, "drawing 256"]) -> Int[np.ndarray, "pair 2"]:
    """The pairs of drawings, 16 × 16 grey levels less their mean, with a cosine above 0.99."""
    unit = pixels - pixels.mean(1, keepdims=True)
    unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-6)
    pairs = []
    for start in range(0, len(unit), ROWS):
        cosines = unit[start : start + ROWS] @ unit[start:].T
        pairs.append(start + np.argwhere(np.triu(cosines > SIMILAR, 1)))
    return np.concatenate(pairs)


def equal_pairs(keys: Sequence[str]) -> Int[np.ndarray, "pair 2"]:
    """The pairs of drawings with equal keys."""
    places = collections.defaultdict(list)
    for place, key in enumerate(keys):
        places[key].append(place)
    pairs = [pair for equal in places.values() for pair in itertools.combinations(equal, 2)]
    return np.array(pairs, np.int64).reshape(-1, 2)


def connected_families(
    infos: Mapping[str, Info], sets: Sequence[str], twins: Int[np.ndarray, "pair 2"]
) -> dict[str, str]:
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
    common_drawings = collections.defaultdict(set)  # the drawings of a set that another has, too
    for first, second in twins.tolist():
        common_drawings[sets[first], sets[second]].add(first)
        common_drawings[sets[second], sets[first]].add(second)
    together += [
        pair
        for pair, common in common_drawings.items()
        if pair[0] != pair[1] and len(common) > SHARED * min(sizes[p] for p in pair)
    ]
    return connected(sorted(infos, key=lambda prefix: (-sizes[prefix], prefix)), together)


def repository(url: str) -> str:
    """The owner and name of a repository, without 'https://github.com/' and folders; '' for other addresses."""
    match = re.match(r"https?://(?:github|gitlab)\.com/([^/]+/[^/]+)", url.lower())
    return match[1] if match else ""


def connected(items: Sequence[str], groups: Iterable[Sequence[str]]) -> dict[str, str]:
    """Names each item by the first item that groups connect it with."""
    place = {item: number for number, item in enumerate(items)}
    pairs = [(place[a], place[b]) for group in groups for a, b in itertools.pairwise(group)]
    rows, columns = np.array(pairs, np.int64).reshape(-1, 2).T
    edges = coo_array((np.ones(len(rows)), (rows, columns)), shape=(len(items), len(items)))
    first = {}
    return {item: first.setdefault(part, item) for item, part in zip(items, connected_components(edges)[1])}


def splits(sizes: Mapping[str, int]) -> dict[str, str]:
    """The split of each family, given its number of pairs.

    Families with more than 2 % of all pairs are in train: in another split, a few designers would dominate. The others,
    from the largest to the smallest, go to the split that lacks the largest share of its pairs.
    """
    total, split_sizes, split_of = sum(sizes.values()), collections.Counter(), {}
    for family in sorted(sizes, key=lambda family: (-sizes[family], family)):
        split = max(SHARES, key=lambda split: 1 - split_sizes[split] / (SHARES[split] * total))
        split = "train" if sizes[family] > LARGE * total else split
        split_of[family], split_sizes[split] = split, split_sizes[split] + sizes[family]
    return split_of


def copies(splits_of: Sequence[str], twins: Int[np.ndarray, "pair 2"]) -> Bool[np.ndarray, " drawing"]:
    """The drawings of validation and test to remove: those with a twin in another split.

    Of twins in validation and test, the one in validation is removed.
    """
    keeps = ("train", "test", "validation")
    is_removed = np.zeros(len(splits_of), bool)
    for first, second in twins.tolist():
        if splits_of[first] != splits_of[second]:
            is_removed[max(first, second, key=lambda place: keeps.index(splits_of[place]))] = True
    return is_removed


def line_of(prefix: str, info: Info, family_of: Mapping[str, str], split_of: Mapping[str, str]) -> tuple[str, ...]:
    family, split = family_of.get(prefix, "-"), split_of.get(prefix, families.MARKS)
    return prefix, family, split, info.license.spdx, info.name, info.author.name, info.author.url


def cut_classes(drawings: Sequence[Drawing], split_of: Mapping[str, str], family_of: Mapping[str, str]) -> None:
    """Rewrites the list of classes without those of too few drawings."""
    classes = whole_names()
    images, designers = collections.Counter(), collections.defaultdict(set)
    for drawing in drawings:
        if drawing.words in classes:
            key = classes[drawing.words], split_of[drawing.set]
            images[key] += 1
            designers[key].add(family_of[drawing.set])
    lines = CLASSES.read_text(encoding="utf-8").splitlines()
    head, rest = [line for line in lines if line.startswith("#")], [line for line in lines if not line.startswith("#")]
    enough = [
        images[label, "test"] >= TEST_IMAGES
        and len(designers[label, "test"]) >= TEST_FAMILIES
        and len(designers[label, "train"]) >= TRAIN_FAMILIES
        for label in range(len(rest))
    ]
    print("cut classes:", ", ".join(line.partition("\t")[0] for line, stays in zip(rest, enough) if not stays))
    CLASSES.write_text(
        "\n".join([*head, *(line for line, stays in zip(rest, enough) if stays)]) + "\n", encoding="utf-8"
    )


def write_list(name: str, lines: Iterable[Sequence[str]]) -> None:
    text = "".join("\t".join(fields) + "\n" for fields in lines)
    (FOLDER / name).write_text(HEADER + text, encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--raw", required=True, type=pathlib.Path, help="Iconify's file")
    main(parser.parse_args().raw)
