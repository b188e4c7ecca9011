"""Train one model: `python -m cliptail_jax.train --config=configs/sup.py:data=glyphs_lt --workdir=runs/sup`.

The same command continues an interrupted run from its last checkpoint, with the numbers of an uninterrupted run.
"""

import contextlib
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import jax
import numpy as np
from absl import flags
from jax.sharding import Mesh
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import frequency_table
from cliptail_jax.config.fields import plain
from cliptail_jax.config.program import run_with_config
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.errors import UserError, memory_problem, storage_problem
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.evaluation.run import make_evaluate
from cliptail_jax.files import write_text
from cliptail_jax.input.composition import composition_of
from cliptail_jax.input.pipeline import UnreadableImages, training_batches
from cliptail_jax.interrupts import exit_on_signal, ignore_closed_terminal
from cliptail_jax.objectives import FIELDS, describe_config, make_objective, validate
from cliptail_jax.parallel import distributed
from cliptail_jax.parallel.distributed import broadcast_from_first, exit_if_peer_lost
from cliptail_jax.parallel.sharding import check_accumulation, check_batch, local_rows, make_mesh, to_devices
from cliptail_jax.pretrained.runs import describe_run
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.runs.log import Log, warnings_of
from cliptail_jax.runs.stopping import StopRequest
from cliptail_jax.training import initialization
from cliptail_jax.training.input_monitor import InputMonitor
from cliptail_jax.training.learning_monitor import LearningMonitor
from cliptail_jax.training.objective import Objective
from cliptail_jax.training.step import jit_train_step, make_train_step


def train(config: ConfigDict, workdir: Path, overwrite: bool = False) -> None:
    """Train the run of `config` in `workdir` to its end, from its newest valid checkpoint if it has one."""
    validate(config)
    if runs.is_finished(workdir, plain(config), FIELDS):
        log_line(f"{workdir} is already trained to its end")
        return
    mesh = make_mesh(config.mesh)
    check_accumulation(mesh, config.batch_size, config.accumulate_steps, config.batch_norm.group_size)
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")

    variant = open_variant(config.data)
    objective = make_objective(config, variant)
    with sole_writer(workdir):
        _train_locked(config, variant, objective, mesh, workdir, overwrite)


def _train_locked(
    config: ConfigDict, variant: Variant, objective: Objective, mesh: Mesh, workdir: Path, overwrite: bool
) -> None:
    """As `train`, with nobody else in `workdir`."""
    data, steps_per_epoch, total_steps = config.data, objective.steps_per_epoch, objective.total_steps
    fingerprint = variant.fingerprint() if jax.process_index() == 0 else ""
    runs.open_or_resume(
        workdir, plain(config), FIELDS, {"records": len(variant), "fingerprint": fingerprint}, overwrite
    )
    describe(variant, fingerprint, workdir)
    objective.open_text(workdir)
    preprocess = objective.preprocess
    if jax.process_index() == 0:
        describe_run(workdir, objective.describe_model(), preprocess, config.model.dtype, objective.tokenizer_source)

    schedule, optimizer = objective.schedule, objective.make_optimizer()
    graphdef, state, shardings = initialization.init_state(objective, optimizer, mesh, config.seed)
    evaluate = make_evaluate(
        graphdef,
        mesh,
        workdir=workdir,
        options=config.eval,
        data=data,
        preprocess=preprocess,
        class_names=variant.class_names,
        frequency=variant.class_frequency,
        read_prompts=objective.read_prompts,
    )
    checkpoints = Checkpoints(workdir / "checkpoints", config.checkpoint.keep)
    start = checkpoints.newest
    if start:
        initialization.check_unchanged(objective.towers, workdir)
        state = checkpoints.restore(start, state, shardings)
        log_line(f"going on from step {start} of {total_steps}")
    elif tuple(objective.towers):
        state = initialization.load_towers(state, objective.towers, shardings)
        initialization.report(state, objective.towers, workdir)
    if jax.process_index() == 0:
        runs.truncate_logs(workdir, start)

    train_step = jit_train_step(make_train_step(objective, graphdef, optimizer, mesh), mesh, shardings)
    batches = training_batches(
        variant,
        objective.transform,
        objective.read,
        seed=config.seed,
        batch_size=config.batch_size,
        total_steps=total_steps,
        drop_last=data.drop_last,
        composition=composition_of(data),
        start=start,
        slots=local_rows(config.batch_size),
        workers=data.workers,
        cache=data.cache,
    )
    unreadable = UnreadableImages(variant, data.max_unreadable)
    feeding = InputMonitor(data.workers, data.canvas)
    progress = tqdm(
        total=total_steps * config.batch_size,
        initial=start * config.batch_size,
        unit=" images",
        unit_scale=True,
        desc=str(workdir),
        disable=None,
    )
    evaluate_every = steps_per_epoch * config.eval.every_epochs
    section = config.optimizer
    recipe = (
        f"objective={config.objective} batch_size={config.batch_size} optimizer.name={section.name} "
        f"optimizer.learning_rate={section.learning_rate} model.dtype={config.model.dtype}"
    )
    log = Log(workdir, config.batch_size, steps_per_epoch, start, recipe)
    watch = LearningMonitor(objective.chance_loss, total_steps // 5, warnings_of(workdir))
    with (
        StopRequest() as stop,
        report_storage_errors(workdir, checkpoints),
        checkpoints,
        log,
        progress,
        exit_if_peer_lost(),
    ):

        def evaluate_at(step: int) -> None:
            log.check_finite()
            with log.paused():
                for name, summary in evaluate(state.parts(), step, step / steps_per_epoch, stop.at_once).items():
                    log.evaluated(step, name, summary)
                    if jax.process_index() == 0:  # which has written them
                        predictions = runs.read_arrays(workdir, name)["per_class_predictions"]
                        log.warn(watch.predictions(step, name, predictions))

        if is_evaluation_due(start, total_steps, evaluate_every) and not broadcast_from_first(
            is_evaluated(workdir, config.eval, objective.uses_prompts, start)
        ):
            evaluate_at(start)  # a stop has left it out
            if stop.at_once():
                leave(start)

        for step, batch in zip(range(start + 1, total_steps + 1), feeding.watch(batches)):
            unreadable.take_from(batch)
            batch = to_devices(mesh, batch)
            if step == start + 1:
                before = time.perf_counter()
                train_step = train_step.lower(state, batch).compile()
                log.compiled(time.perf_counter() - before)
            state, metrics = train_step(state, batch)
            feeding.started(metrics["train/loss"])
            progress.update(config.batch_size)

            last = step == total_steps
            log.add(step, metrics)
            if measured := feeding.report():
                log.measured(*measured)
            if step % config.log_every_steps == 0 or last:
                log.write(step, metrics, float(schedule(step - 1)))
                log.warn(watch.loss(step, float(metrics["train/loss"])))
                progress.set_postfix(loss=f"{metrics['train/loss']:.3f}", refresh=False)
                unreadable.check()
            stopping = stop.after_step()
            if is_evaluation_due(step, total_steps, evaluate_every) and not stopping:
                evaluate_at(step)
                stopping = stop.at_once()
            if step % config.checkpoint.every_steps == 0 or last or stopping:
                log.check_finite()
                checkpoints.save(step, state)
            if stopping:
                checkpoints.wait()
                leave(step)
    if jax.process_index() == 0:
        runs.finish(workdir, total_steps, log.seconds())


@contextlib.contextmanager
def report_storage_errors(workdir: Path, checkpoints: Checkpoints) -> Iterator[None]:
    """Raises UserError for a full disk, exhausted memory and the like, with what is saved."""
    try:
        yield
    except Exception as error:
        if storage := storage_problem(error):
            reason = f"{workdir} cannot be written to ({storage})"
        elif not (reason := memory_problem(error)):
            raise
        raise UserError(f"{reason}; {checkpoints.saved}") from None


def leave(step: int) -> None:
    """End the program as SIGTERM does."""
    log_line(f"stopped by SIGTERM; step {step} is saved, and the same command goes on from there")
    sys.exit(128 + signal.SIGTERM)


def is_evaluation_due(step: int, total_steps: int, every_steps: int) -> bool:
    """Every so many steps, and at the end."""
    return step == total_steps or (step > 0 and step % every_steps == 0)


def describe(variant: Variant, fingerprint: str, workdir: Path) -> None:
    """Say what the run trains on, and record it."""
    frequency = variant.class_frequency
    if jax.process_index() == 0:
        write_text(workdir / "class_frequency.tsv", frequency_table(variant.class_names, frequency))
        empty = int(np.sum(frequency == 0))
        log_line(
            f"{workdir}: {len(variant):,} records of {variant.source.name}, {len(frequency)} classes, "
            f"{frequency.max():,} to {frequency.min():,} each"
            + (f", {empty} of them empty" if empty else "")
            + (
                f", {variant.dropped_without_caption:,} dropped without a caption"
                if variant.dropped_without_caption
                else ""
            )
            + f"; fingerprint {fingerprint[:12]}"
        )
        for note in variant.notes:
            log_line(f"  note: {note}")
        if variant.captions:
            for caption in variant.captions(range(min(3, len(variant))), epoch=0):
                log_line(f"  caption: {caption}")


def main(config: ConfigDict, workdir: Path) -> None:
    exit_on_signal()
    ignore_closed_terminal()
    distributed.initialize()
    train(config, workdir, flags.FLAGS.overwrite)


if __name__ == "__main__":
    flags.DEFINE_bool("overwrite", False, "Replace another config's run in the work directory")
    run_with_config(main, describe_config, ("configs/sup.py", "configs/clip.py", "configs/dino.py"))
