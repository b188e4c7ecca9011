"""The page as axe-core judges it: a checker of accessibility that npm installs into a temporary folder."""

import shutil
import subprocess

import pytest


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """The script of axe-core."""
    folder = tmp_path_factory.mktemp("axe")
    if not shutil.which("npm"):
        pytest.skip("there is no npm, which installs axe-core")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm does not install axe-core: {error}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_there_is_no_serious_violation(scheme, width, axe, open_page, pictured_study):
    viewport = {"width": width, "height": 900}
    page = open_page(
        pictured_study / "report.html", "#sl/digit-three", color_scheme=scheme, viewport=viewport, bypass_csp=True
    )
    assert page.locator("#class-images img").count() and page.locator("tr.off").count()
    page.evaluate(axe)
    violations = page.evaluate("axe.run()")["violations"]
    serious = [
        (v["id"], node["html"]) for v in violations if v["impact"] in ("serious", "critical") for node in v["nodes"]
    ]
    assert serious == []
