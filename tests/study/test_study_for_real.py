"""A study from its config to its report, with runs that are truly trained."""

import json

import numpy as np
import pytest
from ml_collections import ConfigDict

from cliptail_jax.files import read_lines
from cliptail_jax.study.run import run_study
from configs import sup

CLAIM = dict(text="SL leans more", statistic="corr_pred", higher="sl", lower="sl_sampled")


@pytest.fixture
def study(small_config):
    """SL with all classes and with a sampled vocabulary, two epochs each, and a claim."""
    trained = {"sl": small_config(sup), "sl_sampled": small_config(sup)}
    trained["sl_sampled"].vocabulary.size = 6
    for config in trained.values():
        config.eval.every_epochs = 2
    return ConfigDict({"title": "Small", "runs": ConfigDict(trained, sort_keys=False), "claims": {"lean": CLAIM}})


def read_report(workdir):
    report = json.loads((workdir / "report.json").read_text(), parse_constant=pytest.fail)
    assert report.pop("seconds") > 0
    return report


def test_a_study_trains_judges_and_draws_and_a_second_call_repeats_no_run(study, tmp_path, capsys):
    run_study(study, tmp_path)
    first = read_report(tmp_path)
    assert list(first["runs"]) == ["sl", "sl_sampled"] and first["failures"] == {}
    losses = {}
    for name, summary in first["runs"].items():
        lines = list(read_lines(tmp_path / name / "metrics.jsonl"))
        losses[name] = [line["train/loss"] for line in lines]
        assert [line["step"] for line in lines] == list(range(1, 7)) and summary["step"] == 6
        with np.load(tmp_path / name / "eval/glyphs_test/latest.npz") as arrays:
            confusion = arrays["confusion"]
        assert confusion.sum() == 24 and summary["top1"] == pytest.approx(100 * np.trace(confusion) / 24)
        assert f"| {name} | 48 | {summary['top1']:.1f} |" in (tmp_path / "report.md").read_text()
    assert losses["sl_sampled"][0] < losses["sl"][0]  # fewer classes compete
    (claim,) = first["claims"]
    difference = first["runs"]["sl"]["corr_pred"] - first["runs"]["sl_sampled"]["corr_pred"]
    assert claim["difference"]["value"] == pytest.approx(difference)
    assert claim["verdict"] in ("supported", "not supported", "inconclusive")
    assert all((tmp_path / "figures" / f"study.{kind}").stat().st_size > 1000 for kind in ("png", "pdf"))

    written = {path: path.stat().st_mtime_ns for name in first["runs"] for path in (tmp_path / name).rglob("*")}
    capsys.readouterr()
    run_study(study, tmp_path)
    assert capsys.readouterr().err.count("is already trained to its end") == 2
    assert read_report(tmp_path) == first
    assert {path: path.stat().st_mtime_ns for path in written} == written
