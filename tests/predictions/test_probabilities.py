"""Which numbers are probabilities, and which are logits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax import measure
from cliptail_jax.host.errors import UserError
from cliptail_jax.predictions.probabilities import checked_logits
from tests.predictions.examples import FREQUENCY, LABELS, LOGITS

PROBABILITIES = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
OF_400_CLASSES = np.random.default_rng(1).dirichlet(np.full(400, 0.05), len(LABELS))


def in_bfloat16(array):
    """The array rounded to bfloat16, the upper half of float32."""
    return ((array.astype(np.float32).view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)


ROUNDED = {  # how probabilities are stored, and whether they are still probabilities
    "exact": (lambda p: p, True),
    "float32": (lambda p: p.astype(np.float32), True),
    "float16": (lambda p: p.astype(np.float16), True),
    "float16 as float64": (lambda p: p.astype(np.float16).astype(np.float64), True),
    "bfloat16": (in_bfloat16, True),
    "five decimals": (lambda p: p.round(5), True),
    "five decimals in float32": (lambda p: p.round(5).astype(np.float32), True),
    "sum of 0.6": (lambda p: 0.6 * p, False),
    "sum of 0.6 in float16": (lambda p: (0.6 * p).astype(np.float16), False),
    "sum of 1.4": (lambda p: 1.4 * p, False),
    "sum of 1.0001 in float32": (lambda p: (1.0001 * p).astype(np.float32), False),
    "sum of 0.99 in float16": (lambda p: (0.99 * p).astype(np.float16), False),
    "sum of 0.97 in bfloat16": (lambda p: in_bfloat16(0.97 * p), False),
    "sum of 0.9 with five decimals": (lambda p: (0.9 * p).round(5), False),
    "one decimal": (lambda p: p.round(1), False),
}


@pytest.mark.parametrize("array", [PROBABILITIES, OF_400_CLASSES], ids=["few", "many"])
@pytest.mark.parametrize("case", ROUNDED)
def test_numbers_are_probabilities_if_their_rounding_explains_the_sums(array, case):
    change, expected = ROUNDED[case]
    numbers = change(array)
    if expected:
        logits, are_probabilities = checked_logits("a.npz", numbers)
        assert are_probabilities
        np.testing.assert_allclose(np.exp(logits), numbers, rtol=1e-5, atol=1e-7)
        return
    with pytest.raises(UserError, match=r"the probabilities of example \d+ .* have the sum"):
        checked_logits("a.npz", numbers, must_be_probabilities=True)
    if numbers.max() > 1 or abs(numbers.sum(axis=1) - 1).max() > 0.5:
        assert checked_logits("a.npz", numbers)[1] is False
    else:
        with pytest.raises(
            UserError, match="a.npz has numbers from 0 to 1 that add up to .*: divide probabilities by their sum"
        ):
            checked_logits("a.npz", numbers)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    classes=st.integers(2, 2000),
    scale=st.floats(0, 20),
    kind=st.sampled_from([np.float16, np.float32, np.float64, in_bfloat16]),
)
def test_a_softmax_of_any_precision_is_read_as_probabilities(seed, classes, scale, kind):
    logits = np.random.default_rng(seed).normal(0, scale, (4, classes))
    probabilities = np.exp(logits - logits.max(axis=1, keepdims=True))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    numbers = kind(probabilities)
    assert checked_logits("a.npz", numbers, must_be_probabilities=True)[1]


@pytest.mark.parametrize("decimals", [2, 3])
def test_rounded_probabilities_are_probabilities(decimals):
    exact, rounded = (measure(LABELS, p, FREQUENCY) for p in (PROBABILITIES, PROBABILITIES.round(decimals)))
    for group in ("head", "mid", "tail"):
        key = f"overconfidence_{group}"
        assert getattr(rounded, key) == pytest.approx(getattr(exact, key), abs=1)
    assert "Read as probabilities" in rounded.notes[0]


@pytest.mark.parametrize(
    ("array", "kind"), [(LOGITS, "logits"), (np.exp(LOGITS), "logits"), (np.eye(4)[LABELS], "probabilities")]
)
def test_a_note_states_whether_an_array_is_read_as_logits_or_probabilities(array, kind):
    (note, *_) = measure(LABELS, array, FREQUENCY).notes
    assert f"Read as {kind}, since rows " in note and "in the order of the classes of frequency" in note
