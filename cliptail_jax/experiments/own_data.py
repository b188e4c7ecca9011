"""Derives the preset of a prepared data set that has none: its evaluation set, texts and image size."""

import functools
import io
import re
from pathlib import Path

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image

from cliptail_jax.datasets.build import ORIGIN
from cliptail_jax.datasets.folder import open_builder
from cliptail_jax.datasets.known_sources import PRESETS, Preset
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.prepared import find_prepared, prepared_names, resolve_data_dir
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.host.files import read_json

EVALUATION_SPLITS = ("val", "validation", "test")  # the first that exists is used
MAX_SMALL_SIDE = 64  # pixels; larger images have the paper's recipe
MAX_SAMPLE = 64  # images whose sizes are read
NUMBER = r"(class )?\d+"  # a class without a name


def find_preset(name: str, data_dir: str, retrieves: bool = False) -> Preset:
    """The preset of a data set. A data set without a preset must be prepared below `data_dir`.

    Its evaluation set is its split `val`, `validation` or `test`. `retrieves` is whether sets without labels can be
    evaluated, by retrieval. Raises UserError if there is no such data set.
    """
    if name in PRESETS:
        return PRESETS[name]
    folder = find_prepared(name, data_dir) if "/" in name or name.isidentifier() else None
    if folder is None:
        root = resolve_data_dir(data_dir)
        names = [entry.partition(":")[0] for entry in prepared_names(root)]
        raise UserError(
            f"unknown data preset '{name}'{did_you_mean(name, {*PRESETS, *names})}: choose one of {', '.join(PRESETS)}, or a "
            f"data set that is prepared below {root} (there: {', '.join(names) or 'none'}; `cliptail build` prepares "
            "one, and data_dir=DIR names another folder)"
        )
    return own_preset(name, data_dir, folder, retrieves)


@functools.cache
def own_preset(name: str, data_dir: str, folder: Path, retrieves: bool) -> Preset:
    """The preset of the data set that is prepared in `folder`."""
    info = open_builder(folder).info
    split = "train" if "train" in info.splits else next(iter(info.splits))
    can_evaluate = retrieves or "label" in info.features
    evaluation_splits = [
        other for other in EVALUATION_SPLITS if can_evaluate and other in info.splits and other != split
    ]
    texts = (key for key, kind in info.features.items() if isinstance(kind, tfds.features.Text) and key != "filename")
    source = open_source(name, data_dir, split)
    images = source.encoded_images(np.linspace(0, len(source) - 1, min(MAX_SAMPLE, len(source))).astype(int))
    options = read_json(folder / ORIGIN) or {}
    columns = options.get("caption_columns", "").split(",")  # TFDS does not keep this order
    side = int(np.median([min(Image.open(io.BytesIO(image)).size) for image in images if image]))  # the short one
    return Preset(
        tuple(f"{name}:{other}" for other in evaluation_splits[:1]),
        dict(name=name, split=split),
        small=side <= MAX_SMALL_SIDE,
        texts=tuple(sorted(texts, key=lambda text: (columns.index(text) if text in columns else len(columns), text))),
        records=info.splits[split].num_examples,
        side=side if side <= MAX_SMALL_SIDE else 32,
        has_names=not all(re.fullmatch(NUMBER, label) for label in source.class_names) or not source.class_names,
    )
