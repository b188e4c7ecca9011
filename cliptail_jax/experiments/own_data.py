"""The preset of a prepared data set that has none: its evaluation set, texts and image size."""

import functools
import io

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cliptail_jax.datasets.folder import open_builder
from cliptail_jax.datasets.known_sources import PRESETS, Preset
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.prepared import find_prepared, prepared_names, resolve_data_dir

EVALUATED = ("val", "validation", "test")  # splits; the first that there is
LARGEST_SMALL = 64  # pixels: larger images have the paper's recipe
LOOKED_AT = 64  # images


def own_preset(name: str, data_dir: str, retrieves: bool = False) -> Preset:
    """The preset of a data set prepared below `data_dir`, evaluated on its split `val`, `validation` or `test`.

    `retrieves` is whether a set without labels can be evaluated, by retrieval. Raises UserError if there is no such set.
    """
    folder = find_prepared(name, data_dir) if "/" in name or name.isidentifier() else None
    if folder is None:
        root = resolve_data_dir(data_dir)
        prepared = [found.partition(":")[0] for found in prepared_names(root)]
        raise UserError(
            f"unknown data preset '{name}'{did_you_mean(name, [*PRESETS, *prepared])}: choose one of {', '.join(PRESETS)}, or a "
            f"data set that is prepared below {root} (there: {', '.join(prepared) or 'none'}; `cliptail build` prepares "
            "one, and data_dir=DIR names another folder)"
        )
    info = open_builder(folder).info
    split = "train" if "train" in info.splits else next(iter(info.splits))
    can_evaluate = retrieves or "label" in info.features
    evaluated = [other for other in EVALUATED if can_evaluate and other in info.splits and other != split]
    sets = tuple(f"{name}:{other}" for other in evaluated[:1])
    return Preset(sets, dict(name=name, split=split), small=typical_size(name, data_dir, split) <= LARGEST_SMALL)


def small_size(name: str, data_dir: str) -> int:
    """The side in pixels of images for small networks: that of a preset, or of a set of small images, else 32."""
    if name in PRESETS:
        return PRESETS[name].fields.get("image_size", 32)
    preset = own_preset(name, data_dir)
    return typical_size(name, data_dir, preset.fields["split"]) if preset.small else 32


def own_texts(name: str, data_dir: str) -> tuple[str, ...]:
    """The text fields of a data set without a preset, sorted: its captions; () for one with a preset."""
    if name in PRESETS:
        return ()
    features = open_builder(find_prepared(name, data_dir)).info.features
    texts = (key for key, kind in features.items() if isinstance(kind, tfds.features.Text) and key != "filename")
    return tuple(sorted(texts))  # TFDS does not keep their order


def small_epochs(name: str, data_dir: str, batch_size: int) -> int:
    """The epochs of a small network: 10, or for a set without a preset as many as 1,000 steps are, from 10 to 50."""
    if name in PRESETS:
        return 10
    split = own_preset(name, data_dir).fields["split"]
    records = open_builder(find_prepared(name, data_dir)).info.splits[split].num_examples
    return min(max(1000 * batch_size // records, 10), 50)


@functools.cache
def typical_size(name: str, data_dir: str, split: str) -> int:
    """The median of the short sides of some images, in pixels."""
    source = open_source(name, data_dir, split)
    images = source.encoded_images(np.linspace(0, len(source) - 1, min(LOOKED_AT, len(source))).astype(int))
    return int(np.median([min(Image.open(io.BytesIO(image)).size) for image in images if image]))
