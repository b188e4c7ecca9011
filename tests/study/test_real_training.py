"""Studies and families of runs that are really trained: a few glyphs, networks of a few thousand parameters."""

import numpy as np
import pytest
from ml_collections import ConfigDict

from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.datasets.source import open_source
from cliptail_jax.files import read_lines
from cliptail_jax.study.run import run_study
from cliptail_jax.train import train
from configs import catalogue, sup
from tests.study.synthetic_studies import read_report


def test_a_study_trains_tests_its_claims_and_draws_and_a_second_call_repeats_no_run(small_config, tmp_path, capsys):
    configs = {name: small_config(sup) for name in ("one", "other")}
    for seed, config in enumerate(configs.values()):
        config.seed, config.total_epochs = seed, 1
    claim = dict(text="One leans more", statistic="corr_pred", higher="one", lower="other")
    runs = ConfigDict(configs, sort_keys=False)
    study = ConfigDict({"title": "Small", "runs": runs, "claims": {"lean": claim}})
    run_study(study, tmp_path)
    text, first = read_report(tmp_path)
    assert list(first["runs"]) == ["one", "other"] and first["failures"] == {}
    for name, summary in first["runs"].items():
        with np.load(tmp_path / name / "eval/glyphs_test/latest.npz") as arrays:
            confusion = arrays["confusion"]
        assert confusion.sum() == 24 and summary["top1"] == pytest.approx(100 * np.trace(confusion) / 24)
        assert f"| {name} | 48 | {summary['top1']:.1f} |" in text
    (result,) = first["claims"]
    difference = first["runs"]["one"]["corr_pred"] - first["runs"]["other"]["corr_pred"]
    assert result["difference"]["value"] == pytest.approx(difference)
    assert all((tmp_path / "figures" / f"study.{kind}").stat().st_size > 1000 for kind in ("png", "pdf"))
    page = (tmp_path / "report.html").read_text()
    assert "Small" in page and "Still missing" not in page and "Not shown:</strong> " + str(tmp_path) not in page

    written = {path: path.stat().st_mtime_ns for name in first["runs"] for path in (tmp_path / name).rglob("*")}
    capsys.readouterr()
    run_study(study, tmp_path)
    assert capsys.readouterr().err.count("is already trained to its end") == 2
    second = read_report(tmp_path)[1]
    assert second | {"seconds": 0} == first | {"seconds": 0}
    assert {path: path.stat().st_mtime_ns for path in written} == written


@pytest.fixture(scope="module")
def tiny(glyphs_dir, tmp_path_factory):
    """Makes a config small: with glyphs instead of its data, and with everything that has a size reduced."""
    folder = tmp_path_factory.mktemp("tiny")
    names = open_source("glyphs", str(glyphs_dir), "train").class_names
    write_frequency(folder / "frequency.tsv", names[:12], np.arange(12))
    np.save(folder / "head.npy", np.random.default_rng(0).normal(size=(12, 16)).astype(np.float32))

    def make(config):
        config = config.copy_and_resolve_references()
        config.total_steps, config.batch_size, config.eval.sets = 1, 16, ()
        for groups in (config.batch_norm, config.vocabulary):
            groups.group_size = 4 if groups.group_size else 0
        config.vocabulary.size = min(config.vocabulary.size, 6)
        data = config.data
        data.update(dict(name="glyphs", data_dir=str(glyphs_dir), image_size=32, eval_resize=32, min_similarity=0.0))
        data.classes.update(dict(vocabulary="", first=12))
        data.captions.words = ("title",)
        data.n, data.fraction = min(data.n, 40), max(data.fraction, 0.25)
        data.tail.classes = min(data.tail.classes, 3)
        if data.match.frequency:
            data.match.update(dict(frequency=str(folder / "frequency.tsv"), fill="glyphs:test"))
        if config.objective == "supervised":
            config.model.image.update(dict(name="basic_resnet", layers=(1, 1, 1), width=4, output_dim=16))
        else:
            config.model.image.update(dict(name="vit", layers=(1,), heads=2, width=16, patch_size=8, output_dim=16))
        config.model.text.update(dict(width=16, layers=1, heads=2, context_length=8, vocab_size=520))
        if config.objective == "dino":
            config.dino.update(dict(prototypes=40, hidden=16, bottleneck=8))
            data.multi_crop.update(dict(num_local=1, local_size=16))
            data.canvas = 32
        config.head.init = str(folder / "head.npy") if config.head.init else ""
        return config

    return make


@pytest.mark.parametrize(
    "name",
    [
        "clip_distribution_laionet_matched_random",
        "sl_trimmed_tail_50_classes_1_shot_sampled_clip",
        "dino_laionet_sampled_1024",
    ],
)
def test_a_run_of_the_catalogue_trains(name, tiny, tmp_path):
    (string,) = (run.config for run in catalogue.EVERY if run.name == name)
    train(tiny(catalogue.config_of(string)), tmp_path / name)
    (line,) = read_lines(tmp_path / name / "metrics.jsonl")
    assert np.isfinite(line["train/loss"])
