"""BERT and RoBERTa as text towers (Devlin et al. 2019, arXiv 1810.04805; Liu et al. 2019, arXiv 1907.11692).

Parameters have the names of the published state dicts: `embeddings`, `encoder.layer.N`, `pooler`. XLM-RoBERTa is
RoBERTa with a larger vocabulary. RoBERTa-base has width 768, 12 layers, 12 heads, inner width 3072, 514 positions,
epsilon 1e-5 and pad_id 1.
"""

from dataclasses import dataclass

import jax.numpy as jnp
from flax import nnx
from jax import Array
from jax.nn.initializers import normal
from jaxtyping import Float

from cliptail_jax.models.attention import States
from cliptail_jax.models.dropout import Dropout, attend_with_dropout
from cliptail_jax.models.layers import Tokens, Valid, layer_norm, normal_linear
from cliptail_jax.models.remat import RematBlock
from cliptail_jax.models.transformer import ACTIVATIONS, CONFIGURATION, head_width


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

    def encoder(self, **options) -> "Bert":
        """An encoder of these sizes; `options` are those of `Bert`."""
        return Bert(self, **options)


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

    def __call__(self, tokens: Tokens, dropout: Dropout) -> States:
        positions = jnp.arange(tokens.shape[1])
        if self.counted_positions:
            valid = tokens != self.pad_id
            positions = jnp.cumsum(valid, 1) * valid + self.pad_id
        words = self.word_embeddings(tokens)
        first_type = self.token_type_embeddings.embedding[0].astype(words.dtype)
        return dropout(self.LayerNorm(words + self.position_embeddings(positions) + first_type))


class BertSelfAttention(nnx.Module):
    """Multi-head attention to all tokens but padding, with dropout of the attention probabilities."""

    def __init__(self, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        head_width(CONFIGURATION, shape.heads, shape.width)
        self.heads = shape.heads
        self.query = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.key = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)
        self.value = normal_linear(shape.width, shape.width, dtype=dtype, rngs=rngs)

    def __call__(self, x: States, valid: Valid, dropout: Dropout) -> States:
        return attend_with_dropout(self.query(x), self.key(x), self.value(x), self.heads, valid, dropout)


class ResidualOutput(nnx.Module):
    """A linear layer and dropout, whose result is added to the residual stream, then layer norm."""

    def __init__(self, inputs: int, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        self.dense = normal_linear(inputs, shape.width, dtype=dtype, rngs=rngs)
        self.LayerNorm = layer_norm(shape.width, epsilon=shape.epsilon, dtype=dtype, rngs=rngs)

    def __call__(self, x: Float[Array, "batch length inputs"], residual: States, dropout: Dropout) -> States:
        return self.LayerNorm(dropout(self.dense(x)) + residual)


class BertLayer(RematBlock):
    """Attention and MLP, each followed by layer norm (post-norm)."""

    def __init__(self, shape: BertShape, *, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        attention = BertSelfAttention(shape, **options)
        self.attention = nnx.Dict({"self": attention, "output": ResidualOutput(shape.width, shape, **options)})
        self.intermediate = nnx.Dict(dense=normal_linear(shape.width, shape.inner, **options))
        self.output = ResidualOutput(shape.inner, shape, **options)

    def forward(self, x: States, *, valid: Valid, dropout: Dropout) -> States:
        attention_dropout = dropout.at(0)
        outputs = self.attention.self(x, valid, attention_dropout.at(0))
        x = self.attention.output(outputs, x, attention_dropout.at(1))
        return self.output(ACTIVATIONS["gelu"](self.intermediate.dense(x)), x, dropout.at(1))


class Bert(nnx.Module):
    """The encoder, which gives the states of all tokens. `pooler` exists only if its output is used."""

    def __init__(self, shape: BertShape, *, with_pooler: bool, dtype, rngs: nnx.Rngs):
        options = {"dtype": dtype, "rngs": rngs}
        self.embeddings = Embeddings(shape, **options)
        self.encoder = nnx.Dict(layer=nnx.List(BertLayer(shape, **options) for _ in range(shape.layers)))
        self.pooler = nnx.Dict(dense=normal_linear(shape.width, shape.width, **options)) if with_pooler else None

    def __call__(self, tokens: Tokens, valid: Valid, dropout: Dropout = Dropout()) -> States:
        x, layer_dropout = self.embeddings(tokens, dropout.at(0)), dropout.at(1)
        for i, layer in enumerate(self.encoder.layer):
            x = layer(x, valid=valid, dropout=layer_dropout.at(i))
        return x
