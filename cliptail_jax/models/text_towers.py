"""Text towers, built from open_clip's `text_cfg`: a transformer, or a Hugging Face encoder (BERT, NLLB, ...)."""

from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp
from flax import nnx

from cliptail_jax.config.training import TextTower
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.models.encoder_shapes import encoder_shape
from cliptail_jax.models.encoder_text import EncoderText
from cliptail_jax.models.open_clip import (
    activation,
    architecture_names,
    encoder_names,
    epsilon,
    named_architecture,
    named_encoder,
)
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.transformer import head_width

CLIP_TEXT = {"context_length": 77, "vocab_size": 49408, "width": 512, "layers": 12, "heads": 8}  # open_clip's defaults
# The options of `TextTransformer` by their keys in a `text_cfg`.
TRANSFORMER_OPTIONS = {
    "mlp_ratio": "mlp_ratio",
    "ls_init_value": "layer_scale",
    "pool_type": "pool",
    "eos_id": "eos_id",
    "pad_id": "pad_id",
    "embed_cls": "class_token",
}
PADDING = 0  # the token with which this project's own tokenizers pad captions


def build_text_tower(
    text_cfg: Mapping[str, Any],
    output_dim: int,
    *,
    quick_gelu: bool = False,
    encoder: Mapping[str, Any] | None = None,
    dropout: float = 0.0,
    dtype=jnp.float32,
    rngs: nnx.Rngs,
) -> TextTransformer | EncoderText:
    """The text tower of a `text_cfg`, with features of width `output_dim`.

    A `text_cfg` with `hf_model_name` describes a Hugging Face encoder, whose config.json is `encoder`, or
    `text_cfg["cliptail_encoder"]`; it drops out the share `dropout` in training. `quick_gelu` selects that activation
    of a transformer. Raises UserError for unsupported values.
    """
    if not text_cfg.get("hf_model_name"):
        cfg = CLIP_TEXT | text_cfg
        projection = cfg.get("proj_type", "linear")
        if projection == "none" and cfg["width"] != output_dim:
            raise UserError(
                f"the model's configuration has text_cfg.proj_type='none', but the text tower's width {cfg['width']} is not "
                f"embed_dim={output_dim}; 'linear' projects"
            )
        return TextTransformer(
            *(cfg[size] for size in ("context_length", "vocab_size", "width", "layers", "heads")),
            output_dim,
            activation=activation("text_cfg", cfg, quick_gelu),
            epsilon=epsilon("text_cfg", cfg),
            causal=not cfg.get("no_causal_mask", False),
            projection="biased" if projection == "linear" and cfg.get("proj_bias") else projection,
            **{option: cfg[key] for key, option in TRANSFORMER_OPTIONS.items() if key in cfg},
            dtype=dtype,
            rngs=rngs,
        )
    encoder = text_cfg.get("cliptail_encoder", encoder)
    if encoder is None:
        raise UserError(
            f"the text encoder {text_cfg['hf_model_name']} is not in encoders.json: its config.json is needed"
        )
    shape = encoder_shape(encoder)
    projection = text_cfg.get("hf_proj_type", "mlp")
    if projection is None and shape.width != output_dim:
        raise UserError(
            f"the model's configuration has text_cfg.hf_proj_type=null, but the encoder's width {shape.width} is not "
            f"embed_dim={output_dim}; 'linear' and 'mlp' project"
        )
    pooling = {"pooler": text_cfg.get("hf_pooler_type", "mean_pooler"), "projection_type": projection}
    return EncoderText(shape, output_dim, **pooling, dropout=dropout, dtype=dtype, rngs=rngs)


def describe_text_tower(text: TextTower) -> dict[str, Any]:
    """The `text_cfg` of a config's text tower.

    `text.name` is 'transformer' or 'bert' with the other fields' sizes, or the name of a published encoder or of one of
    open_clip's configurations with a transformer, with its sizes and the run's context and vocabulary. Raises UserError for
    an unknown name or values that do not fit together.

    Encoders ignore the padding of this project's tokenizers, whose token 0 also stands for '!' within a word.
    """
    names = ("transformer", "bert", *encoder_names())
    sizes = {"context_length": text.context_length, "vocab_size": text.vocab_size}
    if text.name in architecture_names():
        text_cfg = named_architecture(text.name)["text_cfg"]
        if encoder := text_cfg.get("hf_model_name"):
            raise UserError(f"model.text.name: the text tower of {text.name} is an encoder: give its name, {encoder}")
        return text_cfg | sizes
    if text.name not in names:
        raise UserError(
            f"config key 'model.text.name' is '{text.name}'{did_you_mean(text.name, (*names, *architecture_names()))}; it must "
            f"be one of {', '.join(names)}, or a name in cliptail_jax/models/architectures.json"
        )
    if text.name not in ("transformer", "bert"):
        encoder = named_encoder(text.name) | {"vocab_size": text.vocab_size, "pad_token_id": PADDING}
        if text.context_length > (longest := encoder_shape(encoder).max_context):
            raise UserError(
                f"model.text.context_length: {text.context_length} is more than the {longest} positions of {text.name}"
            )
    else:
        head_width("model.text.heads", text.heads, text.width)
        if text.name == "transformer":
            return sizes | {"width": text.width, "heads": text.heads, "layers": text.layers}
        encoder = named_encoder("bert-base-uncased") | {
            "vocab_size": text.vocab_size,
            "hidden_size": text.width,
            "num_hidden_layers": text.layers,
            "num_attention_heads": text.heads,
            "intermediate_size": 4 * text.width,
            "max_position_embeddings": text.context_length,
            "type_vocab_size": 1,  # captions have no second segment
            "pad_token_id": PADDING,
        }
    pooling = {"hf_pooler_type": "mean_pooler", "hf_proj_type": "mlp"}
    return sizes | {"hf_model_name": text.name, **pooling, "cliptail_encoder": encoder}
