"""The tables of results on pages are those of the committed results, and links lead somewhere."""

import csv
import json
import re
import shutil

import pytest

from cliptail_jax.claims.verdicts import ClaimResult, claim_numbers
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report.page_tables import columns_of
from cliptail_jax.report.transfer_tables import transfer_table
from scripts import update_pages
from tests.pages import ALL_PAGES, table_rows
from tests.synthetic_studies import claim, make_seeded_study, read_report, run_study


@pytest.mark.parametrize("page", update_pages.PAGES, ids=lambda page: str(page.relative_to(update_pages.ROOT)))
def test_tables_of_pages_are_made_from_the_committed_results(page):
    text = page.read_text(encoding="utf-8")
    assert update_pages.with_tables(text) == text, "run scripts/update_pages.py"


PROSE = {page: update_pages.TABLE.sub("", page.read_text(encoding="utf-8")) for page in update_pages.PAGES}
INTERVAL = re.compile(r"\d\s+\[-?[\d,.]+,\s+-?[\d,.]+\]")
COMMENT = re.compile(
    r"(?<=\n)<!-- numbers: [^>]+ -->(?=\n(\n|- |$))"
)  # on lines of their own after a paragraph or list item


@pytest.mark.parametrize("page", update_pages.PAGES, ids=lambda page: str(page.relative_to(update_pages.ROOT)))
def test_prose_has_no_intervals_and_no_comments_within_sentences(page):
    assert not INTERVAL.search(PROSE[page])
    assert "<!--" not in COMMENT.sub("", PROSE[page])


def test_a_number_in_prose_is_that_of_the_result_its_comment_names(tmp_path, monkeypatch):
    result = ClaimResult("", "odds_acc", "a", "b", difference=Estimate(1.25, 0.5, 2.0))
    claims = [claim_numbers(result) | {"key": "lower"}]
    means = {name: {"top1": top1, "images": 10847, "chance_note": ""} for name, top1 in (("a", 71.26), ("b", 35.63))}
    bias = {"a": {"odds_acc": {"value": 3.0, "low": 2.0, "high": 4.0}}, "b": {}}
    write_json(tmp_path / "made.json", {"means": means, "bias": bias, "claims": claims})
    monkeypatch.setattr(update_pages, "RESULTS", tmp_path)
    text = (
        "- 7.25 and 9.9.\n- SL has 9.99 of 19.99 to 9.9,\nand {} of {} images, 7.\n"
        "<!-- numbers: {} = made lower; {} = made -lower; {} = made b.images;\n{} = made a.top1/b.top1 -->\n- 9.99\n"
    )
    old_text = text.format("1", "2.0", "9.99", "9.9", "1", "2.0")
    new_text = text.replace("SL has 9.99 of 19.99 to 9.9", "SL has 1.25 of 19.99 to -1.2").format(
        "10,847", "2.0", "1.25", "-1.2", "10,847", "2.0"
    )
    assert update_pages.with_tables(old_text) == new_text == update_pages.with_tables(new_text)
    with pytest.raises(SystemExit, match="'1' of the comment is not in its paragraph"):
        update_pages.with_tables("12 images\n<!-- numbers: 1 = made lower -->\n")


def test_main_claims_keep_their_verdicts_as_holms_procedure_allows():
    rows = csv.DictReader((update_pages.RESULTS / "tables/main_claims.tsv").open(encoding="utf-8"), delimiter="\t")
    rows = sorted(rows, key=lambda row: float(row["p-value"]))
    allowed = [float(row["p-value"]) <= 0.05 / (len(rows) - rank) for rank, row in enumerate(rows)]
    kept = allowed.index(False)
    assert 0 < kept < len(rows)
    assert [row["verdict"] for row in rows] == [row["before correction"] for row in rows[:kept]] + ["open"] * (
        len(rows) - kept
    )


def test_tables_are_those_of_the_report(trains, tmp_path, monkeypatch):
    trains[0].update(a=0.8, b=0.0)
    claims = dict(one=claim("odds_acc", "a", "b", margin=0.2), other=claim("tail", "b", "a"))
    run_study(make_seeded_study(2, "a", "b", **claims), tmp_path / "study")
    (page := tmp_path / "page.md").write_text(
        "<!-- table: groups made -->\n<!-- end -->\n<!-- table: differences made -->\n<!-- end -->\n"
    )
    monkeypatch.setattr(update_pages, "RESULTS", tmp_path / "results")
    monkeypatch.setattr(update_pages, "PAGES", [page])
    update_pages.main([f"made={tmp_path / 'study'}"])
    lines, report = page.read_text().splitlines(), (tmp_path / "study/report.md").read_text()
    for kind, shown in {"runs": "odds_acc", "claims": "difference"}.items():
        with (tmp_path / f"results/tables/made_{kind}.tsv").open(encoding="utf-8") as file:
            rows = [*csv.DictReader(file, delimiter="\t")]
        texts = [row[f"{shown} [95 %]"] for row in table_rows(report, kind.removesuffix("s"))]
        for row, text in zip(rows, texts, strict=True):
            numbers = [float(row[name]) for name in (shown, f"{shown}_low", f"{shown}_high")]
            digits = len(text.split(" ")[0].partition(".")[2])
            assert text == "{:.{d}f} [{:.{d}f}, {:.{d}f}]".format(*numbers, d=digits)
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
    row = next(line for line in page.read_text().splitlines() if line.startswith("| a |"))
    _, *cells = (cell.strip() for cell in row.strip("|").split("|"))
    assert cells[:2] == cells[2:]
    bias = json.loads((tmp_path / "results/made.json").read_text())["bias"]["a"]["odds_acc"]
    assert cells[1].startswith(f"{bias['value']:.2f} [{bias['low']:.2f}, ")


def test_the_scores_of_transfer_are_means_over_seeds():
    scores = [dict(set="cifar100", method="probe", score=score) for score in (20.0, 23.0)]
    columns = ["model", "cifar100: linear probe %"]
    assert columns_of(transfer_table({"a": scores, "b": []})) == (columns, [["a", 21.5]])


def anchors(page):
    """The anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_of_all_pages_lead_to_files_and_headings():
    broken = []
    assert len(ALL_PAGES) > 20
    for page in ALL_PAGES:
        for address in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
            name, _, anchor = address.partition("#")
            file = page.parent / name if name else page
            leads = file.exists() and (not anchor or anchor in anchors(file))
            if not (leads or address.startswith("http")):
                broken.append(f"{page.relative_to(update_pages.ROOT)}: {address}")
    assert not broken


def test_pages_write_commands_as_an_installed_package_has_them():
    commands = [
        f"{page.relative_to(update_pages.ROOT)}: {command}"
        for page in ALL_PAGES
        for command in re.findall(r"python -m cliptail_jax.*", page.read_text(encoding="utf-8"))
    ]
    assert not commands, "write cliptail NAME"
