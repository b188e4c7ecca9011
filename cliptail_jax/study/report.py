"""The report of a study: report.md for people, report.json for programs, and a picture."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.files import write_json, write_text
from cliptail_jax.plotting.style import save
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number, markdown_table
from cliptail_jax.study.claims import ClaimResult
from cliptail_jax.study.claims_figure import draw_claims
from cliptail_jax.study.runs_figure import draw_runs
from cliptail_jax.study.statistics import STATISTICS
from cliptail_jax.study.trained_run import Runs, TrainedRun
from cliptail_jax.transfer.report import TITLES
from cliptail_jax.transfer.results import Result

# How a run follows class frequency, with formats.
BIAS = {"slope_acc": ".1f", "slope_pred": ".2f", "corr_acc": ".2f", "corr_pred": ".2f"}


def write_report(
    title: str,
    seeds: Mapping[str, Runs],
    failures: Mapping[str, str],
    claims: Sequence[ClaimResult],
    figures: Sequence[str],
    seconds: float,
    workdir: Path,
) -> str:
    """Write the report, and return its text.

    Args:
        title: of the study.
        seeds: the trained runs by the names of the seeds' directories; the only one of a study without seeds is ''.
        failures: why runs, transfers or figures failed.
        claims: the tested claims.
        figures: names of the paper's figures that have been drawn in `workdir`/figures.
        seconds: duration of this call.
        workdir: the study's directory.
    """
    picture = draw_picture(title, seeds, claims, workdir / "figures")
    text = markdown(title, list(seeds.values()), failures, claims, seconds) + picture
    text += "".join(f"\n![The paper's figure {name}, drawn from {name}.tsv](figures/{name}.png)\n" for name in figures)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / "report.md", text)
    by_seed = {seed: {name: run_numbers(run) for name, run in runs.items()} for seed, runs in seeds.items()}
    content = {
        "title": title,
        "runs": by_seed.get("", by_seed),
        "failures": failures,
        "claims": [
            dataclasses.asdict(c) | {"difference": c.difference and c.difference._asdict(), "verdict": c.verdict}
            for c in claims
        ],
        "seconds": seconds,
    }
    write_json(workdir / "report.json", content)
    return text


def run_numbers(run: TrainedRun) -> dict:
    """The content of report.json for a run."""
    evaluation = run.evaluation()
    measured = {"images": run.images, "seconds": run.seconds, "warnings": list(run.warnings)}
    measured["transfer"] = list(run.transfer_results)
    return (evaluation.summary if evaluation else {}) | measured


def draw_picture(title: str, seeds: Mapping[str, Runs], claims: Sequence[ClaimResult], folder: Path) -> str:
    """Draw the runs of a study without seeds, or the claims of one with seeds. Returns the Markdown that shows it."""
    if "" not in seeds:
        name, shown = "claims", [c for c in claims if c.difference is not None]
        draw, caption = draw_claims, "the differences that are claimed, with their intervals"
    else:
        name, shown = "study", {run: e for run, trained in seeds[""].items() if (e := trained.evaluation())}
        draw, caption = draw_runs, "correlations against accuracy, and accuracy by class frequency"
    if not shown:
        return ""
    save(draw(shown, title), folder / name)
    return f"\n![{caption}](figures/{name}.png)\n"


def markdown(
    title: str, seeds: Sequence[Runs], failures: Mapping[str, str], claims: Sequence[ClaimResult], seconds: float
) -> str:
    """The text of the report, without pictures."""
    by_name: dict[str, list[TrainedRun]] = {}  # a run with each seed
    for runs in seeds:
        for name, run in runs.items():
            by_name.setdefault(name, []).append(run)
    several = len(seeds) > 1
    spread = "± sd" if several else "[95 %]"
    bias = [f"{key} {spread}" for key in BIAS]
    header = ["run", "images", "top-1 %", "head", "mid", "tail", *bias, "minutes"]
    lines = [
        f"# {title}",
        "",
        *markdown_table([header, *(run_row(name, runs, several) for name, runs in by_name.items())]),
        *(f"\n**{name} failed**: {reason}" for name, reason in failures.items()),
        *(f"\n**{name}**: {text}" for name, runs in by_name.items() for run in runs for text in run.warnings),
        *transfer_section(by_name, several),
        "",
        *(claims_table(claims, several) if claims else ["Nothing is claimed of these runs."]),
        "",
    ]
    trained = [run for runs in by_name.values() for run in runs]
    evaluated = [evaluation for run in trained if (evaluation := run.evaluation())]
    notes = []
    if evaluated:
        notes.append(f"Evaluated on {', '.join(dict.fromkeys(evaluation.evaluated_on for evaluation in evaluated))}.")
    if several:
        notes.append(f"Means over {len(seeds)} seeds, with their standard deviations.")
    notes += [
        "slope_acc is points of accuracy per decade of class frequency, and slope_pred decades of predictions per decade, "
        "over the classes that have a logarithm of both; corr_acc and corr_pred are Spearman's correlations of class "
        f"frequency with accuracy and with predictions. Intervals are bootstrap intervals over {'seeds and classes' if several else 'classes'}.",
        "A claim is supported where the interval of the paired difference lies above 0, not supported where it lies "
        "below, and else inconclusive.",
        f"Training took {sum(run.seconds for run in trained) / 60:.1f} minutes; this call took {seconds / 60:.1f}.",
    ]
    return "\n".join([*lines, " ".join(notes)]) + "\n"


def run_row(name: str, runs: Sequence[TrainedRun], several: bool) -> list[str]:
    """The cells of a run, over its seeds."""
    summaries = [evaluation.summary for run in runs if (evaluation := run.evaluation())]
    cells = [UNDEFINED] * (4 + len(BIAS))
    if summaries:
        cells = [format_number(mean([s[key] for s in summaries]), ".1f") for key in ("top1", "head", "mid", "tail")]
        cells += [statistic(summaries, key, form, several) for key, form in BIAS.items()]
    images, minutes = mean([run.images for run in runs]), mean([run.seconds / 60 for run in runs])
    return [name, f"{images:,.0f}", *cells, f"{minutes:.1f}"]


def statistic(summaries: Sequence[Mapping], key: str, form: str, several: bool) -> str:
    """A statistic with its interval, or of several seeds the mean with the standard deviation; – where it is unknown."""
    if not several:
        return format_interval(summaries[0].get(key), summaries[0].get(f"{key}_interval", (None, None)), form)
    values = [s[key] for s in summaries if s.get(key) is not None]
    return f"{format_number(mean(values), form)} ± {np.std(values, ddof=1) if len(values) > 1 else math.nan:{form}}"


def claims_table(claims: Sequence[ClaimResult], several: bool) -> list[str]:
    """A row for each claim; with several seeds also the means of both runs, and the number of positive differences."""
    rows = [["claim", *(["means", "seeds"] if several else []), "difference [95 %]", "verdict"]]
    for c in claims:
        digits = STATISTICS[c.statistic].format
        difference = format_interval(c.difference.value, c.difference[1:], digits) if c.difference else c.obstacle
        means = [format_number(mean(values), digits) for values in zip(*c.by_seed)] or [UNDEFINED] * 2
        positive = f"{sum(a > b for a, b in c.by_seed)} of {len(c.by_seed)}"
        statistic = f"{c.statistic} on {c.on}" if c.on else c.statistic
        claim = f"{c.text} ({statistic}: {c.higher} − {c.lower})"
        rows.append([claim, *([" − ".join(means), positive] if several else []), difference, f"**{c.verdict}**"])
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
    return format_number(mean([result["score"] for result in results]), ".1f") + margin


def mean(values: Sequence[float | None]) -> float:
    """The mean of the values that are defined; nan without any."""
    defined = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan
