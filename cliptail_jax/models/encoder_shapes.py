"""Kinds of Hugging Face text encoders, and their sizes from config.json: one entry per kind in `KINDS`.

To add a kind, write its module with a class of its sizes, such as `BertShape`, and add an entry.
"""

import dataclasses
from collections.abc import Callable, Container, Mapping
from typing import Any

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.bert import BertShape
from cliptail_jax.models.m2m100 import M2M100Shape
from cliptail_jax.models.open_clip import FLAG, POSITIVE, SIZE, TOKEN, Kind, check_keys, is_size

Shape = BertShape | M2M100Shape

LAYERS = Kind("a number of layers from 1 to 1000", lambda value: is_size(value, 1000))
EVEN = Kind("an even number from 4 to 2**24", lambda value: is_size(value) and value % 2 == 0 and value > 2)


@dataclasses.dataclass(frozen=True)
class EncoderKind:
    """One kind of encoder.

    Attributes:
      shape: the class of its sizes.
      fields: for each key of config.json, the field of that class and the supported values.
      constants: the supported values of other keys that change the computation.
    """

    shape: Callable[..., Shape]
    fields: Mapping[str, tuple[str, Container]]
    constants: Mapping[str, Container]


def _bert(counted_positions: bool) -> EncoderKind:
    return EncoderKind(
        lambda **sizes: BertShape(**sizes, counted_positions=counted_positions),
        {
            "vocab_size": ("vocab_size", SIZE),
            "hidden_size": ("width", SIZE),
            "num_hidden_layers": ("layers", LAYERS),
            "num_attention_heads": ("heads", SIZE),
            "intermediate_size": ("inner", SIZE),
            "max_position_embeddings": ("positions", SIZE),
            "type_vocab_size": ("token_types", SIZE),
            "layer_norm_eps": ("epsilon", POSITIVE),
            "pad_token_id": ("pad_id", TOKEN),
        },
        {"hidden_act": ("gelu",), "position_embedding_type": ("absolute",), "is_decoder": (False,)},
    )


KINDS = {
    "bert": _bert(counted_positions=False),
    "roberta": _bert(counted_positions=True),
    "xlm-roberta": _bert(counted_positions=True),
    "m2m_100": EncoderKind(
        M2M100Shape,
        {
            "vocab_size": ("vocab_size", SIZE),
            "d_model": ("width", EVEN),
            "encoder_layers": ("layers", LAYERS),
            "encoder_attention_heads": ("heads", SIZE),
            "encoder_ffn_dim": ("inner", SIZE),
            "max_position_embeddings": ("max_context", SIZE),
            "scale_embedding": ("scales_embeddings", FLAG),
            "pad_token_id": ("pad_id", TOKEN),
        },
        {"activation_function": ("relu",)},
    ),
}


def encoder_shape(encoder: Mapping[str, Any]) -> Shape:
    """The sizes of a Hugging Face encoder, from its config.json. Raises UserError for unsupported values."""
    name = encoder.get("model_type")
    check_keys("config.json: ", {"model_type": name}, {"model_type": tuple(KINDS)})
    kind = KINDS[name]
    values = {key: values for key, (_, values) in kind.fields.items()} | dict(kind.constants)
    check_keys("config.json: ", {key: encoder[key] for key in values if key in encoder}, values)
    if missing_keys := [key for key in kind.fields if key not in encoder]:
        raise UserError(f"the text encoder's config.json has no '{missing_keys[0]}'")
    return kind.shape(**{field: encoder[key] for key, (field, _) in kind.fields.items()})
