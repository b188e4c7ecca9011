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
from cliptail_jax.objectives import FIELDS, OBJECTIVES, TrainingConfig
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
    """Train and evaluate runs, whose names are those of their directories. A failed one does not stop the others.

    A run that another process trains is left to it. With `places`, a run trains at each of them at the same time; runs for
    which a chip is too small follow one by one on all chips. Failures are added to `failures`, and `after_run` is called
    with it after each run. `queue` has all runs of the study, for their numbers; by default, these are all.
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
    """The runs of a kind, which are neighbours in `queue`, one after the other, beside as many other kinds as there are places.

    A run then finds in JAX's cache of programs what an earlier one of its kind has compiled. Kinds side by side have the same
    objective, so they take about equally long, and no place waits for another one at the end. The kinds that an objective has
    beyond a multiple of the places are together at the end, those of the last objective first: from SL to CLIP, they take
    longest.
    """
    sets, rest = [], []
    for _, names in itertools.groupby(queue, lambda name: queue[name].objective):
        kinds = [list(runs) for _, runs in itertools.groupby(names, lambda name: Path(name).name)]
        whole = len(kinds) - len(kinds) % places
        sets += [kinds[start : start + places] for start in range(0, whole, places)]
        rest = kinds[whole:] + rest
    sets += [rest[start : start + places] for start in range(0, len(rest), places)]
    return [name for kinds in sets for runs in itertools.zip_longest(*kinds) for name in runs if name]


def train_at_places(calls: Mapping[str, Sequence], places: Sequence[Place]) -> Iterator[tuple[str, str]]:
    """Calls `train_run` at places. Runs that need several chips follow on all of them. Yields names and failures."""
    on_chips = are_chips(places)
    large = [name for name, (config, *_) in calls.items() if on_chips and max(config.mesh.data, config.mesh.fsdp) > 1]
    for name, failure in call_at_places(train_run, {name: calls[name] for name in calls if name not in large}, places):
        if on_chips and failure == DEVICE_MEMORY:
            tqdm.write(f"{name} does not fit one chip: it follows on all of them")
            large.append(name)
        else:
            yield name, failure
    if large:
        yield from call_at_places(train_run, {name: calls[name] for name in large}, [whole_machine()])


def train_run(config: TrainingConfig, workdir: Path, overwrite: bool, label: str) -> str:
    """Train and evaluate a run, unless another process does. Returns the reason of a failure, else ''."""
    values = to_config(config)
    try:
        train(values, workdir, overwrite, label)
        if not broadcast_from_first(is_evaluated(workdir, config.eval, OBJECTIVES[config.objective].uses_prompts)):
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
