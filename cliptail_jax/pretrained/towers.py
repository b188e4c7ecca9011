"""The trained towers from which a run starts: `image.init` and `text.init` of a config.

A tower has the configuration of its model, and an image tower also its model's preprocessing. Only the width of the
features and the size of the images are those of the run. Parameters that are missing or of another shape in the weights
are initialized as in any run.
"""

import contextlib
import dataclasses
import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.encoder_shapes import encoder_shape
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.text import TextModel
from cliptail_jax.models.text_towers import CLIP_TEXT
from cliptail_jax.pretrained.model import open_model, open_text_model
from cliptail_jax.pretrained.names import is_resized
from cliptail_jax.pretrained.opened_model import Weights
from cliptail_jax.pretrained.tokenizers import TextTokenizer

PROJECTIONS = ("proj", "text_projection")  # the layer of text towers after the pooled output


@dataclasses.dataclass(frozen=True)
class Tower:
    """One tower of a trained model, its weights not yet read.

    Attributes:
        part: 'visual' or 'text', its attribute in the model.
        name: the name of its model.
        weights: the weights of that model; both of its towers have the same digest.
        config: open_clip's vision_cfg or text_cfg.
        output_dim: the width of the features.
        quick_gelu: whether its activation is QuickGELU.
        encoder: config.json of a Hugging Face text tower.
        tokenizer: the tokenizer of a text tower.
        has_bias: whether the model is a SigLIP, with a logit bias. A run has its own, or none.
        preprocess: the preprocessing of an image tower's images.
    """

    part: str
    name: str
    weights: Weights
    config: dict[str, Any]
    output_dim: int
    quick_gelu: bool
    encoder: dict[str, Any] | None = None
    tokenizer: TextTokenizer | None = None
    has_bias: bool = False
    preprocess: Preprocess | None = None

    def abstract(self, dtype=jnp.float32) -> ImageModel | TextModel:
        """A model of this tower alone, which computes in `dtype`, with the shapes of its arrays instead of the arrays."""
        section = "vision_cfg" if self.part == "visual" else "text_cfg"
        model_cfg = {"embed_dim": self.output_dim, "quick_gelu": self.quick_gelu, section: self.config}
        return abstract_model({"model_cfg": model_cfg, "encoder": self.encoder}, dtype=dtype)

    @property
    def pooled_width(self) -> int:
        """The width of a text tower's pooled outputs, before the projection."""
        encoder = self.config.get("cliptail_encoder", self.encoder)
        return encoder_shape(encoder).width if encoder else (CLIP_TEXT | self.config)["width"]

    @functools.cached_property
    def missing_parameters(self) -> dict[tuple, str]:
        """The parameters of the tower that the weights do not fill, by their path in the whole model, with the reason."""
        return self.weights.problems(nnx.state(self.abstract()))

    @functools.cached_property
    def resized_grids(self) -> dict[tuple, tuple[int, int]]:
        """The sides of the two grids of each positional embedding that is resized, by its path in the whole model."""
        state = nnx.state(self.abstract())
        stored_shapes = self.weights.shapes(state)
        shapes = {path: tuple(x.shape) for path, x in nnx.to_flat_state(state)}
        sides = lambda shape: math.isqrt(shape[-2])  # noqa: E731
        resized_paths = [path for path in stored_shapes if is_resized(path, stored_shapes[path], shapes[path])]
        return {path: (sides(stored_shapes[path]), sides(shapes[path])) for path in resized_paths}

    def has_published_outputs(self) -> bool:
        """Whether a text tower's pooled outputs, before the projection, are those of its model."""
        return all(path[1] in PROJECTIONS for path in self.missing_parameters)

    def fill(self, state: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
        """`state`, parameters or statistics of a whole model, with the weights' values for this tower."""

        def tower_part(model_state: nnx.State) -> nnx.State:
            flat = nnx.to_flat_state(model_state)
            return nnx.from_flat_state(
                [(p, v) for p, v in flat if p[0] == self.part and p not in self.missing_parameters]
            )

        part_shardings = None if shardings is None else tower_part(shardings)
        return nnx.merge_state(state, self.weights.read(tower_part(state), part_shardings))

    def load(self, dtype=jnp.float32) -> nnx.Module:
        """The tower, which computes in `dtype`, with its weights. Parameters that they do not fill are zeros."""
        graphdef, shapes = nnx.split(self.abstract(dtype))
        zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), shapes)
        return getattr(nnx.merge(graphdef, self.fill(zeros)), self.part)


@dataclasses.dataclass(frozen=True)
class Towers:
    """The trained towers from which a run starts; None for one that is randomly initialized."""

    image: Tower | None = None
    text: Tower | None = None

    def __iter__(self):
        return iter([tower for tower in (self.image, self.text) if tower])

    def is_missing(self, path: tuple) -> bool:
        """Whether the parameter at `path` of the whole model belongs to a tower whose weights do not fill it."""
        return any(path in tower.missing_parameters for tower in self)


def open_image_tower(name: str, *, output_dim: int, image_size: int, partial: bool) -> Tower:
    """The image tower of a run or a published CLIP.

    Args:
        name: of the model, as for `open_model`.
        output_dim: the width of the features.
        image_size: the side of the images in pixels.
        partial: whether the weights may leave parameters of the tower unfilled.

    Raises:
        UserError: there is no such model, or the weights or the images do not fit.
    """
    with _naming("image.init"):
        model = open_model(name)
        if "vision_cfg" not in model.config:
            raise UserError(f"{name} has no image tower")
    model = model.at_size(image_size, "data.image_size")
    config = model.config
    quick_gelu, has_bias = bool(config.get("quick_gelu")), config.get("init_logit_bias") is not None
    options = {"has_bias": has_bias, "preprocess": model.preprocess}
    tower = Tower("visual", name, model.weights, config["vision_cfg"], output_dim, quick_gelu, **options)
    if not partial:
        _check_filled(
            "image", name, tower.missing_parameters, model.embed_dim if model.embed_dim != output_dim else None
        )
    return tower


def open_text_tower(name: str, *, output_dim: int, context_length: int, partial: bool, merges: str = "") -> Tower:
    """The text tower of a run or a published CLIP, or a Hugging Face text encoder followed by an MLP.

    Args:
        name: of the model, as for `open_text_model`.
        output_dim: the width of the features.
        context_length: the number of tokens to which an encoder's texts are truncated.
        partial: whether the weights may leave parameters of the tower unfilled.
        merges: CLIP's merges file, for a model that comes without a tokenizer.

    Raises:
        UserError: there is no such model, its weights do not fit, or it has no tokenizer.
    """
    with _naming("text.init"):
        model = open_text_model(name, context_length, merges or None)
        tokenizer = model.tokenizer
    is_encoder = "vision_cfg" not in model.config
    text_cfg = dict(model.config["text_cfg"]) | ({"hf_proj_type": "mlp"} if is_encoder else {})
    quick_gelu = bool(model.description.get("text_quick_gelu", model.config.get("quick_gelu")))
    encoder = model.description.get("encoder")
    has_bias = model.config.get("init_logit_bias") is not None
    tower = Tower("text", name, model.weights, text_cfg, output_dim, quick_gelu, encoder, tokenizer, has_bias)
    if not partial:
        # The MLP is not part of an encoder.
        problems = {
            path: reason for path, reason in tower.missing_parameters.items() if not (is_encoder and path[1] == "proj")
        }
        width = None if is_encoder or model.embed_dim == output_dim else model.embed_dim
        _check_filled("text", name, problems, width)
    return tower


@contextlib.contextmanager
def _naming(field: str) -> Iterator[None]:
    """Prefixes user errors with the config field that caused them."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{field}: {error}") from None


def _check_filled(key: str, name: str, problems: Mapping[tuple, str], width: int | None) -> None:
    """Raise UserError if weights leave parameters unfilled. `width` is that of the model's features, if the run has another."""
    if problems:
        number = f" (and {len(problems) - 1} more parameters)" if len(problems) > 1 else ""
        instead = f"model.image.output_dim={width}, or " if width else ""
        raise UserError(
            f"{key}.init: {name} does not fill the tower: {next(iter(problems.values()))}{number}; set {instead}{key}.partial=True "
            "to initialize and train what is missing"
        )
