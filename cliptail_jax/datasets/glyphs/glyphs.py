"""The TFDS builder of the glyphs: 100 characters, with 500 training and 50 test images each."""

import io
import unicodedata
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tqdm import tqdm

from cliptail_jax.datasets.glyphs import drawing, words
from cliptail_jax.datasets.glyphs.characters import CHARACTERS, class_name
from cliptail_jax.datasets.streaming import StreamingBuilder

SEED = 0


def make_example(seed: int, split: str, label: int, index: int) -> dict:
    """One picture with its texts, which depend on the arguments only."""
    character = CHARACTERS[label]
    rng = drawing.picture_generator(seed, split, label, index)
    style = drawing.draw_style(rng, split)
    pixels = drawing.draw_picture(rng, character, style)
    png = io.BytesIO()
    # Noise is hardly compressible: compression would double the time and save 4 % of the space.
    Image.fromarray(pixels).save(png, "PNG", compress_level=0)
    return {
        "image": png.getvalue(),
        "label": label,
        "title": unicodedata.name(character),
        "tags": words.tags(character, style, rng),
        "description": words.description(character, style, rng),
        "similarity": drawing.similarity(style),
    }


class Glyphs(StreamingBuilder):
    """Rendered characters; the test images have a font family that no training image has."""

    VERSION = "1.2.0"
    IMAGES_PER_CLASS = {"train": 500, "test": 50}

    def _info(self) -> tfds.core.DatasetInfo:
        image = tfds.features.Image(shape=(drawing.SIDE, drawing.SIDE, 3), encoding_format="png")
        texts = {name: tfds.features.Text() for name in ("title", "tags", "description")}
        names = [class_name(character) for character in CHARACTERS]
        return self.dataset_info(__doc__, names, image=image, similarity=tfds.features.Scalar(np.float32), **texts)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {split: self._generate_examples(split, count) for split, count in self.IMAGES_PER_CLASS.items()}

    def _generate_examples(self, split: str, images_per_class: int) -> Iterator[dict]:
        # Classes alternate, so that any range of consecutive records is balanced.
        work = f"drawing {split} images, {len(CHARACTERS)} a step"
        for index in tqdm(range(images_per_class), desc=work, disable=None):
            for label in range(len(CHARACTERS)):
                yield make_example(SEED, split, label, index)
