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


def make_example(seed: int, split: str, label: int, index: int, is_composed: bool = False) -> dict:
    """One picture of a character with its texts, which depend on the arguments only.

    A composed character also has texts about its parts.
    """
    character = (composed.COMPOSED if is_composed else CHARACTERS)[label]
    extent, subject, parts = EXTENT, class_name(character), {}
    if is_composed:
        extent = COMPOSED_EXTENT
        parts = {
            "codepoint": composed.codepoint(character),
            "base": composed.base_words(character),
            "mark": composed.mark_words(character),
            "script": script(character),
        }
        subject = "{script} {base} with {mark}".format(**parts)
    rng = drawing.picture_generator(seed, split, label, index)
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
    } | parts


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
        names = [class_name(character) for character in self.characters]
        texts, similarity = ("title", "tags", "description", *parts), tfds.features.Scalar(np.float32)
        return self.dataset_info(__doc__, names, *texts, image=image, similarity=similarity)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {split: self._generate_examples(split, count) for split, count in self.IMAGES_PER_CLASS.items()}

    def _generate_examples(self, split: str, images_per_class: int) -> Iterator[dict]:
        # Classes alternate, so that any range of consecutive records is balanced.
        classes = len(self.characters)
        work = f"drawing {split} images, {classes} a step"
        for index in tqdm(range(images_per_class), desc=work, disable=None):
            for label in range(classes):
                yield make_example(SEED, split, label, index, self.is_composed)
