"""Plots as SVG, for pages whose script has not run."""

import numpy as np

from cliptail_jax.report.previews import EDGE, GAP, HEIGHT, WIDTH, Curve, preview


def test_curves_lie_between_the_axes_on_a_logarithmic_axis_of_class_frequency():
    x = np.array([1.0, 10.0, 100.0])
    never_predicted = np.array([-np.inf, 1.0, 2.0])
    rising, undefined = Curve("rising", (x, x), (x, np.log10(x))), Curve("undefined", (x[:1], x[:1]), (x, x * np.nan))
    content = preview(
        [rising._replace(means=rising.line), undefined._replace(means=(x[:1], np.zeros(1)))], {0.5: "half", 9: "x"}
    )
    (_, markers, path), (_, marker, no_path) = content.curves
    left, right, top, bottom = EDGE + GAP, WIDTH - GAP, GAP, HEIGHT - EDGE - GAP
    assert markers == [(left, bottom), ((left + right) / 2, (top + bottom) / 2), (right, top)]
    assert path == f"M{left:.1f} {bottom:.1f} L{markers[1][0]} {markers[1][1]} L{right:.1f} {top:.1f}"
    assert marker == markers[:1] and no_path == ""
    (_, of_predicted, _), *_ = preview(
        [rising._replace(means=(x, never_predicted), line=(x, never_predicted))], {}
    ).curves
    assert len(of_predicted) == 2 and all(np.isfinite(of_predicted).ravel())
    assert content.y_ticks == [(bottom - (bottom - top) / 4, "half")]
    assert [text for _, text in content.x_ticks] == ["1", "2", "5", "10", "20", "50", "100"]
    assert [place for place, text in content.x_ticks if text in ("1", "10", "100")] == [x for x, _ in markers]
