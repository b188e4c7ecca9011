"""Plans a run on accelerators, without having them: whether it fits, what limits it, and how long it takes at least.

    python -m cliptail_jax.plan --config=configs/clip.py:data=imagenet_captions --config.model.dtype=bfloat16 \\
        --on=v5e-8,v4-32,h100x8

The training step is built by the functions of `cliptail_jax.train` and compiled by the accelerators' own compilers,
which run on any x86-64 Linux machine (the extra plan, or jax[tpu] for TPUs, jax[cuda12] for GPUs). No data is read. The
numbers of records and classes are those of the config's prepared data set, or known for the paper's sets. For other
sets, give --records and --classes. Published towers and heads are not needed. Results are kept in the user's cache.
"""

import os
import sys

from absl import flags

from cliptail_jax.config.program import define_config, run_with_config
from cliptail_jax.planning.environment import compiler_environment

if __name__ == "__main__":  # before the slow imports, which --help does not need
    flags.DEFINE_list("on", ["v5e-8"], "TPU slices and hosts of GPUs to plan for, such as v5e-8,v4-32,h100x8")
    flags.DEFINE_integer("slices", 1, "Number of TPU slices of each", lower_bound=1)
    flags.DEFINE_integer("records", 0, "Number of training records, without the data set", 0, 10**12)
    flags.DEFINE_integer("classes", 0, "Number of classes, without the data set", 0, 10**6)
    flags.DEFINE_float("price", 0.0, "Dollars of a chip-hour", lower_bound=0)
    flags.DEFINE_bool(
        "search", False, "Find the largest batch that fits, and the changes with which the config's batch fits"
    )
    flags.DEFINE_bool("evaluation", False, "Plan a step of evaluation instead of one of training")
    flags.DEFINE_bool("measure", False, "Run ten steps on the accelerators of this machine as well")
    flags.DEFINE_bool(
        "traffic",
        False,
        "Print which operations move most bytes from and to HBM; with --json, also the arrays of collectives",
    )
    flags.DEFINE_bool("json", False, "Print one line of JSON per topology instead of tables")
    define_config("sup", "clip", "dino")

os.environ.update(compiler_environment(sys.argv))  # before JAX is imported

import functools
import importlib.metadata
import json
from collections.abc import Callable, Iterator

import jax
from etils import epath
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import user_cache
from cliptail_jax.host.outputs import check_writable_folder
from cliptail_jax.objectives import describe_config, make_objective, typed_config
from cliptail_jax.planning.compiling import Plan, plan_evaluation, plan_step
from cliptail_jax.planning.hints import hints
from cliptail_jax.planning.measuring import MeasuredStep, measure_step
from cliptail_jax.planning.program import CACHE
from cliptail_jax.planning.search import Changes, PlanOf, cheapest_fit, largest_batch
from cliptail_jax.planning.subprocess_call import Crash, run_in_subprocess
from cliptail_jax.planning.synthetic import known_size, synthetic_variant
from cliptail_jax.planning.topologies import Topology, find_topology
from cliptail_jax.printing import one_line
from cliptail_jax.report.plans import CACHE_NOTE, NOTE, as_json, table, traffic_table
from cliptail_jax.training.objective import Objective

PACKAGES = ("cliptail_jax", "jax", "jaxlib", "libtpu", "jax-cuda12-pjrt", "flax", "optax")
MakeObjective = Callable[[Changes], Objective]


def planned_variant(data: Data, records: int, classes: int) -> Variant:
    """A variant with these numbers of records and classes or, if both are 0, the one that the data section selects.

    Raises UserError if only one is given, or neither and the data set is neither prepared nor known.
    """
    if bool(records) != bool(classes):
        raise UserError("--records and --classes go together: give both, or neither where the data set is prepared")
    if records:
        return synthetic_variant(records, classes)
    try:
        return open_variant(data)
    except UserError as error:
        if size := known_size(data):
            return synthetic_variant(*size)
        raise UserError(f"{error}; or give --records and --classes to plan without the data set") from None


def versions() -> dict[str, str]:
    """The versions of the installed packages on which a compiled program depends."""
    installed = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in PACKAGES}
    return {name: found.version for name, found in installed.items() if found}


def main(config: ConfigDict, _: epath.Path | None) -> None:
    options = flags.FLAGS
    data = typed_config(config).data
    topologies = [find_topology(name, options.slices) for name in options.on]
    if options.evaluation and (options.measure or options.search):
        raise UserError("--evaluation plans a step of evaluation; --measure and --search are of training")
    note_missing_cache()
    variant = planned_variant(data, options.records, options.classes)

    def make(changes: Changes) -> Objective:
        changed = config.copy_and_resolve_references()
        changed.update_from_flattened_dict(changes)
        return make_objective(typed_config(changed), variant, shapes_only=True)

    measured = run_in_subprocess(lambda: measure(make)) if options.measure else None
    progress = tqdm(topologies, desc="compiling", disable=None)
    mistakes: set[str] = set()
    for topology in progress:
        progress.set_postfix_str(topology.name)
        try:
            for text in described(functools.partial(plan_safely, make, topology, progress.refresh), measured):
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
    try:
        check_writable_folder(user_cache(CACHE))
    except UserError as error:
        print(one_line(f"note: plans are not kept: {error}"), file=sys.stderr)


def described(plan_of: PlanOf, measured: MeasuredStep | None) -> Iterator[str]:
    """The requested output for a topology; `plan_of` makes its plans."""
    options, plan = flags.FLAGS, plan_of({})
    if options.json:
        yield json.dumps(as_json(plan, versions(), measured, options.traffic))
        return
    yield f"\n{table(plan, options.price, [] if options.evaluation else hints(plan), measured)}"
    if options.traffic and plan.fits:
        yield f"\n{traffic_table(plan)}"
    if options.search:
        largest, cheapest = largest_batch(plan_of), cheapest_fit(plan_of)
        yield f"\nlargest batch that fits: {largest.batch_size:,}" if largest else "\nno batch fits"
        outcome = f"fits with {cheapest}" if cheapest else "does not fit, however its memory is saved"
        yield f"\nbatch_size={plan.batch_size:,} {outcome}"


def plan_safely(make: MakeObjective, topology: Topology, waiting: Callable[[], None], changes: Changes) -> Plan:
    """The plan of a training or evaluation step, made in a subprocess. Raises UserError if the compiler crashes."""
    plan = plan_evaluation if flags.FLAGS.evaluation else plan_step
    try:
        return run_in_subprocess(lambda: plan(make(changes), topology, versions()), waiting)
    except Crash as crash:
        package = "libtpu" if topology.is_tpu else "jax-cuda12-pjrt"
        raise UserError(
            f"{topology.name}: the compiler of {package} {versions().get(package)} crashes on this program ({crash}): plan fewer "
            f"examples a chip, with a smaller batch_size or more chips, or install another version of {package}"
        ) from None


def measure(make: MakeObjective) -> MeasuredStep:
    """Time the step on the accelerators of this machine. Raises UserError if there are none."""
    if jax.default_backend() == "cpu":
        raise UserError("--measure: this machine has no accelerator that JAX sees; without --measure none is needed")
    return measure_step(make({}))


if __name__ == "__main__":
    run_with_config(main, describe_config, workdir_required=False)
