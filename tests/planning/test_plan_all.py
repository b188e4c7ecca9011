"""The table in scripts/README.md, from plans as `plan --json` prints them."""

import importlib.util
import pathlib

import pytest

PATH = pathlib.Path(__file__).parents[2] / "scripts/benchmark/plan_all.py"


@pytest.fixture(scope="module")
def plan_all():
    spec = importlib.util.spec_from_file_location("plan_all", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PLAN = {
    "topology": "v5e-16",
    "chips": 16,
    "fits": True,
    "chip_memory_bytes": 2**34,
    "peak_bytes": 5 * 10**9,
    "flops": 2e12,
    "hbm_bytes": 10**10,
    "collectives": {"all-reduce": {"count": 3, "bytes": 2000}, "all-gather": {"count": 1, "bytes": 500}},
    "step_seconds": {"compute": 0.01, "memory": 0.02, "interconnect": 0.001},
    "total_steps": 180_000,
    "batch_size": 1024,
    "versions": {"jax": "1.2", "libtpu": "0.3"},
}


def test_a_row_has_the_bound_and_what_follows_from_it(plan_all):
    assert plan_all.row("SL", PLAN) == [
        "SL", "v5e-16", "16", "5 of 17.2", "2", "10", "4, 2.5 KB", "10 / 20 / 1", "51,200, 50%", "1, 16", "libtpu 0.3"
    ]  # fmt: skip


def test_the_pages_table_is_that_of_the_saved_plans(plan_all):
    """And was not edited by hand."""
    saved = plan_all.json.loads(plan_all.PLANS.read_text())
    assert plan_all.table(saved) in plan_all.PAGE.read_text()
    assert saved.keys() <= {f"{program} on {on}" for program in plan_all.PROGRAMS for on in plan_all.ON}
