"""Class frequencies that are scaled, and given to other classes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cliptail_jax.curation.match import scaled
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.errors import UserError
from tests.curation.zoo import NAMES, make_source, variant_of

SOURCE = make_source(np.repeat(np.arange(6), [60, 50, 40, 30, 25, 20]))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30), st.integers(1, 500), st.floats(0, 1))
def test_scaled_counts_are_those_of_the_scale_that_bisection_finds(counts, largest, share):
    counts = np.array(counts)
    n = int(share * largest * np.count_nonzero(counts))
    low, high = 0.0, float(largest)
    for _ in range(200):
        middle = (low + high) / 2
        low, high = (middle, high) if np.minimum(middle * counts, largest).sum() < n else (low, middle)
    result = scaled(counts, n, largest)
    assert result.sum() == n and result.max() <= largest
    assert np.abs(result - np.minimum(high * counts, largest)).max() < 1 + 1e-6


def test_every_assignment_has_the_same_frequencies(tmp_path):
    write_frequency(tmp_path / "web.tsv", NAMES, np.array([600, 500, 400, 300, 250, 200]))

    def frequency(assignment, seed=0):
        match = {"frequency": str(tmp_path / "web.tsv"), "n": 60, "assignment": assignment}
        variant = variant_of(SOURCE, match=match, seed=seed)
        assert not variant.notes
        return variant.class_frequency.tolist()

    natural, random = frequency("natural"), frequency("random")
    assert natural == [16, 13, 11, 8, 7, 5] == frequency("reversed")[::-1]
    assert sorted(random) == sorted(natural) and random not in (natural, natural[::-1])
    assert frequency("random", seed=1) != random


def test_profile_in_natural_order_is_the_same_one_reversed():
    profile = {"name": "exponential", "ratio": 10.0, "largest": 20, "order": "natural"}
    counts = [
        variant_of(SOURCE, profile=profile | {"mirrored": mirrored}).class_frequency for mirrored in (False, True)
    ]
    assert counts[0].tolist() == [20, 12, 7, 5, 3, 2] == counts[1][::-1].tolist()


def test_a_table_is_scaled_up_to_the_smallest_class_and_reversed_by_its_ranks(tmp_path):
    write_frequency(tmp_path / "web.tsv", NAMES, np.array([0, 10**6, 300, 200, 100, 5]))
    match = {"frequency": str(tmp_path / "web.tsv"), "n": 50}
    assert variant_of(SOURCE, match=match).class_frequency.tolist() == [0, 20, 15, 10, 5, 0]
    match |= {"assignment": "reversed"}
    assert variant_of(SOURCE, match=match).class_frequency.tolist() == [
        20,
        0,
        0,
        5,
        10,
        15,
    ]  # before scaling, the last is not the rarest


def test_classes_are_chosen_by_their_number_of_records():
    variant = variant_of(SOURCE, classes={"at_least": 40})
    assert variant.class_names == NAMES[:3] and variant.class_frequency.tolist() == [60, 50, 40]


def test_more_records_than_every_class_can_have_are_an_error():
    with pytest.raises(UserError, match="data.match.n=121 is too large: no class can have more than the 20 records"):
        scaled(np.arange(1, 7), 121, 20)
