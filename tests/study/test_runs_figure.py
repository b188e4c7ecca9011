"""The figure of runs, whatever they are like, with nothing cut off at its edges."""

import numpy as np
import pytest

from cliptail_jax.plotting.style import save
from cliptail_jax.study.runs_figure import draw_runs, ticks
from tests.figures.pictures import check_picture, check_texts
from tests.study.synthetic_studies import a_kind


def half_unknown(run):
    run.accuracy[:50] = np.nan


def nothing_known(run):
    run.accuracy[:] = np.nan
    run.summary["top1"] = None


SCENES = {
    "one": {"sl": a_kind()},
    "four": {name: a_kind(i) for i, name in enumerate(("sl", "sl_sampled", "clip_names", "clip_captions"))},
    "pairs": {name: a_kind(i, mirrored=True) for i, name in enumerate(("sl", "sl_sampled", "clip"))},
    "seven": {f"a_rather_long_run_name_{i}": a_kind(i, least=0) for i in range(7)},
    "undefined": {"sl": a_kind(), "collapsed": a_kind(1, edit=half_unknown)},
    "few classes": {"sl": a_kind(classes=3)},
    "nothing right or wrong": {"sl": a_kind(edit=nothing_known)},
}


@pytest.mark.parametrize("scene", SCENES)
def test_figure_is_drawn_and_nothing_reaches_its_edges(scene, tmp_path):
    figure = draw_runs(SCENES[scene], "Long-tailed glyphs (ratio 100)")
    check_texts(figure)
    save(figure, tmp_path / "figures" / "study")
    check_picture(tmp_path / "figures" / "study")


def test_frequency_ticks_are_round_numbers_within_the_range():
    assert ticks(5, 500) == [5, 10, 20, 50, 100, 200, 500]
    assert ticks(0, 50000) == [0, 1, 10, 100, 1000, 10000]
    assert ticks(0, 0) == [0]
