"""The report of a study: report.md for people, report.json for programs, and a picture."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cliptail_jax.files import write_json, write_text
from cliptail_jax.plotting.style import save
from cliptail_jax.runs.tables import format_interval, format_number, markdown_table
from cliptail_jax.study.claims import Judgement, Outcome, Outcomes
from cliptail_jax.study.claims_figure import draw_claims
from cliptail_jax.study.runs_figure import draw_study
from cliptail_jax.transfer.program import Result
from cliptail_jax.transfer.report import TITLES


def report(
    title: str,
    seeds: Mapping[str, Outcomes],
    failures: Mapping[str, str],
    judgements: Sequence[Judgement],
    drawn: Sequence[str],
    seconds: float,
    workdir: Path,
) -> str:
    """Write it, and return its text. `seeds` has the runs of each seed, and '' for its name where there is but one.

    `drawn` are the figures of the paper that lie in figures/ already.
    """
    picture = draw(title, seeds, judgements, workdir / "figures")
    text = markdown(title, list(seeds.values()), failures, judgements, seconds)
    if picture:
        text += f"\n![{picture}](figures/{'study' if '' in seeds else 'claims'}.png)\n"
    text += "".join(f"\n![The paper's figure {name}, drawn from {name}.tsv](figures/{name}.png)\n" for name in drawn)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / "report.md", text)
    told = {seed: {name: told_run(outcome) for name, outcome in of_seed.items()} for seed, of_seed in seeds.items()}
    content = {
        "title": title,
        "runs": told.get("", told),
        "failures": failures,
        "claims": [
            dataclasses.asdict(j) | {"difference": j.difference and j.difference._asdict(), "verdict": j.verdict}
            for j in judgements
        ],
        "seconds": seconds,
    }
    write_json(workdir / "report.json", content)
    return text


def told_run(outcome: Outcome) -> dict:
    evaluated = outcome.evaluated()
    measured = {"images": outcome.images, "seconds": outcome.seconds, "transfer": list(outcome.transferred)}
    return (evaluated.summary if evaluated else {}) | measured


def draw(title: str, seeds: Mapping[str, Outcomes], judgements: Sequence[Judgement], folder: Path) -> str:
    """Draw the runs of a study of one seed, else its claims; returns what the picture shows, '' if nothing."""
    if "" not in seeds:
        shown = [j for j in judgements if j.difference is not None]
        if shown:
            save(draw_claims(shown, title), folder / "claims")
        return "the differences that are claimed, with their intervals" * bool(shown)
    evaluated = {name: run for name, outcome in seeds[""].items() if (run := outcome.evaluated())}
    if evaluated:
        save(draw_study(evaluated, title), folder / "study")
    return "correlations against accuracy, and accuracy by class frequency" * bool(evaluated)


def markdown(
    title: str,
    seeds: Sequence[Outcomes],
    failures: Mapping[str, str],
    judgements: Sequence[Judgement],
    seconds: float,
) -> str:
    runs_of = {}  # the run's outcomes with each seed
    for outcomes in seeds:
        for name, outcome in outcomes.items():
            runs_of.setdefault(name, []).append(outcome)
    several = len(seeds) > 1
    spread = "± sd" if several else "[95 %]"
    header = ["run", "images", "top-1 %", "head", "mid", "tail", f"corr_acc {spread}", f"corr_pred {spread}", "minutes"]
    lines = [
        f"# {title}",
        "",
        *markdown_table([header, *(row(name, of_run, several) for name, of_run in runs_of.items())]),
        *(f"\n**{name} failed**: {reason}" for name, reason in failures.items()),
        *transfer_table(runs_of, several),
        "",
        *(claims_table(judgements, several) if judgements else ["Nothing is claimed of these runs."]),
    ]
    trained = sum(outcome.seconds for outcomes in seeds for outcome in outcomes.values())
    evaluated = [outcome.evaluated() for of_run in runs_of.values() for outcome in of_run]
    sets = ", ".join(dict.fromkeys(run.evaluated_on for run in evaluated if run))
    resampled = "seeds and classes" if several else "classes"
    lines += [
        "",
        f"Evaluated on {sets}. " * bool(sets)
        + f"Means over {len(seeds)} seeds, with their standard deviations. " * several
        + "corr_acc and corr_pred are Spearman's correlations of class frequency with accuracy and with predictions, "
        f"and intervals are bootstrap intervals over {resampled}. A claim is supported where the interval of the "
        "paired difference lies above 0, not supported where it lies below, and else inconclusive. "
        f"Training took {trained / 60:.1f} minutes; this call took {seconds / 60:.1f}.",
    ]
    return "\n".join(lines) + "\n"


def row(name: str, outcomes: Sequence[Outcome], several: bool) -> list[str]:
    """A run over its seeds."""
    summaries = [run.summary for outcome in outcomes if (run := outcome.evaluated())]
    cells = ["–"] * 6
    if summaries:
        cells = [format_number(mean([s[key] for s in summaries]), ".1f") for key in ("top1", "head", "mid", "tail")]
        cells += [correlation(summaries, key, several) for key in ("corr_acc", "corr_pred")]
    images, minutes = (
        mean([of(outcome) for outcome in outcomes]) for of in (lambda o: o.images, lambda o: o.seconds / 60)
    )
    return [name, f"{images:,.0f}", *cells, f"{minutes:.1f}"]


def correlation(summaries: Sequence[Mapping], key: str, several: bool) -> str:
    if not several:
        return format_interval(summaries[0][key], summaries[0][f"{key}_interval"], ".2f")
    values = [s[key] for s in summaries if s[key] is not None]
    return f"{format_number(mean(values), '.2f')} ± {np.std(values, ddof=1) if len(values) > 1 else math.nan:.2f}"


def claims_table(judgements: Sequence[Judgement], several: bool) -> list[str]:
    """A row a claim; of several seeds also both runs' means, and in how many seeds the difference is positive."""
    rows = [["claim", *(["means", "seeds"] if several else []), "difference [95 %]", "verdict"]]
    for j in judgements:
        digits = ".2f" if j.statistic.startswith("corr") else ".1f"
        shown = format_interval(j.difference.value, j.difference[1:], digits) if j.difference else j.obstacle
        sides = [format_number(mean(side), digits) for side in zip(*j.by_seed)] or ["–", "–"]
        right = f"{sum(a > b for a, b in j.by_seed)} of {len(j.by_seed)}"
        seeds = [f"{sides[0]} − {sides[1]}", right] if several else []
        what = f"{j.statistic} on {j.on}" if j.on else j.statistic
        rows.append([f"{j.text} ({what}: {j.higher} − {j.lower})", *seeds, shown, f"**{j.verdict}**"])
    return markdown_table(rows)


def transfer_table(runs_of: Mapping[str, Sequence[Outcome]], several: bool) -> list[str]:
    """A row a run, a column for each set and method that the runs were measured on; nothing where there are none."""
    everything = [result for of_run in runs_of.values() for outcome in of_run for result in outcome.transferred]
    columns = list(dict.fromkeys((r["set"], r["method"]) for r in everything))
    if not columns:
        return []
    rows = [["run", *(f"{of_set}: {TITLES[method].lower()} %" for of_set, method in columns)]]
    for name, outcomes in runs_of.items():
        cells = {}
        for outcome in outcomes:
            for r in outcome.transferred:
                cells.setdefault((r["set"], r["method"]), []).append(r)
        if cells:
            rows.append([name, *(score(cells[column]) if column in cells else "–" for column in columns)])
    where = "transfer/report.md of each seed" if several else "[transfer/report.md](transfer/report.md)"
    return ["", *markdown_table(rows), "", f"More of the transfer: {where}"]


def score(results: Sequence[Result]) -> str:
    margin = f" ± {results[0]['margin']:.1f}" if len(results) == 1 and "margin" in results[0] else ""
    return f"{mean([result['score'] for result in results]):.1f}{margin}"


def mean(values: Sequence[float | None]) -> float:
    """Over those that are defined; nan where none is."""
    defined = [value for value in values if value is not None and not math.isnan(value)]
    return float(np.mean(defined)) if defined else math.nan


def show(text: str, workdir: Path) -> None:
    tqdm.write(f"\n{text}\nThis report: {workdir}/report.md")
