"""Plan a run on accelerators that this machine lacks: does it fit, what limits it, and how long does it take at least?

    cliptail plan clip:data=imagenet_captions --config.model.dtype=bfloat16 \\
        --on=v5e-8,v4-32,h100x8

The accelerators' own compilers, which run on any x86-64 Linux machine, compile the training step (extra plan; or jax[tpu] for
TPUs, jax[cuda12] for GPUs). No data is read. The numbers of records and classes are those of the config's prepared data set,
or known for the paper's sets. For other sets, give --records and --classes. Published towers and heads are not needed.
Results are kept in the user's cache.
"""

import argparse
import os
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.printing import one_line
from cliptail_jax.planning.environment import compiler_environment
from cliptail_jax.programs.command_line import non_negative

if TYPE_CHECKING:
    from cliptail_jax.planning.measuring import MeasuredStep
    from cliptail_jax.planning.search import PlanOf

CONFIGS = ("sup", "clip", "dino")


def add_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--on", default="v5e-8", help="TPU slices and hosts of GPUs to plan for, such as v5e-8,v4-32,h100x8"
    )
    parser.add_argument("--slices", type=non_negative(int, 1), default=1, help="number of TPU slices of each")
    for flag, number, maximum in (("records", "training records", 10**12), ("classes", "classes", 10**6)):
        purpose = f"number of {number}, without the data set"
        parser.add_argument(f"--{flag}", type=non_negative(int, maximum=maximum), default=0, help=purpose)
    parser.add_argument("--price", type=non_negative(float), default=0.0, help="dollars of a chip-hour")
    for flag, purpose in {
        "search": "find the largest batch that fits, and the changes with which the config's batch fits",
        "evaluation": "plan a step of evaluation instead of one of training",
        "measure": "run ten steps on the accelerators of this machine as well",
        "traffic": "print which operations move most bytes from and to HBM; with --json, also the arrays of collectives",
        "json": "print one line of JSON per topology instead of tables",
    }.items():
        parser.add_argument(f"--{flag}", action="store_true", help=purpose)


def set_environment(options: argparse.Namespace) -> None:
    os.environ.update(compiler_environment(options.measure))


def main(options: argparse.Namespace) -> None:
    import functools

    from tqdm import tqdm

    from cliptail_jax.objectives import make_objective, typed_config
    from cliptail_jax.planning.planner import measure, plan_safely, planned_variant
    from cliptail_jax.planning.search import Changes
    from cliptail_jax.planning.subprocess_call import run_in_subprocess
    from cliptail_jax.planning.topologies import find_topology
    from cliptail_jax.report.plans import CACHE_NOTE, NOTE
    from cliptail_jax.training.objective import Objective

    config = options.config
    data = typed_config(config).data
    names = [name for name in options.on.split(",") if name]
    if not names:
        raise UserError("--on is empty: name TPU slices or hosts of GPUs, such as v5e-8,h100x8")
    topologies = [find_topology(name, options.slices) for name in names]
    if options.evaluation and (options.measure or options.search):
        raise UserError("--evaluation plans a step of evaluation; --measure and --search are for training")
    note_missing_cache()
    variant = planned_variant(data, options.records, options.classes)

    def make(changes: Changes) -> Objective:
        changed_config = config.copy_and_resolve_references()
        changed_config.update_from_flattened_dict(changes)
        return make_objective(typed_config(changed_config), variant, shapes_only=True)

    measurement = run_in_subprocess(lambda: measure(make)) if options.measure else None
    progress = tqdm(topologies, desc="compiling", disable=None)
    mistakes: set[str] = set()
    for topology in progress:
        progress.set_postfix_str(topology.name)
        plan_of = functools.partial(plan_safely, make, options.evaluation, topology, progress.refresh)
        try:
            for text in described(options, plan_of, measurement):
                tqdm.write(text)
        except UserError as error:  # other topologies may work
            if str(error) not in mistakes:
                tqdm.write(one_line(f"error: {error}"), file=sys.stderr)
            mistakes.add(str(error))
        except KeyboardInterrupt:
            progress.close()
            print("\ninterrupted; plans that were made are in the cache", file=sys.stderr)
            sys.exit(130)
    if not options.json and len(mistakes) < len(topologies):
        print(f"\n{NOTE}", *[CACHE_NOTE] * any(topology.cache for topology in topologies))
    if mistakes:
        sys.exit(2)


def note_missing_cache() -> None:
    """Print a note if plans cannot be cached; the cache only saves time."""
    from cliptail_jax.host.files import user_cache
    from cliptail_jax.host.outputs import check_writable_folder
    from cliptail_jax.planning.program import CACHE

    try:
        check_writable_folder(user_cache(CACHE))
    except UserError as error:
        print(one_line(f"note: plans are not kept: {error}"), file=sys.stderr)


def described(options: argparse.Namespace, plan_of: "PlanOf", measurement: "MeasuredStep | None") -> Iterator[str]:
    """The requested output for a topology; `plan_of` makes its plans."""
    import json

    from cliptail_jax.planning.hints import hints
    from cliptail_jax.planning.planner import versions
    from cliptail_jax.planning.search import cheapest_fit, largest_batch
    from cliptail_jax.report.plans import as_json, table, traffic_table

    plan = plan_of({})
    if options.json:
        yield json.dumps(as_json(plan, versions(), measurement, options.traffic))
        return
    yield f"\n{table(plan, options.price, [] if options.evaluation else hints(plan), measurement)}"
    if options.traffic and plan.fits:
        yield f"\n{traffic_table(plan)}"
    if options.search:
        largest, cheapest = largest_batch(plan_of), cheapest_fit(plan_of)
        yield f"\nlargest batch that fits: {largest.batch_size:,}" if largest else "\nno batch fits"
        outcome = f"fits with {cheapest}" if cheapest else "does not fit, however its memory is saved"
        yield f"\nbatch_size={plan.batch_size:,} {outcome}"
