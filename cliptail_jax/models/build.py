"""Models from a config. Call these under `nnx.jit` (or `nnx.eval_shape`): drawing weights eagerly takes seconds."""

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jaxtyping import Float
from ml_collections import ConfigDict

from cliptail_jax.errors import UserError
from cliptail_jax.models.basic_resnet import BasicResNet
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.dino import Dino
from cliptail_jax.models.dino_head import DinoHead
from cliptail_jax.models.initializers import normal, uniform_fan_in
from cliptail_jax.models.modified_resnet import EXPANSION, SHRINKAGE, ModifiedResNet
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.vit import VisionTransformer

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}
Build = Callable[[nnx.Rngs], nnx.Module]
STAGES = {"modified_resnet": 4, "basic_resnet": 3, "vit": 1}  # numbers in model.image.layers


def build_visual(config: ConfigDict, rngs: nnx.Rngs, output_dim: int | None = None) -> nnx.Module:
    """The image encoder `config.model.image`, with another `output_dim` where one is given.

    Raises UserError for a value that no encoder can be built with.
    """
    image, image_size = config.model.image, config.data.image_size
    if len(image.layers) != STAGES[image.name]:
        raise UserError(f"model.image.layers: {image.name} takes {STAGES[image.name]} numbers, not {image.layers}.")
    output_dim = output_dim or image.output_dim
    shared = {"dtype": DTYPES[config.model.dtype], "rngs": rngs}
    if image.name == "basic_resnet":
        return BasicResNet(image.layers, image.width, output_dim, group_size=config.batch_norm.group_size, **shared)
    if image.name == "modified_resnet":
        require_multiple("data.image_size", image_size, SHRINKAGE)
        require_heads("model.image.heads", image.heads, 8 * EXPANSION * image.width)
        return ModifiedResNet(
            image.layers,
            image.width,
            image.heads,
            output_dim,
            image_size,
            group_size=config.batch_norm.group_size,
            pytorch_init=image.initialization == "pytorch",
            **shared,
        )
    require_multiple("data.image_size", image_size, image.patch_size)
    require_heads("model.image.heads", image.heads, image.width)
    return VisionTransformer(
        image.patch_size,
        image.width,
        image.layers[0],
        image.heads,
        output_dim,
        image_size,
        activation=config.model.activation,
        **shared,
    )


def build_clip(config: ConfigDict, rngs: nnx.Rngs, image: Build | None = None, text: Build | None = None) -> CLIP:
    """The image encoder and the text encoder of `config.model`, or those that `image` and `text` build.

    Text features are as wide as the image encoder's.
    """
    visual = image(rngs) if image else build_visual(config, rngs)
    return CLIP(visual, text(rngs) if text else build_text(config, rngs))


def build_text(config: ConfigDict, rngs: nnx.Rngs) -> TextTransformer:
    """The text encoder `config.model.text`."""
    text = config.model.text
    require_heads("model.text.heads", text.heads, text.width)
    return TextTransformer(
        text.context_length,
        text.vocab_size,
        text.width,
        text.layers,
        text.heads,
        config.model.image.output_dim,
        activation=config.model.activation,
        dtype=DTYPES[config.model.dtype],
        rngs=rngs,
    )


def build_classifier(
    config: ConfigDict,
    num_classes: int,
    rngs: nnx.Rngs,
    head: Float[Array, "classes dim"] | None = None,
    image: Build | None = None,
) -> Classifier:
    """A classifier of `num_classes` classes, with the given head or one drawn normal with std dim^-0.5.

    A linear head is drawn as PyTorch draws a linear layer, which the study's fine-tuning begins with
    (github.com/linusericsson/ssl-transfer).

    The encoder is `config.model.image`, its output as wide as a given head, or what `image` builds. Raises UserError if
    the head has not one row per class, or is not as wide as the features.
    """
    bias = None
    if config.head.kind == "linear":
        dim = config.model.image.output_dim
        head, bias = (uniform_fan_in(dim)(rngs.params(), shape) for shape in ((num_classes, dim), (num_classes,)))
    elif head is None:
        dim = config.model.image.output_dim
        head = normal(dim**-0.5)(rngs.params(), (num_classes, dim))
    elif np.ndim(head) != 2 or len(head) != num_classes:
        raise UserError(
            f"head: its shape is {np.shape(head)}, but there are {num_classes} classes; give a row to each."
        )
    if image and head.shape[1] != config.model.image.output_dim:
        raise UserError(
            f"head: its rows are {head.shape[1]} wide: set model.image.output_dim to that, the width of the features"
        )
    return Classifier(image(rngs) if image else build_visual(config, rngs, output_dim=head.shape[1]), head, bias)


def build_dino(config: ConfigDict, rngs: nnx.Rngs, image: Build | None = None) -> Dino:
    """The image encoder `config.model.image`, or what `image` builds, with the head of `config.dino`."""
    visual = image(rngs) if image else build_visual(config, rngs)
    dino = config.dino
    head = DinoHead(
        config.model.image.output_dim,
        hidden=dino.hidden,
        bottleneck=dino.bottleneck,
        prototypes=dino.prototypes,
        dtype=DTYPES[config.model.dtype],
        rngs=rngs,
    )
    return Dino(visual, head)


def require_multiple(key: str, value: int, factor: int) -> None:
    """Raise UserError unless `value` is divisible by `factor`."""
    if value % factor:
        raise UserError(f"{key}: {value} is not divisible by {factor}; choose a multiple.")


def require_heads(key: str, heads: int, channels: int) -> None:
    """Raise UserError unless `heads` share `channels` equally."""
    if channels % heads:
        raise UserError(f"{key}: {heads} heads do not divide {channels} channels; choose a divisor.")
