"""Published models evaluated by two processes together, as commands."""

import sys

import numpy as np
import pytest
from test_train_processes import finish, start_pair

from cliptail_jax.config.fields import flatten
from cliptail_jax.evaluation.published import evaluate_published, slug
from tests.hub_cache import put_in_cache

pytest.importorskip("huggingface_hub", reason="needs the extra `pretrained`")


def test_two_processes_give_the_numbers_of_one_and_skip_what_either_lacks(config, tmp_path, glyphs_dir, make_model):
    """A repository is in the cache of the first process alone, as on hosts that do not share their disks."""
    for host in ("first", "second"):
        (tmp_path / host).mkdir()
    put_in_cache(tmp_path / "first", make_model(1), "owner/name")
    caches = [{"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / host)} for host in ("first", "second")]
    config.eval.models, config.eval.save_features = (str(make_model(1)), "hf-hub:owner/name", str(make_model(2))), True
    names = ("data.data_dir", "eval.models", "eval.sets", "eval.templates", "eval.batch_size", "eval.save_features")
    fields = [f"--config.{name}={value}" for name, value in flatten(config) if name in names]
    program = [sys.executable, "-m", "cliptail_jax.evaluate", "--config=configs/zero_shot.py"]
    pair = start_pair([*program, f"--workdir={tmp_path}/two", *fields], *caches)
    config.eval.models = config.eval.models[::2]
    evaluate_published(config, tmp_path / "one")
    errors = finish(*pair, code=2)
    assert "skipped hf-hub:owner/name: open_clip_config.json is not in the cache" in errors[0]
    for error in errors:
        assert "1 of 3 models skipped (hf-hub:owner/name)" in error and "Traceback" not in error
    for folder in map(slug, config.eval.models):
        of_run = [tmp_path / run / folder / "eval" / "glyphs_test" for run in ("one", "two")]
        for name in ("confusion", "predicted"):
            np.testing.assert_array_equal(*(np.load(path / "latest.npz")[name] for path in of_run))
        for name in ("features", "labels", "head"):
            np.testing.assert_allclose(*(np.load(path / f"{name}.npy") for path in of_run), atol=1e-5)
