"""A trained model that is open: its description, and its weights, which are read when they are needed."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import abstract_model, classifies_words
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.image_towers import check_image_size
from cliptail_jax.models.self_attention import AUTO, PLAIN, use_plain_attention
from cliptail_jax.models.text import TextModel
from cliptail_jax.parallel.sharding import parameter_shardings
from cliptail_jax.pretrained.checkpoint_weights import CheckpointWeights
from cliptail_jax.pretrained.published_weights import PublishedWeights
from cliptail_jax.pretrained.source import TOKENIZER
from cliptail_jax.pretrained.tokenizers import TextTokenizer

Weights = PublishedWeights | CheckpointWeights  # two classes with the same methods


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A trained model and everything that belongs to it.

    Attributes:
        name: its work directory, repository or folder.
        description: the argument of `cliptail_jax.models.build.build_model`.
        weights: the weights of all parts of the model.
        preprocess: the preprocessing of its images; None for a text encoder.
        dtype: the type in which it computes. Parameters are float32.
        attention: `AUTO`, or `PLAIN` for attention without kernels.
        mesh: the devices on which its parameters are laid out; None for one device.
        class_names: the classes of the variant on which a run was trained.
        class_frequency: their frequency in it.
        step: a run's training step; None for a published model.
        open_tokenizer: returns the tokenizer, or None if the model comes without one.
    """

    name: str
    description: Mapping[str, Any]
    weights: Weights
    preprocess: Preprocess | None
    dtype: Any = jnp.float32
    attention: str = AUTO
    mesh: Mesh | None = None
    class_names: tuple[str, ...] | None = None
    class_frequency: Int[np.ndarray, " class"] | None = None
    step: int | None = None
    open_tokenizer: Callable[[], TextTokenizer | BagOfWords | None] = dataclasses.field(
        default=lambda: None, repr=False
    )

    @property
    def config(self) -> Mapping[str, Any]:
        """open_clip's model_cfg."""
        return self.description["model_cfg"]

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.weights.digest

    @property
    def embed_dim(self) -> int:
        """The width of the features."""
        return self.config["embed_dim"]

    @property
    def has_text(self) -> bool:
        """Whether the model has a text tower."""
        return "text_cfg" in self.config and "head" not in self.description

    @property
    def has_words(self) -> bool:
        """Whether the model classifies words; its tokenizer is then a `BagOfWords`."""
        return classifies_words(self.description)

    @property
    def has_prompts(self) -> bool:
        """Whether it can choose from any classes, by their names."""
        return self.has_text or self.has_words

    def at_size(self, size: int, key: str = "image_size") -> "OpenedModel":
        """The model for images of `size` × `size` pixels.

        Its positional embedding is resized when the weights are read, as in open_clip. That of a DINO run is resampled in
        each forward pass instead, as in its training. Raises UserError, naming the config's `key`, for a size that the
        image tower cannot divide.
        """
        vision_cfg = dict(self.config["vision_cfg"])
        check_image_size(vision_cfg, size, key)
        if "cliptail_resampling" not in vision_cfg:
            vision_cfg["image_size"] = size
        description = {**self.description, "model_cfg": {**self.config, "vision_cfg": vision_cfg}}
        preprocess = dataclasses.replace(self.preprocess, size=size, short_side=0)
        return dataclasses.replace(self, description=description, preprocess=preprocess)

    @functools.cached_property
    def model(self) -> ImageModel | TextModel:
        """The model with its weights: a CLIP, a Classifier, an ImageModel or a TextModel.

        Raises UserError if the weights are corrupt or do not fit the description.
        """
        abstract = abstract_model(self.description, dtype=self.dtype)
        if self.attention == PLAIN:
            use_plain_attention(abstract)
        graphdef, state = nnx.split(abstract)
        shardings = parameter_shardings(self.mesh, state) if self.mesh is not None else None
        self.weights.check(state)
        return nnx.merge(graphdef, self.weights.read(state, shardings))

    @functools.cached_property
    def tokenizer(self) -> TextTokenizer | BagOfWords:
        """Maps texts to int32 tokens [n, context]. Raises UserError if the model comes without one."""
        tokenizer = self.open_tokenizer()
        if tokenizer is None:
            raise UserError(
                f"{self.name} comes without a {TOKENIZER}: put it in the folder of the weights, or give CLIP's "
                "bpe_simple_vocab_16e6.txt.gz, as text.tokenizer in a config, or as merges"
            )
        return tokenizer
