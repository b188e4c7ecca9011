"""Train the runs of a study with all their seeds, measure them, test the claims, and report."""

import dataclasses
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.config.fields import plain
from cliptail_jax.errors import UserError
from cliptail_jax.objectives import FIELDS
from cliptail_jax.outputs import check_directory
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.report.page import PAGE
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.study import FILE as STUDY
from cliptail_jax.results.study import Runs, Study
from cliptail_jax.results.testing import evaluate_claims
from cliptail_jax.runs import difference_to, is_finished
from cliptail_jax.runs.console import last_lines
from cliptail_jax.runs.provenance import command
from cliptail_jax.study import stated_claims
from cliptail_jax.study.check import check_study
from cliptail_jax.study.cores import jobs_at_once
from cliptail_jax.study.launch import train_commands
from cliptail_jax.study.measure import read_runs, transfer_runs
from cliptail_jax.study.replicates import Replicate, replicates_of
from cliptail_jax.study.report import write_report
from cliptail_jax.study.sheets import draw_figures
from cliptail_jax.study.stated_claims import changes_of_claims
from cliptail_jax.study.study_page import StudyPage
from cliptail_jax.study.summary import summary
from cliptail_jax.study.training import Failures, train_runs


def run_study(
    study: ConfigDict, workdir: Path, overwrite: bool = False, budget: float = 0, jobs: int | None = 1
) -> None:
    """Train the runs that are not yet trained, then write report.md, report.json, figures/ and the page report.html.

    Args:
        study: the config of the study.
        workdir: its directory.
        overwrite: whether to replace runs of other configs in `workdir`.
        budget: if not 0, further seeds are only started if they are expected to finish within so many minutes.
        jobs: how many runs train at the same time, each on one core of the CPU; with None, as many as there are cores. With
            1, and wherever there are accelerators, they train one after the other. Others than 1 start processes that import
            the main module, so that a script needs its main guard.

    Raises:
        UserError: the study has a mistake; or, after everything else has been done, some part of it failed.
    """
    check_study(study)
    jobs = jobs_at_once(jobs)
    if budget and "seeds" not in study:
        raise UserError("--budget chooses how many seeds fit: this study's config has no seeds")
    started, longest = time.perf_counter(), 0.0
    replicates = replicates_of(study)
    directories = [str(Path(seed) / run) for replicate in replicates for seed in replicate for run in study.runs]
    # The runs of a mirrored pair together, which take equally long.
    order = [str(Path(seed) / run) for replicate in replicates for run in study.runs for seed in replicate]
    check_directory(workdir, ("report.md", "report.json", PAGE), (stated_claims.FILE, STUDY), overwrite)
    if not overwrite:
        check_unchanged(replicates, workdir)
    asked = questions(study, replicates, workdir, directories)
    figures, path = study.get("figures", {}), study.get("path", ())
    page = StudyPage(asked, workdir, directories)
    page.start()
    measured: list[dict[str, Runs]] = []  # by replicate and seed
    failures: Failures = {}
    for replicate in replicates:
        began = time.perf_counter()
        fits = not budget or began - started + longest <= 60 * budget
        configs = {str(Path(seed) / run): replicate[seed].runs[run] for run in study.runs for seed in replicate}
        finished = (is_finished(workdir / name, plain(config), FIELDS) for name, config in configs.items())
        if measured and not broadcast_from_first(fits or all(finished)):
            done, another = sum(map(len, measured)), "another" if len(replicate) == 1 else "another pair"
            tqdm.write(f"{done} of {study.seeds} seeds: {another} takes some {longest / 60:.0f} minutes")
            break
        train_runs(configs, workdir, overwrite, jobs, failures, page.after_run, order)
        measured.append({})
        for seed, (runs, transfer_config) in replicate.items():
            trained = {run: config for run, config in runs.items() if str(Path(seed) / run) not in failures}
            measured[-1][seed], failed = read_runs(trained, workdir / seed)
            if transfer_config and measured[-1][seed]:
                failed |= transfer_runs(transfer_config, measured[-1][seed], workdir / seed)
            failures |= {str(Path(seed) / what): why for what, why in failed.items()}
        # Finished runs took their time in an earlier call.
        in_training = sum(run.seconds for runs in measured[-1].values() for run in runs.values())
        in_training /= min(jobs, len(configs)) or 1
        longest = max(longest, in_training, time.perf_counter() - began)
        has_news = any(map(any, (of.values() for of in measured))) or not (workdir / "report.md").exists()
        if jax.process_index() == 0 and has_news:
            seconds = time.perf_counter() - started
            text, not_drawn = report(asked, figures, path, measured, failures, seconds, workdir, page)
    if jax.process_index() == 0 and has_news:
        tqdm.write(f"\n{text}\n\n{last_lines(workdir / 'report.md', page.address)}")
        failures |= not_drawn
    if failures:
        names = [str(Path(seed) / run) for replicate in measured for seed in replicate for run in study.runs]
        what = f"{len(failures)} of {len(names)} runs" if set(failures) <= set(names) else "parts of the study"
        raise UserError(f"{what} failed: {', '.join(failures)}")


def check_unchanged(replicates: Sequence[Replicate], workdir: Path) -> None:
    """Raise UserError for the first run in `workdir` that was trained with another config: the study is left as it is."""
    for replicate in replicates:
        for seed, configs in replicate.items():
            for name, config in configs.runs.items():
                directory = workdir / seed / name
                if difference := difference_to(directory, plain(config), FIELDS):
                    raise UserError(
                        f"{directory} contains the run of another config ({difference}): choose another --workdir, go back to "
                        "that config, or pass --overwrite to replace the run"
                    )


def questions(study: ConfigDict, replicates: Sequence[Replicate], workdir: Path, directories: Sequence[str]) -> Study:
    """The study as its config states it. In an empty directory, its claims become those that are stated before any run."""
    seed, first = next(iter(replicates[0].items()))
    return Study(
        study.title,
        tuple(study.runs),
        [list(replicate) for replicate in replicates],
        {key: Claim(**claim) for key, claim in study.claims.items()},
        changes_of_claims(study, first.runs, workdir, directories),
        command(),
        train_commands(study.runs, study.strings, workdir / seed) if study.get("strings") else {},
    )


def report(
    asked: Study,
    figures: Mapping[str, ConfigDict],
    path: Sequence[str],
    replicates: list[dict[str, Runs]],
    failures: Failures,
    seconds: float,
    workdir: Path,
    page: StudyPage,
) -> tuple[str, Failures]:
    """Test the claims, draw the figures and write the report and the page on the runs so far, by replicate and seed.

    Returns a summary for a terminal, and why figures could not be drawn.
    """
    seeds = {seed: runs for replicate in replicates for seed, runs in replicate.items()}
    by_replicate = [list(replicate.values()) for replicate in replicates]
    groups, claims = groups_of(by_replicate), evaluate_claims(asked.claims, by_replicate, asked.changes)
    drawn, not_drawn = draw_figures(figures, seeds, workdir)
    planned = sum(map(len, asked.replicates))
    title = asked.title if len(seeds) == planned else f"{asked.title}, {len(seeds)} of {planned} seeds"
    asked = dataclasses.replace(asked, title=title, failures=failures | not_drawn)
    write_report(asked, seeds, groups, claims, path, drawn, seconds, workdir)
    page.write_report(asked, groups, claims)
    return summary(asked, groups, len(seeds), claims, shutil.get_terminal_size().columns), not_drawn
