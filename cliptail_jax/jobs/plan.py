"""Plans a run's step on accelerators, one after the other, and prints the plans."""

import argparse
import functools
import json
import sys
from collections.abc import Iterator

from tqdm import tqdm

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.printing import one_line
from cliptail_jax.planning.hints import hints
from cliptail_jax.planning.measuring import MeasuredStep
from cliptail_jax.planning.planner import measure, objective_maker, plan_safely, versions
from cliptail_jax.planning.program import note_missing_cache
from cliptail_jax.planning.search import PlanOf, cheapest_fit, largest_batch
from cliptail_jax.planning.subprocess_call import run_in_subprocess
from cliptail_jax.planning.topologies import find_topology
from cliptail_jax.report.plans import CACHE_NOTE, NOTE, as_json, table, traffic_table


def plan_command(options: argparse.Namespace) -> None:
    """Make and print the plans that the flags of `cliptail plan` ask for. Exits with status 2 if one cannot be made."""
    names = [name for name in options.on.split(",") if name]
    if not names:
        raise UserError("--on is empty: name TPU slices or hosts of GPUs, such as v5e-8,h100x8")
    topologies = [find_topology(name, options.slices) for name in names]
    if options.evaluation and (options.measure or options.search):
        raise UserError("--evaluation plans a step of evaluation; --measure and --search are for training")
    note_missing_cache()
    make = objective_maker(options.config, options.records, options.classes)
    measurement = run_in_subprocess(lambda: measure(make)) if options.measure else None
    progress = tqdm(topologies, desc="compiling", disable=None)
    mistakes: set[str] = set()
    for topology in progress:
        progress.set_postfix_str(topology.name)
        plan_of = functools.partial(plan_safely, make, options.evaluation, topology, progress.refresh)
        try:
            for text in plan_texts(options, plan_of, measurement):
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


def plan_texts(options: argparse.Namespace, plan_of: PlanOf, measurement: MeasuredStep | None) -> Iterator[str]:
    """The requested output for a topology; `plan_of` makes its plans."""
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
