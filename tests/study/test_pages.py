"""The tables of results on pages are those of the committed results, and links lead somewhere."""

import json
import re
import shutil

import pytest

from scripts import update_pages
from tests.study.synthetic_studies import claim, make_seeded_study


@pytest.mark.parametrize("page", update_pages.PAGES, ids=lambda page: str(page.relative_to(update_pages.ROOT)))
def test_tables_of_pages_are_made_from_the_committed_results(page):
    text = page.read_text(encoding="utf-8")
    assert update_pages.with_tables(text) == text, "run scripts/update_pages.py"


# Intervals that come from other programs, or from runs without committed results, such as those of claims_small.
OTHER_INTERVALS = {"noise.md": 4, "paper.md": 23, "mechanism.md": 3, "natural.md": 18}
OTHER_INTERVALS |= {"claims_small.md": 126, "dino_cifar100_lt.md": 1}
INTERVAL = re.compile(r"-?[\d,.]*\d \[-?[\d,.]+, -?[\d,.]+\]")


@pytest.mark.parametrize("page", update_pages.PAGES, ids=lambda page: str(page.relative_to(update_pages.ROOT)))
def test_intervals_outside_of_generated_tables_are_those_of_the_committed_results(page):
    reports = [json.loads(file.read_text(encoding="utf-8")) for file in update_pages.RESULTS.glob("*.json")]
    estimates = [estimate for report in reports for of_run in report["bias"].values() for estimate in of_run.values()]
    estimates += [claim["difference"] for report in reports for claim in report["claims"] if claim["difference"]]
    known = set()
    for value, low, high in (map(estimate.get, ("value", "low", "high")) for estimate in estimates):
        if None not in (value, low, high):
            known |= {f"{value:,.{d}f} [{low:,.{d}f}, {high:,.{d}f}]" for d in (1, 2)}
            known |= {f"{-value:,.{d}f} [{-high:,.{d}f}, {-low:,.{d}f}]" for d in (1, 2)}
    text = update_pages.TABLE.sub("", page.read_text(encoding="utf-8"))
    text = " ".join(line.strip() for line in text.splitlines())
    assert len(set(INTERVAL.findall(text)) - known) == OTHER_INTERVALS.get(page.name, 0)


def test_tables_are_those_of_the_report(trains, tmp_path, monkeypatch):
    from cliptail_jax.study.run import run_study

    trains[0].update(a=0.8, b=0.0)
    claims = dict(one=claim("odds_acc", "a", "b", margin=0.2), other=claim("tail", "b", "a"))
    run_study(make_seeded_study(2, "a", "b", **claims), tmp_path / "study")
    (page := tmp_path / "page.md").write_text(
        "<!-- table: runs made -->\n<!-- end -->\n<!-- table: claims made -->\n<!-- end -->\n"
    )
    monkeypatch.setattr(update_pages, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(update_pages, "PAGES", [page])
    update_pages.main([f"made={tmp_path / 'study'}"])
    lines, report = page.read_text().splitlines(), (tmp_path / "study/report.md").read_text().splitlines()
    tables = [line for line in lines if line.startswith("|")]
    assert tables == [line for line in report if line.startswith("|")] and len(tables) == 8
    update_pages.main([])
    assert page.read_text().splitlines() == lines
    page.write_text("<!-- table: odds made other -->\n<!-- end -->\n")
    shutil.copy(tmp_path / "results/made.json", tmp_path / "results/other.json")
    update_pages.main([])
    row = next(line for line in page.read_text().splitlines() if line.startswith("| a |")).split(" | ")
    assert row[1:4] == [*row[4:6], row[6].removesuffix(" |")]
    bias = json.loads((tmp_path / "results/made.json").read_text())["bias"]["a"]["odds_acc"]
    assert row[2].startswith(f"{bias['value']:.2f} [{bias['low']:.2f}, ")


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_of_all_pages_lead_to_files_and_headings():
    folders = ("", "cliptail_jax/*", "colab", "configs", "configs/study", "scripts", "scripts/*", "tests")
    pages, broken = [page for folder in folders for page in update_pages.ROOT.glob(f"{folder}/*.md".lstrip("/"))], []
    assert len(pages) > 20
    for page in pages:
        for address in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = address.partition("#")
            file = page.parent / name if name else page
            leads = file.exists() and (not anchor or anchor in anchors(file))
            if not (leads or address.startswith("http")):
                broken.append(f"{page.relative_to(update_pages.ROOT)}: {address}")
    assert not broken
