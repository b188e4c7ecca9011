"""Tiny trained models, which tests share: a published CLIP, a text encoder, and runs that start from them."""

import pytest
from test_text_encoder import write_encoder

from cliptail_jax.pretrained.export import export
from cliptail_jax.train import train
from configs import clip, sup
from tests import tiny_members
from tests.synthetic import trained_anew


@pytest.fixture(scope="module", autouse=True)
def tiny_members_of_timm():
    with pytest.MonkeyPatch.context() as patch:
        tiny_members.add(patch)
        yield


@pytest.fixture(scope="session")
def published(trained_run, tmp_path_factory):
    """The folder of a published CLIP, which is the CLIP run, exported."""
    folder = tmp_path_factory.mktemp("published") / "model"
    export(trained_run("clip")[1], folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """The folder of a text encoder."""
    folder = tmp_path_factory.mktemp("bert") / "encoder"
    write_encoder(folder)
    return folder


@pytest.fixture(scope="session")
def linear_run(tmp_path_factory, trained_run, small_config):
    """The config and work directory of a supervised run with a linear head on the tower of DINO's run."""
    config = small_config(sup)
    config.image.init, config.head.kind = str(trained_run("dino")[1]), "linear"
    config.total_steps, config.checkpoint.every_steps = 3, 1
    return trained_anew(config, tmp_path_factory, number=8)


@pytest.fixture(scope="session")
def frozen_run(tmp_path_factory, published, small_config):
    """The config and work directory of a run on the published towers, the text tower being frozen and not cached."""
    config = small_config(clip)
    config.image.init = str(published)
    config.text.update({"init": str(published), "freeze": True, "cache": False})
    config.total_epochs = 1
    return trained_anew(config, tmp_path_factory)


@pytest.fixture(scope="session")
def bert_run(tmp_path_factory, published, bert, small_config):
    """The config and work directory of a run on a frozen encoder, whose outputs are cached, and the published image tower."""
    config = small_config(clip)
    config.image.init, config.model.text.context_length = str(published), 10
    config.text.update({"init": str(bert), "freeze": True})
    config.total_steps, config.checkpoint.every_steps = 3, 1
    workdir = tmp_path_factory.mktemp("bert_run") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(workdir.parent / "cache"))
        train(config, workdir)
    return config, workdir
