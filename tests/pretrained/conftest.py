"""Tiny trained models, which tests share: three runs, a published CLIP, a text encoder, and runs that start from them."""

import json

import pytest
from test_text_encoder import write_encoder

from cliptail_jax.pretrained.export import export
from cliptail_jax.train import train
from configs import clip, dino, sup

WORDS = "digit zero one two three four five seven latin capital letter a c e h k cat dogs"


@pytest.fixture(scope="session")
def trained_runs(tmp_path_factory, small_config):
    """The config and work directory of a run of each objective. SL has a moving average, CLIP a ViT with QuickGELU."""
    configs = {name: small_config(family) for name, family in (("sup", sup), ("clip", clip), ("dino", dino))}
    configs["sup"].optimizer.ema_decay = 0.5
    configs["clip"].model.image.update({"name": "vit", "layers": (1,), "heads": 2, "width": 16, "patch_size": 8})
    configs["clip"].model.activation = "quick_gelu"
    configs["dino"].data.multi_crop.update({"num_local": 1, "on_device": False})
    configs["dino"].dino.update({"prototypes": 40, "hidden": 16, "bottleneck": 8})
    configs["dino"].optimizer.warmup_epochs = 0
    folder = tmp_path_factory.mktemp("trained")
    for name, config in configs.items():
        config.total_steps, config.checkpoint.every_steps, config.eval.sets = 2, 1, ()
        train(config, folder / name)
    return {name: (config, folder / name) for name, config in configs.items()}


@pytest.fixture(scope="session")
def published(trained_runs, tmp_path_factory):
    """The folder of a published CLIP, which is the CLIP run, exported."""
    folder = tmp_path_factory.mktemp("published") / "model"
    export(trained_runs["clip"][1], folder)
    return folder


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    """The folder of a text encoder whose tokenizer has the words of glyphs' captions."""
    folder = tmp_path_factory.mktemp("bert") / "encoder"
    write_encoder(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    special = {token: i for token, i in tokenizer["model"]["vocab"].items() if token.startswith("[") and i < 10}
    tokenizer["model"]["vocab"] = special | {word: 10 + i for i, word in enumerate(WORDS.split())}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


@pytest.fixture(scope="session")
def linear_run(tmp_path_factory, trained_runs, small_config):
    """The config and work directory of a supervised run with a linear head on the tower of DINO's run."""
    config = small_config(sup)
    config.image.init, config.head.kind = str(trained_runs["dino"][1]), "linear"
    config.total_steps, config.eval.sets, config.checkpoint.every_steps = 3, (), 1
    workdir = tmp_path_factory.mktemp("linear") / "run"
    train(config, workdir)
    return config, workdir


@pytest.fixture(scope="session")
def frozen_run(tmp_path_factory, published, small_config):
    """The config and work directory of a run on the published towers, the text tower being frozen and not cached."""
    config = small_config(clip)
    config.image.init = str(published)
    config.text.update({"init": str(published), "freeze": True, "cache": False})
    config.total_epochs = 1
    workdir = tmp_path_factory.mktemp("frozen") / "run"
    train(config, workdir)
    return config, workdir


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
