"""Trained runs, a published model and prepared sets of random images, all tiny."""

import io

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import class_lines
from configs import transfer
from tests.tfds_sets import prepare
from tests.tiny_clip import save_tiny_clip

COLOURS = {"red": (1, 0, 0), "green": (0, 1, 0), "blue": (0, 0, 1), "yellow": (1, 1, 0), "pink": (1, 0, 1)}
COLOUR_SPLITS = {"train": 100, "test": 50}
VOC_SPLITS = {"train": 60, "validation": 40, "test": 50}


@pytest.fixture(scope="session")
def sup_run(trained_run):
    return trained_run("sup")[1]


@pytest.fixture(scope="session")
def clip_run(trained_run):
    return trained_run("clip")[1]


@pytest.fixture(scope="session")
def published(tmp_path_factory):
    """The folder of a model with random weights and other pixel statistics than CLIP's."""
    return save_tiny_clip(tmp_path_factory.mktemp("published") / "vit")


@pytest.fixture
def config(sup_run, synthetic_dir):
    """The probe of the supervised run on colours."""
    config = transfer.get_config(f"models={sup_run},sets=colours:train:test,methods=probe")
    config.data.data_dir = str(synthetic_dir)
    config.batch_size = 32
    config.few_shot.update({"ways": 4, "shots": 3, "queries": 4, "episodes": 20})
    return config


def png(pixels):
    buffer = io.BytesIO()
    PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "png")
    return buffer.getvalue()


def colours(count):
    """Images of 32 pixels, each of a colour that varies so much that no model tells all of them."""
    rng = np.random.default_rng(count)
    for number in range(count):
        label = number % len(COLOURS)
        colour = 90 + 60 * np.array(list(COLOURS.values())[label]) + rng.normal(0, 25, 3)
        yield {"image": png(colour + rng.normal(0, 10, (32, 32, 3))), "label": label}


def objects_of(number, rng):
    """One object that is not difficult, of class after class, and up to two more, difficult or not."""
    extra_objects = rng.integers(0, 3)
    labels = [number % 20, *rng.integers(0, 20, extra_objects)]
    difficult = [False, *(rng.integers(0, 2, extra_objects) == 1)]
    return [{"label": int(label), "is_difficult": bool(hard)} for label, hard in zip(labels, difficult)]


def photographs(count):
    """Records with the fields that are read of TFDS's VOC2007."""
    rng = np.random.default_rng(count)
    for number in range(count):
        yield {"image": png(rng.integers(0, 256, (20, 24, 3))), "objects": objects_of(number, rng)}


@pytest.fixture(scope="session")
def synthetic_dir(tmp_path_factory):
    """A folder of prepared data sets with `colours` and a tiny `voc/2007`."""
    directory = tmp_path_factory.mktemp("synthetic")
    labels = {"label": tfds.features.ClassLabel(names=list(COLOURS))}
    prepare(directory, "colours", labels, {split: list(colours(count)) for split, count in COLOUR_SPLITS.items()})
    names = [name for name, _ in class_lines("voc2007")]
    objects = tfds.features.Sequence({"label": tfds.features.ClassLabel(names=names), "is_difficult": np.bool_})
    splits = {split: list(photographs(count)) for split, count in VOC_SPLITS.items()}
    prepare(directory, "voc", {"objects": objects}, splits, "5.0.0", "2007")
    return directory
