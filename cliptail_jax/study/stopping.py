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
from cliptail_jax.study.run import OpenedStudy, check_data, in_budget, open_study, report_study
from cliptail_jax.study.study_page import StudyPage
from cliptail_jax.study.training import train_runs

# With at most 5 pairs, a study has the power of four pairs at the level of 95 %; see scripts/benchmark/README.md.
DEFAULT_MAX_PAIRS = 5
ALL_CLAIMS = ("", "all")  # values that name all claims; a flag without a value is the first one


def most_pairs(workdir: Path, is_until_decided: bool, max_pairs: int | None) -> int:
    """The largest number of pairs or seeds of the study in a directory; 0 if the study has a fixed number.

    The directory records this number, since the levels of past looks depend on it.

    Args:
        is_until_decided: whether this call adds pairs until claims are decided.
        max_pairs: the number that this call gives, or None.

    Raises:
        UserError: the number is too small, or differs from that of the directory.
    """
    study = read_study(workdir)
    recorded_pairs = study.max_replicates if study else 0
    if max_pairs is not None and not is_until_decided:
        raise UserError(f"--max_pairs={max_pairs} is for a study that adds pairs: add --until_decided, or leave it out")
    if max_pairs is not None and max_pairs < FIRST:
        raise UserError(
            f"--max_pairs={max_pairs} is too small: the first look at claims is after {FIRST} pairs or seeds"
        )
    if recorded_pairs and max_pairs not in (None, recorded_pairs):
        raise UserError(
            f"--max_pairs={max_pairs}: {workdir} contains looks at the levels for {recorded_pairs} pairs or seeds at most: "
            "leave it out"
        )
    return recorded_pairs or (max_pairs or DEFAULT_MAX_PAIRS if is_until_decided else 0)


def seeds_of(config: StudyConfig, max_pairs: int, workdir: Path) -> int:
    """The field `seeds` of a study with `max_pairs` pairs or seeds.

    Raises UserError if the config has no seeds, or if the directory has more pairs or seeds.
    """
    if not config.seeds:
        raise UserError("--until_decided adds pairs or seeds: this study's config has no seeds")
    if (begun_pairs := count_begun(workdir, config.seed)) > max_pairs:
        raise UserError(f"--max_pairs={max_pairs} is too small: {workdir} has {begun_pairs} pairs or seeds already")
    return max_pairs * (2 if config.counterbalanced else 1)


def count_begun(workdir: Path, seed: int) -> int:
    """The number of consecutive pairs or seeds, from the first one on, that have a directory."""
    return next(n for n in itertools.count() if not (workdir / f"seed_{seed + n}").exists())


def claims_named(value: str | None, claims: Mapping[str, Claim]) -> list[str]:
    """The keys of claims in the value of --until_decided, by default all.

    Raises UserError for a key that the study does not have, and for a claim that no number of pairs decides.
    """
    keys = [*claims] if value is None or value in ALL_CLAIMS else value.split(",")
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

    It ends when the claims of these keys are decided, except for those that cannot be tested; after all pairs of the config;
    or, if `budget` is not 0, when the next pair is not expected to finish within so many minutes. Other arguments and errors
    are those of `cliptail_jax.study.run.run_study`.
    """
    max_pairs = len(config.replicates)
    check_data(config.queue, workdir)
    with leave_chips(places):
        opened_study = open_study(config, workdir, overwrite, max_pairs)
        begun_pairs = max(count_begun(workdir, config.seed), 1)
        page = StudyPage(first_pairs(opened_study, begun_pairs).study, workdir)
        page.start()
        opened_study, failures = opened_study._replace(page=page), Failures()
        pairs = 0
        parts = in_budget(config.replicates, workdir, budget or math.inf, len(places))
        for pairs, part in enumerate(parts, 1):
            current_study = first_pairs(opened_study, max(begun_pairs, pairs))
            if jax.process_index() == 0:
                write_study(workdir, current_study.study)
            train_runs(part, workdir, overwrite, places, failures, page.after_run, current_study.config.queue)
            if pairs < begun_pairs:  # an earlier call has tested the claims on these
                continue
            claims = report_study(current_study, failures, places)
            open_keys = [key for key in keys if claims and claims[key].verdict == INCONCLUSIVE]
            if pairs >= FIRST and not broadcast_from_first(len(open_keys)):
                return
            if pairs >= FIRST:
                tqdm.write(f"After {pairs} of at most {max_pairs} pairs or seeds, undecided: {', '.join(open_keys)}")
        if pairs < begun_pairs:  # the budget ended before that
            report_study(first_pairs(opened_study, begun_pairs), failures, places)


def report_begun(opened_study: OpenedStudy) -> None:
    """Report the pairs or seeds that have begun, as `cliptail_jax.study.run.report_study` does."""
    report_study(first_pairs(opened_study, max(count_begun(opened_study.workdir, opened_study.config.seed), 1)))


def first_pairs(opened_study: OpenedStudy, pairs: int) -> OpenedStudy:
    """The study with only its first pairs or seeds."""
    config = dataclasses.replace(opened_study.config, replicates=opened_study.config.replicates[:pairs])
    study = dataclasses.replace(opened_study.study, replicates=opened_study.study.replicates[:pairs])
    return opened_study._replace(config=config, study=study)
