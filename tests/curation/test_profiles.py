import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax.config.training import Profile
from cliptail_jax.curation.profiles import exponential, profile_counts, zipf


def test_the_smallest_class_is_exactly_the_largest_over_the_ratio():
    for ratio in (3, 49, 100, 256):
        assert all(exponential(100, smallest * ratio, ratio)[-1] == smallest for smallest in range(1, 60))


def test_cifar100_lt_with_ratio_100_has_10847_images():
    sizes = exponential(100, 500, 100)
    assert sizes.sum() == 10_847
    assert (sizes[0], sizes[-1]) == (500, 5)


@settings(deadline=None)
@given(st.integers(2, 40), st.integers(1, 5000), st.integers(1, 300))
def test_exponential_is_the_floor_in_exact_arithmetic(num_classes, largest, ratio):
    # n = floor(N r^(-i/(C-1)))  <=>  n^(C-1) r^i <= N^(C-1) < (n+1)^(C-1) r^i, in whole numbers.
    power = num_classes - 1
    for rank, size in enumerate(exponential(num_classes, largest, ratio).tolist()):
        assert size**power * ratio**rank <= largest**power < (size + 1) ** power * ratio**rank


def test_zipf_is_the_floor_of_a_power_of_the_rank():
    assert zipf(6, 100, 1).tolist() == [100, 50, 33, 25, 20, 16]
    assert zipf(4, 100, 2).tolist() == [100, 25, 11, 6]
    assert zipf(4, 100, 0.5).tolist() == [100, 70, 57, 50]
    assert zipf(3, 100, 0).tolist() == [100, 100, 100]


@settings(deadline=None)
@given(
    st.lists(st.integers(0, 300), min_size=1, max_size=30), st.sampled_from(["exponential", "zipf"]), st.integers(0, 99)
)
def test_no_class_keeps_more_than_it_has(available, name, seed):
    available, profile = np.array(available), Profile(name, ratio=20, exponent=1.0)
    counts = profile_counts(profile, available, seed)
    sizes = (
        exponential(len(available), available.max(), 20)
        if name == "exponential"
        else zipf(len(available), available.max(), 1.0)
    )
    ideal_counts = profile_counts(profile, np.full_like(available, available.max()), seed)
    np.testing.assert_array_equal(np.sort(ideal_counts)[::-1], sizes)
    np.testing.assert_array_equal(counts, np.minimum(ideal_counts, available))


@given(classes=st.integers(2, 60), seed=st.integers(0, 99), name=st.sampled_from(["exponential", "zipf"]))
def test_a_mirrored_profile_gives_each_class_the_frequency_of_the_opposite_rank(classes, seed, name):
    available = np.full(classes, 100_000)
    plain, mirrored = (profile_counts(Profile(name, mirrored=mirrored), available, seed) for mirrored in (False, True))
    ranked = np.sort(plain)  # the sizes differ from class to class
    np.testing.assert_array_equal(np.searchsorted(ranked, plain) + np.searchsorted(ranked, mirrored), classes - 1)
