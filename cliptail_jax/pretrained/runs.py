"""The models of runs: writes the description of a run's model, and opens it at the newest valid checkpoint."""

import dataclasses
import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jax.sharding import Mesh

from cliptail_jax.errors import UserError
from cliptail_jax.files import check_digests, read_json, work_path, write_json
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer
from cliptail_jax.models.build import DTYPES, classifies_words
from cliptail_jax.models.self_attention import AUTO
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.pretrained.checkpoint_weights import CheckpointWeights
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.tokenizers import TextTokenizer
from cliptail_jax.runs.checkpoints import newest_valid_step
from cliptail_jax.runs.directory import DESCRIPTION, last_step, read_run_frequency


def describe_run(
    workdir: Path,
    model: Mapping[str, Any],
    preprocess: Preprocess,
    dtype: str,
    tokenizer: Mapping[str, str],
    attention: str = AUTO,
) -> None:
    """Write the files that `open_run` needs besides the checkpoints.

    Args:
        model: the argument of `build_model`.
        preprocess: of the run's evaluation images.
        tokenizer: {} for the one in the work directory, {"merges": PATH} for CLIP's, or {"model": NAME} for the one of a
            trained text tower, which also needs the merges if it comes without one.
        attention: `AUTO` or `PLAIN`.
    """
    document = {"model": model, "preprocess": dataclasses.asdict(preprocess), "dtype": dtype, "tokenizer": tokenizer}
    document["attention"] = attention
    write_json(workdir / DESCRIPTION, document)


def open_run(workdir: str | Path, *, mesh: Mesh | None = None) -> OpenedModel:
    """The model of a run at its newest valid checkpoint. Raises UserError if there is none."""
    workdir = work_path(str(workdir))
    document = read_json(workdir / DESCRIPTION)
    if document is None:
        raise UserError(
            f"{workdir} contains no run, or a run of an earlier version, without a description of its model: train it again"
        )
    check_digests(workdir)
    step = broadcast_from_first(newest_valid_step(workdir / "checkpoints"))
    if step < 0:
        raise UserError(
            f"there is no valid checkpoint in {workdir / 'checkpoints'}: train until the first one is saved"
        )
    last = last_step(workdir)
    if last is not None and step < last:
        raise UserError(
            f"{workdir} was trained to step {last}, but its newest checkpoint that is not corrupt is step {step}: train it "
            "again with the same command, which trains what is missing"
        )
    names, frequency = read_run_frequency(workdir)
    return OpenedModel(
        name=str(workdir),
        description=document["model"],
        weights=CheckpointWeights(workdir / "checkpoints" / str(step)),
        preprocess=read_preprocess(document["preprocess"], document["preprocess"]["size"]),
        dtype=DTYPES[document["dtype"]],
        attention=document.get("attention", AUTO),  # runs of earlier versions have none
        mesh=mesh,
        class_names=names,
        class_frequency=frequency,
        step=step,
        open_tokenizer=functools.partial(_run_tokenizer, workdir, document),
    )


def _run_tokenizer(workdir: Path, document: Mapping[str, Any]) -> TextTokenizer | BagOfWords | None:
    """The tokenizer of a run's text tower, or the words that it classifies; None for a model of images only."""
    source, text_cfg = document["tokenizer"], document["model"]["model_cfg"].get("text_cfg")
    if classifies_words(document["model"]):
        return BagOfWords.load(workdir)
    if text_cfg is None:
        return None
    if "model" in source:
        from cliptail_jax.pretrained.model import open_text_model  # imports this module

        return open_text_model(source["model"], text_cfg["context_length"], source.get("merges")).tokenizer
    if "merges" in source:
        return load_clip_tokenizer(source["merges"], text_cfg["context_length"])
    return Tokenizer.load(workdir / "tokenizer.json")
