"""The figure of a path: an arrow from each step to the next, and nothing cut off at its edges."""

from matplotlib.text import Annotation

from cliptail_jax.plotting.style import save
from cliptail_jax.study.path_figure import draw_path
from tests.figures.pictures import check_picture, check_texts
from tests.study.synthetic_studies import a_group


def test_arrows_lead_along_the_path_and_kinds_beside_it_are_hollow(tmp_path):
    kinds = {
        name: a_group(i, mirrored=True) for i, name in enumerate(("sl", "batch", "names", "clip", "sigmoid", "words"))
    }
    figure = draw_path(kinds, ("sl", "batch", "failed", "clip"), "From SL to CLIP")
    check_texts(figure)
    save(figure, tmp_path / "path")
    check_picture(tmp_path / "path")
    for axes, key in zip(figure.axes, ("slope_acc", "slope_pred"), strict=True):
        drawn = [child for child in axes.get_children() if isinstance(child, Annotation) and child.arrowprops]
        arrows = [arrow for arrow in drawn if arrow.arrowprops["arrowstyle"] == "-|>"]
        at = {line.get_label(): line for line in axes.lines if line.get_label() in kinds}
        along = [(at[a].get_ydata()[0], at[b].get_ydata()[0]) for a, b in (("sl", "batch"), ("batch", "clip"))]
        assert [(arrow.xyann[1], arrow.xy[1]) for arrow in arrows] == along
        assert {name for name, line in at.items() if line.get_markerfacecolor() == "white"} == {
            "names",
            "sigmoid",
            "words",
        }
        assert at["sl"].get_ydata()[0] == kinds["sl"].bias[key].value
