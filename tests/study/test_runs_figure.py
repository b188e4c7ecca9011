"""The figure of runs, whatever they are like, with nothing cut off at its edges."""

import numpy as np
import pytest

from cliptail_jax.plotting.style import save
from cliptail_jax.results.group import RunGroup
from cliptail_jax.study.runs_figure import draw_runs, ticks
from tests.figures.pictures import check_picture, check_texts
from tests.study.synthetic_studies import a_group, run_in_memory


def undefined_group():
    """Without a test image of any class."""
    frequency = np.arange(1, 61)
    groups = {name: np.arange(20) for name in ("head", "mid", "tail")}
    run = run_in_memory(np.zeros((60, 60), int), frequency, tuple(map(str, frequency)), groups)
    return RunGroup("run", [[run]])


SCENES = {
    "one": {"sl": a_group()},
    "four": {name: a_group(i) for i, name in enumerate(("sl", "sl_sampled", "clip_names", "clip_captions"))},
    "pairs": {name: a_group(i, mirrored=True) for i, name in enumerate(("sl", "sl_sampled", "clip"))},
    "seven": {f"a_rather_long_run_name_{i}": a_group(i, least=0) for i in range(7)},
    "few classes": {"sl": a_group(classes=3)},
    "undefined": {"sl": a_group(), "collapsed": undefined_group()},
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
