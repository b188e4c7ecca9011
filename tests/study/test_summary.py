"""What a study prints at its end, on synthetic runs."""

import pytest

from cliptail_jax.errors import UserError
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.results.claims import ClaimResult, correct_for_number
from cliptail_jax.runs.tables import format_number
from cliptail_jax.study.run import run_study
from cliptail_jax.study.summary import claims_table
from tests.study.synthetic_studies import claim, make_seeded_study, make_study, make_transfer_study, read_report


@pytest.fixture
def printed(capsys, monkeypatch):
    """The lines that a call prints after the address of the page, to a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")

    def lines_of(study, workdir):
        try:
            run_study(study, workdir)
        except UserError:
            pass
        return capsys.readouterr().out.split("report.html\n", maxsplit=1)[1].splitlines()

    return lines_of


def test_runs_are_a_table_and_so_are_the_verdicts_and_the_last_lines_say_where_the_report_is(trains, printed, tmp_path):
    trains[0].update(biased=0.8, fair=0.0)
    claims = dict(
        tail=claim("tail", "fair", "biased", set="glyphs:test"),
        long=claim("corr_acc", "biased", "fair") | {"text": "One leans " + "so very much " * 6 + "more than another"},
        other=claim("corr_pred", "fair", "biased"),
    )
    lines = printed(make_seeded_study(2, "biased", "fair", **claims), tmp_path)
    assert "|" not in "".join(lines) and "**" not in "".join(lines)
    assert max(map(len, lines[:-2])) <= 80  # paths may be longer
    assert lines[-2:] == [f"Results:      {tmp_path}/report.md", f"To see them:  file://{tmp_path}/report.html"]

    report = read_report(tmp_path)[1]
    start = lines.index("By hand")
    above, below, *runs = lines[start + 2 : start + 6]
    assert above.split() == ["top-1", "odds", "slope", "slope"]  # for more there is no space
    assert below.split() == ["run", "images", "%", "acc", "f50", "pred", "head", "mid", "tail", "acc", "minutes"]
    for name, row in zip(("biased", "fair"), runs, strict=True):
        assert row.split()[0] == name and len(row) == len(below)
        assert row.split()[3:6] == [
            format_number(report["bias"][name][key]["value"], spec) for key, spec in SHOWN.items()
        ]

    table = lines[next(i for i, line in enumerate(lines) if line.startswith("verdict ")) :]
    column = table[0].index("claim")
    verdicts = [line for line in table[1 : table.index("")] if not line.startswith(" ")]
    assert [line.split()[0] for line in verdicts] == [c["verdict"] for c in report["claims"]]
    difference = report["claims"][0]["difference"]
    shown = f"{difference['value']:.1f} [{difference['low']:.1f}, {difference['high']:.1f}]"
    assert verdicts[0][:column].split(maxsplit=1)[1].rstrip() == shown
    texts = " ".join(line[column:] for line in table[1 : table.index("")])
    assert "tail on glyphs:test: fair − biased" in texts
    assert "so very much more than another corr_acc: biased − fair" in texts


SHOWN = {"odds_acc": ".2f", "f50": ",.1f", "slope_pred": ".2f"}


def test_what_holds_only_in_part_is_marked_and_what_failed_is_named(trains, printed, tmp_path):
    """A claim that was added after the first run; one that could not be tested."""
    trains[0].update(a=0.5, b=0.1, broken=RuntimeError("out of memory"))
    first = dict(one=claim("corr_acc", "a", "b"))
    printed(make_study("a", "b", "broken", **first), tmp_path)
    lines = printed(make_study("a", "b", "broken", late=claim("tail", "b", "broken"), **first), tmp_path)
    text = "\n".join(line.strip() for line in lines)
    assert "One leans more than the other†\ntail: b − broken\nbroken failed or is not trained\n" in text
    assert "† added or changed after the first run" in lines
    assert "broken failed: RuntimeError: out of memory" in lines


def test_a_verdict_that_does_not_hold_with_all_others_is_marked():
    """One interval of five barely excludes 0: corrected for their number, it would be half as long again."""
    made = [
        ClaimResult("One leans", "corr_acc", "a", "b", difference=Estimate(x, x - 1.0, x + 1.0))
        for x in (1.1, 9, 0, 0, 0)
    ]
    lines = claims_table(dict(enumerate(correct_for_number(made))), 80)
    verdicts = [line.split()[0] for line in lines[1:] if line.strip(" ") and line[0] != " "]
    assert verdicts[:5] == ["supported*", "supported", *["inconclusive"] * 3]
    assert lines[-1] == "* inconclusive when corrected for the number of claims"


def test_the_transfer_of_the_runs_is_a_table_too(trains, probes, printed, tmp_path):
    trains[0].update(a=0.5, b=0.1, dino=0.0)
    probes[0].update(a=0.9, b=0.6, dino=0.7)
    lines = printed(make_transfer_study("a", "b", "dino"), tmp_path)
    header = next(i for i, line in enumerate(lines) if "cifar100: linear probe %" in line)
    assert [line.split() for line in lines[header + 1 : header + 4]] == [["a", "90.0"], ["b", "60.0"], ["dino", "70.0"]]
