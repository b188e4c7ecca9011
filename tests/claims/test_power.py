"""The differences that some pairs decide, by the variances of published claims."""

import numpy as np
import pytest

from cliptail_jax.claims import power
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.config.files import find_archive, known_archives
from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate, quantile
from cliptail_jax.report.power import power_table
from cliptail_jax.results.archive import unpack
from cliptail_jax.results.run import find_runs
from tests.commands import study
from tests.pages import rows_by_name

SHARED, PAIR_VARIANCE, PAIRS = 1.0, 8.0, 4


def published_claim(seed, **fields):
    """A claim whose interval and pairs have these variances."""
    pairs = np.random.default_rng(seed).normal(size=PAIRS)
    pairs = 3 + np.sqrt(PAIR_VARIANCE) * (pairs - pairs.mean()) / pairs.std(ddof=1)
    side = quantile(0.95, 7.0) * np.sqrt(SHARED + PAIR_VARIANCE / PAIRS)
    fields = dict(text="", statistic="slope_acc", higher="a", lower="b") | fields
    difference = Estimate(3.0, 3 - side, 3 + side, 7.0)
    return ClaimResult(**fields, by_seed=[(value, 0.0) for value in pairs], difference=difference)


def test_variances_are_those_that_pairs_share_and_those_between_pairs():
    claims = {str(seed): published_claim(seed) for seed in range(3)}
    claims |= {
        "minus": published_claim(9, reference=("c", "d")),
        "number": published_claim(9, lower=1.0),
        "untested": ClaimResult("", "tail", "a", "b"),
    }
    variances = power.variances_of("made", claims)
    assert list(variances) == ["slope_acc"]
    shared, of_pair, study, degrees = variances["slope_acc"]
    assert (shared, of_pair) == pytest.approx((SHARED, PAIR_VARIANCE)) and (study, degrees) == ("made", 9)


def test_a_difference_is_decided_with_a_probability_of_80_percent():
    variances = power.Variances(SHARED, PAIR_VARIANCE, "made", 9)
    for pairs in (1, 8):
        sd = np.sqrt(SHARED + PAIR_VARIANCE / pairs)
        differences = np.random.default_rng(0).normal(variances.decidable(pairs), sd, 200_000)
        assert (differences > 1.96 * sd).mean() == pytest.approx(0.8, abs=0.003)


def test_the_table_names_the_published_study_on_the_same_data(capsys):
    assert study(["quickstart", "--power"]) == 0
    lines = capsys.readouterr().out.splitlines()
    row = rows_by_name("\n".join(lines), "measure")["odds_acc"]
    _, *numbers, unit, published_study = row.values()
    first, second, fourth, eighth = map(float, numbers)
    assert first > second > fourth > eighth > 0
    assert (unit, published_study) == ("log-odds per decade", "mechanism_glyphs_16")
    assert lines[-1] == "No published results of several pairs on these data have tail."


@pytest.mark.parametrize(
    ("name", "design"),
    [
        ("noise", ({"glyphs"}, {32}, True)),
        ("mechanism_glyphs_16", ({"glyphs"}, {16}, True)),
        ("mechanism_cifar100", ({"cifar100"}, {32}, True)),
        ("natural", ({"icons"}, {32}, False)),
    ],
)
def test_results_are_of_the_config_of_their_name(name, design):
    assert power.published_design(name) == design


@pytest.mark.parametrize("archive", sorted(known_archives()))
def test_the_design_of_results_is_that_of_their_runs(archive, tmp_path):
    runs = find_runs(unpack(find_archive(archive), tmp_path))
    sources, sizes = zip(*((run.config["data.name"], run.config["data.image_size"]) for run in runs))
    assert power.published_design(archive) == ({*sources}, {*sizes}, any(run.is_mirrored for run in runs))


def test_without_published_results_there_is_one_line():
    design = power.Design({"image_folder/mine"}, {32}, counterbalanced=False)
    with pytest.raises(UserError, match="--power needs published results of several seeds on image_folder/mine"):
        power_table(design, {"slope_acc"}, has_borrowed=False)
