"""Writes images of characters, of which some show a second character, as tables from which `cliptail build` makes sets:

    python configs/study/analyses/composed_glyphs.py --output=runs/composed_glyphs
    for set in independent rising falling rising_mirrored falling_mirrored; do
      cliptail build image_text/composed_glyphs_$set --data_dir=DIR --classes=runs/composed_glyphs/classes.json \\
          --train=runs/composed_glyphs/$set.parquet --test=runs/composed_glyphs/plain.parquet \\
          --val=runs/composed_glyphs/composed.parquet --label_column=label --caption_columns=sign,other_sign,random_sign
    done

The classes are the 100 characters of the glyphs. A *plain* image is drawn as theirs. A *composed* one shows the character at 60 % of
its size, and one of the twelve signs of the zodiac. The text `sign` is the name of the sign ("aries"), `other_sign` that of another
one, which the image does not show; both are empty for a plain image. `random_sign` is the name of any sign for half of the images,
plain or composed.

- independent: 500 images of each class, of which 0, 25, 50 or 75 % are composed, 25 classes each, drawn at random. The study
  imposes class frequencies.
- rising, falling: long-tailed, from 500 images to 5. The share of composed images rises from 0 % for the rarest class to 75 % for
  the most frequent one, or falls. The order of the classes is random; that of the mirrored sets is the reverse.

Test images are plain, and those of `val` are composed; both have a family of typefaces that no training image has.
"""

import argparse
import dataclasses
import io
import json
import sys
import unicodedata
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from jaxtyping import Float, Int
from PIL import Image

from cliptail_jax.curation.profiles import exponential
from cliptail_jax.datasets.glyphs import drawing
from cliptail_jax.datasets.glyphs.characters import CHARACTERS, class_name
from cliptail_jax.datasets.glyphs.faces import Face
from cliptail_jax.datasets.glyphs.glyphs import EXTENT
from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import write_text

SEED = 1
CLASSES, LARGEST, RATIO, TEST_IMAGES = len(CHARACTERS), 500, 100.0, 50
SHARES, LARGEST_SHARE = (0.0, 0.25, 0.5, 0.75), 0.75  # of composed images
SIGNS = "♈♉♊♋♌♍♎♏♐♑♒♓"
SIGN_FAMILY = "DejaVu Sans"  # the others lack some signs
SCALE = 0.6  # of the character in a composed image
OFFSET = 7.0  # of each of its characters from the centre, in pixels along each axis


def draw_composed(rng: np.random.Generator, character: str, sign: str, style: drawing.Style) -> np.ndarray:
    """The pixels of a character and a sign in opposite corners."""
    corner = OFFSET * rng.choice([-1, 1], size=2)
    shift = corner + np.array(style.shift) / 4
    main_style = dataclasses.replace(style, size=SCALE * style.size, shift=tuple(shift))
    face = Face(SIGN_FAMILY, style.face.weight, style.face.slant)
    sign_style = dataclasses.replace(style, face=face, size=rng.uniform(8, 13), shift=tuple(-corner), rotation=0.0)
    coverage = np.maximum(drawing.place_ink(character, main_style), drawing.place_ink(sign, sign_style))
    return drawing.paint(rng, coverage, style)


def sign_name(sign: str) -> str:
    return unicodedata.name(sign).lower()


def make_images(
    split: str, counts: Int[np.ndarray, " class"], composed_counts: Int[np.ndarray, " class"]
) -> pyarrow.Table:
    """Images of each class, the composed ones first. They depend on class and index alone, so that sets share them."""
    rows = []
    for label, character in enumerate(CHARACTERS):
        for index in range(counts[label]):
            is_composed = index < composed_counts[label]
            rng = np.random.default_rng([SEED, int(split == "test"), label, index, int(is_composed)])
            style = drawing.draw_style(rng, split, EXTENT)
            sign = other_sign = ""
            if is_composed:
                drawn_sign, absent_sign = rng.permutation(list(SIGNS))[:2]
                pixels = draw_composed(rng, character, drawn_sign, style)
                sign, other_sign = sign_name(drawn_sign), sign_name(absent_sign)
            else:
                pixels = drawing.draw_picture(rng, character, style)
            random_sign = ""
            if rng.random() < 0.5:
                random_sign = sign_name(rng.choice(list(SIGNS)))
            png = io.BytesIO()
            Image.fromarray(pixels).save(png, "PNG", compress_level=0)
            texts = dict(sign=sign, other_sign=other_sign, random_sign=random_sign)
            rows.append(dict(image=png.getvalue(), label=class_name(character)) | texts)
    return pyarrow.Table.from_pylist(rows)


def composed_of(counts: Int[np.ndarray, " class"], shares: Float[np.ndarray, " class"]) -> Int[np.ndarray, " class"]:
    return np.rint(counts * shares).astype(int)


@command_line
def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, required=True, help="a folder for the tables")
    options = parser.parse_args(arguments)
    options.output.mkdir(parents=True, exist_ok=True)
    classes = [{"name": class_name(character)} for character in CHARACTERS]
    write_text(options.output / "classes.json", json.dumps(classes, indent=1) + "\n")

    rng = np.random.default_rng(SEED)
    equal = np.full(CLASSES, LARGEST)
    independent = rng.permutation(np.repeat(SHARES, CLASSES // len(SHARES)))
    tables = {
        "plain": make_images("test", np.full(CLASSES, TEST_IMAGES), np.zeros(CLASSES, int)),
        "composed": make_images("test", np.full(CLASSES, TEST_IMAGES), np.full(CLASSES, TEST_IMAGES)),
        "independent": make_images("train", equal, composed_of(equal, independent)),
    }
    order = rng.permutation(CLASSES)  # from the most frequent class
    for ending, classes_in_order in (("", order), ("_mirrored", order[::-1])):
        counts, rising = np.empty(CLASSES, int), np.empty(CLASSES)
        counts[classes_in_order] = exponential(CLASSES, LARGEST, RATIO)
        rising[classes_in_order] = np.linspace(LARGEST_SHARE, 0, CLASSES)
        tables[f"rising{ending}"] = make_images("train", counts, composed_of(counts, rising))
        tables[f"falling{ending}"] = make_images("train", counts, composed_of(counts, LARGEST_SHARE - rising))
    for name, table in tables.items():
        pyarrow.parquet.write_table(table, options.output / f"{name}.parquet")
        print(f"{name}: {len(table):,} images")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
