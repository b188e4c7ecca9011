"""Published BERT and RoBERTa encoders on their own, as text towers without projection."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, load_tokenizer
from cliptail_jax.models.bert import BertShape, BertText
from cliptail_jax.models.text_towers import bert_shape
from cliptail_jax.pretrained.names import published_name
from cliptail_jax.pretrained.source import TOKENIZER, Source, checked_digest, find, read_json
from cliptail_jax.pretrained.weights import fill, open_weights

CONFIG = "config.json"
WEIGHTS = ["model.safetensors"]
FIRST = "embeddings.word_embeddings.weight"
UNUSED = ("pooler.", "cls.", "lm_head.")  # heads of the pre-training task
# Old checkpoints name the two vectors of a layer norm otherwise.
OLD_NAMES = {"LayerNorm.weight": "LayerNorm.gamma", "LayerNorm.bias": "LayerNorm.beta"}


@dataclass(frozen=True)
class PretrainedEncoder:
    """A text encoder with its weights in place; the features are its pooled states."""

    model: BertText
    tokenizer: HuggingFaceTokenizer
    width: int  # of the states
    name: str  # as it was asked for
    digest: str  # sha256 of the weights file
    revision: str | None  # the commit, where it came from the Hub


def load_encoder(
    name_or_path: str | Path,
    *,
    pooler: str = "mean_pooler",
    context_length: int = 77,
    revision: str | None = None,
    dtype=jnp.float32,
    mesh: Mesh | None = None,
) -> PretrainedEncoder:
    """The Hugging Face encoder in a folder, or at 'hf-hub:OWNER/NAME': config.json, model.safetensors, tokenizer.json.

    `pooler` is one of cliptail_jax.models.bert.POOLERS; texts are cut to `context_length` tokens. Raises UserError where
    something is missing, damaged or does not fit.
    """
    name = str(name_or_path)
    source, shape, tokenizer = read_encoder_files(name, context_length, revision)
    abstract = nnx.eval_shape(
        lambda: BertText(shape, shape.width, pooler=pooler, projection_type=None, dtype=dtype, rngs=nnx.Rngs(0))
    )
    name_of, ignored = encoder_names(source.weights)
    model = fill(abstract, source.weights, name_of=name_of, ignored=ignored, mesh=mesh)
    return PretrainedEncoder(model, tokenizer, shape.width, name, checked_digest(source), source.revision)


def read_encoder_files(
    name: str, context_length: int, revision: str | None = None
) -> tuple[Source, BertShape, HuggingFaceTokenizer]:
    """The files of an encoder, its sizes, and its tokenizer, which cuts texts to `context_length` tokens."""
    source = find(name, CONFIG, WEIGHTS, revision)
    for file, path in ((CONFIG, source.config), (TOKENIZER, source.tokenizer)):
        if path is None:
            raise UserError(f"{name} has no {file} beside its weights")
    shape = bert_shape(read_json(source.config))
    if context_length > shape.max_context:
        raise UserError(f"context_length={context_length} is more than the positions that {name} has")
    tokenizer = load_tokenizer(source.tokenizer, {"context_length": context_length, "vocab_size": shape.vocab_size})
    return source, shape, tokenizer


def encoder_names(weights: Path) -> tuple[Callable[[tuple], str], tuple[str, ...]]:
    """How the file names an encoder's parameters, perhaps under `bert.` or `roberta.`, and what else it may hold."""
    with open_weights(weights) as file:
        names = set(file.keys())
    prefix = next((name.removesuffix(FIRST) for name in names if name.endswith(FIRST)), "")

    def name_of(path: tuple) -> str:
        name = prefix + published_name(path).removeprefix("transformer.")
        for new, old in OLD_NAMES.items():
            if name.endswith(new) and name not in names:
                return name.removesuffix(new) + old
        return name

    return name_of, (*UNUSED, *(prefix + part for part in UNUSED))
