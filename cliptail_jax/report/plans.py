"""A plan as a table for people and as JSON for programs."""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from cliptail_jax.planning.bounds import binding, step_seconds
from cliptail_jax.planning.compiling import Plan
from cliptail_jax.planning.measuring import MeasuredStep
from cliptail_jax.report.layout import markdown, text_table

BINDING = {"compute": "arithmetic", "memory": "HBM", "interconnect": "the interconnect"}
# JPEGs of short side 256 that a core decodes, crops and resizes per second (scripts/benchmark/README.md).
IMAGES_OF_A_CORE = 2058
# The hundreds of operations of a step take so long to start, at microseconds each, however small they are.
START_SECONDS = 1e-3
NOTE = (
    "Memory, operations and traffic are those of the program that the accelerator's own compiler makes. Times are lower "
    "bounds: they assume the chip's published peaks, and that arithmetic, HBM and interconnect overlap perfectly."
)
CACHE_NOTE = (
    "A GPU's HBM traffic is a lower bound, too: it counts arrays larger than the L2 cache each time that an operation reads "
    "or writes them, and smaller ones only as parameters, optimizer state and inputs, once."
)


def as_json(
    plan: Plan, versions: Mapping[str, str], measurement: MeasuredStep | None, traffic: bool = False
) -> dict[str, Any]:
    """A line of `plan --json`, with numbers per chip and step. `traffic` adds the arrays that are moved and exchanged."""
    values, program = {"measured": dataclasses.asdict(measurement)} if measurement else {}, plan.program
    if traffic:
        counts = 4 if plan.topology.cache else 3
        values |= {"largest": [operation[:counts] for operation in program.largest], "exchanged": program.exchanged}
    return values | {
        "topology": plan.topology.name,
        "chips": plan.topology.chips,
        "hosts": plan.topology.hosts,
        "fits": plan.fits,
        "chip_memory_bytes": int(plan.topology.chip.memory),
        "peak_bytes": program.peak,
        "flops": plan.flops,
        "hbm_bytes": program.hbm,
        **({"hbm_bytes_uncached": program.hbm_uncached} if plan.topology.cache else {}),
        "collectives": {kind: traffic._asdict() for kind, traffic in program.collectives.items()},
        "step_seconds": step_seconds(plan) if plan.fits else None,
        "total_steps": plan.total_steps,
        "batch_size": plan.batch_size,
        "parameters_bytes": plan.parameters,
        "optimizer_bytes": plan.optimizer,
        "versions": dict(versions),
    }


def table(plan: Plan, price: float = 0.0, hints: Sequence[str] = (), measurement: MeasuredStep | None = None) -> str:
    """The plan in Markdown, with hints on what would help and the measurement on this machine, if there are any.

    `price` is the price of a chip-hour in dollars; 0 for none.
    """
    topology, program = plan.topology, plan.program
    hosts = f"{topology.hosts} host{'s' if topology.hosts > 1 else ''}"
    state = plan.parameters + plan.optimizer
    rows = [
        ["batch", f"{plan.batch_size:,}, {plan.batch_size / topology.chips:,.10g} a chip"],
        ["memory of a chip: parameters", size(plan.parameters)],
        ["optimizer and averages", size(plan.optimizer)],
        *([["activations and the rest", size(max(program.peak - state, 0))]] if program.peak != state else []),
    ]
    if plan.fits:
        rows += step_rows(plan, price, measurement)
    else:
        available = size(program.available or topology.chip.memory)
        rows.append(["**peak**", f"needs {size(program.peak)} of {available}: **does not fit**"])
    header = [topology.name, f"{topology.chips} × {topology.chip.name}, {hosts}"]
    return "\n".join(markdown(text_table(header, rows + [["what would help", hint] for hint in hints])))


def step_rows(plan: Plan, price: float, measurement: MeasuredStep | None) -> list[list[str]]:
    """The rows on the step of a plan that fits, and on its run."""
    topology, program, seconds = plan.topology, plan.program, step_seconds(plan)
    limit, bound = binding(seconds)
    rows = [["**peak**", f"{size(program.peak)} of {size(topology.chip.memory)}: fits"]]
    rows.append(["a step's operations", f"{plan.flops / 1e12:.3g} TFLOP a chip"])
    rows.append(["a step's HBM traffic", f"{size(program.hbm)} a chip"])
    if topology.cache:
        rows.append([f"without the cache of {size(topology.cache)}", f"{size(program.hbm_uncached)} a chip"])
    rows += ([f"a step's {kind}", f"{t.count}, {size(t.bytes)} a chip"] for kind, t in program.collectives.items())
    rows += ([f"time of a step by {BINDING[kind]}", f"{1000 * value:.3g} ms"] for kind, value in seconds.items())
    rows.append(["**bound**", f"{1000 * bound:.3g} ms, by {BINDING[limit]}"])
    if measurement:
        rows.append([f"**measured** on {measurement.devices}", measurement_text(measurement)])
    if bound < START_SECONDS:
        return [
            *rows,
            ["note", "the bound is far too low for a network this small: starting its operations limits the step"],
        ]
    rows.append(["at that bound", f"{plan.batch_size / bound:,.0f} images/s, MFU {seconds['compute'] / bound:.0%}"])
    hours = bound * plan.total_steps / 3600
    chip_hours = hours * topology.chips
    if plan.total_steps:
        rows.append([f"the run, {plan.total_steps:,} steps", f"{hours:.3g} hours, {chip_hours:.3g} chip-hours"])
    cores = math.ceil(plan.batch_size / bound / IMAGES_OF_A_CORE)
    rows.append(["cores that read as many photographs", f"{cores:,}, on all hosts"])
    if price and plan.total_steps:
        rows.append([f"cost at ${price:.2f} a chip-hour", f"${chip_hours * price:,.2f}"])
    return rows


def measurement_text(step: MeasuredStep) -> str:
    """Time, speed and memory of a step, such as '31.2 ms, 8,205 images/s, peak 10.4 GB'."""
    speed = f"{1000 * step.seconds:.3g} ms, {step.batch_size / step.seconds:,.0f} images/s"
    return speed + (f", peak {size(step.peak)}" if step.peak else "")


def traffic_table(plan: Plan) -> str:
    """The operations that move most bytes from and to HBM, in Markdown."""
    has_cache = bool(plan.topology.cache)
    header = ["a step's HBM traffic by operation and result", "from", "a chip", *["without the cache"] * has_cache]
    rows = [
        [operation, origin, size(bytes_moved), *[size(bytes_without_cache)] * has_cache]
        for operation, origin, bytes_moved, bytes_without_cache in plan.program.largest
    ]
    return "\n".join(markdown(text_table(header, rows)))


def size(bytes: float) -> str:
    """Bytes in the largest unit that they fill, such as '1.5 GB'."""
    for name, unit in (("GB", 1e9), ("MB", 1e6), ("KB", 1e3)):
        if bytes >= unit:
            return f"{bytes / unit:.3g} {name}"
    return f"{bytes:.0f} B"
