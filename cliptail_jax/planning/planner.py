"""Makes plans of a run on accelerators, in a separate process, with the run's data or with synthetic data."""

import importlib.metadata
from collections.abc import Callable

import jax
from ml_collections import ConfigDict

from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import make_objective, typed_config
from cliptail_jax.planning.compiling import Plan, plan_evaluation, plan_step
from cliptail_jax.planning.measuring import MeasuredStep, measure_step
from cliptail_jax.planning.search import Changes
from cliptail_jax.planning.subprocess_call import Crash, run_in_subprocess
from cliptail_jax.planning.synthetic import known_size, synthetic_variant
from cliptail_jax.planning.topologies import Topology
from cliptail_jax.training.objective import Objective

PACKAGES = ("cliptail_jax", "jax", "jaxlib", "libtpu", "jax-cuda12-pjrt", "flax", "optax")
MakeObjective = Callable[[Changes], Objective]


def planned_variant(data: Data, records: int, classes: int) -> Variant:
    """A variant with these numbers of records and classes or, if both are 0, the variant that the data section selects.

    Raises UserError if only one number is given, or if none is given and the data set is neither prepared nor known.
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


def objective_maker(config: ConfigDict, records: int, classes: int) -> MakeObjective:
    """The function that makes the objective of `config` with changes of its fields, on the variant of `planned_variant`."""
    variant = planned_variant(typed_config(config).data, records, classes)

    def make(changes: Changes) -> Objective:
        changed_config = config.copy_and_resolve_references()
        changed_config.update_from_flattened_dict(changes)
        return make_objective(typed_config(changed_config), variant, shapes_only=True)

    return make


def versions() -> dict[str, str]:
    """The versions of the installed packages on which a compiled program depends."""
    distributions = {name: next(iter(importlib.metadata.distributions(name=name)), None) for name in PACKAGES}
    return {name: distribution.version for name, distribution in distributions.items() if distribution}


def plan_safely(
    make: MakeObjective, is_evaluation: bool, topology: Topology, waiting: Callable[[], None], changes: Changes
) -> Plan:
    """The plan of a training or evaluation step, from a subprocess. Raises UserError if the compiler crashes."""
    plan = plan_evaluation if is_evaluation else plan_step
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
        raise UserError(
            "--measure: this machine has no accelerator that JAX sees; without --measure, a plan needs none"
        )
    return measure_step(make({}))
