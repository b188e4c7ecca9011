"""The TFDS builder of the glyphs: 100 characters, or 189 composed ones, with 500 training and 50 test images each."""

import io
import unicodedata
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from cliptail_jax.datasets.glyphs import composed, drawing, words
from cliptail_jax.datasets.glyphs.characters import CHARACTERS, class_name, script
from cliptail_jax.datasets.streaming import StreamingBuilder

SEED = 0
EXTENT = drawing.Extent(smallest=12.0, largest=25.0, most_shift=4.0)
COMPOSED_EXTENT = drawing.Extent(smallest=20.0, largest=28.0, most_shift=2.0)  # a mark is a few pixels


def make_example(seed: int, split: str, label: int, index: int) -> dict:
    """One picture of a character with its texts, which depend on the arguments only."""
    character = CHARACTERS[label]
    rng = drawing.picture_generator(seed, split, label, index)
    return drawn_example(character, label, class_name(character), EXTENT, split, rng)


def make_composed_example(seed: int, split: str, label: int, index: int) -> dict:
    """One picture of a composed character, with texts about its parts, too."""
    character = composed.COMPOSED[label]
    base, mark = composed.base_words(character), composed.mark_words(character)
    rng = drawing.picture_generator(seed, split, label, index)
    example = drawn_example(character, label, f"{script(character)} {base} with {mark}", COMPOSED_EXTENT, split, rng)
    parts = {"codepoint": composed.codepoint(character), "base": base, "mark": mark, "script": script(character)}
    return example | parts


def drawn_example(
    character: str, label: int, subject: str, extent: drawing.Extent, split: str, rng: np.random.Generator
) -> dict:
    """A picture in a random style, with the texts of all sets; `subject` names it in the description."""
    style = drawing.draw_style(rng, split, extent)
    pixels = drawing.draw_picture(rng, character, style)
    png = io.BytesIO()
    # Noise is hardly compressible: compression would double the time and save 4 % of the space.
    Image.fromarray(pixels).save(png, "PNG", compress_level=0)
    return {
        "image": png.getvalue(),
        "label": label,
        "title": unicodedata.name(character),
        "tags": words.tags(character, style, rng),
        "description": words.description(subject, style, extent, rng),
        "similarity": drawing.similarity(style, extent),
    }


class Glyphs(StreamingBuilder):
    """Rendered characters; the test images have a font family that no training image has."""

    VERSION = "1.2.0"
    FURTHER_SETS = ("composed",)
    IMAGES_PER_CLASS = {"train": 500, "test": 50}

    @property
    def is_composed(self) -> bool:
        return self.builder_config is not None and self.builder_config.name == "composed"

    @property
    def characters(self) -> str:
        return composed.COMPOSED if self.is_composed else CHARACTERS

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(drawing.SIDE, drawing.SIDE, 3), encoding_format="png")
        parts = ("codepoint", "base", "mark", "script") if self.is_composed else ()
        texts = {name: tfds.features.Text() for name in ("title", "tags", "description", *parts)}
        names = [class_name(character) for character in self.characters]
        return self.dataset_info(__doc__, names, image=image, similarity=tfds.features.Scalar(np.float32), **texts)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {split: self._generate_examples(split, count) for split, count in self.IMAGES_PER_CLASS.items()}

    def _generate_examples(self, split: str, images_per_class: int) -> Iterator[dict]:
        # Classes alternate, so that any range of consecutive records is balanced.
        make, classes = (make_composed_example if self.is_composed else make_example), len(self.characters)
        work = f"drawing {split} images, {classes} a step"
        for index in tqdm(range(images_per_class), desc=work, disable=None):
            for label in range(classes):
                yield make(SEED, split, label, index)
