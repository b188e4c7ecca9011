"""Training images of each class with their captions, from the data sets that runs were trained on."""

import functools
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from cliptail_jax.config.fields import fields_of, to_config, typed
from cliptail_jax.config.training import Data
from cliptail_jax.curation.joined import open_splits
from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.metrics.groups import evenly
from cliptail_jax.report.thumbnails import thumbnails
from cliptail_jax.results.run import Run

MAX_CAPTION_CHARACTERS = 200
# Runs share few sources, which may have millions of texts: `page_images` calls `open_once.cache_clear()` at its end.
open_once = functools.lru_cache(maxsize=2)(open_splits)


class TrainingImage(NamedTuple):
    """An image as a run sees it, before augmentation; `record` is its index in the source."""

    record: int
    thumbnail: str


class TrainingImages(NamedTuple):
    """Training images of a run.

    Attributes:
        fingerprint: of all of the run's training data.
        by_class: by the names of the run's classes.
    """

    fingerprint: str
    by_class: Mapping[str, Sequence[TrainingImage]]


class ImageCaptions(NamedTuple):
    """Captions of a run, by class name and record, and the fingerprint of all of the run's training data."""

    fingerprint: str
    by_image: Mapping[tuple[str, int], str]


def data_values(config: Mapping[str, Any]) -> str:
    """The values of a run's config that determine its training data, as JSON; '' for an untrained model."""
    keys = {field.key for field in fields_of(Data(), "data.")}
    return json.dumps({key: config[key] for key in sorted(keys & config.keys())}) if "data.name" in config else ""


def data_section(values: str) -> Data:
    """The section `data` of a config. Fields that were added after the run have their defaults."""
    data = to_config(Data())
    data.update_from_flattened_dict(json.loads(values), strip_prefix="data.")
    return typed(Data(), data)


def has_captions(config: Mapping[str, Any]) -> bool:
    return bool(config.get("data.captions.template") or config.get("data.captions.words"))


@functools.lru_cache(maxsize=64)
def choose_images(values: str, number: int) -> TrainingImages:
    """The given number of images of each class, evenly spread over its records, with thumbnails.

    Args:
        values: the result of `data_values`.

    Raises:
        UserError: the data are not there or damaged.
    """
    variant = open_variant(data_section(values))
    order = np.argsort(variant.labels, kind="stable")
    ends = variant.unlabelled + np.cumsum(variant.class_frequency)  # rows without a class come first
    classes = (order[start:end] for start, end in zip([variant.unlabelled, *ends], ends))
    rows = [class_rows[evenly(len(class_rows), number)] for class_rows in classes]
    all_rows = np.concatenate([order[:0], *rows])
    thumbnail_of = dict(zip(all_rows.tolist(), thumbnails(variant.source, variant.records[all_rows])))
    images = {
        name: [
            TrainingImage(int(variant.records[row]), thumbnail_of[row])
            for row in class_rows.tolist()
            if thumbnail_of[row]
        ]
        for name, class_rows in zip(variant.class_names, rows)
    }
    return TrainingImages(variant.fingerprint(), images)


@functools.lru_cache(maxsize=64)
def find_captions(values: str, images: tuple[tuple[str, int], ...]) -> ImageCaptions:
    """A run's captions of the `images` that are in its training data.

    Args:
        values: the result of `data_values`.
        images: class names, and records of the run's source.

    Raises:
        UserError: the data are not there or damaged.
    """
    variant = open_variant(data_section(values))
    image_of_row = {}
    label_of = {name: label for label, name in enumerate(variant.class_names)}
    for name, record in images:
        start, end = np.searchsorted(variant.records, [record, record + 1])
        for row in range(start, end):
            if variant.labels[row] == label_of.get(name):
                image_of_row[row] = name, record
    rows = list(image_of_row)
    texts = variant.captions(rows, epoch=0) if variant.captions and rows else []
    return ImageCaptions(variant.fingerprint(), {image_of_row[row]: shortened(text) for row, text in zip(rows, texts)})


def open_variant(data: Data) -> Variant:
    return make_variant(open_once(data.name, data.data_dir, data.split, data.class_names), data)


def training_variant(run: Run) -> Variant:
    """The data of a run. Raises UserError if they are missing, or differ from its training data."""
    variant = open_variant(data_section(data_values(run.config)))
    run.check_data(variant.fingerprint())
    return variant


def source_of(values: str) -> str:
    """The data sets of a run, as 'name:split'; `values` is the result of `data_values`."""
    data = data_section(values)
    return ", ".join(filter(None, (f"{data.name}:{data.split}", data.match.fill)))


def shortened(text: str) -> str:
    return text if len(text) <= MAX_CAPTION_CHARACTERS else text[: MAX_CAPTION_CHARACTERS - 1] + "…"
