"""A glyphs set of three training images and one test image a class, built once."""

import shutil

import pytest

from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.glyphs.glyphs import Glyphs


@pytest.fixture(scope="session")
def few_glyphs():
    """Makes every glyphs set that is built while it is in use a small one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 3, "test": 1})
        yield


@pytest.fixture(scope="session")
def glyphs_dir(tmp_path_factory, few_glyphs):
    """The folder of prepared data sets that holds the small glyphs set."""
    data_dir = tmp_path_factory.mktemp("tfds")
    build("glyphs", str(data_dir))
    return data_dir


@pytest.fixture
def copied_glyphs(glyphs_dir, tmp_path):
    """A copy of the small glyphs set under a name that the project doesn't build, and the folder of its version."""
    shutil.copytree(glyphs_dir / "glyphs" / Glyphs.VERSION, tmp_path / "letters" / "1.0.0")
    return tmp_path, tmp_path / "letters" / "1.0.0"
