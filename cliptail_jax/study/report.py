"""The report of a study: report.md for people, report.json for programs, and pictures."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptail_jax.files import write_json, write_text
from cliptail_jax.metrics.measures import MEASURES, format_of, main_measures
from cliptail_jax.plotting.style import save
from cliptail_jax.report.left_out import left_out_notes
from cliptail_jax.results.group import RunGroup, groups_of, mean_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.transfers import METHODS, Transfer
from cliptail_jax.runs.provenance import command
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number, markdown_table
from cliptail_jax.study.claims import ClaimResult, Replicate
from cliptail_jax.study.claims_figure import draw_claims
from cliptail_jax.study.path_figure import draw_path
from cliptail_jax.study.runs_figure import draw_runs
from cliptail_jax.study.stated_claims import CLAIM, RUNS

# Marks of claims by what has changed after the first run.
MARKS = {CLAIM: "†", RUNS: "‡"}
Groups = Mapping[str, RunGroup]  # by name


def write_report(
    title: str,
    replicates: Sequence[Replicate],
    seeds: Sequence[str],
    failures: Mapping[str, str],
    claims: Mapping[str, ClaimResult],
    changes: Mapping[str, str],
    path: Sequence[str],
    figures: Sequence[str],
    seconds: float,
    commands: Mapping[str, str],
    workdir: Path,
) -> str:
    """Write the report, and return its text.

    Args:
        title: of the study.
        replicates: the trained runs of each seed or mirrored pair.
        seeds: the names of their directories; the only one of a study without seeds is ''.
        failures: why runs, transfers or figures failed.
        claims: the tested claims by key.
        changes: which claims were changed after the first run and how, by their keys, as `changes_of_claims` returns it.
        path: names of runs, if the study compares them as steps of a path.
        figures: names of the paper's figures that have been drawn in `workdir`/figures.
        seconds: duration of this call.
        commands: those that train a run of the study alone, by its name, where they are known.
        workdir: the study's directory.
    """
    groups = groups_of(replicates)
    numbers = [claim_numbers(claim, changes.get(key)) for key, claim in claims.items()]
    pictures = draw_pictures(title, groups, numbers, path, "" not in seeds, workdir / "figures")
    text = markdown(title, groups, seeds, failures, claims, changes, seconds) + pictures
    text += "".join(f"\n![The paper's figure {name}, drawn from {name}.tsv](figures/{name}.png)\n" for name in figures)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / "report.md", text)
    every = [runs for replicate in replicates for runs in replicate]
    by_seed = {seed: {name: run_numbers(run) for name, run in runs.items()} for seed, runs in zip(seeds, every)}
    content = {
        "title": title,
        "runs": by_seed.get("", by_seed),
        "bias": {name: bias_numbers(group) for name, group in groups.items()},
        "failures": failures,
        "claims": numbers,
        "seconds": seconds,
        "command": command(),
        "commands": dict(commands),
    }
    write_json(workdir / "report.json", content)
    return text


def run_numbers(run: Run) -> dict:
    """The content of report.json for a run."""
    measured = {"images": run.images, "seconds": run.seconds, "warnings": run.warnings}
    return {**run.summary, **measured, "transfer": list(run.transfers)}


def bias_numbers(group: RunGroup) -> dict[str, dict]:
    """The measures of a group of runs; slopes with the number of classes that they leave out."""
    return {
        key: estimate._asdict() | ({"left_out": group.left_out(key)} if MEASURES[key].left_out else {})
        for key, estimate in group.bias.items()
    }


def claim_numbers(claim: ClaimResult, change: str | None) -> dict:
    """The content of report.json for a claim."""
    return dataclasses.asdict(claim) | {
        "difference": claim.difference and claim.difference._asdict(),
        "verdict": claim.verdict,
        "p_value": claim.difference and claim.p_value,
        "stated_before": change != CLAIM,
        "runs_changed": change == RUNS,
        "unit": MEASURES[claim.statistic].unit,
    }


def draw_pictures(
    title: str,
    groups: Groups,
    claims: Sequence[Mapping],
    path: Sequence[str],
    several: bool,
    folder: Path,
) -> str:
    """Draw the runs of a study, its path if it has one and, if it has seeds, its claims.

    Returns the Markdown that shows the pictures.
    """
    pictures = []
    if shown := {name: group for name, group in groups.items() if group.evaluations}:
        save(draw_runs(shown, title), folder / "study")
        caption = "slopes and correlations against accuracy, and accuracy by class frequency"
        pictures.append(f"\n![{caption}](figures/study.png)\n")
        if path:
            save(draw_path(shown, path, title), folder / "path")
            pictures.append("\n![slopes against accuracy, with arrows along the path](figures/path.png)\n")
    if several and (tested := [claim for claim in claims if claim["difference"]]):
        save(draw_claims(tested, title), folder / "claims")
        pictures.append("\n![the differences that are claimed, with their intervals](figures/claims.png)\n")
    return "".join(pictures)


def markdown(
    title: str,
    groups: Groups,
    seeds: Sequence[str],
    failures: Mapping[str, str],
    claims: Mapping[str, ClaimResult],
    changes: Mapping[str, str],
    seconds: float,
) -> str:
    """The text of the report, without pictures."""
    several, pairs = len(seeds) > 1, sum(f"{name}_mirrored" in seeds for name in seeds)
    measures = [f"{measure.title} [95 %]" if measure.has_interval else measure.title for measure in main_measures()]
    header = ["run", "images", *measures, "minutes"]
    lines = [
        f"# {title}",
        "",
        *markdown_table([header, *map(run_row, groups.values())]),
        *left_out_line(groups, several, bool(claims)),
        *(f"\n**{name} failed**: {reason}" for name, reason in failures.items()),
        *(f"\n**{name}**: {text}" for name, group in groups.items() for run in group.runs for text in run.warnings),
        *transfer_section(groups, several),
        "",
        *(claims_table(claims, changes, several) if claims else ["Nothing is claimed of these runs."]),
        "",
    ]
    evaluated = dict.fromkeys(evaluation.on for group in groups.values() for evaluation in group.evaluations)
    trained = [run for group in groups.values() for run in group.runs]
    notes = []
    if evaluated:
        notes.append(f"Evaluated on {', '.join(evaluated)}.")
    if several:
        notes.append(f"Means over {len(seeds)} runs of each kind.")
    if pairs:
        notes.append(
            f"They are {pairs} mirrored {'pair' if pairs == 1 else 'pairs'}: in the second run of a pair, the order of class "
            "frequencies is reversed, so each class is as often rare as frequent. Slopes have fixed effects of classes."
        )
    notes.append(
        "slope_acc is points of accuracy per decade of class frequency, and slope_pred decades of predictions per decade, "
        "over the classes that have a logarithm of both; corr_acc and corr_pred are Spearman's correlations of class "
        f"frequency with accuracy and with predictions. Intervals are bootstrap intervals over classes"
        f"{', widened by the variance between seeds' if several and pairs != 1 else ''}."
    )
    if claims:
        notes.append(
            "A claim is supported where the interval of the paired difference lies above 0, contradicted where it lies "
            "below, has no effect where it lies within ± the margin, and else is inconclusive. The last column is "
            "corrected for the number of claims, so that all its verdicts hold together with 95 % confidence (Holm, 1979)."
        )
        late, changed = (sum(what == of for what in changes.values()) for of in (CLAIM, RUNS))
        notes.append(
            f"{late} of the claims, marked {MARKS[CLAIM]}, were added or changed after the first run, the others stated "
            "before it."
            if late
            else "The claims with statistic, direction and margin were stated before the first run (claims.json)."
        )
        if changed:
            notes.append(
                f"{changed} of the claims, marked {MARKS[RUNS]}, compare runs whose configs were changed after the first run."
            )
    notes.append(
        f"Training took {sum(run.seconds for run in trained) / 60:.1f} minutes; this call took {seconds / 60:.1f}."
    )
    return "\n".join([*lines, " ".join(notes)]) + "\n"


def left_out_line(groups: Groups, several: bool, has_claims: bool) -> list[str]:
    """A paragraph on the classes that slopes leave out, if there are any."""
    leaving = [key for key, measure in MEASURES.items() if measure.left_out]
    left_out = {key: {name: group.left_out(key) for name, group in groups.items()} for key in leaving}
    classes = {name: len(group.evaluations[0].class_names) for name, group in groups.items() if group.evaluations}
    notes = left_out_notes(left_out, classes, several, has_claims)
    return ["", " ".join(notes)] if notes else []


def run_row(group: RunGroup) -> list[str]:
    """The cells of a group of runs."""
    cells = []
    for measure in main_measures():
        value, interval = group.value(measure.key), group.interval(measure.key) if measure.has_interval else None
        cells.append(
            format_interval(value, interval, measure.format) if interval else format_number(value, measure.format)
        )
    return [group.name, f"{group.images:,.0f}", *cells, f"{group.minutes:.1f}"]


def claims_table(claims: Mapping[str, ClaimResult], changes: Mapping[str, str], several: bool) -> list[str]:
    """A row for each claim; with several seeds also the means of both runs, and the number of positive differences."""
    rows = [
        ["claim", *(["means", "positive"] if several else []), "difference [95 %]", "margin", "verdict", "corrected"]
    ]
    for key, c in claims.items():
        digits = format_of(c.statistic)
        difference = c.obstacle
        if c.difference:
            difference = format_interval(c.difference.value, (c.difference.low, c.difference.high), digits)
        means = [format_number(mean_of(values), digits) for values in zip(*c.by_seed)] or [UNDEFINED] * 2
        positive = f"{sum(a > b for a, b in c.by_seed)} of {len(c.by_seed)}"
        statistic = f"{c.statistic} on {c.on}" if c.on else c.statistic
        claim = f"{c.text}{MARKS.get(changes.get(key), '')} ({statistic}: {c.higher} − {c.lower})"
        cells = [" − ".join(means), positive] if several else []
        rows.append([claim, *cells, difference, f"{c.margin:g}", f"**{c.verdict}**", c.corrected])
    return markdown_table(rows)


def transfer_section(groups: Groups, several: bool) -> list[str]:
    """A row for each group of runs, and a column for each set and method; nothing if there are no transfer results."""
    by_name = {name: [result for run in group.runs for result in run.transfers] for name, group in groups.items()}
    results = [result for of_name in by_name.values() for result in of_name]
    columns = list(dict.fromkeys((result["set"], result["method"]) for result in results))
    if not columns:
        return []
    rows = [["run", *(f"{on}: {METHODS[method].lower()} %" for on, method in columns)]]
    for name, own in by_name.items():
        if own:
            cells = ([r for r in own if (r["set"], r["method"]) == column] for column in columns)
            rows.append([name, *map(score, cells)])
    where = "transfer/report.md of each seed" if several else "[transfer/report.md](transfer/report.md)"
    return ["", *markdown_table(rows), "", f"More of the transfer: {where}"]


def score(results: Sequence[Transfer]) -> str:
    """The mean score over seeds; of one result with its margin, if it has one."""
    margin = f" ± {results[0]['margin']:.1f}" if len(results) == 1 and "margin" in results[0] else ""
    return format_number(mean_of([result["score"] for result in results]), ".1f") + margin
