"""Train the runs of a study with all their seeds, measure them, test the claims, and report."""

import time
import traceback
from pathlib import Path

import jax
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.config.training import validate
from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.objectives import OBJECTIVES
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.runs import is_finished
from cliptail_jax.study.claims import Outcomes, check_claims, finished_outcome, judge
from cliptail_jax.study.report import report, show
from cliptail_jax.study.sheets import check_figures, draw_figures
from cliptail_jax.train import train
from cliptail_jax.transfer import configuration as transfer_configuration
from cliptail_jax.transfer.program import TransferFailed, transfer

Runs = dict[str, ConfigDict]  # by their names, in the study's order


def run_study(study: ConfigDict, workdir: Path, overwrite: bool = False, budget: float = 0) -> None:
    """Train what is not yet trained, then write report.md, report.json and figures/. A failed run stops no other.

    With a `budget` in minutes, a study of several seeds begins to train none, but the first, that would end after it.
    """
    check_study(study)
    if budget and "seeds" not in study:
        raise UserError("--budget chooses how many seeds fit: this study's config has no seeds")
    started, longest = time.perf_counter(), 0.0
    seeds: dict[str, Outcomes] = {}
    failures: dict[str, str] = {}
    for name, (runs, to_transfer) in by_seed(study).items():
        began = time.perf_counter()
        fits = began - started + longest <= 60 * budget
        if budget and seeds and not agreed(fits or all(is_finished(workdir / name / r, c) for r, c in runs.items())):
            tqdm.write(f"{len(seeds)} of {study.seeds} seeds: another takes some {longest / 60:.0f} minutes")
            break
        seeds[name], failed = run_seed(runs, to_transfer, workdir / name, overwrite)
        failures |= {str(Path(name) / what): why for what, why in failed.items()}
        trained = sum(outcome.seconds for outcome in seeds[name].values())  # perhaps by an earlier call
        longest = max(longest, trained, time.perf_counter() - began)
        if jax.process_index() == 0:
            judgements = [judge(claim, list(seeds.values())) for claim in study.claims.values()]
            drawn, not_drawn = draw_figures(study.get("figures", {}), seeds, workdir)
            taken = time.perf_counter() - started
            title = study.title + f", {len(seeds)} of {study.get('seeds')} seeds" * (len(seeds) < study.get("seeds", 1))
            text = report(title, seeds, failures | not_drawn, judgements, drawn, taken, workdir)
    if jax.process_index() == 0:
        show(text, workdir)
        failures |= not_drawn
    if failures:
        names = [str(Path(name) / run) for name in seeds for run in study.runs]
        what = f"{len(failures)} of {len(names)} runs" if set(failures) <= set(names) else "parts of the study"
        raise UserError(f"{what} failed: {', '.join(failures)}")


def by_seed(study: ConfigDict) -> dict[str, tuple[Runs, ConfigDict | None]]:
    """The runs and the transfer of each seed, by the name of its directory; '' for a study of one.

    Raises UserError where a run of several seeds has one of its own.
    """
    first, of_seed = study.get("seed", 0), {}
    for seed in range(first, first + study.get("seeds", 1)):
        if "seeds" in study:
            study.seed = seed  # which all of the study refers to
        runs = {name: config.copy_and_resolve_references() for name, config in study.runs.items()}
        if fixed := [name for name, config in runs.items() if config.seed != seed and "seeds" in study]:
            raise UserError(
                f"run '{fixed[0]}': its seed does not refer to the study's, so all {study.seeds} are the same"
            )
        transfer = study.transfer.copy_and_resolve_references() if "transfer" in study else None
        of_seed[f"seed_{seed}" * ("seeds" in study)] = runs, transfer
    if "seeds" in study:
        study.seed = first
    return of_seed


def run_seed(
    runs: Runs, to_transfer: ConfigDict | None, workdir: Path, overwrite: bool
) -> tuple[Outcomes, dict[str, str]]:
    """What came out of the runs that were trained, and why others, or their transfer, failed."""
    failures: dict[str, str] = {}
    for name, config in runs.items():
        try:
            train(config, workdir / name, overwrite)
            if not agreed(is_evaluated(workdir / name, config.eval, OBJECTIVES[config.objective].uses_prompts)):
                evaluate(config, workdir / name)
        except UserError as error:
            failures[name] = str(error)
            tqdm.write(f"error: {name}: {error}")
        except Exception as error:  # whatever breaks in one run, the others go on
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            traceback.print_exc()
    outcomes = {name: finished_outcome(config, workdir / name) for name, config in runs.items() if name not in failures}
    if to_transfer and outcomes:
        failures |= transfer_runs(to_transfer, outcomes, workdir)
    return outcomes, failures


def transfer_runs(config: ConfigDict, outcomes: Outcomes, workdir: Path) -> dict[str, str]:
    """Measure runs by transfer, and note the cells of each with it. Returns what failed, and why."""
    chosen = [name for name in outcomes if name in (config.models or outcomes)]
    config.models = tuple(str(workdir / name) for name in chosen)
    failures: dict[str, str] = {}
    try:
        results = transfer(config, workdir / "transfer")
    except TransferFailed as error:
        results, failures = error.results, {f"transfer: {what}": why for what, why in error.failures.items()}
    except UserError as error:
        results, failures = [], {"transfer": str(error)}
    for name in chosen:
        outcomes[name].transferred = [result for result in results if result["model"] == str(workdir / name)]
    return failures


def check_study(study: ConfigDict) -> None:
    """Raise a UserError that names what is wrong with the study, one of its runs, or one of its claims."""
    for key in ("title", "runs", "claims"):
        if key not in study:
            raise UserError(f"a study's config has title, runs and claims, as in configs/study; this one has no {key}")
    if "seeds" in study:
        if type(study.seeds) is not int or study.seeds < 1:
            raise UserError(f"config key 'seeds' is {study.seeds!r}; it must be a positive whole number")
        if "seed" not in study:
            raise UserError("a study of several seeds has a field 'seed', which the seed of each run refers to")
    for name, config in study.runs.items():
        try:
            validate(config)
        except UserError as error:
            raise UserError(f"run '{name}': {error}") from None
        if not config.eval.sets and "transfer" not in study:
            raise UserError(f"run '{name}': eval.sets is empty, but a study compares evaluations")
    if "transfer" in study:
        check_transfer(study)
    check_claims(study)
    check_figures(study)


def check_transfer(study: ConfigDict) -> None:
    config = study.transfer.copy_and_resolve_references()
    if unknown := set(config.models) - set(study.runs):
        raise UserError(f"transfer.models names the run '{min(unknown)}'; the study has {', '.join(study.runs)}")
    config.models = config.models or tuple(study.runs)
    try:
        transfer_configuration.validate(config)
    except UserError as error:
        raise UserError(f"transfer: {error}") from None
