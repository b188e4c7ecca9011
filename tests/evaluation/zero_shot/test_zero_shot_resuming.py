"""Evaluations of published models that are finished, changed, or cannot be done."""

import shutil
import sys

import numpy as np
import pytest

from cliptail_jax.config.fields import flatten
from cliptail_jax.config.zero_shot import typed_config
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.source import Source
from cliptail_jax.formats.decoding import UnreadableImageError
from cliptail_jax.host.errors import UserError
from cliptail_jax.input import pipeline
from cliptail_jax.jobs.evaluate import evaluate_models
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained import model as door
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import ModelName
from cliptail_jax.pretrained.published_clip import open_published
from tests.evaluation.plain_evaluation import evaluation_files
from tests.evaluation.zero_shot.conftest import FILES, SET
from tests.hub_cache import put_in_cache
from tests.pages import table_rows
from tests.run_commands import finish, start_pair


def test_a_finished_model_is_evaluated_again_if_weights_files_data_ranking_or_settings_change(
    config, frequency_table, tmp_path, monkeypatch, make_model
):
    model, table = tmp_path / "model", frequency_table[0]
    shutil.copytree(make_model(1), model)
    config.eval.update({"models": (str(model),), "rank_by": str(table)})

    def lines_after():
        evaluate_models(typed_config(config), tmp_path / "run")
        return len(evaluation_files(tmp_path / "run")[0])

    assert (lines_after(), lines_after()) == (1, 1)
    shutil.copytree(make_model(2), model, dirs_exist_ok=True)
    assert (lines_after(), lines_after()) == (2, 2)
    table.write_text(table.read_text().replace("\t", "\t1"))
    assert (lines_after(), lines_after()) == (3, 3)
    config.eval.templates = "cname"
    assert (lines_after(), lines_after()) == (4, 4)
    monkeypatch.setattr(Variant, "fingerprint", lambda _: "of other data")
    assert (lines_after(), lines_after()) == (5, 5)
    monkeypatch.setattr(Source, "shards", "of other images")
    assert (lines_after(), lines_after()) == (6, 6)
    (model / "special_tokens_map.json").write_text("{}", encoding="utf-8")
    assert (lines_after(), lines_after()) == (7, 7)
    (tmp_path / "run" / "eval" / FILES / "latest.npz").unlink()
    assert (lines_after(), lines_after()) == (8, 8)
    with monkeypatch.context() as patch:
        patch.setattr(ModelName, "open", lambda *_, **__: pytest.fail("opened again"))
        evaluate_models(typed_config(config), tmp_path / "run")


def test_a_finished_model_of_the_hub_is_not_fetched_to_be_compared(config, tmp_path, monkeypatch, make_model):
    config.eval.models = ("hf-hub:someone/clip",)
    with monkeypatch.context() as patch:
        patch.setattr(ModelName, "open", lambda _, **options: open_published(make_model(1), **options))
        evaluate_models(typed_config(config), tmp_path)
    monkeypatch.setattr(door, "find", lambda *_, **__: pytest.fail("fetched"))
    evaluate_models(typed_config(config), tmp_path)


def test_of_several_models_those_that_cannot_be_loaded_are_skipped_and_the_rest_tabled(
    config, frequency_table, tmp_path, make_model, monkeypatch, capsys
):
    monkeypatch.setattr(hub, "is_reachable", lambda: False)
    original, large = ModelName.open, str(make_model(3))

    def runs_out_of_memory(model, **options):
        if model.source == large:
            raise RuntimeError("out of memory\nwhile trying to allocate")
        return original(model, **options)

    monkeypatch.setattr(ModelName, "open", runs_out_of_memory)
    good = [str(make_model(1)), str(make_model(2))]
    config.eval.models = (good[0], large, "EVA01-g-14/laion400m_s11b_b41k", "nowhere", good[1])
    config.eval.class_frequency = str(frequency_table[0])
    with pytest.raises(UserError, match=r"3 of 5 models skipped \(nowhere, .*clip3, EVA01"):
        evaluate_models(typed_config(config), tmp_path / "out")
    captured = capsys.readouterr()
    for reason in ("nowhere: unknown model", "clip3: RuntimeError: out of memory\n", "the Hub cannot be reached"):
        assert reason in captured.err
    table = (tmp_path / "out" / "table.md").read_text()
    assert captured.out == table
    for model, row in zip(good, table_rows(table, "model"), strict=True):
        (line,), _ = evaluation_files(tmp_path / "out" / slug(model))
        assert (row["model"], row["set"], row["top-1 %"]) == (model, SET, f"{line['top1']:.1f}")
        assert f"[{line['corr_pred_interval'][0]:.2f}, " in row["corr_pred [95 %]"]
        assert row["corr_acc [95 %]"] == f"{line['corr_acc']:.2f}"  # an undefined interval is left out
        assert line["corr_acc_interval"] == [None, None]


def test_images_that_cannot_be_read_stop_the_command_at_the_first_model(config, tmp_path, monkeypatch, make_model):
    def broken(image, *_):
        raise UnreadableImageError("broken")

    monkeypatch.setattr(pipeline, "decode_image", broken)
    config.eval.models = (str(make_model(1)), str(make_model(2)))
    with pytest.raises(UserError, match="200 of 200 images of glyphs .test. are unreadable"):
        evaluate_models(typed_config(config), tmp_path)
    assert not (tmp_path / slug(config.eval.models[1])).exists()
    config.data.max_unreadable = 1.0
    config.eval.save_features = True
    with pytest.raises(UserError, match="no image of glyphs:test could be read"):
        evaluate_models(typed_config(config), tmp_path)


def test_a_model_without_a_logit_bias_has_no_confidence_by_sigmoids(config, tmp_path, capsys):
    config.eval.confidence = "sigmoid"
    reason = "eval.confidence='sigmoid' needs a model with a logit bias, such as a SigLIP, and this one has none"
    with pytest.raises(UserError, match=f"1 of 1 models skipped .*: {reason}: set it to 'softmax'$"):
        evaluate_models(typed_config(config), tmp_path / "run")
    assert "skipped" not in capsys.readouterr().err  # which the error says


def test_sets_that_would_share_a_folder_are_refused(config, tmp_path):
    config.eval.sets = ("image_text/a:b_c", "image_text/a_b:c")
    with pytest.raises(
        UserError, match="image_text/a:b_c and image_text/a_b:c would share the folder eval/image_text_a_b_c"
    ):
        evaluate_models(typed_config(config), tmp_path)


@pytest.mark.program
def test_two_processes_give_the_numbers_of_one_and_skip_what_either_lacks(config, tmp_path, glyphs_dir, make_model):
    """A repository is in the cache of the first process alone, as on hosts that do not share their disks."""
    pytest.importorskip("huggingface_hub", reason="needs the extra `pretrained`")
    for host in ("first", "second"):
        (tmp_path / host).mkdir()
    put_in_cache(tmp_path / "first", make_model(1), "owner/name")
    caches = [{"HF_HUB_OFFLINE": "1", "HF_HUB_CACHE": str(tmp_path / host)} for host in ("first", "second")]
    config.eval.models, config.eval.save_features = ("hf-hub:owner/name", str(make_model(1))), True
    names = ("data.data_dir", "eval.models", "eval.templates", "eval.batch_size", "eval.save_features")
    fields = [f"--config.{name}={value}" for name, value in flatten(config) if name in names]
    fields.append(f"--sets={','.join(config.eval.sets)}")
    program = [sys.executable, "-m", "cliptail_jax", "evaluate", "configs/zero_shot.py"]
    pair = start_pair([*program, f"--workdir={tmp_path}/two", *fields], *caches)
    config.eval.models = config.eval.models[1:]
    evaluate_models(typed_config(config), tmp_path / "one")
    errors = finish(*pair, code=2)
    assert "skipped hf-hub:owner/name: open_clip_config.json is not in the cache" in errors[0]
    for error in errors:
        assert "1 of 2 models skipped (hf-hub:owner/name)" in error and "Traceback" not in error
    runs = tmp_path / "one", tmp_path / "two" / slug(config.eval.models[0])
    of_run = [run / "eval" / "glyphs_test" for run in runs]
    for name in ("confusion", "predicted"):
        np.testing.assert_array_equal(*(np.load(path / "latest.npz")[name] for path in of_run))
    for name in ("features", "labels", "head"):
        np.testing.assert_allclose(*(np.load(path / f"{name}.npy") for path in of_run), atol=1e-5)
