"""The report of a study: report.md for people, report.json for programs, and pictures."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cliptail_jax.files import write_json, write_text
from cliptail_jax.metrics.measures import CLASSES, MEASURES, Measure, main_measures
from cliptail_jax.plotting.style import save
from cliptail_jax.report.left_out import left_out_note
from cliptail_jax.results.claims import ClaimResult, one_replicate_note
from cliptail_jax.results.group import RunGroup, mean_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Runs, Study
from cliptail_jax.results.transfers import Transfer, by_column
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number, markdown_table
from cliptail_jax.study.pictures import draw_claims, draw_path, draw_runs
from cliptail_jax.study.stated_claims import CLAIM, RECIPE

Groups = Mapping[str, RunGroup]  # by name
Claims = Mapping[str, ClaimResult]  # by key
Numbers = Mapping[str, Mapping[str, Any]]  # of groups of runs in report.json: `means` and `bias`, by the group's name


def write_report(
    study: Study,
    seeds: Mapping[str, Runs],
    groups: Groups,
    claims: Claims,
    path: Sequence[str],
    figures: Sequence[str],
    seconds: float,
    workdir: Path,
) -> None:
    """Write report.md and report.json.

    Args:
        seeds: the trained runs by the names of their directories; the only one of a study without seeds is ''.
        path: names of runs, if the study compares them as steps of a path.
        figures: names of the paper's figures that have been drawn in `workdir`/figures.
        seconds: duration of this call.
        workdir: the study's directory.
    """
    pictures = draw_pictures(study.title, groups, claims, path, "" not in seeds, workdir / "figures")
    numbers = group_numbers(groups)
    text = markdown(study, groups, numbers, list(seeds), claims, seconds) + pictures
    text += "".join(f"\n![The paper's figure {name}, drawn from {name}.tsv](figures/{name}.png)\n" for name in figures)
    write_text(workdir / "report.md", text)
    by_seed = {seed: {name: run_numbers(run) for name, run in runs.items()} for seed, runs in seeds.items()}
    content = {
        "title": study.title,
        "runs": by_seed.get("", by_seed),
        **numbers,
        "failures": study.failures,
        "claims": [{"key": key} | claim_numbers(claim) for key, claim in claims.items()],
        "transfers": {
            name: [{key: result[key] for key in ("set", "method", "score")} for result in own]
            for name, own in transfers_of(groups).items()
        },
        "seconds": seconds,
        "command": study.command,
        "commands": study.commands,
    }
    write_json(workdir / "report.json", content)


def group_numbers(groups: Groups) -> Numbers:
    """The content of report.json for groups of runs, from which `runs_table` makes a table."""
    return {
        "means": {name: mean_numbers(group) for name, group in groups.items()},
        "bias": {name: bias_numbers(group) for name, group in groups.items()},
    }


def run_numbers(run: Run) -> dict:
    """The content of report.json for a run."""
    measured = {"images": run.images, "seconds": run.seconds, "warnings": run.warnings}
    return {**run.summary, **measured, "transfer": list(run.transfers)}


def mean_numbers(group: RunGroup) -> dict[str, float | str]:
    """The means over a group's runs of numbers without interval, and the reason why the group is at chance."""
    means = {measure.key: group.mean(measure.key) for measure in main_measures() if not measure.has_interval}
    return means | {"images": group.images, "minutes": group.minutes, "chance_note": group.chance_note()}


def bias_numbers(group: RunGroup) -> dict[str, dict]:
    """The measures of a group of runs; slopes with the number of classes that they leave out.

    `beyond` is '<' or '>' for a number far outside of the data, since JSON has no infinity.
    """
    return {
        key: estimate._asdict()
        | ({"left_out": group.left_out(key)} if MEASURES[key].left_out else {})
        | ({"beyond": format_number(estimate.value, "")} if math.isinf(estimate.value) else {})
        for key, estimate in group.bias.items()
    }


def claim_numbers(claim: ClaimResult) -> dict:
    """The content of report.json for a claim."""
    return dataclasses.asdict(claim) | {
        "change": claim.change._asdict(),
        "difference": claim.difference and claim.difference._asdict(),
        "verdict": claim.verdict,
        "p_value": claim.difference and claim.p_value,
        "unit": MEASURES[claim.statistic].unit,
    }


def draw_pictures(title: str, groups: Groups, claims: Claims, path: Sequence[str], several: bool, folder: Path) -> str:
    """Draw the runs of a study, its path, if any, and its claims, if it has seeds.

    Returns the Markdown that shows the pictures.
    """
    pictures = []
    if shown := {name: group for name, group in groups.items() if group.evaluations}:
        save(draw_runs(shown, title), folder / "study")
        caption = (
            "slopes, with their paths during the training, and correlations by accuracy; accuracy by class frequency"
        )
        pictures.append(f"\n![{caption}](figures/study.png)\n")
        if path:
            save(draw_path(shown, path, title), folder / "path")
            pictures.append("\n![slopes against accuracy, with arrows along the path](figures/path.png)\n")
    if several and (tested := [claim for claim in claims.values() if claim.difference]):
        save(draw_claims(tested, title), folder / "claims")
        pictures.append("\n![the differences that are claimed, with their intervals](figures/claims.png)\n")
    return "".join(pictures)


def markdown(
    study: Study, groups: Groups, numbers: Numbers, seeds: Sequence[str], claims: Claims, seconds: float
) -> str:
    """The text of the report, without pictures."""
    several, pairs = len(seeds) > 1, sum(f"{name}_mirrored" in seeds for name in seeds)
    lines = [
        f"# {study.title}",
        "",
        *runs_table(numbers, shown_measures(groups)),
        *(f"\n{note}" for note in left_out_note(groups.values(), bool(claims))),
        *(f"\n**{name} failed**: {reason}" for name, reason in study.failures.items()),
        *(f"\n**{name}**: {text}" for name, group in groups.items() for run in group.runs for text in run.warnings),
        *transfer_section(groups, several),
        "",
        *(claims_table(claims, several) if claims else ["There are no claims on these runs."]),
        "",
    ]
    evaluated = dict.fromkeys(evaluation.on for group in groups.values() for evaluation in group.evaluations)
    trained = [run for group in groups.values() for run in group.runs]
    notes = []
    if evaluated:
        notes.append(f"Evaluated on {', '.join(evaluated)}.")
    if several:
        notes.append(means_note(groups))
    if pairs:
        notes.append(
            f"They are {pairs} mirrored {'pair' if pairs == 1 else 'pairs'}: in the second run of a pair, the order of class "
            "frequencies is reversed, so each class is as often rare as frequent. Slopes have fixed effects of classes."
        )
    notes.append(
        "odds_acc is the log-odds of being right per decade of class frequency, by logistic regression with Firth's penalty, "
        "and f50 the number of images with which a class is right half of the time (< or > far outside all frequencies). "
        "slope_acc is points of accuracy per decade of class frequency, and slope_pred decades of predictions per decade, "
        "over the classes for which both have a logarithm; corr_acc and corr_pred are Spearman's correlations of class "
        f"frequency with accuracy and with predictions. Intervals are bootstrap intervals over classes"
        f"{', widened by the variance between seeds' if several and pairs != 1 else ''}."
    )
    notes += one_replicate_note(claims.values())
    if claims:
        notes.append(
            "A claim is supported if the interval of the paired difference lies above 0, contradicted if it lies below, has no "
            "effect if it lies within ± the margin, and is inconclusive otherwise. A claim that runs are equal is supported if the "
            "interval lies within ± the margin, and contradicted if it lies outside. The last column is corrected for the number "
            "of claims: all its verdicts hold jointly with 95 % confidence (Holm, 1979)."
        )
        late, changed = ([c.change.text for c in claims.values() if c.change.mark == mark] for mark in (CLAIM, RECIPE))
        notes.append(
            f"{len(late)} of the claims, marked {CLAIM}, were added or changed after the first run "
            f"({'; '.join(dict.fromkeys(late))}); the others were stated before it."
            if late
            else "The claims with statistic, direction and margin were stated before the first run (claims.json)."
        )
        if changed:
            notes.append(
                f"{len(changed)} of the claims, marked {RECIPE}, compare runs whose recipes were changed after the first "
                f"run ({'; '.join(dict.fromkeys(changed))})."
            )
    notes.append(
        f"Training took {sum(run.seconds for run in trained) / 60:.1f} minutes; this call took {seconds / 60:.1f}."
    )
    return "\n".join([*lines, " ".join(notes)]) + "\n"


def shown_measures(groups: Groups) -> list[Measure]:
    """The main measures, without retrieval's if no run is evaluated by retrieval."""
    of_retrieval = any(not math.isnan(group.mean("text_to_image_r1")) for group in groups.values())
    return [measure for measure in main_measures() if of_retrieval or measure.over == CLASSES]


def runs_table(numbers: Numbers, measures: Sequence[Measure]) -> list[str]:
    """A row for each group of runs, and a column for each measure."""
    titles = [f"{measure.title} [95 %]" if measure.has_interval else measure.title for measure in measures]
    rows = [["run", "images", *titles, "minutes"]]
    for name, means in numbers["means"].items():
        cells = (format_interval(*estimate_of(numbers, name, m.key), m.format) for m in measures)
        rows.append(
            [title_of(name, means["chance_note"]), f"{means['images']:,.0f}", *cells, f"{means['minutes']:.1f}"]
        )
    return markdown_table(rows)


def title_of(name: str, chance_note: str) -> str:
    """The name of a group of runs, with a mark if there is a reason why they count as at chance."""
    return f"{name} (at chance)" if chance_note else name


def estimate_of(numbers: Numbers, name: str, key: str) -> tuple[float | None, tuple[float, float] | None]:
    """A measure of a group, and its interval if it has one. Read from JSON, undefined numbers are None."""
    if key not in numbers["bias"][name]:
        return numbers["means"][name].get(key), None
    found = numbers["bias"][name][key]
    value, bounds = found["value"], (found["low"], found["high"])
    if any(bound is None or math.isnan(bound) for bound in bounds):
        bounds = None
    return {"<": -math.inf, ">": math.inf}.get(found.get("beyond"), value), bounds


def claims_table(claims: Claims, several: bool) -> list[str]:
    """A row for each claim; with several seeds also the means of both runs, and the number of positive differences."""
    rows = [
        ["claim", *(["means", "positive"] if several else []), "difference [95 %]", "margin", "verdict", "corrected"]
    ]
    for c in claims.values():
        difference = c.shown_difference if c.difference else c.obstacle
        means = [format_number(mean_of(values), MEASURES[c.statistic].format) for values in zip(*c.by_seed)]
        means = means or [UNDEFINED] * 2
        positive = f"{sum(a > b for a, b in c.by_seed)} of {len(c.by_seed)}"
        claim = f"{c.text}{c.change.mark} ({c.measured}: {c.compared})"
        cells = [" − ".join(means), positive] if several else []
        rows.append([claim, *cells, difference, f"{c.margin:g}", f"**{c.verdict}**", c.corrected])
    return markdown_table(rows)


def means_note(groups: Groups) -> str:
    """The number of runs of each kind, which differs while a study is trained."""
    numbers = sorted({len(group.runs) for group in groups.values()})
    return f"Means over {' to '.join(map(str, dict.fromkeys((numbers[0], numbers[-1]))))} runs of each kind."


def transfer_section(groups: Groups, several: bool) -> list[str]:
    rows = transfer_rows(transfers_of(groups))
    where = "transfer/report.md of each seed" if several else "[transfer/report.md](transfer/report.md)"
    return ["", *markdown_table(rows), "", f"More of the transfer: {where}"] if rows else []


def transfers_of(groups: Groups) -> dict[str, list[Transfer]]:
    """The results of transfer of each group's runs."""
    return {name: [result for run in group.runs for result in run.transfers] for name, group in groups.items()}


def transfer_rows(transfers: Mapping[str, Sequence[Transfer]]) -> list[list[str]]:
    """A row for each group of runs, and a column for each set and method; empty without transfer results."""
    titles, rows = by_column(transfers)
    return [["run", *titles], *([name, *map(score, cells)] for name, cells in rows.items())] if rows else []


def score(results: Sequence[Transfer]) -> str:
    """The mean score over seeds; a single result has its margin, if any."""
    margin = f" ± {results[0]['margin']:.1f}" if len(results) == 1 and "margin" in results[0] else ""
    return format_number(mean_of([result["score"] for result in results]), ".1f") + margin
