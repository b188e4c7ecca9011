"""Adds pairs of runs, or seeds, to a study until its claims are decided, by the rule of `cliptail_jax.metrics.looks`."""

import dataclasses
import itertools
import math
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

import jax
from tqdm import tqdm

from cliptail_jax.claims.verdicts import INCONCLUSIVE
from cliptail_jax.host.errors import Failures, UserError, did_you_mean
from cliptail_jax.metrics.looks import FIRST
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.study import read_study, write_study
from cliptail_jax.study.configuration import StudyConfig
from cliptail_jax.study.places import Place, leave_chips
from cliptail_jax.study.run import OpenedStudy, in_budget, open_study, report_study
from cliptail_jax.study.study_page import StudyPage
from cliptail_jax.study.training import train_runs

# With at most 5 pairs, a study has the power of four pairs at the level of 95 %; see scripts/benchmark/README.md.
MOST = 5
ALL = ("", "all")  # values that name all claims; a flag without a value is the first one


def most_pairs(workdir: Path, is_asked: bool, given: int | None) -> int:
    """The largest number of pairs or seeds of the study in a directory; 0 if it has a fixed number.

    A directory keeps it, since it sets the levels of looks that have been taken.

    Args:
        is_asked: whether this call is to add pairs until claims are decided.
        given: the number that this call gives, if any.

    Raises:
        UserError: the number is too small, or not that of the directory.
    """
    study = read_study(workdir)
    kept = study.most if study else 0
    if given is not None and not is_asked:
        raise UserError(f"--max_pairs={given} is for a study that adds pairs: add --until_decided, or leave it out")
    if given is not None and given < FIRST:
        raise UserError(f"--max_pairs={given} is too small: the first look at claims is after {FIRST} pairs or seeds")
    if kept and given not in (None, kept):
        raise UserError(
            f"--max_pairs={given}: {workdir} contains looks at the levels for {kept} pairs or seeds at most: leave it out"
        )
    return kept or (given or MOST if is_asked else 0)


def seeds_of(config: StudyConfig, most: int, workdir: Path) -> int:
    """The field `seeds` of a study with `most` pairs or seeds. Raises UserError if it has no seeds, or the directory more."""
    if not config.seeds:
        raise UserError("--until_decided adds pairs or seeds: this study's config has no seeds")
    if (begun := begun_in(workdir, config.seed)) > most:
        raise UserError(f"--max_pairs={most} is too small: {workdir} has {begun} pairs or seeds already")
    return most * (2 if config.counterbalanced else 1)


def begun_in(workdir: Path, seed: int) -> int:
    """The number of pairs or seeds, from the first one on, that have a directory."""
    return next(n for n in itertools.count() if not (workdir / f"seed_{seed + n}").exists())


def claims_named(value: str | None, claims: Mapping[str, Claim]) -> list[str]:
    """The keys of claims in the value of --until_decided, by default all.

    Raises UserError for a key that the study does not have, and a claim that no number of pairs decides.
    """
    keys = [*claims] if value is None or value in ALL else value.split(",")
    if not keys:
        raise UserError("--until_decided needs claims, and this study has none")
    for key in keys:
        if key not in claims:
            raise UserError(f"--until_decided={key} is not a claim of this study{did_you_mean(key, claims)}")
        if claims[key].equal and not claims[key].margin:
            raise UserError(
                f"claims.{key} states that runs are equal, with a margin of 0, which no number of pairs decides: give it a "
                "margin, or name other claims by --until_decided=KEYS"
            )
    return keys


def run_until_decided(
    config: StudyConfig,
    workdir: Path,
    keys: Collection[str],
    overwrite: bool = False,
    budget: float = 0,
    places: Sequence[Place] = (),
) -> None:
    """Train one pair or seed after the other, and report after each, until claims are decided.

    It ends when all claims of these keys are, except for those that cannot be tested; or after all pairs of the config; or
    when the next one is not expected to finish within `budget` minutes, if that is not 0. Other arguments and errors as for
    `cliptail_jax.study.run.run_study`.
    """
    most = len(config.replicates)
    with leave_chips(places):
        opened = open_study(config, workdir, overwrite, most)
        begun = max(begun_in(workdir, config.seed), 1)
        page = StudyPage(first_pairs(opened, begun).study, workdir)
        page.start()
        opened, failures = opened._replace(page=page), Failures()
        pairs = 0
        parts = in_budget(config.replicates, workdir, budget or math.inf, len(places))
        for pairs, part in enumerate(parts, 1):
            now = first_pairs(opened, max(begun, pairs))
            if jax.process_index() == 0:
                write_study(workdir, now.study)
            train_runs(part, workdir, overwrite, places, failures, page.after_run, now.config.queue)
            if pairs < begun:  # its look has been taken
                continue
            claims = report_study(now, failures, places)
            undecided = [key for key in keys if claims and claims[key].verdict == INCONCLUSIVE]
            if pairs >= FIRST and not broadcast_from_first(len(undecided)):
                return
            if pairs >= FIRST:
                tqdm.write(f"After {pairs} of at most {most} pairs or seeds, undecided: {', '.join(undecided)}")
        if pairs < begun:  # the budget has ended first
            report_study(first_pairs(opened, begun), failures, places)


def report_begun(opened: OpenedStudy) -> None:
    """Report the pairs or seeds that have begun, as `cliptail_jax.study.run.report_study` does."""
    report_study(first_pairs(opened, max(begun_in(opened.workdir, opened.config.seed), 1)))


def first_pairs(opened: OpenedStudy, pairs: int) -> OpenedStudy:
    """The study with so many pairs or seeds."""
    config = dataclasses.replace(opened.config, replicates=opened.config.replicates[:pairs])
    study = dataclasses.replace(opened.study, replicates=opened.study.replicates[:pairs])
    return opened._replace(config=config, study=study)
