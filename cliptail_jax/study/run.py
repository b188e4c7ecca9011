"""Train the runs of a study with all their seeds, measure them, test the claims, and report."""

import dataclasses
import re
import shlex
import shutil
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
from tqdm import tqdm

from cliptail_jax.claims.borrowed import borrow_variances
from cliptail_jax.claims.looks import evaluate_study
from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.config.fields import plain
from cliptail_jax.experiments.kinds import labels_of
from cliptail_jax.host.errors import Failures, UserError, did_you_mean
from cliptail_jax.host.files import read_json
from cliptail_jax.host.outputs import check_directory
from cliptail_jax.host.text import shortened_list
from cliptail_jax.objectives import FIELDS
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.report.lead import lead_of_study
from cliptail_jax.report.page import PAGE
from cliptail_jax.report.study import write_report
from cliptail_jax.report.summary import summary
from cliptail_jax.results.directory import matches
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.run import Run
from cliptail_jax.results.study import FILE as STUDY
from cliptail_jax.results.study import Runs, Study, read_study
from cliptail_jax.runs.console import last_lines
from cliptail_jax.runs.directory import difference_to, is_finished
from cliptail_jax.runs.files import read_config
from cliptail_jax.runs.on_dask import run_on_dask
from cliptail_jax.runs.provenance import command, without_flags
from cliptail_jax.study import stated_claims
from cliptail_jax.study.configuration import ReplicateConfigs, RunConfigs, StudyConfig, queue_of
from cliptail_jax.study.launch import NOT_OF_PARTS, part_commands
from cliptail_jax.study.measure import read_runs, transfer_runs
from cliptail_jax.study.places import Place, leave_chips
from cliptail_jax.study.sheets import draw_figures
from cliptail_jax.study.stated_claims import changes_of_claims
from cliptail_jax.study.study_page import StudyPage
from cliptail_jax.study.training import train_runs

NAMED = 5  # runs that are not trained, in a line


class OpenedStudy(NamedTuple):
    """A study in its own directory.

    Attributes:
        config: its config.
        workdir: its directory.
        study: its questions, for the page.
        page: its page.
        started: when it was opened, by `time.perf_counter`.
    """

    config: StudyConfig
    workdir: Path
    study: Study
    page: StudyPage
    started: float


def run_study(
    config: StudyConfig, workdir: Path, overwrite: bool = False, budget: float = 0, places: Sequence[Place] = ()
) -> None:
    """Train the runs that are not yet trained, then write report.md, report.json, figures/ and the page report.html.

    Args:
        config: the config of the study.
        workdir: its directory.
        overwrite: whether to replace runs of other configs in `workdir`.
        budget: if not 0, further seeds start only if they are expected to finish within this number of minutes.
        places: those of `find_places`, where runs train at the same time. Their processes import the main module, so a
            script needs its main guard. Without places, runs train one after the other in this process.

    Raises:
        UserError: `workdir` contains other results; or, after everything else, a part of the study has failed.
    """
    if budget and not config.seeds:
        raise UserError("--budget chooses how many seeds fit: this study's config has no seeds")
    with leave_chips(places):
        opened = open_study(config, workdir, overwrite)
        failures: Failures = {}
        opened.page.start()
        for part in in_budget(config.replicates, workdir, budget, len(places)) if budget else [config.queue]:
            train_runs(part, workdir, overwrite, places, failures, opened.page.after_run, config.queue)
        report_study(opened, failures, places)


def train_parts(
    opened: OpenedStudy, names: Sequence[str], overwrite: bool = False, places: Sequence[Place] = ()
) -> None:
    """Train some runs of a study without writing a report. Any number of processes can do so at the same time.

    `names` are names of runs, such as 'clip', of their directories, such as 'seed_0/clip', or patterns, such as
    'seed_0/*'. Other arguments and errors as for `run_study`.
    """
    queue, failures = opened.config.queue, {}
    chosen = matching(names, queue)
    train_runs({name: queue[name] for name in chosen}, opened.workdir, overwrite, places, failures, queue=queue)
    if len(chosen) == 1 and failures:  # the last line is all that another program may show
        raise UserError(*failures.values())
    raise_failures(failures, chosen)


def train_on_dask(opened: OpenedStudy, names: Sequence[str], scheduler: str) -> None:
    """Train the runs of a study, or those that names and patterns choose, on a Dask cluster; then report, unless only parts were trained.

    Raises UserError as `run_study` and `run_on_dask`.
    """
    chosen = matching(names, opened.config.queue)
    failures = run_on_dask(part_commands(command(), chosen), opened.workdir, scheduler)
    if names:
        raise_failures(failures, chosen)
    else:
        report_study(opened, failures)


def open_study(config: StudyConfig, workdir: Path, overwrite: bool = False, most: int = 0) -> OpenedStudy:
    """Opens the directory of a study. In an empty one, it records the claims as stated before any run.

    `most` is the number of pairs or seeds up to which the study adds some until claims are decided, else 0.

    Raises UserError if `workdir` contains other results, or, without `overwrite`, another study or runs of other configs.
    """
    started = time.perf_counter()
    if read_config(workdir) is not None:
        raise UserError(f"{workdir} contains a run: choose another --workdir")
    check_directory(workdir, ("report.md", "report.json", PAGE), (stated_claims.FILE, STUDY), overwrite)
    if not overwrite:
        check_same_study(config.queue, workdir)
        check_unchanged(config.queue, workdir)
    names = tuple(config.first.runs)
    study = Study(
        config.title,
        names,
        [list(replicate) for replicate in config.replicates],
        config.claims,
        changes_of_claims(config, workdir),
        without_flags(command(), NOT_OF_PARTS),
        part_commands(command(), names),
        baseline=config.baseline,
        then=shlex.join([*shlex.split(config.then), *changed_fields(command())]) if config.then else "",
        most=most,
        borrowed=borrow_variances(config.variances_from, config.claims.values()) if config.variances_from else None,
        names=config.names,
    )
    return OpenedStudy(config, workdir, study, StudyPage(study, workdir), started)


def changed_fields(line: str) -> list[str]:
    """The words of a command line that change fields of its config."""
    return [word for word in shlex.split(line) if re.match(r"--?config\.", word)]


def matching(names: Sequence[str], directories: Collection[str]) -> list[str]:
    """The directories that match names or patterns, with or without their seed; all if there are no names.

    Raises UserError for a name without a match.
    """
    chosen: set[str] = set() if names else set(directories)
    for name in names:
        found = {of for of in directories if matches(of, [name]) or matches(Path(of).name, [name])}
        if not found:
            hint = did_you_mean(name, list(dict.fromkeys([*directories, *(Path(of).name for of in directories)])))
            raise UserError(f"--only={name} is not a run of this study{hint}: --launch=print lists them")
        chosen |= found
    return [of for of in directories if of in chosen]


def check_same_study(queue: RunConfigs, workdir: Path) -> None:
    """Raise UserError if `workdir` has a study of other runs. The same study may have got or lost runs, seeds and claims."""
    study = read_study(workdir)
    if study:
        now = {*queue}
        before = {str(Path(seed) / name) for seeds in study.replicates for seed in seeds or [""] for name in study.runs}
    else:  # parts of one were trained, or submitted
        now = {Path(name).name for name in queue}
        before = {*(read_json(workdir / stated_claims.FILE, stated_claims.ClaimsFile) or {}).get("recipes", ())}
    new, gone = min(now - before, default=""), min(before - now, default="")
    if new and gone:
        title = f"the study '{study.title}'" if study else "another study"
        raise UserError(
            f"{workdir} contains {title}, which has a run {gone} and no {new}: choose another --workdir, or pass --overwrite to "
            "write this one there"
        )


def check_unchanged(queue: RunConfigs, workdir: Path) -> None:
    """Raise UserError for the first run in `workdir` with another config. The study does not change."""
    for name, config in queue.items():
        if difference := difference_to(workdir / name, plain(config), FIELDS):
            raise UserError(
                f"{workdir / name} contains the run of another config ({difference}): choose another --workdir, go back to "
                "that config, or pass --overwrite to replace the run"
            )


def in_budget(replicates: Sequence[ReplicateConfigs], workdir: Path, minutes: float, jobs: int) -> Iterator[RunConfigs]:
    """The runs of one seed or mirrored pair after the other, while the next one should finish within the minutes."""
    started, longest = time.perf_counter(), 0.0
    for number, replicate in enumerate(replicates):
        began, configs = time.perf_counter(), queue_of([replicate])
        fits = not number or began - started + longest <= 60 * minutes
        if not broadcast_from_first(fits or len(trained_of(configs, workdir)) == len(configs)):
            done, total = (sum(map(len, some)) for some in (replicates[:number], replicates))
            another = "another" if len(replicate) == 1 else "another pair"
            tqdm.write(f"{done} of {total} seeds: {another} takes some {longest / 60:.0f} minutes")
            return
        yield configs
        # Finished runs took their time in an earlier call.
        in_training = sum(Run(workdir / name).seconds or 0 for name in trained_of(configs, workdir))
        longest = max(longest, in_training / (min(jobs, len(configs)) or 1), time.perf_counter() - began)


def report_study(
    opened: OpenedStudy, failures: Mapping[str, str] = {}, places: Sequence[Place] = ()
) -> Mapping[str, ClaimResult]:
    """Measure the trained runs, test the claims, write report and page, and print a summary and which runs are missing.

    `failures` are the reasons why runs were not trained. Returns the tests of the claims, in the first process. Raises
    UserError if a part of the study failed, after everything else.
    """
    workdir, failures = opened.workdir, dict(failures)
    measured: list[dict[str, Runs]] = []  # by replicate and seed
    missing: list[str] = []
    claims: Mapping[str, ClaimResult] = {}
    for replicate in opened.config.replicates:
        measured.append({})
        for seed, (configs, transfer_config) in replicate.items():
            known = {name: config for name, config in configs.items() if str(Path(seed) / name) not in failures}
            trained = trained_of(known, workdir / seed)
            missing += [str(Path(seed) / name) for name in known if name not in trained]
            measured[-1][seed], failed = read_runs(trained, workdir / seed)
            if transfer_config and measured[-1][seed]:
                failed |= transfer_runs(transfer_config, measured[-1][seed], workdir / seed, places)
            failures |= {str(Path(seed) / what): why for what, why in failed.items()}
    queue, study = opened.config.queue, opened.study
    if len(missing) == len(queue):
        raise UserError(f"no run of this study is trained in {workdir}: there is nothing to report")
    if jax.process_index() == 0 and (any(map(any, map(dict.values, measured))) or not (workdir / "report.md").exists()):
        if missing:
            done = sum(len(runs) for seeds in measured for runs in seeds.values())
            study = dataclasses.replace(study, title=f"{study.title}, {done} of {len(queue)} runs")
        text, claims, not_drawn = write(opened._replace(study=study), measured, failures)
        tqdm.write(f"\n{text}\n\n{last_lines(workdir / 'report.md', opened.page.address)}")
        failures |= not_drawn
    if missing:
        tqdm.write(f"{len(missing)} of {len(queue)} runs are not trained: {shortened_list(missing, NAMED)}")
    raise_failures(failures, queue)
    return claims


def write(
    opened: OpenedStudy, measured: Sequence[Mapping[str, Runs]], failures: Failures
) -> tuple[str, Mapping[str, ClaimResult], Failures]:
    """Test the claims, draw the figures and write the report and the page on the runs so far, by replicate and seed.

    Returns a summary for a terminal, the tests of the claims, and the reasons why figures could not be drawn.
    """
    by_replicate = [list(replicate.values()) for replicate in measured if any(replicate.values())]
    seeds = {seed: runs for replicate in measured for seed, runs in replicate.items() if runs}
    config, workdir, groups = (
        opened.config,
        opened.workdir,
        groups_of(by_replicate, labels_of(opened.study.runs, opened.study.names)),
    )
    seconds = time.perf_counter() - opened.started
    claims, lead = evaluate_study(opened.study, by_replicate), lead_of_study(opened.study, by_replicate)
    drawn, not_drawn = draw_figures(config.figures, seeds, workdir)
    study = dataclasses.replace(opened.study, failures=failures | not_drawn)
    write_report(study, seeds, groups, claims, lead, config.path, drawn, seconds, workdir)
    opened.page.write_report(study, claims)
    return summary(study, groups, claims, lead, shutil.get_terminal_size().columns), claims, not_drawn


def trained_of(configs: RunConfigs, workdir: Path) -> RunConfigs:
    """The configs of the trained runs."""
    return {name: config for name, config in configs.items() if is_finished(workdir / name, plain(config), FIELDS)}


def raise_failures(failures: Failures, runs: Collection[str]) -> None:
    """Raise UserError that names the failed parts; `runs` are all runs."""
    if failures:
        what = f"{len(failures)} of {len(runs)} runs" if set(failures) <= set(runs) else "parts of the study"
        raise UserError(f"{what} failed: {', '.join(failures)}")
