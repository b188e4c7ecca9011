"""The models to transfer: runs at their newest checkpoints, and published models."""

import dataclasses

from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.clip import CLIP
from cliptail_jax.pretrained.model import ModelName, find_model, open_run
from cliptail_jax.pretrained.opened_model import OpenedModel

STUDY_SIZE = 224  # of every published model's images, those of models made for larger ones too


@dataclasses.dataclass(frozen=True)
class TransferModel:
    """A model whose image features are measured.

    Attributes:
        model: the model of the name.
        weights: the identity of the weights: SHA-256 of a run's newest checkpoint or of published weights, or the name
            of a model on the Hub, whose weights do not change.
        run: for a run, the model at that checkpoint.
    """

    model: ModelName
    weights: str
    run: OpenedModel | None = None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def initial(self) -> str:
        """The name of the model for `image.init`. Raises UserError if its activation is not that of its weights."""
        if self.model.architecture:
            raise UserError(
                f"{self.name} takes the weights of another activation: fine-tune {self.model.source}, which has its own"
            )
        return self.model.source

    def open(self, mesh: Mesh | None = None) -> OpenedModel:
        """The model at that checkpoint, its weights to be laid out on the mesh; published ones compute in float32."""
        if self.run:
            return dataclasses.replace(self.run, mesh=mesh)
        return self.model.open(mesh=mesh)

    def load(self, mesh: Mesh, image_size: int = 0) -> tuple[nnx.GraphDef, nnx.State, Preprocess]:
        """The model's definition and state, laid out on the mesh, and the preprocessing of its images.

        The preprocessing is the model's own, with whole images resized to sides of `image_size` pixels (0: its own).

        Raises UserError if it does not load, or if a run has removed its checkpoint since it was opened.
        """
        opened = self.open(mesh)
        own = opened.preprocess.size
        size = image_size or (own if self.run else min(own, STUDY_SIZE))
        if size != own:
            opened = opened.at_size(size)
        model = opened.model
        if isinstance(model, CLIP):
            del model.text  # images need no text tower: its memory is given back
        return *nnx.split(model), dataclasses.replace(opened.preprocess, short_side=0)


def open_transfer_model(name: str) -> TransferModel:
    """The model of a run's work directory, a published model's name, 'hf-hub:OWNER/NAME', or a folder.

    Raises UserError for an unknown name, with similar ones, and if there are no weights.
    """
    model = find_model(name)
    if model.is_run:
        run = open_run(model.source)
        return TransferModel(model, run.digest, run)
    return TransferModel(model, model.digest or f"{model.source} {model.architecture or ''}".strip())
