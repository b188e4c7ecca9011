"""Models from descriptions in open_clip's configuration format, for runs and published models alike.

Call the builders under `jax.jit` or `nnx.eval_shape`: initializing weights eagerly takes seconds. Runs are reproducible
only if the order in which they consume random numbers does not change.
"""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.image_towers import build_image_tower
from cliptail_jax.models.layers import uniform_fan_in
from cliptail_jax.models.text import TextModel
from cliptail_jax.models.text_towers import build_text_tower

DTYPES = {"float32": jnp.float32, "bfloat16": jnp.bfloat16}


def build_model(
    description: Mapping[str, Any],
    *,
    group_size: int = 0,
    dropout: float = 0.0,
    head: Float[Array | np.ndarray, "classes dim"] | None = None,
    dtype=jnp.float32,
    rngs: nnx.Rngs,
) -> CLIP | Classifier | ImageModel | TextModel:
    """The model of a description, which computes in `dtype`.

    A description can be written as JSON. It has `model_cfg` in open_clip's format, without `text_cfg` or `vision_cfg`
    for a single tower; `encoder`, the config.json of a Hugging Face text tower; `text_quick_gelu`, if the text tower's
    activation is not the image tower's; and for a classifier `head`, with its `kind` and its number of `classes`.
    `image_towers.describe_image_tower` and `text_towers.describe_text_tower` describe the towers of a config.

    Args:
      description: the description.
      group_size: the number of examples that share batch statistics in training; 0 for the whole batch.
      dropout: the dropout rate of a Hugging Face text tower in training.
      head: the initial class embeddings of a classifier; None for a random initialization.
      dtype: the type of the computation; parameters are float32.
      rngs: the source of random numbers.

    Raises:
      UserError: the description has a value that is not supported.
    """
    config = description["model_cfg"]
    dim, quick_gelu = config["embed_dim"], bool(config.get("quick_gelu"))

    def visual() -> nnx.Module:
        options = {"quick_gelu": quick_gelu, "group_size": group_size, "dtype": dtype, "rngs": rngs}
        return build_image_tower(config["vision_cfg"], dim, **options)

    def text() -> nnx.Module:
        options = {"quick_gelu": description.get("text_quick_gelu", quick_gelu), "dropout": dropout}
        options |= {"encoder": description.get("encoder"), "dtype": dtype, "rngs": rngs}
        return build_text_tower(config["text_cfg"], dim, **options)

    if "head" in description:
        # The head takes its random numbers before the tower.
        embeddings, bias = initial_head(description["head"], dim, head, rngs)
        return Classifier(visual(), embeddings, bias)
    if "vision_cfg" not in config:
        return TextModel(text())
    if "text_cfg" not in config:
        return ImageModel(visual())
    scale, bias = config.get("init_logit_scale"), config.get("init_logit_bias")
    return CLIP(visual(), text(), INITIAL_LOGIT_SCALE if scale is None else scale, bias)


class OneKey:
    """Replaces `nnx.Rngs` if no value is computed: counting keys would take most of the tracing time."""

    def __init__(self):
        self._key = jax.random.key(0)

    def params(self) -> Array:
        return self._key

    __call__ = params


def abstract_model(description: Mapping[str, Any], *, dtype=jnp.float32) -> CLIP | Classifier | ImageModel | TextModel:
    """The model of a description without values: each parameter has a shape and a type.

    Raises UserError if the description has values that are not supported or do not go together.
    """
    try:
        return nnx.eval_shape(lambda: build_model(description, dtype=dtype, rngs=OneKey()))
    except (TypeError, ValueError, ArithmeticError, LookupError, AssertionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise UserError(f"the values of the model's configuration do not go together: {reason}") from None


def classifies_words(description: Mapping[str, Any]) -> bool:
    """Whether the classes of the model with a description are words."""
    return description.get("head", {}).get("kind") == "words"


def initial_head(
    section: Mapping[str, Any],
    output_dim: int,
    head: Float[Array | np.ndarray, "classes output_dim"] | None,
    rngs: nnx.Rngs,
) -> tuple[Float[Array | np.ndarray, "classes output_dim"], Float[Array, " classes"] | None]:
    """The initial class embeddings and biases of a classifier on features of width `output_dim`; no biases for a cosine head.

    `section` is the `head` of a description. Class embeddings of the kind 'cosine' are the given `head`, or else initialized
    from a normal distribution with standard deviation output_dim^-0.5. A head of kind 'linear', or 'words' (whose classes are
    words), is initialized as PyTorch's linear layers, as in the paper's fine-tuning (github.com/linusericsson/ssl-transfer).

    Raises UserError if the given head is not as wide as the features.
    """
    shape = (section["classes"], output_dim)
    if section["kind"] in ("linear", "words"):
        init = uniform_fan_in(output_dim)
        return init(rngs.params(), shape), init(rngs.params(), shape[:1])
    if head is None:
        return normal(output_dim**-0.5)(rngs.params(), shape), None
    if head.shape[1] != output_dim:
        raise UserError(
            f"head: its rows are {head.shape[1]} wide: set model.image.output_dim to that, the width of the features"
        )
    return head, None
