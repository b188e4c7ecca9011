"""BERT and RoBERTa as text towers (Devlin et al. 2019, arXiv 1810.04805; Liu et al. 2019, arXiv 1907.11692).

Parameters have the names of the published state dicts: `embeddings`, `encoder.layer.N`, `pooler`. XLM-RoBERTa is
RoBERTa with a larger vocabulary. RoBERTa-base has width 768, 12 layers, 12 heads, inner width 3072, 514 positions,
epsilon 1e-5 and pad_id 1.
"""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Bool, Float, Int

from cliptail_jax.models.layers import layer_norm, linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.transformer import ACTIVATIONS, States, split_heads

POOLERS = ("mean_pooler", "cls_pooler", "cls_last_hidden_state_pooler", "last_token_pooler")
PROJECTIONS = (None, "linear", "mlp")


@dataclass(frozen=True)
class BertShape:
    """The sizes of an encoder.

    With `counted_positions`, as in RoBERTa, only tokens other than padding are numbered, from pad_id + 1.
    """

    vocab_size: int
    width: int
    layers: int
    heads: int
    inner: int
    positions: int
    token_types: int = 2
    epsilon: float = 1e-12
    pad_id: int = 0
    counted_positions: bool = False

    @property
    def max_context(self) -> int:
        """The largest number of tokens in a text."""
        return self.positions - (self.pad_id + 1) * self.counted_positions


@dataclass(frozen=True)
class Dropout:
    """Dropout in one forward pass: sets a fraction `rate` of the values to zero and divides the others by 1 - rate.

    Without a key it is the identity. `at` derives an independent key for each place in the network
    (Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html).
    """

    rate: float = 0.0
    key: Array | None = None

    def at(self, place: int) -> "Dropout":
        """The dropout of a part of the network, independent of that of all other parts."""
        return self if self.key is None else Dropout(self.rate, jax.random.fold_in(self.key, place))

    def __call__(self, x: Float[Array, "..."]) -> Float[Array, "..."]:
        if self.key is None:
            return x
        kept = jax.random.bernoulli(self.key, 1 - self.rate, x.shape)
        return jnp.where(kept, x / (1 - self.rate), 0)


def dense(inputs: int, outputs: int, *, dtype, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer initialized as in BERT: weights normal with standard deviation 0.02, biases zero."""
    zeros = nnx.initializers.zeros
    return linear(inputs, outputs, kernel_init=normal(0.02), bias_init=zeros, dtype=dtype, rngs=rngs)


class Embeddings(nnx.Module):
    """The sum of word, position and (the first) type embeddings, then layer norm and dropout."""

    def __init__(self, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        def table(rows: int) -> nnx.Embed:
            return nnx.Embed(rows, shape.width, embedding_init=normal(0.02), dtype=dtype, rngs=rngs)

        self.pad_id = shape.pad_id
        self.counted_positions = shape.counted_positions
        self.word_embeddings = table(shape.vocab_size)
        self.position_embeddings = table(shape.positions)
        self.token_type_embeddings = table(shape.token_types)
        self.LayerNorm = layer_norm(shape.width, epsilon=shape.epsilon, dtype=dtype, rngs=rngs)

    def __call__(self, tokens: Int[Array, "batch length"], dropout: Dropout) -> States:
        positions = jnp.arange(tokens.shape[1])
        if self.counted_positions:
            valid = tokens != self.pad_id
            positions = jnp.cumsum(valid, 1) * valid + self.pad_id
        words = self.word_embeddings(tokens)
        first_type = self.token_type_embeddings.embedding[0].astype(words.dtype)
        return dropout(self.LayerNorm(words + self.position_embeddings(positions) + first_type))


class SelfAttention(nnx.Module):
    """Multi-head attention to all tokens but padding, with dropout of the attention probabilities."""

    def __init__(self, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        self.heads = shape.heads
        self.query = dense(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.key = dense(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.value = dense(shape.width, shape.width, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, valid: Bool[Array, "batch length"], dropout: Dropout) -> States:
        query, key, value = (split_heads(layer(x), self.heads) for layer in (self.query, self.key, self.value))
        dropping = dropout.key is not None
        attended = nnx.dot_product_attention(
            query,
            key,
            value,
            mask=valid[:, None, None, :],
            broadcast_dropout=False,  # published encoders use a mask for each example and head
            dropout_rng=dropout.key,
            dropout_rate=dropout.rate if dropping else 0.0,
            dtype=jnp.float32 if dropping else None,  # of the softmax, which nnx computes in this type under dropout
        )
        return attended.astype(value.dtype).reshape(x.shape)


class ResidualOutput(nnx.Module):
    """A linear layer and dropout, whose result is added to the residual stream, then layer norm."""

    def __init__(self, inputs: int, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        self.dense = dense(inputs, shape.width, dtype=dtype, rngs=rngs)
        self.LayerNorm = layer_norm(shape.width, epsilon=shape.epsilon, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length inputs"], residual: States, dropout: Dropout) -> States:
        return self.LayerNorm(dropout(self.dense(x)) + residual)


class Layer(RematBlock):
    """Attention and MLP, each followed by layer norm (post-norm)."""

    def __init__(self, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        attention = SelfAttention(shape, **options)
        self.attention = nnx.Dict({"self": attention, "output": ResidualOutput(shape.width, shape, **options)})
        self.intermediate = nnx.Dict(dense=dense(shape.width, shape.inner, **options))
        self.output = ResidualOutput(shape.inner, shape, **options)

    def forward(self, x: States, *, valid: Bool[Array, "batch length"], dropout: Dropout) -> States:
        of_attention = dropout.at(0)
        attended = self.attention.self(x, valid, of_attention.at(0))
        x = self.attention.output(attended, x, of_attention.at(1))
        return self.output(ACTIVATIONS["gelu"](self.intermediate.dense(x)), x, dropout.at(1))


class Bert(nnx.Module):
    """The encoder, which gives the states of all tokens. `pooler` exists only if its output is used."""

    def __init__(self, shape: BertShape, *, with_pooler: bool, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.embeddings = Embeddings(shape, **options)
        self.encoder = nnx.Dict(layer=nnx.List(Layer(shape, **options) for _ in range(shape.layers)))
        self.pooler = nnx.Dict(dense=dense(shape.width, shape.width, **options)) if with_pooler else None

    def __call__(
        self, tokens: Int[Array, "batch length"], valid: Bool[Array, "batch length"], dropout: Dropout = Dropout()
    ) -> States:
        x, of_layers = self.embeddings(tokens, dropout.at(0)), dropout.at(1)
        for i, layer in enumerate(self.encoder.layer):
            x = layer(x, valid=valid, dropout=of_layers.at(i))
        return x


def projection(inputs: int, outputs: int, *, dtype, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer without bias."""
    return linear(inputs, outputs, kernel_init=normal(inputs**-0.5), use_bias=False, dtype=dtype, rngs=rngs)


class BertText(nnx.Module):
    """A BERT encoder, pooling of its states, and a projection to the features, as in open_clip.

    Args:
      shape: the sizes of the encoder.
      output_dim: the width of the features.
      pooler: one of POOLERS: the mean over all tokens but padding; the class token's state, with or without BERT's
        linear layer and tanh; or the state of the last token that is not padding.
      projection_type: one of PROJECTIONS: a linear layer, or two with GELU between them, without biases; with None, the
        encoder must be as wide as the features. The inner width of the MLP is the mean of the outer ones.
      dropout: the dropout rate of the embeddings, the attention probabilities and the output of each sub-layer, in
        forward passes with a key (0.1 in the training of BERT and RoBERTa).
    """

    def __init__(
        self,
        shape: BertShape,
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
        self.transformer = Bert(shape, with_pooler=pooler == "cls_pooler", dtype=dtype, rngs=rngs)
        self.projection_type = projection_type
        if projection_type == "mlp":
            inner = (shape.width + output_dim) // 2
            first = projection(shape.width, inner, dtype=dtype, rngs=rngs)
            second = projection(inner, output_dim, dtype=dtype, rngs=rngs)
            self.proj = nnx.Dict({"0": first, "2": second})  # their published names, indices in a torch.nn.Sequential
        elif projection_type == "linear":
            self.proj = projection(shape.width, output_dim, dtype=dtype, rngs=rngs)

    def __call__(
        self, tokens: Int[Array, "batch length"], dropout_key: Array | None = None
    ) -> Float[Array, "batch output_dim"]:
        """Unnormalized features of tokens, which may be truncated to the longest text; with dropout if given a key."""
        return self.project(self.state(tokens, dropout_key))

    def state(
        self, tokens: Int[Array, "batch length"], dropout_key: Array | None = None
    ) -> Float[Array, "batch width"]:
        """The pooled states of the encoder in float32, the input of `project`."""
        valid = tokens != self.pad_id
        dropout = Dropout(self.dropout, dropout_key) if self.dropout else Dropout()
        return self._pooled(self.transformer(tokens, valid, dropout), valid).astype(jnp.float32)

    def project(self, pooled: Float[Array, "batch width"]) -> Float[Array, "batch output_dim"]:
        """Unnormalized features of pooled states, in float32."""
        if self.projection_type == "mlp":
            pooled = self.proj["2"](ACTIVATIONS["gelu"](self.proj["0"](pooled)))
        elif self.projection_type == "linear":
            pooled = self.proj(pooled)
        return pooled.astype(jnp.float32)

    def _pooled(self, states: States, valid: Bool[Array, "batch length"]) -> Float[Array, "batch width"]:
        if self.pooler == "mean_pooler":
            return jnp.where(valid[:, :, None], states, 0).sum(1) / valid.sum(1, keepdims=True)
        if self.pooler == "cls_pooler":
            return jnp.tanh(self.transformer.pooler.dense(states[:, 0]))
        if self.pooler == "cls_last_hidden_state_pooler":
            return states[:, 0]
        last = valid.shape[1] - 1 - valid[:, ::-1].argmax(1)
        return states[jnp.arange(len(states)), last]
