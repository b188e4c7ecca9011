"""Published models evaluated by two processes together, as commands."""

import sys

import numpy as np
import pytest
from test_train_processes import finish, start, start_pair, with_devices

from cliptail_jax.datasets.source import open_source
from tests.hub_cache import put_in_cache

pytest.importorskip("huggingface_hub", reason="needs the extra `pretrained`")


def command(workdir, glyphs_dir, frequency_table, models):
    return [
        *(sys.executable, "-m", "cliptail_jax.evaluate"),
        "--config=configs/zero_shot.py:sets=glyphs:test,template=simple",
        f"--workdir={workdir}",
        f"--config.data.data_dir={glyphs_dir}",
        f"--config.eval.models={models}",
        f"--config.eval.class_frequency={frequency_table}",
        "--config.eval.batch_size=64",
        "--config.eval.save_features",
    ]


def test_two_processes_give_the_numbers_of_one_and_skip_what_either_lacks(tmp_path, glyphs_dir, make_model):
    """A repository is in the cache of the first process alone, as on hosts that do not share their disks."""
    for host in ("first", "second"):
        (tmp_path / host).mkdir()
    put_in_cache(tmp_path / "first", make_model(1), "owner/name")
    table = tmp_path / "counts.tsv"
    models = (str(make_model(1)), "hf-hub:owner/name", str(make_model(2)))
    caches = [{"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / host)} for host in ("first", "second")]
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    table.write_text("".join(f"{name}\t{i}\n" for i, name in enumerate(names)))
    pair = start_pair(command(tmp_path / "two", glyphs_dir, table, models), *caches)
    alone = start(command(tmp_path / "one", glyphs_dir, table, models[::2]), XLA_FLAGS=with_devices(2))
    errors = finish(*pair, code=2)
    finish(alone)
    assert "skipped hf-hub:owner/name: open_clip_config.json is not in the cache" in errors[0]
    for error in errors:
        assert "1 of 3 models skipped (hf-hub:owner/name)" in error and "Traceback" not in error
    tables = [(tmp_path / run / "table.tsv").read_text() for run in ("one", "two")]
    assert tables[0] == tables[1] and tables[0].count("\n") == 3
    for folder in sorted(path.name for path in (tmp_path / "one").iterdir() if path.is_dir()):
        of_run = [tmp_path / run / folder / "eval" / "glyphs_test" for run in ("one", "two")]
        for name in ("confusion", "predicted"):
            np.testing.assert_array_equal(*(np.load(path / "latest.npz")[name] for path in of_run))
        for name in ("features", "labels", "head"):
            np.testing.assert_allclose(*(np.load(path / f"{name}.npy") for path in of_run), atol=1e-6)
