"""open_clip's model configurations to our modules. What we have not is refused by name."""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.models.bert import POOLERS, PROJECTIONS, BertShape, BertText
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.convnext import ConvNeXt
from cliptail_jax.models.layers import EPSILON
from cliptail_jax.models.modified_resnet import ModifiedResNet
from cliptail_jax.models.text import TextTransformer
from cliptail_jax.models.vit import VisionTransformer

ANY = "any"  # in the tables below: every value will do, or is checked where it is used
NO_BLOCK_EXTRAS = {
    "ls_init_value": (None,),
    "block_type": (None, "default"),
    "qk_norm": (False,),
    "scaled_cosine_attn": (False,),
    "scale_heads": (False,),
    "scale_attn_inner": (False,),
    "scale_attn": (False,),
    "scale_fc": (False,),
}
# Key -> the values that are supported. Dropouts and the sizes of unused parts change nothing at inference.
MODEL = {
    "embed_dim": ANY,
    "vision_cfg": ANY,
    "text_cfg": ANY,
    "multimodal_cfg": ANY,  # CoCa's caption decoder, which no feature depends on
    "quick_gelu": (False, True),
    "custom_text": (False, True),
    "init_logit_scale": ANY,
    "init_logit_bias": (None,),
    "nonscalar_logit_scale": (False, True),
}
VISION = {
    "layers": ANY,
    "width": ANY,
    "head_width": ANY,
    "mlp_ratio": ANY,
    "patch_size": ANY,
    "image_size": ANY,
    "patch_dropout": ANY,
    "attentional_pool": (False, True),
    "attn_pooler_queries": ANY,
    "attn_pooler_heads": ANY,
    "no_ln_pre": (False, True),
    "pos_embed_type": ("learnable", "sin_cos_2d"),
    "final_ln_after_pool": (False, True),
    "pool_type": ("tok", "avg"),
    "output_tokens": (False, True),
    "act_kwargs": (None, {}, {"approximate": "none"}, {"approximate": "tanh"}),
    "norm_kwargs": ANY,
    "timm_model_name": ANY,
    "timm_model_pretrained": (False, True),
    "timm_pool": ("", "avg"),
    "timm_proj": ("linear", "mlp"),
    "timm_proj_bias": (False, True),
    "timm_drop": ANY,
    "timm_drop_path": ANY,
    **NO_BLOCK_EXTRAS,
}
TEXT = {
    "context_length": ANY,
    "vocab_size": ANY,
    "hf_tokenizer_name": ANY,
    "tokenizer_mode": (None, ""),
    "tokenizer_kwargs": ANY,
    "width": ANY,
    "heads": ANY,
    "layers": ANY,
    "mlp_ratio": ANY,
    "embed_cls": (False, True),
    "pad_id": ANY,
    "eos_id": ANY,
    "no_causal_mask": (False, True),
    "final_ln_after_pool": (False, True),  # open_clip's text towers do not read it
    "pool_type": ("argmax", "eos", "first", "last"),
    "proj_bias": (False,),
    "proj_type": ("linear",),
    "output_tokens": (False, True),
    "act_kwargs": (None, {}, {"approximate": "none"}, {"approximate": "tanh"}),
    "norm_kwargs": ANY,
    "hf_model_name": ANY,
    "hf_model_pretrained": (False, True),
    "hf_proj_type": PROJECTIONS,
    "hf_pooler_type": POOLERS,
    **NO_BLOCK_EXTRAS,
}
# Hugging Face encoders: keys of config.json that change what is computed.
ENCODER = {
    "model_type": ("bert", "roberta", "xlm-roberta"),
    "hidden_act": ("gelu",),
    "position_embedding_type": ("absolute",),
    "is_decoder": (False,),
}

# Depths, widths and the layer norms' epsilon of timm's models (github.com/huggingface/pytorch-image-models).
CONVNEXTS = {
    "convnext_tiny": ((3, 3, 9, 3), (96, 192, 384, 768), 1e-6),
    "convnext_small": ((3, 3, 27, 3), (96, 192, 384, 768), 1e-6),
    "convnext_base": ((3, 3, 27, 3), (128, 256, 512, 1024), 1e-6),
    "convnext_large": ((3, 3, 27, 3), (192, 384, 768, 1536), 1e-6),
    "convnext_xlarge": ((3, 3, 27, 3), (256, 512, 1024, 2048), 1e-6),
    "convnext_xxlarge": ((3, 4, 30, 3), (384, 768, 1536, 3072), 1e-5),
}


@cache
def _table(file: str) -> dict[str, Any]:
    table = json.loads((Path(__file__).parent / file).read_text())
    del table["source"]
    return table


def named_architecture(name: str) -> dict[str, Any]:
    """open_clip's configuration of that name. Raises UserError for a name that is not in architectures.json."""
    table = _table("architectures.json")
    if name not in table:
        raise UserError(f"unknown architecture '{name}'; it is one of {', '.join(table)}")
    return deepcopy(table[name])


def named_encoder(name: str) -> dict[str, Any] | None:
    """The Hugging Face configuration of a published text encoder, with or without its owner's name; None if unknown."""
    return _table("encoders.json").get(name.rsplit("/", 1)[-1])


def build(config: Mapping[str, Any], encoder: Mapping[str, Any] | None, rngs: nnx.Rngs, dtype=jnp.float32) -> CLIP:
    """The CLIP that an open_clip configuration describes; `encoder` is that of its Hugging Face text tower, if any.

    Raises UserError for a key or value that is not supported.
    """
    check_keys("", config, MODEL)
    check_keys("vision_cfg.", config["vision_cfg"], VISION)
    check_keys("text_cfg.", config["text_cfg"], TEXT)
    shared = {"dtype": dtype, "rngs": rngs}
    visual = build_visual(config["vision_cfg"], config["embed_dim"], bool(config.get("quick_gelu")), **shared)
    text_config = config["text_cfg"]
    if text_config.get("hf_model_name"):
        return CLIP(visual, build_encoder(text_config, encoder, config["embed_dim"], **shared))
    return CLIP(visual, build_text(text_config, config["embed_dim"], bool(config.get("quick_gelu")), **shared))


def check_keys(prefix: str, config: Mapping[str, Any], supported: Mapping[str, Any]) -> None:
    """Raise UserError for the first key that is unknown, or whose value is not among the supported ones."""
    for key, value in config.items():
        if key not in supported:
            raise UserError(f"the model's configuration has '{prefix}{key}', which is not supported")
        if supported[key] is not ANY and value not in supported[key]:
            values = ", ".join(json.dumps(each) for each in supported[key])
            raise UserError(
                f"the model's configuration has {prefix}{key}={json.dumps(value)}, which is not supported; {values} are"
            )


def build_visual(
    config: Mapping[str, Any], output_dim: int, quick_gelu: bool, *, group_size: int = 0, dtype, rngs: nnx.Rngs
) -> nnx.Module:
    """The image tower of `vision_cfg`: a modified ResNet where `layers` is a list, a ConvNeXt by timm's name, or a ViT.

    `group_size` examples share batch statistics in training; 0: the whole batch.
    """
    shared = {"dtype": dtype, "rngs": rngs}
    if config.get("timm_model_name"):
        return build_convnext(config, output_dim, **shared)
    layers, width = config.get("layers", 12), config.get("width", 768)
    head_width, size = config.get("head_width", 64), image_size(config)
    if isinstance(layers, list | tuple):
        heads = width * 32 // head_width
        return ModifiedResNet(tuple(layers), width, heads, output_dim, size, group_size=group_size, **shared)
    attention_pool = None
    if config.get("attentional_pool"):
        if config.get("pool_type", "tok") != "tok" or width == output_dim:
            raise UserError(
                "the model's configuration has vision_cfg.attentional_pool=true, which is supported with pool_type "
                "'tok' and a width other than embed_dim"
            )
        attention_pool = config.get("attn_pooler_heads", 8), config.get("attn_pooler_queries", 256)
    return VisionTransformer(
        config.get("patch_size", 16),
        width,
        layers,
        width // head_width,
        output_dim,
        size,
        activation=activation("vision_cfg", config, quick_gelu),
        widening=config.get("mlp_ratio", 4.0),
        epsilon=epsilon("vision_cfg", config),
        pool=config.get("pool_type", "tok"),
        norm_after_pool=config.get("final_ln_after_pool", False),
        norm_before=not config.get("no_ln_pre", False),
        attention_pool=attention_pool,
        **shared,
    )


def build_convnext(config: Mapping[str, Any], output_dim: int, *, dtype, rngs: nnx.Rngs) -> ConvNeXt:
    """The ConvNeXt that `vision_cfg` names."""
    name = config["timm_model_name"]
    if name not in CONVNEXTS:
        raise UserError(
            f"the model's configuration has vision_cfg.timm_model_name='{name}', which is not supported; "
            f"{', '.join(CONVNEXTS)} are"
        )
    depths, widths, eps = CONVNEXTS[name]
    return ConvNeXt(
        depths,
        widths,
        output_dim,
        epsilon=eps,
        projection=config.get("timm_proj", "linear"),
        projection_bias=config.get("timm_proj_bias", False),
        dtype=dtype,
        rngs=rngs,
    )


def build_text(
    config: Mapping[str, Any], output_dim: int, quick_gelu: bool, *, dtype, rngs: nnx.Rngs
) -> TextTransformer:
    """The text transformer of `text_cfg`."""
    return TextTransformer(
        config.get("context_length", 77),
        config.get("vocab_size", 49408),
        config.get("width", 512),
        config.get("layers", 12),
        config.get("heads", 8),
        output_dim,
        activation=activation("text_cfg", config, quick_gelu),
        widening=config.get("mlp_ratio", 4.0),
        epsilon=epsilon("text_cfg", config),
        causal=not config.get("no_causal_mask", False),
        pool=config.get("pool_type", "argmax"),
        eos_id=config.get("eos_id", 2),
        pad_id=config.get("pad_id", 0),
        class_token=config.get("embed_cls", False),
        dtype=dtype,
        rngs=rngs,
    )


def build_encoder(
    config: Mapping[str, Any],
    encoder: Mapping[str, Any],
    output_dim: int,
    *,
    dropout: float = 0.0,
    dtype,
    rngs: nnx.Rngs,
) -> BertText:
    """The Hugging Face text tower of `text_cfg`, whose encoder has the configuration `encoder`."""
    shape = bert_shape(encoder)
    projection = config.get("hf_proj_type", "mlp")
    if projection is None and shape.width != output_dim:
        raise UserError(
            f"the model's configuration has text_cfg.hf_proj_type=null, but the encoder's width {shape.width} is not "
            f"embed_dim={output_dim}; 'linear' and 'mlp' project"
        )
    pooler = config.get("hf_pooler_type", "mean_pooler")
    return BertText(
        shape, output_dim, pooler=pooler, projection_type=projection, dropout=dropout, dtype=dtype, rngs=rngs
    )


def bert_shape(encoder: Mapping[str, Any]) -> BertShape:
    """The sizes of a Hugging Face encoder, from its config.json. Raises UserError for a kind that is not supported."""
    check_keys("config.json: ", {key: encoder[key] for key in ENCODER if key in encoder}, ENCODER)
    try:
        return BertShape(
            vocab_size=encoder["vocab_size"],
            width=encoder["hidden_size"],
            layers=encoder["num_hidden_layers"],
            heads=encoder["num_attention_heads"],
            inner=encoder["intermediate_size"],
            positions=encoder["max_position_embeddings"],
            token_types=encoder["type_vocab_size"],
            epsilon=encoder["layer_norm_eps"],
            pad_id=encoder["pad_token_id"],
            counted_positions=encoder["model_type"] != "bert",
        )
    except KeyError as error:
        raise UserError(f"the text encoder's config.json has no {error}") from None


def image_size(config: Mapping[str, Any]) -> int:
    """The side of the square images that `vision_cfg` asks for."""
    size = config.get("image_size", 224)
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1:
        raise UserError(f"the model's configuration has vision_cfg.image_size={size}; only square images are supported")
    return sides.pop()


def activation(section: str, config: Mapping[str, Any], quick_gelu: bool) -> str:
    """The name of the MLPs' activation."""
    approximate = (config.get("act_kwargs") or {}).get("approximate", "none")
    if quick_gelu and config.get("act_kwargs"):
        raise UserError(f"the model's configuration has quick_gelu=true, which takes no {section}.act_kwargs")
    return "quick_gelu" if quick_gelu else "gelu_tanh" if approximate == "tanh" else "gelu"


def epsilon(section: str, config: Mapping[str, Any]) -> float:
    """The layer norms' epsilon."""
    given = config.get("norm_kwargs") or {}
    if given.keys() - {"eps"}:
        raise UserError(
            f"the model's configuration has {section}.norm_kwargs={json.dumps(given)}; only 'eps' is supported"
        )
    return given.get("eps", EPSILON)
