"""Figures of a study's runs: the paper's, and a path from run to run."""

import dataclasses

import numpy as np
import pytest
from matplotlib.text import Annotation
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.study.pictures import draw_path, draw_runs
from cliptail_jax.study.run import check_study, run_study
from cliptail_jax.study.sheets import draw_figures
from tests.study.synthetic_studies import a_group, make_seeded_study, make_study, read_report

FIGURES = {
    "diversity": dict(columns=("group", "x"), rows=(("a", "SL", "0.7"), ("b", "SL", "0.8"), ("broken", "SL", "0.9"))),
    "scale": dict(columns=("group",), rows=(("a", "SL"), ("b", "SL"))),
}


def test_figures_show_the_finished_runs_of_every_seed_or_the_report_says_why_not(trains, tmp_path):
    trains[0].update(a=0.8, b=0.0, broken=UserError("the loss is nan"))
    study = make_seeded_study(2, "a", "b", "broken")
    study.figures = ConfigDict(FIGURES, sort_keys=False)
    with pytest.raises(UserError, match="failed: seed_3/broken, seed_4/broken, figure scale"):
        run_study(study, tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "diversity.tsv").read_text().splitlines()]
    places = [[f"seed_{seed}/{run}", "SL", x] for run, x in (("a", "0.7"), ("b", "0.8")) for seed in (3, 4)]
    assert rows == [["run", "group", "x"], *places]
    assert (tmp_path / "figures/diversity.pdf").exists()
    text, report = read_report(tmp_path)
    assert "drawn from diversity.tsv](figures/diversity.png)" in text and "(figures/scale.png)" not in text
    remedy = "has no nc1 on glyphs:test: evaluate it with --config.eval.neural_collapse"
    assert remedy in report["failures"]["figure scale"]


def test_the_sheet_of_transfer_has_the_models_of_the_transfer_directories(tmp_path):
    figures = ConfigDict({"transfer": dict(columns=("label",), rows=(("a", "A"),))})
    drawn, obstacles = draw_figures(figures, {"seed_0": ["a"]}, tmp_path)
    assert (tmp_path / "transfer.tsv").read_text() == "run\tmodel\tlabel\nseed_0/transfer\ta\tA\n"
    assert drawn == [] and "has no results by probe" in obstacles["figure transfer"]
    assert draw_figures(figures, {"seed_0": []}, tmp_path)[1] == {"figure transfer": "its baseline a failed"}


@pytest.mark.parametrize(
    ("figures", "message"),
    [
        ({"scales": FIGURES["scale"]}, "figures.scales: there is no such figure; there are class_frequency, "),
        ({"scale": dict(columns=("group",), rows=(("z", "SL"),))}, "figures.scale.rows names the run 'z'; .* has a, b"),
    ],
)
def test_a_wrong_figure_is_named(figures, message):
    study = make_study("a", "b")
    study.figures = figures
    with pytest.raises(UserError, match=message):
        check_study(study)


def test_arrows_lead_along_the_path_and_kinds_beside_it_are_hollow():
    kinds = {name: a_group(i, mirrored=True) for i, name in enumerate(("sl", "batch", "names", "clip"))}
    figure = draw_path(kinds, ("sl", "batch", "failed", "clip"), "From SL to CLIP")
    for axes, key in zip(figure.axes, ("odds_acc", "slope_pred"), strict=True):
        drawn = [child for child in axes.get_children() if isinstance(child, Annotation) and child.arrowprops]
        arrows = [arrow for arrow in drawn if arrow.arrowprops["arrowstyle"] == "-|>"]
        at = {line.get_label(): line for line in axes.lines if line.get_label() in kinds}
        along = [(at[a].get_ydata()[0], at[b].get_ydata()[0]) for a, b in (("sl", "batch"), ("batch", "clip"))]
        assert [(arrow.xyann[1], arrow.xy[1]) for arrow in arrows] == along
        assert {name for name, line in at.items() if line.get_markerfacecolor() == "white"} == {"names"}
        assert at["sl"].get_ydata()[0] == kinds["sl"].bias[key].value


def test_a_path_has_the_evaluations_that_all_runs_have_and_that_are_above_chance():
    """Its last point is the end of the runs. An evaluation at step 6 is of one run alone."""
    group = a_group(mirrored=True)
    for run in group.runs:
        end = run.evaluation.results
        half, chance = (dataclasses.replace(end, correct=end.correct // share) for share in (2, 100))
        run.__dict__["course"] = {2: chance, 4: half, 8: end}
    group.runs[0].course[6] = end
    start, last = group.path("odds_acc")
    assert last == pytest.approx((group.mean("top1"), group.value("odds_acc")))
    halves = [run.course[4] for run in group.runs]
    of_each = [100 * half.correct.sum() / half.examples.sum() for half in halves]
    assert start == pytest.approx((np.mean(of_each), MEASURES["odds_acc"].point(halves)))
    axes = draw_runs({"made": group}, "By hand").axes[0]
    np.testing.assert_allclose(
        np.transpose([line.get_data() for line in axes.lines if len(line.get_xdata()) == 2][0]), [start, last]
    )
