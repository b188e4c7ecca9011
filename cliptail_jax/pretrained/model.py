"""Opens trained models by their names: runs, published CLIPs and published text encoders.

`open_model` reads descriptions only; the weights are loaded on the first use of `OpenedModel.model`.
"""

import dataclasses
import functools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from jax.sharding import Mesh

from cliptail_jax.config import zero_shot
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.host.files import check_digests, read_json, work_path
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.preprocess import read_preprocess
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.models.build import DTYPES, classifies_words
from cliptail_jax.models.self_attention import AUTO
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.checkpoint_weights import CheckpointWeights
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published import published_models
from cliptail_jax.pretrained.published_clip import WEIGHTS_FILES, open_published
from cliptail_jax.pretrained.source import CONFIG, checked_digest, find, settings_digest
from cliptail_jax.pretrained.text_encoder import is_encoder, open_encoder
from cliptail_jax.pretrained.tokenizers import TextTokenizer, read_tokenizer
from cliptail_jax.runs.files import DESCRIPTION, last_step, read_config, read_run_frequency
from cliptail_jax.runs.manifests import newest_valid_step


@dataclasses.dataclass(frozen=True)
class ModelName:
    """The model that a name refers to, before anything is read.

    Attributes:
        name: the name of the model.
        source: the work directory of a run, or else the argument of `open_published`.
        is_run: whether the source is a run.
        architecture: open_clip's name of the architecture, if it is not the one in the source.
        corpus: the training data of a published model, if the paper has published the class frequencies of these data.
    """

    name: str
    source: str
    is_run: bool = False
    architecture: str | None = None
    corpus: str | None = None

    @functools.cached_property
    def digest(self) -> str | None:
        """SHA-256 of the current weights; None for the Hub's, which are assumed not to change.

        Raises UserError if there are none.
        """
        if self.is_run:
            return open_run(self.source).digest
        return None if self.source.startswith(hub.PREFIX) else checked_digest(find(self.source, CONFIG, WEIGHTS_FILES))

    @functools.cached_property
    def settings_digest(self) -> str:
        """SHA-256 of a folder's configurations and tokenizer; '' for runs and the Hub."""
        return "" if self.is_run else settings_digest(self.source)

    def open(self, *, merges: str | Path | None = None, dtype=jnp.float32, mesh: Mesh | None = None) -> OpenedModel:
        """The model; arguments as for `open_published`. Raises UserError if it cannot be opened."""
        if self.is_run:
            return open_run(self.source, mesh=mesh)
        return open_published(self.source, architecture=self.architecture, merges=merges, dtype=dtype, mesh=mesh)


def find_model(name: str) -> ModelName:
    """The run in the work directory `name`, or the published model with this name, repository or folder.

    Raises UserError if there is none, with similar names.
    """
    if not isinstance(name, str):
        raise UserError(f"a model is the name of one or a folder, not {name!r}")
    config = None if name.startswith(hub.PREFIX) else read_config(work_path(name))
    if config is not None:
        if config["objective"] == zero_shot.MODE:
            raise UserError(f"{name} contains evaluations of a published model: give the name of that model")
        return ModelName(name, name, is_run=True)
    models = published_models()
    for model in models:
        if name == model.name:
            return ModelName(name, model.repository, False, model.architecture, model.corpus)
    if name.startswith(hub.PREFIX) or os.path.exists(name):  # with the architecture in the repository
        corpus = next((model.corpus for model in models if name == model.repository), None)
        return ModelName(name, name, corpus=corpus)
    hint = did_you_mean(name, (model.name for model in models), cutoff=0.7)
    raise UserError(
        f"unknown model '{name[:100]}'{hint}: give a name of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or a folder "
        "that exists"
    )


def open_model(name: str) -> OpenedModel:
    """The model called `name`: a run's work directory, a published name, 'hf-hub:OWNER/NAME', or a folder.

    A run computes in the type that it was trained in, a published model in float32. Raises UserError if there is no such
    model.

    >>> from cliptail_jax import open_model
    >>> clip = open_model("runs/clip")
    >>> texts = clip.model.encode_text(clip.tokenizer(["a digit four", "a white square"]))
    >>> texts.shape == (2, clip.embed_dim)
    True
    """
    return find_model(name).open()


def open_text_model(name: str, context_length: int = 77, merges: str | None = None) -> OpenedModel:
    """A model with a text tower: a run, a published CLIP, or a text encoder, which truncates to `context_length` tokens.

    `merges` is CLIP's merges file, for a CLIP that comes without a tokenizer. Raises UserError if there is no such model,
    or it has no text tower.
    """
    model = (
        open_encoder(name, context_length=context_length) if is_encoder(name) else find_model(name).open(merges=merges)
    )
    if not model.has_text:
        raise UserError(f"{name} has no text tower")
    return model


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
        return open_text_model(source["model"], text_cfg["context_length"], source.get("merges")).tokenizer
    if "merges" in source:
        return read_tokenizer(source["merges"], text_cfg)
    return Tokenizer.load(workdir / "tokenizer.json")
