"""Image towers to transfer: those of runs, as their newest checkpoints have them, and those of published models."""

import dataclasses
import functools
from pathlib import Path
from typing import NamedTuple

from etils import epath
from flax import nnx
from jax.sharding import Mesh

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.config.training import as_config
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.published import Model, find_model
from cliptail_jax.models.clip import CLIP
from cliptail_jax.pretrained.load import load
from cliptail_jax.pretrained.trained import restore_run, with_tokenizer
from cliptail_jax.runs.checkpoints import digest, newest_checkpoint

STUDY_SIZE = 224  # of every model's images, those of models made for larger ones too


class ImageTower(NamedTuple):
    """A model with `encode_image`, taken apart for jitting."""

    graphdef: nnx.GraphDef
    parts: tuple[nnx.State, ...]
    image_size: int  # of the images that it gets unless told otherwise


@dataclasses.dataclass(frozen=True)
class RunModel:
    """The model in the work directory of a run, called by the path of that."""

    name: str

    @property
    def workdir(self) -> Path:
        return epath.Path(self.name)

    @functools.cached_property
    def step(self) -> int:
        """The newest sound checkpoint. Raises UserError where there is none."""
        return int(newest_checkpoint(self.workdir).name)

    @functools.cached_property
    def weights(self) -> str:
        """sha256 of that checkpoint's manifest, and so of its files."""
        return digest(self.workdir / "checkpoints" / str(self.step))

    def load(self, mesh: Mesh) -> ImageTower:
        """The model, laid out on the mesh. Raises UserError where it has been trained on since its checkpoint was named."""
        step = self.step
        config, _ = with_tokenizer(as_config(runs.read_config(self.workdir)), self.workdir)
        frequencies = self.workdir / "class_frequency.tsv"
        names = read_frequency(frequencies)[0] if frequencies.exists() else ()
        graphdef, state = restore_run(config, self.workdir, mesh, len(names))
        if int(state.step) != step:
            raise UserError(f"{self.workdir} has a newer checkpoint than {step}: run the command again for that one")
        return ImageTower(graphdef, state.parts(), config.data.image_size)


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """A published model, which computes in float32."""

    model: Model

    @property
    def name(self) -> str:
        return self.model.name

    @functools.cached_property
    def weights(self) -> str:
        """sha256 of the weights; of the Hub's, which a name stands for for good, the name. Raises UserError for none."""
        return self.model.digest or f"{self.model.source} {self.model.architecture or ''}".strip()

    def load(self, mesh: Mesh) -> ImageTower:
        """The model, laid out on the mesh. Raises UserError where it is not supported or does not load."""
        if not self.model.is_supported:
            raise UserError(f"{self.model.source} is an EVA-CLIP, whose architecture is not supported")
        pretrained = load(self.model.source, architecture=self.model.architecture, mesh=mesh)
        if isinstance(pretrained.model, CLIP):
            del pretrained.model.text  # images need no text tower: its memory is given back
        graphdef, state = nnx.split(pretrained.model)
        return ImageTower(graphdef, (state,), min(pretrained.preprocess.size, STUDY_SIZE))


def find_image_model(name: str) -> RunModel | PublishedModel:
    """The model of a run's work directory, a name of `zero_shot.models`, 'hf-hub:OWNER/NAME', or a folder.

    Raises UserError for what is none of them, naming what is like it.
    """
    held = runs.read_config(epath.Path(name))
    if held is not None and held["objective"] != "zero_shot":
        return RunModel(name)
    if held is not None:
        raise UserError(f"{name} holds evaluations of a published model: name that model itself")
    return PublishedModel(find_model(name))
