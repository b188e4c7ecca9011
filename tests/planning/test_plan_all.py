"""The table in scripts/README.md, from the saved plans."""

import importlib.util
import pathlib

PATH = pathlib.Path(__file__).parents[2] / "scripts/benchmark/plan_all.py"
SPEC = importlib.util.spec_from_file_location("plan_all", PATH)
plan_all = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(plan_all)


def test_the_pages_table_is_that_of_the_saved_plans():
    """And was not edited by hand."""
    plans = plan_all.read_plans()
    assert plan_all.table(plans) in plan_all.PAGE.read_text()
    assert plans.keys() <= {
        f"{program}, {topology}" for program in plan_all.PROGRAMS for topology in plan_all.TOPOLOGIES
    }


def test_a_step_that_does_not_fit_has_its_memory_alone():
    versions = {"jax": "0.10.2", "libtpu": "0.0.42.1"}
    plan = {"topology": "v5e-1", "chips": 1, "fits": False, "step_seconds": None, "versions": versions}
    row = plan_all.row("SL", plan | {"peak_bytes": 20_123_456_789, "chip_memory_bytes": 2**34})
    assert row == {
        **{"step": "SL", "on": "v5e-1", "chips": "1", "peak_gb": "20.1", "chip_gb": "17.2"},
        "versions": "jax 0.10.2, libtpu 0.0.42.1",
    }
