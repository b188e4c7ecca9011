"""Two runs of few steps, each evaluated at its end."""

import pytest

from cliptail_jax.train import train
from configs import clip, sup
from tests.evaluation.plain_evaluation import CLASSES


def tiny(config, glyphs_dir):
    """12 of the glyphs, the rarest three without a training image, and four steps of training (three of CLIP)."""
    config.data.data_dir = str(glyphs_dir)
    config.data.classes.first = CLASSES
    config.data.profile.ratio = 16.0
    config.data.max_unreadable = 0.1
    config.total_epochs, config.batch_size, config.eval.batch_size, config.checkpoint.every_steps = 1, 8, 16, 1
    config.model.image.update({"width": 4, "output_dim": 16})
    config.model.text.update({"width": 16, "layers": 1, "heads": 2, "context_length": 8, "vocab_size": 800})
    return config


@pytest.fixture(scope="session")
def sl_run(glyphs_dir, tmp_path_factory):
    config = tiny(sup.get_config("data=glyphs_lt"), glyphs_dir)
    config.eval.neural_collapse = True
    workdir = tmp_path_factory.mktemp("runs") / "sl"
    train(config, workdir)
    return config, workdir


@pytest.fixture(scope="session")
def clip_run(glyphs_dir, tmp_path_factory):
    config = tiny(clip.get_config("data=glyphs_lt"), glyphs_dir)
    config.optimizer.warmup_steps = 0
    config.eval.templates = "simple"
    workdir = tmp_path_factory.mktemp("runs") / "clip"
    train(config, workdir)
    return config, workdir
