"""The page of guarantees names tests that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_every_guarantee_has_its_test():
    page = (ROOT / "cliptail_jax/runs/README.md").read_text().partition("## Limits")[0]
    named = set(re.findall(r"`(test_\w+)`", page))
    defined = {
        name
        for path in ROOT.glob("tests/**/test_*.py")
        for name in re.findall(r"^def (test_\w+)", path.read_text(), re.M)
    }
    assert len(named) > 20 and named <= defined, sorted(named - defined)
    rows = [
        line for line in page.splitlines() if line.startswith("| ") and not line.startswith(("| guarantee", "| ---"))
    ]
    assert all("`test_" in row for row in rows)
