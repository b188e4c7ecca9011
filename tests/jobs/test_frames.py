"""Results as frames of pandas."""

import shutil

import numpy as np
import pytest

from cliptail_jax import load_results
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import work_path
from cliptail_jax.jobs import frames
from tests.synthetic_studies import (
    CLASSES,
    FREQUENCY,
    PER_CLASS,
    claim,
    make_seeded_study,
    read_report,
    run_study,
)


def test_frames_have_the_numbers_of_the_report(trains, tmp_path):
    slopes, _ = trains
    slopes.update(sl=0.3, clip=0.0)
    run_study(make_seeded_study(2, "sl", "clip", more=claim("slope_pred", "sl", "clip")), tmp_path)
    runs, classes, claims = load_results(tmp_path)
    _, report = read_report(tmp_path)
    assert runs[["run", "seed", "set"]].drop_duplicates().shape == (4, 3) and runs.finished.all()
    assert (runs.images == FREQUENCY.sum()).all() and (runs.minutes == 1.5).all()
    assert runs.groupby("run").top1.mean().to_dict() == pytest.approx(
        {name: means["top1"] for name, means in report["means"].items()}
    )
    assert (runs.odds_acc_low <= runs.odds_acc).all() and (runs.odds_acc <= runs.odds_acc_high).all()

    of_run = classes[(classes.run == "sl") & (classes.seed == runs.seed[0])]
    assert len(classes) == 4 * CLASSES and (classes.examples == PER_CLASS).all()
    np.testing.assert_array_equal(of_run.frequency, FREQUENCY)
    (top1,) = runs[(runs.run == "sl") & (runs.seed == runs.seed[0])].top1
    assert 100 * of_run.correct.sum() / of_run.examples.sum() == pytest.approx(top1)

    (row,), (expected,) = claims.to_dict("records"), report["claims"]
    assert (row["claim"], row["verdict"], row["statistic"]) == ("more", expected["verdict"], "slope_pred")
    assert [row[key] for key in ("difference", "low", "high")] == pytest.approx(
        [expected["difference"][key] for key in ("value", "low", "high")]
    )


def test_a_study_without_runs_has_empty_frames_with_their_columns(trains, tmp_path):
    trains[0].update(sl=0.3, clip=0.0)
    run_study(make_seeded_study(1, "sl", "clip"), tmp_path)
    for folder in tmp_path.glob("seed_*"):
        shutil.rmtree(folder)
    runs, classes, claims = load_results(str(tmp_path))
    assert (len(runs), len(classes), len(claims)) == (0, 0, 0)
    assert "run" in runs and tuple(classes) == frames.CLASSES and tuple(claims) == frames.CLAIMS


@pytest.mark.parametrize(
    ("spec", "name", "message"),
    [
        (None, ".", "needs pandas, which is not installed: pip install pandas"),
        ("pandas", "none", "is not a directory"),
        ("pandas", ".", "contains no run: give the directory of a run, a study, or a folder of runs"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(tmp_path, monkeypatch, spec, name, message):
    monkeypatch.setattr(frames.importlib.util, "find_spec", lambda module: spec)
    with pytest.raises(UserError, match=message):
        load_results(tmp_path / name)
    with pytest.raises(UserError, match="the name of a folder or a file is empty"):
        work_path("")
