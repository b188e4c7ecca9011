"""Lists of published models, the corpora of their frequencies, and mistakes in what is asked of them."""

import re
import shutil

import numpy as np
import pytest
from scipy.stats import spearmanr

from cliptail_jax.config.fields import plain
from cliptail_jax.config.zero_shot import typed_config
from cliptail_jax.datasets.source import open_source
from cliptail_jax.figures import corpora, fine_grained
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.formats.frequency_tables import frequency_of, read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.jobs.evaluate import evaluate_models
from cliptail_jax.pretrained.model import ModelName
from cliptail_jax.pretrained.published import LISTS, listed_models
from cliptail_jax.pretrained.published_clip import open_published
from cliptail_jax.runs.directory import prepare_directory
from configs import zero_shot, zero_shot_all
from tests.commands import evaluate
from tests.evaluation.zero_shot.conftest import FILES, SET

CLASSES = 100


def test_models_that_would_share_a_directory_are_refused(config, tmp_path, make_model):
    folders = [tmp_path / "a b", tmp_path / "a_b"]
    for folder in folders:
        shutil.copytree(make_model(1), folder)
    config.eval.models = tuple(map(str, folders))
    with pytest.raises(UserError, match="a b and .*a_b would share the directory"):
        evaluate_models(typed_config(config), tmp_path / "run")


def test_a_directory_of_something_else_is_left_alone(config, sup_config, tmp_path, make_model):
    prepare_directory(tmp_path / "trained", plain(sup_config), replace=False)
    with pytest.raises(UserError, match="contains a training run"):
        evaluate_models(typed_config(config), tmp_path / "trained")
    prepare_directory(tmp_path / "zero", plain(config) | {"eval.models": list(config.eval.models)}, replace=False)
    config.eval.models = (str(make_model(2)),)
    with pytest.raises(UserError, match="contains the evaluation of .*clip1, not of .*clip2"):
        evaluate_models(typed_config(config), tmp_path / "zero")


def test_each_class_frequency_has_a_line_of_the_same_pass_and_one_that_is_not_known_has_none(
    config, frequency_table, glyphs_dir, tmp_path, monkeypatch, make_model
):
    """A corpus of the study's, and two tables."""
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    (tmp_path / f"class_frequency_cc12m_{SET}.txt").write_text(
        "".join(f"{name}\t{i}\n" for i, name in enumerate(names))
    )
    counts_file, table = tmp_path / "counted.tsv", frequency_table[0]
    counts_file.write_text("".join(f"{name}\t{i % 7}\n" for i, name in enumerate(names)))
    config.eval.models = ("RN50/cc12m", "ViT-B-16/datacomp_xl_s13b_b90k")
    config.eval.update({"class_frequency": f"published+{counts_file}+{table}", "frequency_dir": str(tmp_path)})
    monkeypatch.setattr(ModelName, "open", lambda _, **options: open_published(make_model(1), **options))
    summaries = evaluate_models(typed_config(config), tmp_path / "out")
    names_of = {
        model: [s["settings"]["class_frequency"] for s in summaries if s["model"] == model]
        for model in config.eval.models
    }
    assert list(names_of.values()) == [["cc12m", str(counts_file), str(table)], [str(counts_file), str(table)]]
    assert len((tmp_path / "out" / "table.md").read_text().splitlines()) == 2 + 5
    entry, *_ = read_sheet(tmp_path / "out" / "models.tsv", (*corpora.COLUMNS, *fine_grained.COLUMNS))
    assert (entry["run"], entry["set"], entry["backbone"]) == ("RN50_cc12m", SET, "RN50")
    assert np.isfinite(entry.measure("corr_acc").value)
    results = tmp_path / "out" / "RN50_cc12m" / "eval" / FILES
    accuracy = np.load(results / "latest.npz")["per_class_accuracy"]
    np.testing.assert_array_equal(read_frequency(results / "class_frequency.tsv")[1], frequency_of(names, table))
    frequencies = {"cc12m": np.arange(len(names)), **{str(t): frequency_of(names, t) for t in (counts_file, table)}}
    for summary in summaries:
        assert summary["top1"] == summaries[0]["top1"]
        frequency = frequencies[summary["settings"]["class_frequency"]]
        assert summary["corr_acc"] == pytest.approx(spearmanr(frequency, accuracy).statistic)
    with monkeypatch.context() as patch:
        patch.setattr(ModelName, "open", lambda *_, **__: pytest.fail("opened again"))
        assert evaluate_models(typed_config(config), tmp_path / "out") == summaries

    config.eval.class_frequency = "published"
    of_today = evaluate_models(typed_config(config), tmp_path / "out")[-1]
    assert of_today["settings"]["class_frequency"] == "" and "corr_acc" not in of_today


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sets": ("cifra10",)}, "unknown evaluation set 'cifra10' .did you mean cifar10"),
        ({"sets": ()}, "eval.sets is empty"),
        ({"models": ()}, "eval.models is empty"),
        ({"models": ("nowhere",)}, "1 of 1 models skipped .nowhere.: unknown model 'nowhere'"),
        ({"class_frequency": "TABLE+laion5b"}, "no frequency table laion5b, and no corpus with this name.*laion2b"),
        ({"class_frequency": "laion2b"}, "set eval.frequency_dir"),
        ({"class_frequency": "published"}, "the corpus that .*clip1 was trained on is not known"),
        ({"logit_adjustment": 1.0}, "frequency of 'glyphs:test', .* eval.class_frequency, or set eval.estimate_prior"),
        ({"head_classes": 90, "tail_classes": 90, "rank_by": "TABLE"}, "do not fit in 100 classes"),
    ],
)
def test_a_wrong_eval_field_is_one_line_before_any_model_is_loaded(
    fields, message, config, frequency_table, tmp_path, monkeypatch, capsys
):
    monkeypatch.setattr(ModelName, "open", lambda *_, **__: pytest.fail("opened"))
    fields = {
        key: str(value).replace("TABLE", str(frequency_table[0])) if "TABLE" in str(value) else value
        for key, value in fields.items()
    }
    config.eval.update(fields)
    with pytest.raises(UserError, match=message) as raised:
        evaluate_models(typed_config(config), tmp_path / "run")
    assert "\n" not in str(raised.value) and not capsys.readouterr().err  # nor is the reason said before


def test_a_refused_evaluation_of_published_models_leaves_no_folder(tmp_path, capfd):
    assert evaluate(["zero_shot:model=nowhere,sets=cifra10", f"--workdir={tmp_path / 'new/run'}"]) == 2
    assert "unknown evaluation set" in capfd.readouterr().err and not any(tmp_path.iterdir())


def test_a_list_of_published_models_stands_in_one_config():
    config = zero_shot_all.get_config("sets=imagenet+imagenet_v2")
    assert len(config.eval.models) == 49 and config.eval.class_frequency == "published"
    assert config.eval.sets == ("imagenet", "imagenet_v2")
    today = zero_shot_all.get_config("list=today")
    assert "EVA02-E-14-plus/laion2b_s9b_b144k" in today.eval.models and today.eval.sets == ("imagenet",)
    with pytest.raises(UserError, match="unknown config argument 'modle'"):
        zero_shot.get_config("modle=a")
    with pytest.raises(UserError, match="the config argument list is 'tomorrow'; it must be one of study, today"):
        zero_shot_all.get_config("list=tomorrow")


def test_the_page_has_the_models_of_each_list_with_their_sizes(capsys):
    assert not evaluate(["--list"])
    lines = [re.split(r"  +", line) for line in capsys.readouterr().out.splitlines()]
    expected = [
        [m.name, m.corpus or "–", f"{m.parameters / 1e6:,.0f}", str(m.image_size)]
        for name in LISTS
        for m in listed_models(name)
    ]
    assert [cells for cells in lines if "/" in cells[0] and len(cells) == 4] == expected
    assert ["ViT-L-14-CLIPA-336/datacomp1b", "–", "415", "336"] in expected
    assert not evaluate(["--list", "--config=configs/zero_shot_all.py:list=today"])
    assert capsys.readouterr().out.count("\nViT-") == sum(m.name.startswith("ViT-") for m in listed_models("today"))


@pytest.mark.parametrize(
    "argument, message",
    [
        ("--workdir=runs", "takes only a --config beside it: .* --workdir=runs"),
        ("configs/clip.py", "this config does not evaluate any"),
        ("configs/zero_shot.py:model=hf-hub:a/b", "hf-hub:a/b is in none"),
    ],
)
def test_an_unknown_list_of_models_is_an_error_in_one_line(argument, message, capsys):
    assert evaluate([argument, "--list"]) == 2
    assert re.fullmatch(f"error: .*{message}.*\n", capsys.readouterr().err)
