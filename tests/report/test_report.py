"""The report of a study, of made-up runs."""

import itertools
import json
import re

import numpy as np
import pytest
from ml_collections import ConfigDict

from cliptail_jax.claims.verdicts import ClaimResult, correct_for_number
from cliptail_jax.evaluation.results import class_results
from cliptail_jax.experiments import studies
from cliptail_jax.experiments.kinds import kind_name
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import format_number
from cliptail_jax.metrics.bootstrap import Estimate, mean_over_classes
from cliptail_jax.metrics.measures import MEASURES, Measure, summarize
from cliptail_jax.report import run_tables as tables
from cliptail_jax.report.claim_tables import claim_table, repeated_table
from cliptail_jax.report.forecasts import HEADER
from cliptail_jax.report.layout import Column
from cliptail_jax.report.page_tables import columns_of
from cliptail_jax.report.pictures import draw_claims, draw_kinds, draw_runs
from cliptail_jax.report.run_tables import run_table
from cliptail_jax.report.summary import plain_claims
from cliptail_jax.runs.log import Log
from cliptail_jax.study.sheets import StudyFigure, draw_figures
from tests.judged_pages import page_of
from tests.pages import rows_by_name, table_rows
from tests.synthetic_studies import (
    CLASSES,
    FREQUENCY,
    PER_CLASS,
    a_group_with_courses,
    a_mirrored_group,
    claim,
    confusion_of,
    make_seeded_study,
    make_study,
    read_report,
    run_study,
    write_run,
)


def test_report_has_the_runs_the_verdicts_the_picture_and_the_time(trains, pictures, tmp_path, capsys):
    trains[0].update(biased=0.8, fair=0.0, same=0.8)
    study = make_study(
        "biased",
        "fair",
        "same",
        accuracy=claim("corr_acc", "biased", "fair"),
        predictions=claim("corr_pred", "biased", "fair"),
        wrong_way=claim("corr_acc", "fair", "biased"),
        undecided=claim("corr_acc", "biased", "same"),
        equal=claim("corr_acc", "biased", "same", margin=0.9),
        tail=claim("tail", "fair", "biased"),
        top1=claim("top1", "same", "biased"),
    )
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)

    verdicts = ["supported", "supported", "contradicted", "inconclusive", "no effect", "supported", "inconclusive"]
    assert [c["verdict"] for c in report["claims"]] == verdicts
    rows = table_rows(text, "claim")
    assert [row["verdict"] for row in rows] == [row["corrected"] for row in rows] == verdicts
    first = report["claims"][0]["difference"]
    assert 0 < first["low"] <= first["value"] <= first["high"] and rows[0]["positive"] == "1 of 1"
    assert rows[0]["difference [95 %]"] == f"{first['value']:.2f} [{first['low']:.2f}, {first['high']:.2f}]"

    assert list(report["runs"]) == ["biased", "fair", "same"] and report["failures"] == {}
    s = report["runs"]["biased"]
    row = rows_by_name(text, "run")["biased"]
    assert (row["images"], row["top-1 %"]) == (f"{FREQUENCY.sum():,}", f"{s['top1']:.1f}")
    assert [row[group] for group in ("head", "mid", "tail")] == [f"{s[group]:.1f}" for group in ("head", "mid", "tail")]
    assert row["odds_acc [95 %]"].startswith(f"{s['odds_acc']:.2f} [")
    assert row["slope_acc [95 %]"].startswith(f"{s['slope_acc']:.1f} [")
    assert "Training took 4.5 minutes" in text
    assert pictures == [tmp_path / "figures" / "study"] and "(figures/study.png)" in text
    for output in (text, capsys.readouterr().out):
        assert "The intervals come from one seed or pair" in " ".join(output.split())


def test_several_seeds_are_reported_with_means_and_intervals(trains, pictures, tmp_path):
    slopes, run_names = trains
    slopes.update(biased=0.8, fair=0.0)
    claims = dict(accuracy=claim("corr_acc", "biased", "fair"), tail=claim("tail", "fair", "biased"))
    study = make_seeded_study(3, "biased", "fair", **claims)
    run_study(study, tmp_path)
    assert run_names == ["biased", "fair"] * 3 and study.seed == 3
    text, report = read_report(tmp_path)
    assert list(report["runs"]) == ["seed_3", "seed_4", "seed_5"]
    by_run = [[report["runs"][seed][run]["corr_acc"] for seed in report["runs"]] for run in ("biased", "fair")]
    values = np.array(by_run)
    assert len(set(by_run[0])) == 3
    accuracy, tail = report["claims"]
    np.testing.assert_allclose(accuracy["by_seed"], values.T)
    assert accuracy["difference"]["value"] == pytest.approx((values[0] - values[1]).mean())
    assert accuracy["difference"]["low"] < accuracy["difference"]["value"] < accuracy["difference"]["high"]
    row = table_rows(text, "claim")[0]
    assert (row["means"], row["positive"]) == (f"{values[0].mean():.2f} − {values[1].mean():.2f}", "3 of 3")
    bias = report["bias"]["biased"]["corr_acc"]
    assert bias["value"] == pytest.approx(values[0].mean()) and bias["low"] < bias["value"] < bias["high"]
    shown = rows_by_name(text, "run")["biased"]["corr_acc [95 %]"]
    assert shown == f"{bias['value']:.2f} [{bias['low']:.2f}, {bias['high']:.2f}]"
    assert set(pictures) == {tmp_path / "figures" / "claims", tmp_path / "figures" / "study"}
    assert tail["verdict"] == "supported" and "Means over 3 runs of each kind" in text
    assert "The intervals come from one seed" not in text


def test_undefined_numbers_are_dashes_and_their_claims_untested(trains, tmp_path):
    study = make_study("a", "b", c=claim("corr_acc", "a", "b"))
    collapsed = np.zeros((CLASSES, CLASSES), np.int64)
    collapsed[3:, 0] = PER_CLASS  # predicts one class, of which the set has no example
    write_run(study.runs.a, tmp_path / "a", confusion_of(0.5, 0))
    write_run(study.runs.b, tmp_path / "b", collapsed)
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    assert report["runs"]["b"]["corr_acc"] is None
    row = next(row for name, row in rows_by_name(text, "run").items() if name.startswith("b"))
    assert all(row[f"{key} [95 %]"] == "–" for key in ("f50", "slope_pred", "corr_acc"))
    assert row["slope_acc [95 %]"] == "0.0 [0.0, 0.0]" and "it is undefined for one of them" in text
    assert report["claims"][0]["verdict"] == "not tested"


def test_classes_that_slopes_leave_out_are_counted_under_the_table_of_runs(trains, tmp_path):
    """A claim is on the classes that both runs predict."""
    study = make_study("a", "b", "all", c=claim("slope_pred", "a", "b"))
    predicted = {}
    for seed, (name, rarest) in enumerate({"a": 12, "b": 5, "all": 0}.items()):
        confusion = confusion_of(0.1, seed)
        never = np.argsort(FREQUENCY)[:rarest]
        confusion[:, np.argmax(FREQUENCY)] += confusion[:, never].sum(axis=1)
        confusion[:, never] = 0
        write_run(study.runs[name], tmp_path / name, confusion)
        predicted[name] = confusion.sum(axis=0)
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    note = "more than a tenth in a (12 of 60), which slope_pred does not describe; at most 5 in others."
    assert f"which have no logarithm: {note} A claim compares" in text
    assert "slope_acc leaves out" not in text
    assert [report["bias"][name]["slope_pred"]["left_out"] for name in predicted] == [12, 5, 0]

    def slope(run, other):
        is_predicted = predicted[other] > 0
        return np.polyfit(np.log10(FREQUENCY[is_predicted]), np.log10(predicted[run][is_predicted]), 1)[0]

    assert report["bias"]["b"]["slope_pred"]["value"] == pytest.approx(slope("b", "b"))
    assert report["claims"][0]["by_seed"] == [pytest.approx([slope("a", "a"), slope("b", "a")])]
    assert abs(slope("b", "a") - slope("b", "b")) > 0.01


TOY = Measure(
    key="squared",
    title="squared accuracy",
    label="squared accuracy",
    unit="squares",
    format=".4f",
    meaning="mean of the squared accuracy",
    margin=0.001,
    variables=lambda results: (results.accuracy**2,),
    statistic=mean_over_classes,
    is_main=True,
)


def test_a_measure_is_one_entry(trains, tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(MEASURES, TOY.key, TOY)
    trains[0].update(a=0.0, b=0.8)
    run_study(make_study("a", "b", c=studies.claim("", "squared", "b", "a")), tmp_path)
    report, text = json.loads((tmp_path / "report.json").read_text()), (tmp_path / "report.md").read_text()
    accuracy = np.diagonal(confusion_of(0.8, 1)) / 50
    a, b = (report["runs"][name]["squared"] for name in "ab")
    difference = report["claims"][0]["difference"]
    assert difference["value"] == pytest.approx(b - a) and report["claims"][0]["margin"] == TOY.margin
    assert "squared accuracy [95 %]" in text and f"{b:.4f} [" in text and f"{difference['value']:.4f} [" in text
    page = page_of(tmp_path).read_text()
    assert "mean of the squared accuracy" in page and f"{b:.4f} [" in page and "squares" in page
    counts = {"confusion": confusion_of(0.8, 1), "top5": np.array(0)}
    summary = summarize(class_results(counts, None, None, {}))
    assert summary["squared"] == pytest.approx(np.mean(accuracy**2))
    with Log(tmp_path / "log", 8, 10, 0) as log:
        log.write_evaluation(10, "set", {"epoch": 1.0, **summary})
    assert f"squared {summary['squared']:.4f}" in capsys.readouterr().err


def test_a_column_of_the_table_of_runs_is_one_entry(trains, tmp_path, monkeypatch, capsys):
    """It is in report.md, on the terminal, on the page and in report.json."""
    toy = Column("tenth", "tenth images", "a tenth of the images", ",.2f", lambda group: group.images / 10)
    columns = tables.run_columns
    monkeypatch.setattr(tables, "run_columns", lambda: [*columns(), toy])
    trains[0].update(a=0.0, b=0.8)
    run_study(make_study("a", "b"), tmp_path)
    text, report = read_report(tmp_path)
    number_text = f"{FREQUENCY.sum() / 10:,.2f}"
    assert rows_by_name(text, "run")["a"]["tenth images"] == number_text
    assert "**tenth images**: a tenth of the images" in text
    assert report["means"]["b"]["tenth"] == FREQUENCY.sum() / 10
    assert re.search(rf" tenth\n.* images\na .* {number_text}\n", capsys.readouterr().out)
    page = page_of(tmp_path).read_text()
    assert (
        ">tenth images</button>" in page and f">{number_text}</td>" in page and "<b>tenth images</b>: a tenth" in page
    )


FIGURES = {
    "diversity": dict(columns=("group", "x"), rows=(("a", "SL", "0.7"), ("b", "SL", "0.8"), ("broken", "SL", "0.9"))),
    "scale": dict(columns=("group",), rows=(("a", "SL"), ("b", "SL"))),
}


def test_figures_show_the_finished_runs_of_every_seed_or_the_report_says_why_not(trains, tmp_path):
    trains[0].update(a=0.8, b=0.0, broken=UserError("the loss is nan"))
    study = make_seeded_study(2, "a", "b", "broken")
    study.figures = ConfigDict(FIGURES, sort_keys=False)
    with pytest.raises(UserError, match="failed: seed_3/broken, seed_4/broken, figure scale"):
        run_study(study, tmp_path)
    rows = [line.split("\t") for line in (tmp_path / "diversity.tsv").read_text().splitlines()]
    places = [[f"seed_{seed}/{run}", "SL", x] for run, x in (("a", "0.7"), ("b", "0.8")) for seed in (3, 4)]
    assert rows == [["run", "group", "x"], *places]
    assert (tmp_path / "figures/diversity.png").exists()  # the default is all formats
    assert (tmp_path / "figures/diversity.pdf").read_bytes().startswith(b"%PDF")
    assert "<svg" in (tmp_path / "figures/diversity.svg").read_text()
    text, report = read_report(tmp_path)
    assert "drawn from diversity.tsv](figures/diversity.png)" in text and "(figures/scale.png)" not in text
    remedy = "has no nc1 on glyphs:test: evaluate it with --config.eval.neural_collapse"
    assert remedy in report["failures"]["figure scale"]


def test_the_sheet_of_transfer_has_the_models_of_the_transfer_directories(tmp_path):
    figures = {"transfer": StudyFigure(columns=("label",), rows=(("a", "A"),))}
    figure_names, obstacles = draw_figures(figures, {"seed_0": ["a"]}, tmp_path)
    assert (tmp_path / "transfer.tsv").read_text() == "run\tmodel\tlabel\nseed_0/transfer\ta\tA\n"
    assert figure_names == [] and "has no results by probe" in obstacles["figure transfer"]
    assert draw_figures(figures, {"seed_0": []}, tmp_path)[1] == {"figure transfer": "its baseline a failed"}


def a_table():
    """Of four kinds, one of which has no bias in predictions."""
    kinds = {name: a_mirrored_group(i) for i, name in enumerate(("sl", "mine", "batch", "clip"))}
    kinds["clip"].estimates = {**kinds["clip"].estimates, "slope_pred": Estimate(np.nan)}
    for name, group in kinds.items():
        group.name, group.label = name, kind_name(name) or name
    return kinds, run_table([*kinds.values()], has_claims=False)


def test_a_line_leads_along_the_path_and_kinds_beside_it_are_hollow_below():
    kinds, table = a_table()
    figure = draw_kinds(table, ("batch", "failed", "sl", "clip"), "From SL to CLIP")
    names = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert names == ["softmax over the batch's classes", "SL", "CLIP", "mine"]
    for axes, key, steps in zip(figure.axes, ("odds_acc", "slope_pred"), (3, 2)):
        path, *points = axes.lines
        values = [kinds[name].estimates[key].value for name in ("batch", "sl", "clip")][:steps]
        np.testing.assert_allclose(np.transpose(path.get_data()), [*zip(values, range(steps))])
        hollow = [line.get_ydata()[0] for line in points if line.get_markerfacecolor() == "white"]
        assert hollow == [3]
        assert [text.get_text() for text in axes.texts] == ["0: no bias"]
    without_path = draw_kinds(table, (), "Four kinds")
    assert [text.get_text() for text in without_path.axes[0].get_yticklabels()][1] == "mine"
    assert not any(line.get_markerfacecolor() == "white" for axes in without_path.axes for line in axes.lines)


def test_pictures_leave_out_an_f50_beyond_the_frequencies_and_name_kinds():
    kinds, _ = a_table()
    kinds["clip"].odds_line = (-5.0, 1e-3)
    runs = draw_runs(kinds, "By hand")
    marks = [line for axes in runs.axes for line in axes.lines if line.get_marker() == "|"]
    assert len(marks) == 2
    assert [text.get_text() for text in runs.legends[0].texts] == [group.label for group in kinds.values()]


def test_claims_are_drawn_by_their_sentences_and_what_tells_them_apart():
    def tested(text, statistic, higher="sl", **options):
        return ClaimResult(
            text, statistic, higher, "clip", difference=Estimate(1.0, 0.5, 1.5), corrected="supported", **options
        )

    first, other = "SL is more biased than CLIP", "SL is less accurate"
    claims = [tested(first, "odds_acc"), tested(first, "odds_acc", condition="equal accuracy"), tested(other, "top1")]
    twice = [tested(other, "top1"), tested(other, "top1", higher="batch")]
    labels = [[text.get_text().replace("\n", " ") for text in axes.get_yticklabels()]
              for axes in (*draw_claims({"": claims}, "").axes, *draw_claims({"": twice}, "").axes)]  # fmt: skip
    assert labels == [
        [f"{first} (odds_acc)", f"{first} (odds_acc at equal accuracy)"],
        [other],
        [f"{other} (sl − clip)", f"{other} (batch − clip)"],
    ]
    panels = draw_claims({"glyphs": claims[2:], "icons": claims[2:]}, "").axes
    assert [axes.get_title() for axes in panels] == ["glyphs", "icons"]
    assert [text.get_text() for text in panels[0].get_yticklabels()] == [other]


def test_the_path_of_a_group_is_drawn():
    group = a_group_with_courses()
    axes = draw_runs({"made": group}, "By hand").axes[0]
    path, *_ = (line for line in axes.lines if len(line.get_xdata()) == 2)
    np.testing.assert_allclose(np.transpose(path.get_data()), group.path("odds_acc"))


def test_titles_name_paths_only_if_there_are_some():
    titles = [axes.get_title() for axes in draw_runs({"made": a_group_with_courses()}, "By hand").axes]
    assert [title.endswith("with paths") for title in titles] == [True, True, False, False, False]
    without_paths = draw_runs({"made": a_mirrored_group()}, "By hand")
    assert not any("path" in axes.get_title() for axes in without_paths.axes)


def test_no_title_is_cut_or_meets_another():
    figure = draw_runs({"made": a_group_with_courses()}, "A long title of a study of many kinds of runs " * 5)
    figure.draw_without_rendering()
    titles = [figure._suptitle, *(axes.title for axes in figure.axes)]
    boxes = [title.get_window_extent() for title in titles]
    assert all(figure.bbox.contains(*box.min) and figure.bbox.contains(*box.max) for box in boxes)
    assert not any(box.overlaps(other) for box, other in itertools.combinations(boxes, 2))


def test_runs_are_a_table_and_so_are_the_verdicts_and_the_last_lines_say_where_the_report_is(
    trains, tmp_path, capsys, monkeypatch
):
    """In a terminal of 80 columns."""
    monkeypatch.setenv("COLUMNS", "80")
    trains[0].update(biased=0.8, fair=0.0)
    claims = dict(
        tail=claim("tail", "fair", "biased", set="glyphs:test"),
        long=claim("corr_acc", "biased", "fair") | {"text": "One leans " + "so very much " * 6 + "more than another"},
        other=claim("corr_pred", "fair", "biased"),
    )
    run_study(make_seeded_study(2, "biased", "fair", **claims), tmp_path)
    lines = capsys.readouterr().out.split("report.html\n", maxsplit=1)[1].splitlines()
    assert "|" not in "".join(lines) and "**" not in "".join(lines)
    assert max(map(len, lines[:-2])) <= 80  # paths may be longer
    assert lines[-2:] == [f"Results:      {tmp_path}/report.md", f"To see them:  file://{tmp_path}/report.html"]

    report = read_report(tmp_path)[1]
    assert lines[lines.index("By hand") + 2].startswith("The more biased by the estimate of odds_acc is biased: tail ")
    start = next(number for number, line in enumerate(lines) if line.split()[:2] == ["top-1", "odds"])
    upper, lower, *runs = lines[start : start + 4]
    assert upper.split() == ["top-1", "odds", "slope", "slope"]  # for more there is no space
    assert lower.split() == ["run", "images", "%", "acc", "f50", "pred", "head", "mid", "tail", "acc", "minutes"]
    for name, row in zip(("biased", "fair"), runs, strict=True):
        assert row.split()[0] == name and len(row) == len(lower)
        assert row.split()[3:6] == [
            format_number(report["bias"][name][key]["value"], spec) for key, spec in SHOWN.items()
        ]

    table = lines[next(i for i, line in enumerate(lines) if line.startswith("difference ")) :]
    place, column = table[0].index("verdict"), table[0].index("claim")
    verdicts = [line for line in table[1 : table.index("")] if not line.startswith(" ")]
    assert [line[place:column].strip() for line in verdicts] == [c["verdict"] for c in report["claims"]]
    difference = report["claims"][0]["difference"]
    text = f"{difference['value']:.1f} [{difference['low']:.1f}, {difference['high']:.1f}]"
    assert verdicts[0][:place].rstrip() == text
    texts = " ".join(line[column:] for line in table[1 : table.index("")])
    assert "tail on glyphs:test: fair − biased" in texts
    assert "so very much more than another corr_acc: biased − fair" in texts


SHOWN = {"odds_acc": ".2f", "f50": ",.1f", "slope_pred": ".2f"}


def test_claims_that_are_tested_under_several_recipes_have_a_row_with_their_agreement():
    def tested(text, value, **options):
        interval = Estimate(value, value - 1.0, value + 1.0)
        return ClaimResult(text, "odds_acc", "a", "b", 0.2, difference=interval, **options)

    claims = [tested("more biased", value) for value in (2.0, 0.5, -0.5, -3.0, 1.5)]
    claims += [tested("as biased", value, equal=True) for value in (0.0, 4.0)] + [tested("once", 2.0)]
    claims.append(ClaimResult("more biased", "odds_acc", "a", "b", obstacle="not trained"))
    more, same = columns_of(repeated_table(claims))[1]
    assert more == ["more biased", 5, 1, 0.6, 0.4, 0.0, 0.4, 0.2, 0.5, -3.0, 2.0]
    assert same == ["as biased", 2, None, None, 0.0, 0.0, 0.5, 0.5, 2.0, 0.0, 4.0]


def test_a_verdict_that_does_not_hold_with_all_others_is_marked():
    """One interval of five barely excludes 0: corrected for their number, it would be half as long again."""
    results = [
        ClaimResult("One leans", "corr_acc", "a", "b", difference=Estimate(x, x - 1.0, x + 1.0))
        for x in (1.1, 9, 0, 0, 0)
    ]
    lines = plain_claims(claim_table(correct_for_number(results)), 80)
    verdicts = [line.split("]")[1].split()[0] for line in lines[1:] if "]" in line]
    assert verdicts == ["supported*", "supported", *["inconclusive"] * 3]
    assert lines[-1] == "* inconclusive when corrected for the number of claims"


def test_a_studys_report_has_its_forecasts_beside_what_training_gave(trains, tmp_path, capsys):
    trains[0].update(a=0.8, b=0.0)
    study = make_seeded_study(2, "a", "b", one=claim("odds_acc", "a", "b"))
    run_study(study, tmp_path)
    assert "forecast" not in (tmp_path / "report.md").read_text()
    numbers = {"a": 2.5, "b": 1.25, "c": 0.0}  # from the logits of a
    lines = ["\t".join(HEADER), *("\t".join([name, *[f"{x}"] * (len(HEADER) - 1)]) for name, x in numbers.items())]
    (tmp_path / "forecasts.tsv").write_text("\n".join(lines) + "\n")
    run_study(study, tmp_path)
    text = (tmp_path / "report.md").read_text()
    runs, forecasts = text.split("| run | prior |")
    (row,) = table_rows(f"| run | prior |{forecasts}", "run")
    odds = rows_by_name(runs, "run")["b"]["odds_acc [95 %]"]
    assert (row["run"], row["prior"], row["odds_acc: forecast"]) == ("b", "1.25", "1.25") and row[
        "odds_acc: trained"
    ] == odds
    assert "odds_acc: forecast" in page_of(tmp_path).read_text()
    slower = "less accurate than forecast, so that bias may differ, too: b."
    assert slower not in text
    (tmp_path / "forecasts.tsv").write_text("\n".join(lines).replace("1.25", "99") + "\n")
    run_study(study, tmp_path)
    assert slower in (tmp_path / "report.md").read_text()
    for content in ("\t".join(HEADER), "\n".join(["\t".join(HEADER), "a\t2.3\t1", "b\t0\t0"])):  # none, or priors alone
        (tmp_path / "forecasts.tsv").write_text(content + "\n")
        run_study(study, tmp_path)
        assert "forecast" not in (tmp_path / "report.md").read_text()
