"""How many cores a process may use."""

import os

import pytest

from cliptail_jax.parallel import host_cores


@pytest.mark.parametrize("quota, expected", [
    (None, 6), ("max 100000", 6), ("250000 100000", 2), ("50000 100000", 1), ("900000 100000", 6), ("?", 6),
])  # fmt: skip
def test_a_containers_quota_bounds_the_cores(quota, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: set(range(6)), raising=False)
    monkeypatch.setattr(host_cores, "CPU_MAX", tmp_path / "cpu.max")
    if quota:
        (tmp_path / "cpu.max").write_text(f"{quota}\n", encoding="utf-8")
    assert host_cores.usable_cores() == expected
