import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.planning.topologies import CHIPS, find_topology


@pytest.mark.parametrize(
    "name, chips, hosts",
    [
        ("v5e-1", 1, 1), ("v5e-8", 8, 1), ("v5e-16", 16, 4), ("v6e-256", 256, 64), ("v4-8", 4, 1), ("v4-32", 16, 4),
        ("v5p-512", 256, 64), ("tpu7x-8", 4, 1), ("h100x1", 1, 1), ("h100x8", 8, 1), ("h200x8x4", 32, 4),
    ],
)  # fmt: skip
def test_a_name_has_the_chips_and_hosts_that_clouds_sell(name, chips, hosts):
    topology = find_topology(name)
    assert (topology.name, topology.chips, topology.hosts) == (name, chips, hosts)


def test_a_slice_has_the_name_of_the_documentation_and_that_of_gcloud():
    assert find_topology("v5litepod-16") == find_topology("v5e-16")


def test_several_slices_have_the_chips_of_all():
    topology = find_topology("v5e-16", slices=2)
    assert (topology.chips, topology.hosts) == (32, 8)
    with pytest.raises(UserError, match="--slices is for TPUs; name the hosts, as in h100x8x2"):
        find_topology("h100x8", slices=2)


@pytest.mark.parametrize(
    "name, complaint",
    [
        ("v5e-9", r"unknown topology 'v5e-9' \(did you mean v5e-"),
        ("v5litepod-9", "unknown topology 'v5litepod-9'.*there are v4-{8,16,"),
        ("h100x4x2", "unknown topology 'h100x4x2'"),
    ],
)
def test_an_unknown_name_is_told_with_the_nearest(name, complaint):
    with pytest.raises(UserError, match=complaint):
        find_topology(name)


def test_peaks_and_caches_are_those_of_the_data_sheets():
    tflops = {"v4": 275, "v5e": 197, "v5p": 459, "v6e": 918, "tpu7x": 2307, "a100": 312, "h100": 989, "h200": 989}
    assert {kind: chip.flops / 1e12 for kind, chip in CHIPS.items()} == tflops
    sizes = {"a100x8": 40, "h100x8": 50, "h200x1": 50, "v5e-8": 0, "v4-32": 0}
    assert {name: find_topology(name).cache / 2**20 for name in sizes} == sizes
