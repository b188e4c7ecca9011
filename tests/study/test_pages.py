"""The tables of results on pages are those of the committed results, and links lead somewhere."""

import json
import re
import shutil

import pytest

from cliptail_jax.files import write_json
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.results.claims import ClaimResult, claim_numbers
from cliptail_jax.results.layout import markdown
from cliptail_jax.results.tables import transfer_table
from scripts import update_pages
from tests.study.synthetic_studies import claim, make_seeded_study, read_report, run_study


@pytest.mark.parametrize("page", update_pages.PAGES, ids=lambda page: str(page.relative_to(update_pages.ROOT)))
def test_tables_of_pages_are_made_from_the_committed_results(page):
    text = page.read_text(encoding="utf-8")
    assert update_pages.with_tables(text) == text, "run scripts/update_pages.py"


# Intervals that come from other programs, or from runs without committed results.
OTHER_INTERVALS = {"noise.md": 4, "paper.md": 3, "mechanism.md": 4, "dino_cifar100_lt.md": 1}
TYPED = re.compile(r"-?[\d,.]*\d\s+\[-?[\d,.]+,\s+-?[\d,.]+\](?!<!-- )")


@pytest.mark.parametrize("page", update_pages.PAGES, ids=lambda page: str(page.relative_to(update_pages.ROOT)))
def test_intervals_outside_of_generated_tables_name_their_result(page):
    text = update_pages.TABLE.sub("", page.read_text(encoding="utf-8"))
    assert len(TYPED.findall(text)) == OTHER_INTERVALS.get(page.name, 0)
    assert not re.search(r"^ *(- )?<!-- ", text, re.MULTILINE), (
        "links in a line that starts with a comment are not shown"
    )


def test_a_number_on_a_page_is_that_of_the_result_its_comment_names(tmp_path, monkeypatch):
    tested = ClaimResult("", "odds_acc", "a", "b", difference=Estimate(1.25, 0.5, 2.0))
    claims = [claim_numbers(tested) | {"key": "lower"}]
    bias = {"a": {"odds_acc": {"value": 3.0, "low": 2.0, "high": 4.0}}, "b": {}}
    report = {
        "means": {
            name: {"top1": top1, "images": 10847, "chance_note": ""} for name, top1 in (("a", 71.26), ("b", 35.63))
        },
        "bias": bias,
        "claims": claims,
    }
    write_json(tmp_path / "made.json", report)
    monkeypatch.setattr(update_pages, "RESULTS", tmp_path)
    for reference, typed, written in [
        ("lower", "9.99 [1.00, 2.00]", "1.25 [0.50, 2.00]"),
        ("-lower", "9.9 [1.0, 2.0]", "-1.2 [-2.0, -0.5]"),
        ("lower", "7.25", "1.25"),
        ("a.odds_acc", "-9 [0, 0]", "3 [2, 4]"),
        ("b.images", "1", "10,847"),
        ("a.top1/b.top1", "2.10", "2.00"),
    ]:
        line = f"SL (%s<!-- made {reference} -->, 5 [4, 6]) has\n"
        assert update_pages.with_tables(line % typed) == line % written


def test_tables_are_those_of_the_report(trains, tmp_path, monkeypatch):
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
    numbers = (tmp_path / "results/made.json").read_text()
    assert json.loads(numbers).items() <= read_report(tmp_path / "study")[1].items()
    (tmp_path / "results/made.json").unlink()
    update_pages.main(["--archives"])
    assert page.read_text().splitlines() == lines and (tmp_path / "results/made.json").read_text() == numbers
    update_pages.main([])
    assert page.read_text().splitlines() == lines
    page.write_text("<!-- table: odds made other -->\n<!-- end -->\n")
    shutil.copy(tmp_path / "results/made.json", tmp_path / "results/other.json")
    update_pages.main([])
    row = next(line for line in page.read_text().splitlines() if line.startswith("| a |")).split(" | ")
    assert row[1:4] == [*row[4:6], row[6].removesuffix(" |")]
    bias = json.loads((tmp_path / "results/made.json").read_text())["bias"]["a"]["odds_acc"]
    assert row[2].startswith(f"{bias['value']:.2f} [{bias['low']:.2f}, ")


def test_the_scores_of_transfer_are_means_over_seeds():
    scores = [dict(set="cifar100", method="probe", score=score) for score in (20.0, 23.0)]
    assert markdown(transfer_table({"a": scores, "b": []})) == [
        "| model | cifar100: linear probe % |",
        "| --- | --- |",
        "| a | 21.5 |",
    ]


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
