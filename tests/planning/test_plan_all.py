"""The table in scripts/README.md, from plans as `plan --json` prints them."""

import importlib.util
import pathlib

PATH = pathlib.Path(__file__).parents[2] / "scripts/benchmark/plan_all.py"


def test_the_pages_table_is_that_of_the_saved_plans():
    """And was not edited by hand."""
    spec = importlib.util.spec_from_file_location("plan_all", PATH)
    plan_all = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(plan_all)
    saved = plan_all.json.loads(plan_all.PLANS.read_text())
    assert plan_all.table(saved) in plan_all.PAGE.read_text()
    assert saved.keys() <= {f"{program} on {on}" for program in plan_all.PROGRAMS for on in plan_all.ON}
