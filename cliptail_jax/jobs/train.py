"""Trains one run: a straight loop over its steps."""

import contextlib
import functools
import signal
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cliptail_jax.config.fields import plain
from cliptail_jax.curation.variant import Variant, caption_chunks, open_variant
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.evaluation.run import Evaluate, make_evaluate
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.host.compiler import fusions_warning
from cliptail_jax.host.errors import UserError, memory_problem, storage_problem
from cliptail_jax.host.files import write_json
from cliptail_jax.host.interrupts import ignore_closed_terminal
from cliptail_jax.host.memory import address_limit_warning
from cliptail_jax.input.composition import composition_of
from cliptail_jax.input.epochs import LastEpochs
from cliptail_jax.input.pipeline import Batch, UnreadableImages, training_batches
from cliptail_jax.models.self_attention import attention_in
from cliptail_jax.objectives import FIELDS, is_own, make_objective, stated_loss, typed_config
from cliptail_jax.objectives.own import exits_are_errors
from cliptail_jax.parallel import distributed
from cliptail_jax.parallel.distributed import broadcast_from_first, exit_if_peer_lost
from cliptail_jax.parallel.sharding import check_accumulation, check_batch, local_rows, make_mesh, to_devices
from cliptail_jax.pretrained.runs import describe_run
from cliptail_jax.results.run import Run
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.console import last_lines, log_line
from cliptail_jax.runs.directory import continues, finish, is_finished, open_or_resume
from cliptail_jax.runs.evaluations import read_arrays
from cliptail_jax.runs.files import LOSS
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.runs.log import Log
from cliptail_jax.runs.progress import RunProgress
from cliptail_jax.runs.stopping import StopRequest
from cliptail_jax.training.initialization import begin_or_resume, init_state
from cliptail_jax.training.input_monitor import InputMonitor
from cliptail_jax.training.learning_monitor import LearningMonitor
from cliptail_jax.training.objective import Objective, number_of_steps
from cliptail_jax.training.optimizer import warmup_warning
from cliptail_jax.training.state import TrainState
from cliptail_jax.training.step import jit_train_step, make_train_step
from cliptail_jax.training.trace import StepTrace


def train_command(config: ConfigDict, workdir: Path, overwrite: bool = False) -> None:
    """Train the run of `config` as `train` does, on all processes of a launcher, and print where its results are."""
    ignore_closed_terminal()
    distributed.initialize()
    train(config, workdir, overwrite)
    for line in last_lines(workdir).splitlines():
        log_line(line)


@exits_are_errors()
def train(config: ConfigDict, workdir: Path, overwrite: bool = False, label: str = "") -> None:
    """Train the run of `config` in `workdir` to its end, from its newest valid checkpoint if it has one.

    `label` is the name of the run in its progress, by default `workdir`.
    """
    config = typed_config(config)
    values = plain(config)
    if is_finished(workdir, values, FIELDS):
        log_line(f"{workdir} is already trained to its end")
        return
    if warning := address_limit_warning():
        log_line(f"warning: {warning}")
    mesh = make_mesh(config.mesh)
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")
    draw_missing((config.data.name, config.data.match.fill, *config.eval.sets), config.data.data_dir)
    variant = open_variant(config.data)
    steps_per_epoch, total_steps = number_of_steps(config, len(variant))
    if warning := warmup_warning(config.optimizer, steps_per_epoch, total_steps):
        log_line(f"warning: {warning}")
    with RunProgress(label or str(workdir), total_steps, config.batch_size) as progress:
        data = describe_data(variant)
        earlier_run = workdir if continues(workdir, values, FIELDS, data) else None
        objective = make_objective(config, variant, earlier_run)
        for warning in objective.evaluated_run(objective.config, values).warnings:
            log_line(f"warning: {warning}")
        with sole_writer(workdir):
            if is_finished(workdir, values, FIELDS):  # another process has finished it meanwhile
                return
            open_or_resume(workdir, values, FIELDS, data, overwrite)
            write_description(objective, data, workdir)
            take_steps(objective, mesh, workdir, progress)


def take_steps(objective: Objective, mesh: Mesh, workdir: Path, progress: RunProgress) -> None:
    """Train from the newest valid checkpoint, if there is one, to the last step, with evaluations and checkpoints."""
    config, total_steps, schedule = objective.config, objective.total_steps, objective.schedule
    optimizer = objective.make_optimizer()
    graphdef, state, shardings = init_state(objective, optimizer, mesh, config.seed)
    evaluate = make_run_evaluate(objective, graphdef, mesh, workdir)
    checkpoints = Checkpoints(workdir / "checkpoints", config.checkpoint.keep)
    state, start = begin_or_resume(state, shardings, checkpoints, objective, workdir)
    train_step = jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)
    batches = make_batches(objective, start)

    stop, log = StopRequest(), Log(workdir, config.batch_size, objective.steps_per_epoch, start)
    unreadable = UnreadableImages(objective.variant, config.data.max_unreadable)
    input_monitor = InputMonitor(config.data.workers, config.data.canvas)
    learning_monitor = LearningMonitor(objective.chance_loss, total_steps // 5, Run(workdir).warnings)
    trace = StepTrace(workdir, config.profile.steps)
    evaluate_every = config.eval.every_epochs * objective.steps_per_epoch

    with stop, report_storage_errors(workdir, checkpoints), checkpoints, log, exit_if_peer_lost():
        progress.begin(start)
        if is_due(start, evaluate_every, total_steps) and not was_evaluated(objective, workdir, start):
            evaluate_and_log(evaluate, state, start, log, progress, learning_monitor, stop)
            leave_if_requested(stop, checkpoints)
        for step, batch in zip(range(start + 1, total_steps + 1), input_monitor.watch(stop.watch(batches))):
            unreadable.take_from(batch)
            batch = to_devices(mesh, batch)
            if step == start + 1:
                with log.compiling(), progress.doing("compiling"):
                    train_step = compile_step(train_step, state, batch)
            state, metrics = train_step(state, batch)
            loss = metrics["train/loss"]

            input_monitor.started(loss)
            trace.after_step(loss)
            log.add(step, loss, metrics["train/grad_norm"])
            log.write_report(input_monitor.report())
            if is_due(step, config.log_every_steps, total_steps):
                log.write(step, metrics, float(schedule(step - 1)))
                log.warn(learning_monitor.loss(step, float(loss)))
                unreadable.check()
            progress.after_step(step, loss)
            stop.after_step()
            if is_due(step, evaluate_every, total_steps) and not stop.is_requested:
                evaluate_and_log(evaluate, state, step, log, progress, learning_monitor, stop)
            if is_due(step, config.checkpoint.every_steps, total_steps) or stop.is_requested:
                log.check_finite()
                with progress.saving():
                    checkpoints.save(step, state)
            leave_if_requested(stop, checkpoints)
        trace.end()
        with progress.saving():
            checkpoints.wait()
    durations = progress.durations(input_monitor.wait_seconds)
    log_line(
        f"{workdir}: {sum(durations.values()):.1f} s: "
        + ", ".join(f"{s:.1f} {activity}" for activity, s in durations.items())
    )
    if jax.process_index() == 0:
        finish(workdir, total_steps, log.seconds(), durations)


def is_due(step: int, interval: int, last: int) -> bool:
    """Whether an action that is due every `interval` steps, and after the last step, is due after `step`."""
    return step > 0 and (step % interval == 0 or step == last)


def describe_data(variant: Variant) -> dict[str, Any]:
    """The number of records and the fingerprint of the training data, which the first process computes."""
    return {"records": len(variant), "fingerprint": variant.fingerprint() if jax.process_index() == 0 else ""}


def write_description(objective: Objective, data: Mapping[str, Any], workdir: Path) -> None:
    """Write the run's class frequency, model and text input, and print the size of the data and the first captions."""
    if jax.process_index() != 0:
        return
    variant, frequency = objective.variant, objective.variant.class_frequency
    objective.text.save(workdir)
    model, section = objective.describe_model(), objective.config.model
    describe_run(workdir, model, objective.preprocess, section.dtype, objective.text.source, section.attention)
    write_frequency(workdir / "class_frequency.tsv", variant.class_names, frequency)
    if is_own(objective.config.objective):
        write_json(workdir / LOSS, stated_loss(objective, frequency))
    text = f"{workdir}: {len(variant):,} records of {variant.source.name}, {len(frequency)} classes"
    if len(frequency):
        text += f", {frequency.max():,} to {frequency.min():,} each"
    if number := variant.unlabelled:
        text += f", {number:,} records without a class"
    if empty := np.sum(frequency == 0):
        text += f", {empty} of them empty"
    if variant.dropped_without_caption:
        text += f", {variant.dropped_without_caption:,} dropped without a caption"
    log_line(f"{text}; fingerprint {data['fingerprint'][:12]}")
    for note in variant.notes:
        log_line(f"  note: {note}")
    for caption in variant.captions(range(min(3, len(variant))), epoch=0) if variant.captions else ():
        log_line(f"  caption: {caption}")


def make_batches(objective: Objective, start: int) -> Iterator[Batch]:
    """This process's part of the training batches from step `start` on."""
    config, data, variant = objective.config, objective.config.data, objective.variant
    return training_batches(
        variant.training_view,
        objective.transform,
        objective.text.read_captions,
        seed=config.seed,
        batch_size=config.batch_size,
        total_steps=objective.total_steps,
        drop_last=data.drop_last,
        composition=composition_of(data),
        start=start,
        slots=local_rows(config.batch_size),
        workers=data.workers,
        cache=data.cache,
        records_in=LastEpochs(functools.partial(variant.pool.draw, variant.labels)) if variant.pool else None,
    )


def make_run_evaluate(objective: Objective, graphdef: nnx.GraphDef, mesh: Mesh, workdir: Path) -> Evaluate:
    """The function that evaluates the run's model on the sets of its config."""
    config, variant = objective.config, objective.variant
    return make_evaluate(
        graphdef,
        mesh,
        workdir=workdir,
        options=config.eval,
        data=config.data,
        preprocess=objective.preprocess,
        class_names=variant.class_names,
        frequency=variant.class_frequency,
        read_prompts=objective.text.read_prompts,
        training_captions=lambda: caption_chunks(variant),
        own_prior=objective.subtracted_prior(config, variant.class_frequency),
    )


def compile_step(train_step: Callable, state: TrainState, batch: Batch) -> Callable:
    """Compile the step, and log the form of attention on accelerators, or a warning of faulty fusions on CPUs."""
    trace = train_step.trace(state, batch)
    if jax.default_backend() != "cpu":  # CPUs have no kernels of attention
        log_line(f"attention: {attention_in(trace.jaxpr.jaxpr)}")
    elif warning := fusions_warning():
        log_line(warning)
    return trace.lower().compile()


def was_evaluated(objective: Objective, workdir: Path, step: int) -> bool:
    """Whether the evaluation after `step` is complete. A request to stop may have skipped it."""
    return broadcast_from_first(is_evaluated(workdir, objective.config.eval, objective.uses_prompts, step))


def evaluate_and_log(
    evaluate: Evaluate,
    state: TrainState,
    step: int,
    log: Log,
    progress: RunProgress,
    monitor: LearningMonitor,
    stop: StopRequest,
) -> None:
    """Evaluate the model and log its results. A request to stop ends it early, without results."""
    log.check_finite()
    with stop.bounded(), log.paused(), progress.doing("evaluating", step=step):
        summaries = evaluate(state.parts(), step, log.epoch(step), stop.check)
        for name, summary in summaries.items():
            log.write_evaluation(step, name, summary)
            if jax.process_index() == 0:  # this process has written them
                predictions = read_arrays(log.workdir, name).get("per_class_predictions")
                if predictions is not None:  # else the set has no classes
                    log.warn(monitor.predictions(step, name, predictions))
    stop.check()


def leave_if_requested(stop: StopRequest, checkpoints: Checkpoints) -> None:
    """After a request to stop, wait until the last step is saved, and end the program with the exit status of SIGTERM."""
    if stop.is_requested:
        checkpoints.wait()
        log_line(f"stopped by SIGTERM; {checkpoints.note}")
        sys.exit(128 + signal.SIGTERM)


@contextlib.contextmanager
def report_storage_errors(workdir: Path, checkpoints: Checkpoints) -> Iterator[None]:
    """Raise UserError for a full disk, exhausted memory and the like; the message names the last saved step."""
    try:
        yield
    except Exception as error:
        if storage := storage_problem(error):
            reason = f"{workdir} cannot be written to ({storage})"
        elif not (reason := memory_problem(error)):
            raise
        raise UserError(f"{reason}; {checkpoints.note}") from None
