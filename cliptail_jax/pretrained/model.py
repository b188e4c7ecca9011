"""Opens trained models by their names: runs, published CLIPs and published text encoders.

`open_model` reads descriptions only; the weights are loaded on the first use of `OpenedModel.model`.
"""

import dataclasses
import functools
from pathlib import Path

import jax.numpy as jnp
from jax.sharding import Mesh

from cliptail_jax.config import zero_shot
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.files import work_path
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published import published_models
from cliptail_jax.pretrained.published_clip import WEIGHTS_FILES, open_published
from cliptail_jax.pretrained.runs import open_run
from cliptail_jax.pretrained.source import CONFIG, checked_digest, find
from cliptail_jax.pretrained.text_encoder import is_encoder, open_encoder
from cliptail_jax.runs.directory import read_config


@dataclasses.dataclass(frozen=True)
class ModelName:
    """The model that a name refers to, before anything is read.

    Attributes:
        name: of the model.
        source: the work directory of a run, or else the argument of `open_published`.
        is_run: which of the two.
        architecture: open_clip's name of the architecture, if it is not the one in the source.
        corpus: the training data of a published model, if the paper has published their class frequencies.
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

    def open(self, *, merges: str | Path | None = None, dtype=jnp.float32, mesh: Mesh | None = None) -> OpenedModel:
        """The model; arguments as for `open_published`. Raises UserError if it cannot be opened."""
        if self.is_run:
            return open_run(self.source, mesh=mesh)
        return open_published(self.source, architecture=self.architecture, merges=merges, dtype=dtype, mesh=mesh)


def find_model(name: str) -> ModelName:
    """The run in the work directory `name`, or the published model with this name, repository or folder.

    Raises UserError if there is none, with similar names.
    """
    config = None if name.startswith(hub.PREFIX) else read_config(work_path(name))
    if config is not None:
        if config["objective"] == zero_shot.MODE:
            raise UserError(f"{name} contains evaluations of a published model: give the name of that model")
        return ModelName(name, name, is_run=True)
    published = published_models()
    for model in published:
        if name == model.name:
            return ModelName(name, model.repository, False, model.architecture, model.corpus)
    if name.startswith(hub.PREFIX) or Path(name).exists():  # with the architecture in the repository
        corpus = next((model.corpus for model in published if name == model.repository), None)
        return ModelName(name, name, corpus=corpus)
    hint = did_you_mean(name, (model.name for model in published), cutoff=0.7)
    raise UserError(
        f"unknown model '{name}'{hint}: give a name of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or a folder "
        "that exists"
    )


def open_model(name: str) -> OpenedModel:
    """The model called `name`: a run's work directory, a published name, 'hf-hub:OWNER/NAME', or a folder.

    A run computes in the type that it was trained in, a published model in float32. Raises UserError if there is no such
    model.
    """
    return find_model(name).open()


def open_text_model(name: str, context_length: int = 77, merges: str | None = None) -> OpenedModel:
    """A model with a text tower: a run, a published CLIP, or a text encoder, which truncates to `context_length` tokens.

    `merges` is CLIP's merges file, for a CLIP that comes without a tokenizer. Raises UserError if there is no such model,
    or it has no text tower.
    """
    opened = (
        open_encoder(name, context_length=context_length) if is_encoder(name) else find_model(name).open(merges=merges)
    )
    if not opened.has_text:
        raise UserError(f"{name} has no text tower")
    return opened
