"""The figure of claims: a row for each claim, with nothing cut off at its edges."""

import pytest

from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.plotting.style import save
from cliptail_jax.results.claims import ClaimResult, correct_for_number
from cliptail_jax.study.claims_figure import draw_claims
from tests.figures.pictures import check_picture, check_texts


def result(statistic, *by_seed, half=0.1, margin=0.0):
    values = [a - b for a, b in by_seed]
    middle = sum(values) / len(values)
    names = ("cifar100_sl_cut_head_sampled", "cifar100_sl_cut_head")
    difference = Estimate(middle, middle - half, middle + half)
    return ClaimResult("One has more", statistic, *names, list(by_seed), difference, margin=margin)


SCENES = {
    "one": [result("tail", (9.0, 4.0))],
    "both panels": [
        result("corr_acc", (0.8, 0.4), (0.7, 0.5)),
        result("corr_pred", (0.5, 0.45), (0.4, 0.5)),
        result("corr_acc", (0.1, 0.6)),
        result("probe", (20.0, 21.0), half=2.0),
    ],
    "all verdicts": correct_for_number([
        result("slope_acc", (20.0, 9.0), half=1.0, margin=3.0),
        result("slope_acc", (20.0, 9.0), half=10.5, margin=3.0),
        result("slope_acc", (9.0, 20.0), half=2.0, margin=3.0),
        result("slope_acc", (9.0, 9.5), half=1.0, margin=3.0),
        result("slope_acc", (9.0, 9.5), half=5.0, margin=3.0),
    ]),
    "thirty": [result("corr_acc", (0.1 + i / 100, 0.2)) for i in range(30)],
}  # fmt: skip


@pytest.mark.parametrize("scene", SCENES)
def test_the_figure_has_a_row_for_each_claim_and_nothing_reaches_its_edges(scene, tmp_path):
    figure = draw_claims(SCENES[scene], "The study's claims on long-tailed glyphs and cifar100")
    check_texts(figure)
    save(figure, tmp_path / "claims")
    check_picture(tmp_path / "claims")
    assert sum(len(axes.get_yticklabels()) for axes in figure.axes) == len(SCENES[scene])
