"""The report of a study: report.md for people, report.json for programs, and pictures."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cliptail_jax.claims.verdicts import ClaimResult, claim_numbers
from cliptail_jax.host.files import write_json, write_text
from cliptail_jax.report.claim_tables import claim_table, repeated_table
from cliptail_jax.report.layout import Table, legend, markdown
from cliptail_jax.report.lead import Lead
from cliptail_jax.report.pictures import PATHS, draw_claims, draw_kinds, draw_runs, paths_of
from cliptail_jax.report.run_tables import run_numbers, run_table, warnings_of
from cliptail_jax.report.style import save
from cliptail_jax.report.transfer_tables import transfer_table
from cliptail_jax.results.group import RunGroup, variances_of_a_run
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import Runs, Study

Groups = Mapping[str, RunGroup]  # by name
Claims = Mapping[str, ClaimResult]  # by key


def write_report(
    study: Study,
    seeds: Mapping[str, Runs],
    groups: Groups,
    claims: Claims,
    lead: Lead,
    forecasts: Table,
    path: Sequence[str],
    figures: Sequence[str],
    seconds: float,
    workdir: Path,
) -> None:
    """Write report.md and report.json.

    Args:
        seeds: the trained runs by the names of their directories; the only one of a study without seeds is ''.
        lead: the lines above the tables.
        forecasts: what was forecast of the runs, beside what training gave.
        path: names of runs, if the study compares them as steps of a path.
        figures: names of the paper's figures that have been drawn in `workdir`/figures.
        seconds: duration of this call.
        workdir: the study's directory.
    """
    pictures = draw_pictures(study.title, groups, claims, path, "" not in seeds, workdir / "figures")
    text = report(study, groups, "" not in seeds, claims, lead, forecasts, seconds) + pictures
    text += "".join(f"\n![The paper's figure {name}, drawn from {name}.tsv](figures/{name}.png)\n" for name in figures)
    write_text(workdir / "report.md", text)
    by_seed = {seed: {name: numbers_of(run) for name, run in runs.items()} for seed, runs in seeds.items()}
    content = {
        "title": study.title,
        "names": study.names,
        **lead._asdict(),
        "runs": by_seed.get("", by_seed),
        **numbers_of_study(groups, claims),
        "failures": study.failures,
        "seconds": seconds,
        "command": study.command,
        "commands": study.commands,
    }
    write_json(workdir / "report.json", content)


def numbers_of(run: Run) -> dict:
    """The content of report.json for a run."""
    values = {"images": run.images, "seconds": run.seconds, "warnings": run.warnings}
    return {**run.summary, **values, "transfer": list(run.transfers)}


def numbers_of_study(groups: Groups, claims: Claims) -> dict:
    """The content of report.json that depends on the results of runs alone."""
    return {
        **run_numbers(groups.values()),
        "variances": variances_of_a_run(groups.values()),
        "claims": [{"key": key} | claim_numbers(claim) for key, claim in claims.items()],
        "transfers": {
            name: [{key: result[key] for key in ("set", "method", "score")} for result in group.transfers]
            for name, group in groups.items()
        },
    }


def draw_pictures(
    title: str, groups: Groups, claims: Claims, path: Sequence[str], has_replicates: bool, folder: Path
) -> str:
    """Draw the runs of a study, its path, if any, and its claims, if it has seeds.

    Returns the Markdown that shows the pictures.
    """
    pictures = []
    if evaluated_groups := {name: group for name, group in groups.items() if group.evaluations}:
        save(draw_runs(evaluated_groups, title), folder / "study")
        has_paths = any(paths_of(evaluated_groups, key) for key in PATHS)
        slopes = "slopes, with their paths during the training," if has_paths else "slopes"
        caption = f"{slopes} and correlations by accuracy; accuracy by class frequency"
        pictures.append(f"\n![{caption}](figures/study.png)\n")
        if path:
            save(draw_kinds(run_table([*evaluated_groups.values()], bool(claims)), path, title), folder / "path")
            pictures.append("\n![bias and accuracy of the runs, from step to step of the path](figures/path.png)\n")
    if has_replicates and (tested_claims := [claim for claim in claims.values() if claim.difference]):
        save(draw_claims({"": tested_claims}, title), folder / "claims")
        pictures.append("\n![the differences that are claimed, with their intervals](figures/claims.png)\n")
    return "".join(pictures)


def report(
    study: Study, groups: Groups, has_seeds: bool, claims: Claims, lead: Lead, forecasts: Table, seconds: float
) -> str:
    """The text of the report, without pictures."""
    runs_table, claims_table = run_table([*groups.values()], bool(claims)), claim_table([*claims.values()])
    lines = [
        f"# {study.title}",
        *(f"\n{' '.join([f'**{first}**', *sentences])}" for first, *sentences in lead.paragraphs),
        "",
    ]
    lines += [*markdown(runs_table), *(f"\n{note}" for note in runs_table.notes)]
    lines += [f"\n**{name} failed**: {reason}" for name, reason in study.failures.items()]
    lines += [f"\n**{name}**: {text}" for name, text in warnings_of(groups.values()).items()]
    if forecasts.rows:
        lines += ["", *markdown(forecasts), f"\n{' '.join([*forecasts.notes, legend(forecasts)])}"]
    if (transfers_table := transfer_table({name: group.transfers for name, group in groups.items()})).rows:
        place = "transfer/report.md of each seed" if has_seeds else "[transfer/report.md](transfer/report.md)"
        lines += ["", *markdown(transfers_table), f"\nMore of the transfer: {place}"]
    if (repetitions := repeated_table(claims.values())).rows:
        lines += ["", *markdown(repetitions), f"\n{legend(repetitions)}"]
    lines += ["", *(markdown(claims_table) if claims else ["There are no claims on these runs."])]
    lines += [
        f"\n{note}" for note in (*claims_table.notes, legend(runs_table), *([legend(claims_table)] if claims else []))
    ]
    if sets := dict.fromkeys(evaluation.set_name for group in groups.values() for evaluation in group.evaluations):
        lines.append(f"\nEvaluated on {', '.join(sets)}.")
    training = sum(run.seconds for group in groups.values() for run in group.runs)
    return (
        "\n".join([*lines, f"\nTraining took {training / 60:.1f} minutes; this call took {seconds / 60:.1f}."]) + "\n"
    )
