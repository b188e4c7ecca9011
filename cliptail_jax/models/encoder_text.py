"""Text towers around the encoders of Hugging Face, such as BERT: the encoder, pooling, and a projection, as in open_clip."""

from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jaxtyping import Float

from cliptail_jax.models.attention import States
from cliptail_jax.models.dropout import Dropout
from cliptail_jax.models.layers import Tokens, Valid, normal_linear
from cliptail_jax.models.transformer import ACTIVATIONS

POOLERS = ("mean_pooler", "cls_pooler", "cls_last_hidden_state_pooler", "last_token_pooler")
PROJECTIONS = (None, "linear", "mlp")


class EncoderText(nnx.Module):
    """A Hugging Face encoder, pooling of its states, and a projection to the features, as in open_clip.

    Args:
      shape: the encoder's sizes: a `BertShape` or `M2M100Shape`.
      output_dim: the width of the features.
      pooler: one of POOLERS: the mean over all tokens but padding; the first token's state, with or without BERT's
        linear layer and tanh, which other encoders do not have; or the state of the last token that is not padding.
      projection_type: one of PROJECTIONS: a linear layer, or two with GELU between them, without biases; with None, the
        encoder must be as wide as the features. The inner width of the MLP is the mean of the outer ones.
      dropout: the dropout rate of the embeddings, the attention probabilities and the output of each sub-layer, in
        forward passes with a key (0.1 in the training of BERT and RoBERTa).
    """

    def __init__(
        self,
        shape: Any,
        output_dim: int,
        *,
        pooler: str = "mean_pooler",
        projection_type: str | None = "mlp",
        dropout: float = 0.0,
        dtype=jnp.float32,
        rngs: nnx.Rngs,
    ):
        self.pooler = pooler
        self.pad_id = shape.pad_id
        self.dropout = dropout
        self.transformer = shape.encoder(with_pooler=pooler == "cls_pooler", dtype=dtype, rngs=rngs)
        self.projection_type = projection_type
        options = {"use_bias": False, "dtype": dtype, "rngs": rngs}
        if projection_type == "mlp":
            inner = (shape.width + output_dim) // 2
            first = normal_linear(shape.width, inner, shape.width**-0.5, **options)
            second = normal_linear(inner, output_dim, inner**-0.5, **options)
            self.proj = nnx.Dict({"0": first, "2": second})  # their published names, indices in a torch.nn.Sequential
        elif projection_type == "linear":
            self.proj = normal_linear(shape.width, output_dim, shape.width**-0.5, **options)

    def __call__(self, tokens: Tokens, dropout_key: Array | None = None) -> Float[Array, "batch output_dim"]:
        """Unnormalized features of tokens, which may be truncated to the longest text; with dropout if given a key."""
        return self.project(self.state(tokens, dropout_key))

    def state(self, tokens: Tokens, dropout_key: Array | None = None) -> Float[Array, "batch width"]:
        """The pooled states of the encoder in float32, the input of `project`."""
        valid = tokens != self.pad_id
        dropout = Dropout(self.dropout, dropout_key) if self.dropout else Dropout()
        return self._pooled(self.transformer(tokens, valid, dropout), valid).astype(jnp.float32)

    def project(self, states: Float[Array, "batch width"]) -> Float[Array, "batch output_dim"]:
        """Unnormalized features of pooled states, in float32."""
        if self.projection_type == "mlp":
            states = self.proj["2"](ACTIVATIONS["gelu"](self.proj["0"](states)))
        elif self.projection_type == "linear":
            states = self.proj(states)
        return states.astype(jnp.float32)

    def _pooled(self, states: States, valid: Valid) -> Float[Array, "batch width"]:
        if self.pooler == "mean_pooler":
            return jnp.where(valid[:, :, None], states, 0).sum(1) / valid.sum(1, keepdims=True)
        if self.pooler == "cls_pooler" and getattr(self.transformer, "pooler", None) is not None:
            return jnp.tanh(self.transformer.pooler.dense(states[:, 0]))
        if self.pooler in ("cls_pooler", "cls_last_hidden_state_pooler"):
            return states[:, 0]
        last = valid.shape[1] - 1 - valid[:, ::-1].argmax(1)
        return states[jnp.arange(len(states)), last]
