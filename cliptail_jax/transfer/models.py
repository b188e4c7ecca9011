"""The models of a transfer: runs at their newest checkpoints, and published models."""

import dataclasses

from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.clip import CLIP
from cliptail_jax.pretrained.model import ModelName, find_model, open_run
from cliptail_jax.pretrained.opened_model import OpenedModel

STUDY_SIZE = 224  # the largest image size of published models; those for larger images have this one, too


@dataclasses.dataclass(frozen=True)
class TransferModel:
    """A model whose image features are measured.

    Attributes:
        model: the name of the model.
        weights: the identity of the weights: the SHA-256 of a run's newest checkpoint or of published weights, or the name
            of a model on the Hub, whose weights do not change.
        run: for a run, the model at its newest checkpoint.
    """

    model: ModelName
    weights: str
    run: OpenedModel | None = None

    @property
    def name(self) -> str:
        return self.model.name

    @property
    def initial(self) -> str:
        """The model's name for `image.init`. Raises UserError if its activation is not that of its weights."""
        if self.model.architecture:
            raise UserError(
                f"{self.name} takes the weights of another activation: fine-tune {self.model.source}, which has its own"
            )
        return self.model.source

    def open(self, mesh: Mesh | None = None) -> OpenedModel:
        """The model, with weights that are laid out on the mesh. Published models compute in float32."""
        if self.run:
            return dataclasses.replace(self.run, mesh=mesh)
        return self.model.open(mesh=mesh)

    def load(self, mesh: Mesh, image_size: int = 0) -> tuple[nnx.GraphDef, nnx.State, Preprocess]:
        """The model's definition and state, laid out on the mesh, and the preprocessing of its images.

        The preprocessing is the model's, with whole images resized to sides of `image_size` pixels (0: the model's size).

        Raises UserError if the model does not load, or if a run has removed its checkpoint since it was opened.
        """
        opened_model = self.open(mesh)
        own_size = opened_model.preprocess.size
        size = image_size or (own_size if self.run else min(own_size, STUDY_SIZE))
        if size != own_size:
            opened_model = opened_model.at_size(size)
        model = opened_model.model
        if isinstance(model, CLIP):
            del model.text  # images need no text tower, so its memory can be freed
        return *nnx.split(model), dataclasses.replace(opened_model.preprocess, short_side=0)


def open_transfer_model(name: str) -> TransferModel:
    """The model of a name: a run's work directory, a published model's name, 'hf-hub:OWNER/NAME', or a folder.

    Raises UserError for an unknown name, with similar names, and if there are no weights.
    """
    model = find_model(name)
    if model.is_run:
        run = open_run(model.source)
        return TransferModel(model, run.digest, run)
    return TransferModel(model, model.digest or f"{model.source} {model.architecture or ''}".strip())
