"""Trains the runs of a study, one after the other or several at the same time."""

import itertools
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from tqdm import tqdm

from cliptail_jax.config.fields import plain, to_config
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.host.errors import DEVICE_MEMORY, Failures, UserError, problem, reason_of
from cliptail_jax.host.interrupts import note_saved
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.jobs.train import train
from cliptail_jax.objectives import FIELDS, TrainingConfig, objective_class
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.directory import is_finished
from cliptail_jax.runs.lock import InUseError
from cliptail_jax.study.configuration import RunConfigs
from cliptail_jax.study.places import Place, are_chips, whole_machine
from cliptail_jax.study.pool import RESUMES, call_at_places


def train_runs(
    configs: RunConfigs,
    workdir: Path,
    overwrite: bool,
    places: Sequence[Place],
    failures: Failures,
    after_run: Callable[[Failures], None] = lambda failures: None,
    queue: RunConfigs | None = None,
) -> None:
    """Train and evaluate runs, whose names are those of their directories. A failed run does not stop the others.

    Runs that another process trains are skipped. With `places`, a run trains at each of them at the same time; runs for
    which a chip is too small follow one by one on all chips. Failures are added to `failures`, and `after_run` is called
    with it after each run. `queue` has all runs of the study, which labels number; by default, `configs` has all.
    """
    order = order_of_starting(queue or configs, len(places) or 1)
    calls = {
        name: (configs[name], workdir / name, overwrite, f"run {number} of {len(order)}, {name}")
        for number, name in enumerate(order, 1)
        if name in configs
    }
    if places and not all(is_finished(workdir / name, plain(config), FIELDS) for name, config in configs.items()):
        note_saved(RESUMES)
        results = train_at_places(calls, places)
    else:
        results = ((name, train_run(*call)) for name, call in calls.items())
    bar = dict(bar_format="runs |{bar}| {n_fmt} of {total_fmt} are done, {elapsed}", disable=None if places else True)
    with tqdm(results, total=len(configs), **bar) as progress:
        for name, failure in progress:
            if failure:
                failures[name] = failure
                tqdm.write(f"error: {name}: {failure}")
            after_run(failures)


def order_of_starting(queue: RunConfigs, places: int) -> list[str]:
    """The names of the runs in the order in which they start: one kind at each place, and the runs of a kind in sequence.

    Runs of a kind are neighbours in `queue`. In sequence, a run finds in JAX's cache what an earlier run of its kind has
    compiled. Kinds that train at the same time have the same objective, so they take about equally long, and no place waits
    for another at the end. If the places do not divide the number of an objective's kinds, its last kinds train at the end,
    those of the last objective first: objectives are in order from SL to CLIP, which takes longest.
    """
    groups, last_kinds = [], []
    for _, names in itertools.groupby(queue, lambda name: queue[name].objective):
        kinds = [list(runs) for _, runs in itertools.groupby(names, lambda name: Path(name).name)]
        end = len(kinds) - len(kinds) % places
        groups += [kinds[start : start + places] for start in range(0, end, places)]
        last_kinds = kinds[end:] + last_kinds
    groups += [last_kinds[start : start + places] for start in range(0, len(last_kinds), places)]
    return [name for kinds in groups for runs in itertools.zip_longest(*kinds) for name in runs if name]


def train_at_places(calls: Mapping[str, Sequence], places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    """Call `train_run` at places, then for runs that need several chips on all chips. Yields names and failures."""
    on_chips = are_chips(places)
    large_runs = [
        name for name, (config, *_) in calls.items() if on_chips and max(config.mesh.data, config.mesh.fsdp) > 1
    ]
    for name, failure in call_at_places(
        train_run, {name: calls[name] for name in calls if name not in large_runs}, places
    ):
        if on_chips and failure == DEVICE_MEMORY:
            tqdm.write(f"{name} does not fit one chip: it follows on all of them")
            large_runs.append(name)
        else:
            yield name, failure
    if large_runs:
        yield from call_at_places(train_run, {name: calls[name] for name in large_runs}, [whole_machine()])


def train_run(config: TrainingConfig, workdir: Path, overwrite: bool, label: str) -> str:
    """Train and evaluate a run, unless another process trains it. Returns the reason of a failure, else ''."""
    values = to_config(config)
    try:
        train(values, workdir, overwrite, label)
        if not broadcast_from_first(is_evaluated(workdir, config.eval, objective_class(config.objective).uses_prompts)):
            evaluate(values, workdir)
    except InUseError as error:
        log_line(f"{label} is skipped: {error.holder} trains it")
    except UserError as error:
        return str(error)
    except Exception as error:
        if line := problem(error):
            return line
        traceback.print_exc()
        return reason_of(error)
    return ""
