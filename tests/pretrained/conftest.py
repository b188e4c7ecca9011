"""Tiny trained models, which tests share: a published CLIP, a text encoder, and runs that start from them."""

import pytest

from cliptail_jax.jobs.train import train
from cliptail_jax.pretrained.export import export
from configs import clip, sup
from tests import tiny_members
from tests.pretrained.tiny_models import write_encoder
from tests.synthetic import trained_anew


@pytest.fixture(scope="module", autouse=True)
def tiny_members_of_timm():
    with pytest.MonkeyPatch.context() as patch:
        tiny_members.add(patch)
        yield


@pytest.fixture(scope="session")
def published(trained_run, made_once):
    """The folder of a published CLIP, which is the CLIP run, exported."""
    return made_once("published", lambda folder: export(trained_run("clip")[1], folder / "model")) / "model"


@pytest.fixture(scope="session")
def bert(made_once):
    """The folder of a text encoder."""
    return made_once("bert", lambda folder: write_encoder(folder / "encoder")) / "encoder"


@pytest.fixture(scope="session")
def linear_run(trained_once, trained_run, small_config):
    """The config and work directory of a supervised run with a linear head on the tower of DINO's run."""
    config = small_config(sup)
    config.image.init, config.head.kind = str(trained_run("dino")[1]), "linear"
    config.total_steps, config.checkpoint.every_steps = 3, 1
    return trained_once("linear", config, number=8)


@pytest.fixture(scope="session")
def frozen_run(tmp_path_factory, published, small_config):
    """The config and work directory of a run on the published towers, the text tower being frozen and not cached."""
    config = small_config(clip)
    config.image.init = str(published)
    config.text.update({"init": str(published), "freeze": True, "cache": False})
    config.total_epochs = 1
    return trained_anew(config, tmp_path_factory)


@pytest.fixture(scope="session")
def bert_run(made_once, published, bert, small_config):
    """The config and work directory of a run on a frozen encoder, whose outputs are cached, and the published image tower."""
    config = small_config(clip)
    config.image.init, config.model.text.context_length = str(published), 10
    config.text.update({"init": str(bert), "freeze": True})
    config.total_steps, config.checkpoint.every_steps = 3, 1

    def make(folder):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
            train(config, folder / "run")

    return config, made_once("bert_run", make) / "run"
