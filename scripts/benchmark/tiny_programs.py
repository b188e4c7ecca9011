"""Tiny runs of all programs, for faults.py and damage.py. Imported before JAX."""

import contextlib
import functools
import io
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
COMPILED = tempfile.TemporaryDirectory()
# Compiling would be most of the time.
os.environ |= {"JAX_PLATFORMS": "cpu", "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}
os.environ |= {"JAX_COMPILATION_CACHE_DIR": COMPILED.name, "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0"}

from absl import flags  # noqa: E402
from ml_collections import ConfigDict  # noqa: E402

from cliptail_jax.datasets.build import build  # noqa: E402
from cliptail_jax.datasets.glyphs.glyphs import Glyphs  # noqa: E402
from configs import clip, dino, sup  # noqa: E402
from tests.faulty_programs import Program, programs  # noqa: E402
from tests.synthetic import tiny  # noqa: E402

FAMILIES = {"sup": sup, "clip": clip, "dino": dino}


@contextlib.contextmanager
def silence() -> Iterator[None]:
    """What the programs say is of no interest here, nor what their threads do when they are killed."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


def tiny_programs(root: Path) -> tuple[Callable[[str], ConfigDict], dict[str, Program]]:
    """Tiny configs by family, on a few glyphs that are built in `root`, and the programs by name."""
    flags.FLAGS(["tiny_programs"])  # of which Grain's workers want to hear
    Glyphs.IMAGES_PER_CLASS = {"train": 8, "test": 2}
    with silence():
        build("glyphs", str(root / "tfds"))
        config = functools.partial(tiny_of, root / "tfds")
        return config, programs(config, root / "start")


def tiny_of(data_dir: Path, family: str) -> ConfigDict:
    return tiny(FAMILIES[family], data_dir)
