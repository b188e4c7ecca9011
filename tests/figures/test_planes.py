"""Planes of runs: their trend lines, and labels that cover nothing."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from cliptail_jax.figures.captions_vocabulary import PLANES, draw
from cliptail_jax.figures.parts.planes import draw_trend
from cliptail_jax.figures.parts.sheet import read_sheet
from cliptail_jax.runs.evaluations import last_evaluation


@pytest.mark.parametrize("x, y", [([1, 2], [1, 2]), ([1, 1, 1], [1, 2, 3]), ([1, 2, 3], [1, np.nan, 3])])
def test_too_few_points_have_no_trend(x, y):
    assert not draw_trend(Figure().subplots(), x, y)


def test_trend_lines_are_drawn_through_the_runs_of_a_group_and_head(birds):
    rows = [(f"run_{i}", "SL" if i < 3 else "CLIP", "frozen" if i < 3 else "random") for i in range(6)]
    (birds / "plane.tsv").write_text("\n".join("\t".join(row) for row in (("run", "group", "head"), *rows)))
    figure = draw(read_sheet(birds / "plane.tsv", ("run", "group", "head")))
    (x, y), axes = PLANES[1], figure.axes[1]
    summaries = [last_evaluation(birds / f"run_{i}", "birds:test") for i in range(3)]
    slope, intercept = np.polyfit([s[x] for s in summaries], [s[y] for s in summaries], 1)
    drawn = [line for line in axes.lines if len(line.get_xdata())]
    (solid,) = [line for line in drawn if line.get_linestyle() == "-"]
    (xs, ys) = solid.get_data()
    assert (min(xs), max(xs)) == (min(s[x] for s in summaries), max(s[x] for s in summaries))
    np.testing.assert_allclose(ys, slope * np.array(xs) + intercept)
    assert [line.get_linestyle() for line in drawn].count("--") == 1
    handles = dict(zip(*axes.get_legend_handles_labels()[::-1]))
    assert handles["trend, frozen"].get_linestyle() == "-" and handles["trend, random"].get_linestyle() == "--"
