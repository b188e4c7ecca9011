"""Published models evaluated on all of the glyphs, and a frequency table of their classes."""

import numpy as np
import pytest

from cliptail_jax.datasets.source import open_source
from configs import zero_shot

SET, FILES = "glyphs:test", "glyphs_test"


@pytest.fixture
def config(glyphs_dir, make_model):
    config = zero_shot.get_config(f"model={make_model(1)},sets={SET},template=simple")
    config.data.data_dir = str(glyphs_dir)
    config.eval.batch_size = 64
    return config


@pytest.fixture
def frequency_table(glyphs_dir, tmp_path):
    """Another order than the labels', one class more, and other spellings."""
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    counts = np.random.default_rng(0).integers(0, 50, len(names))
    rows = [f"{name.replace(' ', '_')}\t{count}\n" for name, count in zip(names, counts)]
    path = tmp_path / "counts.tsv"
    path.write_text("something else\t3\n" + "".join(rows[::-1]))
    return path, counts
