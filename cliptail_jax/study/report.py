"""The report of a study: report.md for people, report.json for programs, and pictures."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptail_jax.files import write_json, write_text
from cliptail_jax.plotting.style import save
from cliptail_jax.report.comparison import BIAS, mean_of
from cliptail_jax.report.left_out import left_out_notes
from cliptail_jax.runs.provenance import command
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number, markdown_table
from cliptail_jax.study.claims import ClaimResult
from cliptail_jax.study.claims_figure import draw_claims
from cliptail_jax.study.kinds import Kind
from cliptail_jax.study.path_figure import draw_path
from cliptail_jax.study.runs_figure import draw_runs
from cliptail_jax.study.stated_claims import CLAIM, RUNS
from cliptail_jax.study.statistics import SLOPES, STATISTICS
from cliptail_jax.study.trained_run import Runs, TrainedRun
from cliptail_jax.transfer.report import TITLES
from cliptail_jax.transfer.results import Result

# Marks of claims by what has changed after the first run.
MARKS = {CLAIM: "†", RUNS: "‡"}


def write_report(
    title: str,
    seeds: Mapping[str, Runs],
    kinds: Mapping[str, Kind],
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
        seeds: the trained runs by the names of the seeds' directories; the only one of a study without seeds is ''.
        kinds: the same runs by their names.
        failures: why runs, transfers or figures failed.
        claims: the tested claims by key.
        changes: what of the claims has changed after the first run, by their keys, as `changes_of_claims` returns it.
        path: names of kinds, if the study compares them as steps of a path.
        figures: names of the paper's figures that have been drawn in `workdir`/figures.
        seconds: duration of this call.
        commands: those that train a run of the study alone, by its name, where they are known.
        workdir: the study's directory.
    """
    pictures = draw_pictures(title, kinds, list(claims.values()), path, "" not in seeds, workdir / "figures")
    text = markdown(title, seeds, kinds, failures, claims, changes, seconds) + pictures
    text += "".join(f"\n![The paper's figure {name}, drawn from {name}.tsv](figures/{name}.png)\n" for name in figures)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / "report.md", text)
    by_seed = {seed: {name: run_numbers(run) for name, run in runs.items()} for seed, runs in seeds.items()}
    content = {
        "title": title,
        "runs": by_seed.get("", by_seed),
        "bias": {name: bias_numbers(kind) for name, kind in kinds.items()},
        "failures": failures,
        "claims": [
            dataclasses.asdict(claim)
            | {"difference": claim.difference and claim.difference._asdict(), "verdict": claim.verdict}
            | {"p_value": claim.difference and claim.p_value, "stated_before": changes.get(key) != CLAIM}
            | {"runs_changed": changes.get(key) == RUNS}
            | {"unit": STATISTICS[claim.statistic].unit}
            for key, claim in claims.items()
        ],
        "seconds": seconds,
        "command": command(),
        "commands": dict(commands),
    }
    write_json(workdir / "report.json", content)
    return text


def run_numbers(run: TrainedRun) -> dict:
    """The content of report.json for a run."""
    evaluation = run.evaluation()
    measured = {"images": run.images, "seconds": run.seconds, "warnings": list(run.warnings)}
    measured["transfer"] = list(run.transfer_results)
    return (evaluation.summary if evaluation else {}) | measured


def bias_numbers(kind: Kind) -> dict[str, dict]:
    """The statistics of a kind of runs; slopes with the number of classes that they leave out."""
    without = {key: {"left_out": number} for key, number in kind.left_out.items()}
    return {key: value._asdict() | without.get(key, {}) for key, value in kind.bias.items()}


def draw_pictures(
    title: str,
    kinds: Mapping[str, Kind],
    claims: Sequence[ClaimResult],
    path: Sequence[str],
    several: bool,
    folder: Path,
) -> str:
    """Draw the runs of a study, its path if it has one and, if it has seeds, its claims.

    Returns the Markdown that shows the pictures.
    """
    pictures = []
    if shown := {name: kind for name, kind in kinds.items() if kind.evaluations}:
        save(draw_runs(shown, title), folder / "study")
        caption = "slopes and correlations against accuracy, and accuracy by class frequency"
        pictures.append(f"\n![{caption}](figures/study.png)\n")
        if path:
            save(draw_path(shown, path, title), folder / "path")
            pictures.append("\n![slopes against accuracy, with arrows along the path](figures/path.png)\n")
    if several and (tested := [claim for claim in claims if claim.difference is not None]):
        save(draw_claims(tested, title), folder / "claims")
        pictures.append("\n![the differences that are claimed, with their intervals](figures/claims.png)\n")
    return "".join(pictures)


def markdown(
    title: str,
    seeds: Mapping[str, Runs],
    kinds: Mapping[str, Kind],
    failures: Mapping[str, str],
    claims: Mapping[str, ClaimResult],
    changes: Mapping[str, str],
    seconds: float,
) -> str:
    """The text of the report, without pictures."""
    several, pairs = len(seeds) > 1, sum(f"{name}_mirrored" in seeds for name in seeds)
    header = ["run", "images", "top-1 %", "head", "mid", "tail", *(f"{key} [95 %]" for key in BIAS), "minutes"]
    lines = [
        f"# {title}",
        "",
        *markdown_table([header, *(run_row(name, kind) for name, kind in kinds.items())]),
        *left_out_line(kinds, several, bool(claims)),
        *(f"\n**{name} failed**: {reason}" for name, reason in failures.items()),
        *(f"\n**{name}**: {text}" for name, kind in kinds.items() for run in kind.trained for text in run.warnings),
        *transfer_section({name: kind.trained for name, kind in kinds.items()}, several),
        "",
        *(claims_table(claims, changes, several) if claims else ["Nothing is claimed of these runs."]),
        "",
    ]
    evaluated = dict.fromkeys(run.evaluated_on for kind in kinds.values() for run in kind.evaluations)
    trained = [run for kind in kinds.values() for run in kind.trained]
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


def left_out_line(kinds: Mapping[str, Kind], several: bool, has_claims: bool) -> list[str]:
    """A paragraph on the classes that slopes leave out, if there are any."""
    left_out = {key: {name: kind.left_out[key] for name, kind in kinds.items()} for key in SLOPES}
    classes = {name: len(kind.evaluations[0].class_names) for name, kind in kinds.items() if kind.evaluations}
    notes = left_out_notes(left_out, classes, several, has_claims)
    return ["", " ".join(notes)] if notes else []


def run_row(name: str, kind: Kind) -> list[str]:
    """The cells of a kind of runs."""
    summaries = [run.summary for run in kind.evaluations]
    cells = [format_number(mean_of([s[key] for s in summaries]), ".1f") for key in ("top1", "head", "mid", "tail")]
    for key, estimate in kind.bias.items():
        cells.append(format_interval(estimate.value, (estimate.low, estimate.high), STATISTICS[key].format))
    images, minutes = mean_of([run.images for run in kind.trained]), mean_of([run.seconds / 60 for run in kind.trained])
    return [name, f"{images:,.0f}", *cells, f"{minutes:.1f}"]


def claims_table(claims: Mapping[str, ClaimResult], changes: Mapping[str, str], several: bool) -> list[str]:
    """A row for each claim; with several seeds also the means of both runs, and the number of positive differences."""
    rows = [
        ["claim", *(["means", "positive"] if several else []), "difference [95 %]", "margin", "verdict", "corrected"]
    ]
    for key, c in claims.items():
        digits = STATISTICS[c.statistic].format
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


def transfer_section(by_name: Mapping[str, Sequence[TrainedRun]], several: bool) -> list[str]:
    """A row for each run, and a column for each set and method; nothing if there are no transfer results."""
    results = [result for runs in by_name.values() for run in runs for result in run.transfer_results]
    columns = list(dict.fromkeys((result["set"], result["method"]) for result in results))
    if not columns:
        return []
    rows = [["run", *(f"{on}: {TITLES[method].lower()} %" for on, method in columns)]]
    for name, runs in by_name.items():
        of_run = [result for run in runs for result in run.transfer_results]
        if of_run:
            of_columns = ([r for r in of_run if (r["set"], r["method"]) == column] for column in columns)
            rows.append([name, *map(score, of_columns)])
    where = "transfer/report.md of each seed" if several else "[transfer/report.md](transfer/report.md)"
    return ["", *markdown_table(rows), "", f"More of the transfer: {where}"]


def score(results: Sequence[Result]) -> str:
    """The mean score over seeds; of one result with its margin, if it has one."""
    margin = f" ± {results[0]['margin']:.1f}" if len(results) == 1 and "margin" in results[0] else ""
    return format_number(mean_of([result["score"] for result in results]), ".1f") + margin
