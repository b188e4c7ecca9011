"""Train one model: `python -m cliptail_jax.train --config=configs/sup.py:data=glyphs_lt --workdir=runs/sup`.

Run it again with the same arguments and it goes on from the last checkpoint, with the numbers of an uninterrupted run.
"""

import signal
import sys
import time
from pathlib import Path

import jax
import numpy as np
from absl import flags
from jaxtyping import Float32
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import write_frequency
from cliptail_jax.concepts.vocabulary import vocabulary_names
from cliptail_jax.config.program import run_with_config
from cliptail_jax.config.training import num_steps, validate
from cliptail_jax.curation.joined import open_splits
from cliptail_jax.curation.variant import Variant, distinct_captions, make_variant
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.evaluation.run import make_evaluate
from cliptail_jax.files import write_json
from cliptail_jax.input.pipeline import ReadText, UnreadableImages, num_steps_per_epoch, training_batches
from cliptail_jax.objectives.dino_step import make_dino_step
from cliptail_jax.objectives.supervised import sampling_weights
from cliptail_jax.parallel import distributed
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import (
    batch_sharding,
    check_accumulation,
    check_batch,
    local_rows,
    make_mesh,
    replicated,
    to_devices,
)
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.pretrained.run_tokenizer import make_tokenizer, with_vocab_size
from cliptail_jax.pretrained.text_cache import frozen_text, is_kept
from cliptail_jax.pretrained.towers import TextTokenizer, Tower, open_towers
from cliptail_jax.runs.checkpoints import Checkpoints
from cliptail_jax.runs.log import Log, say
from cliptail_jax.runs.stopping import StopRequest
from cliptail_jax.training import initialization
from cliptail_jax.training.optimizer import learning_rate, make_optimizer
from cliptail_jax.training.state import init_state, load_towers
from cliptail_jax.training.step import make_train_step


def train(config: ConfigDict, workdir: Path, overwrite: bool = False) -> None:
    """Train the run of `config` in `workdir` to its end, from its newest sound checkpoint if it has one."""
    validate(config)
    if runs.is_finished(workdir, config):
        say(f"{workdir.name} is already trained to its end")
        return
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.batch_size // config.accumulate_steps, "batch_size / accumulate_steps")
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")
    check_accumulation(mesh, config)

    source = open_splits(config.data.name, config.data.data_dir, config.data.split, config.data.class_names)
    variant = make_variant(source, config.data)
    check_variant(variant, config)
    head, towers = make_head(variant, config), open_towers(config)
    runs.claim(workdir, config, overwrite)
    describe(variant, config, workdir)
    tokenizer = make_tokenizer(
        lambda: variant.captions(range(len(variant)), epoch=0), config, towers, workdir / "tokenizer.json"
    )
    config = with_vocab_size(config, tokenizer)
    read, read_prompts = make_readers(variant, config, towers.text, tokenizer)

    steps_per_epoch = num_steps_per_epoch(len(variant), config)
    total_steps = num_steps(config, steps_per_epoch)
    optimizer = make_optimizer(config, steps_per_epoch)
    schedule = learning_rate(config, steps_per_epoch)
    graphdef, state, shardings = init_state(config, optimizer, mesh, len(variant.class_names), head, towers)
    evaluate = make_evaluate(
        config, workdir, mesh, graphdef, variant.class_names, variant.class_frequency, read_prompts
    )
    checkpoints = Checkpoints(workdir / "checkpoints", config.checkpoint.keep)
    start = checkpoints.newest
    if start:
        initialization.check_unchanged(towers, workdir)
        state = checkpoints.restore(start, state, shardings)
        say(f"going on from step {start} of {total_steps}")
    elif tuple(towers):
        state = load_towers(state, towers, shardings)
        initialization.report(state, towers, workdir)
    if jax.process_index() == 0:
        runs.forget_after(workdir, start)

    if config.objective == "dino":
        step_function = make_dino_step(graphdef, optimizer, config, steps_per_epoch)
    else:
        weights = sampling_weights(variant.class_frequency, config.vocabulary.sampling)
        step_function = make_train_step(graphdef, optimizer, config, weights, mesh.size)
    train_step = jax.jit(
        step_function,
        in_shardings=(shardings, batch_sharding(mesh)),
        out_shardings=(shardings, replicated(mesh)),
        donate_argnums=0,
    )
    batches = training_batches(variant, config, read, start, local_rows(config.batch_size))
    unreadable = UnreadableImages(variant, config.data.max_unreadable)
    progress = tqdm(
        total=total_steps * config.batch_size,
        initial=start * config.batch_size,
        unit=" images",
        unit_scale=True,
        desc=workdir.name,
        disable=None,
    )
    with StopRequest() as stop, checkpoints, Log(workdir, config, steps_per_epoch, start) as log, progress:

        def evaluate_at(step: int) -> None:
            log.check_finite()
            with log.paused():
                for name, summary in evaluate(state, step / steps_per_epoch, stop.at_once).items():
                    log.evaluated(step, name, summary)

        if is_evaluation_due(start, total_steps, steps_per_epoch, config) and not agreed(
            is_evaluated(workdir, config, start)
        ):
            evaluate_at(start)  # a stop has left it out
            if stop.at_once():
                leave(start)

        for step, batch in zip(range(start + 1, total_steps + 1), batches):
            unreadable.take_from(batch)
            batch = to_devices(mesh, batch)
            if step == start + 1:
                before = time.perf_counter()
                train_step = train_step.lower(state, batch).compile()
                log.compiled(time.perf_counter() - before)
            state, metrics = train_step(state, batch)
            progress.update(config.batch_size)

            last = step == total_steps
            log.add(step, metrics)
            if step % config.log_every_steps == 0 or last:
                log.write(step, metrics, float(schedule(step - 1)))
                progress.set_postfix(loss=f"{metrics['train/loss']:.3f}", refresh=False)
                unreadable.check()
            stopping = stop.after_step()
            if is_evaluation_due(step, total_steps, steps_per_epoch, config) and not stopping:
                evaluate_at(step)
                stopping = stop.at_once()
            if step % config.checkpoint.every_steps == 0 or last or stopping:
                log.check_finite()
                checkpoints.save(step, state)
            if stopping:
                checkpoints.wait()
                leave(step)
    if jax.process_index() == 0:
        runs.finish(workdir, log.seconds())


def leave(step: int) -> None:
    """End the program as SIGTERM does."""
    say(f"stopped by SIGTERM; step {step} is saved, and the same command goes on from there")
    sys.exit(128 + signal.SIGTERM)


def is_evaluation_due(step: int, total_steps: int, steps_per_epoch: int, config: ConfigDict) -> bool:
    """Every so many epochs, and at the end."""
    return step == total_steps or (step > 0 and step % (steps_per_epoch * config.eval.every_epochs) == 0)


def check_variant(variant: Variant, config: ConfigDict) -> None:
    """What can only be checked with the data at hand."""
    classes = len(variant.class_names)
    if config.objective == "supervised" and config.vocabulary.size > classes:
        raise UserError(f"vocabulary.size={config.vocabulary.size} is larger than the {classes} classes there are")
    if config.vocabulary.size and config.objective == "contrastive":
        raise UserError(
            "vocabulary.size samples the classes of a supervised run or DINO's prototypes; with objective='contrastive' set it to 0"
        )
    if config.objective == "zero_shot":
        raise UserError("objective='zero_shot' is for cliptail_jax.evaluate: it has nothing to train")
    if config.objective == "contrastive" and variant.captions is None:
        raise UserError("objective='contrastive' needs captions: set data.captions.template or data.captions.words")
    if config.head.freeze and not config.head.init:
        raise UserError("head.freeze=True needs a head to freeze: set head.init to an .npy of [classes, dim]")
    if num_steps_per_epoch(len(variant), config) == 0:
        raise UserError(
            f"data.drop_last=True leaves no batch: batch_size={config.batch_size}, but the variant has {len(variant)} records"
        )


def describe(variant: Variant, config: ConfigDict, workdir: Path) -> None:
    """Say what the run trains on, and record it."""
    frequency = variant.class_frequency
    if jax.process_index() == 0:
        write_frequency(workdir / "class_frequency.tsv", variant.class_names, frequency)
        fingerprint = variant.fingerprint()
        write_json(workdir / "variant.json", {"records": len(variant), "fingerprint": fingerprint})
        empty = int(np.sum(frequency == 0))
        say(
            f"{workdir.name}: {len(variant):,} records of {variant.source.name}, {len(frequency)} classes, "
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
            say(f"  note: {note}")
        if variant.captions:
            for caption in variant.captions(range(min(3, len(variant))), epoch=0):
                say(f"  caption: {caption}")


def make_head(variant: Variant, config: ConfigDict) -> Float32[np.ndarray, "classes dim"] | None:
    """The rows of `head.init` for the variant's classes; None where the head is drawn."""
    if not config.head.init:
        return None
    vocabulary = config.data.class_match.vocabulary
    all_names = vocabulary_names(vocabulary) if vocabulary else variant.source.class_names
    return head_for(config.head.init, variant.class_names, all_names)


def make_readers(
    variant: Variant, config: ConfigDict, tower: Tower | None, tokenizer: TextTokenizer | None
) -> tuple[ReadText | None, ReadText | None]:
    """What reads captions and what reads prompts for the text tower: the tokenizer, or a frozen tower's kept states."""
    if not tokenizer or not is_kept(config, tower):
        return tokenizer, tokenizer
    read = frozen_text(tower, config, distinct_captions(variant))
    return read, lambda prompts: frozen_text(tower, config, list(dict.fromkeys(prompts)))(prompts)


def main(config: ConfigDict, workdir: Path) -> None:
    distributed.initialize()
    train(config, workdir, flags.FLAGS.overwrite)


if __name__ == "__main__":
    flags.DEFINE_bool("overwrite", False, "Replace another config's run in the work directory")
    run_with_config(main)
