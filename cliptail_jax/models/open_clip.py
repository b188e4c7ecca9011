"""open_clip's model configurations: supported keys and values, named configurations, and reading some values.

A configuration (`model_cfg`) has `embed_dim`, `quick_gelu`, `vision_cfg` and `text_cfg`
(github.com/mlfoundations/open_clip). Keys that start with `cliptail_` are additions that open_clip cannot express;
`cliptail_jax.pretrained.save` removes or refuses them.
"""

import dataclasses
import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.models.encoder_text import POOLERS, PROJECTIONS
from cliptail_jax.models.layers import EPSILON
from cliptail_jax.models.positions import EVERY_GRID, OTHER_GRIDS


@dataclasses.dataclass(frozen=True)
class Kind:
    """The values of a kind, for the tables below; `text` describes them."""

    text: str
    accepts: Callable[[Any], bool] = lambda value: True

    def __contains__(self, value: Any) -> bool:
        return bool(self.accepts(value))


def is_size(value: Any, largest: int = 2**24) -> bool:
    return type(value) is int and 0 < value <= largest


ANYTHING = Kind("anything")  # also for values that are checked where they are used
SIZE = Kind("a whole number from 1 to 2**24", is_size)
LAYERS = Kind(
    "a number of layers from 1 to 1000, or a list of them",
    lambda value: all(is_size(number, 1000) for number in (value if isinstance(value, list) and value else [value])),
)
LARGEST_SIDE = 4096  # positions of larger images would not fit into memory
PIXELS = Kind(f"a number of pixels from 1 to {LARGEST_SIDE}", lambda value: is_size(value, LARGEST_SIDE))
SIDE = Kind(
    f"{PIXELS.text}, or a pair of such numbers",
    lambda value: all(side in PIXELS for side in (value if isinstance(value, list) and len(value) == 2 else [value])),
)
TOKEN = Kind("a token", lambda value: type(value) is int and 0 <= value <= 2**24)
NUMBER = Kind("a number", lambda value: type(value) in (int, float) and abs(value) < 1e6)
NUMBER_OR_NONE = Kind("a number or null", lambda value: value is None or value in NUMBER)
POSITIVE = Kind("a positive number", lambda value: value in NUMBER and value > 1e-30)  # not 0 in float32
FLAG = Kind("true or false", lambda value: value is None or isinstance(value, bool))
TEXT_OR_NONE = Kind("a text or null", lambda value: value is None or isinstance(value, str))
OBJECT = Kind("an object", lambda value: isinstance(value, dict))
OBJECT_OR_NONE = Kind("an object or null", lambda value: value is None or isinstance(value, dict))


def _keys(keys: str, kind: Kind = ANYTHING) -> dict[str, Kind]:
    return dict.fromkeys(keys.split(), kind)


# Supported values by key. Dropout rates and the sizes of unused parts have no effect at inference.
MODEL = {
    "embed_dim": SIZE,
    **_keys("vision_cfg text_cfg", OBJECT),
    **_keys("quick_gelu custom_text", FLAG),
    **_keys("init_logit_scale init_logit_bias", NUMBER_OR_NONE),
    "nonscalar_logit_scale": ANYTHING,
    "multimodal_cfg": ANYTHING,  # CoCa's caption decoder, which does not affect the features
}
TRANSFORMER = {
    "width": SIZE,
    "layers": LAYERS,
    "mlp_ratio": POSITIVE,
    "norm_kwargs": OBJECT_OR_NONE,
    **_keys("final_ln_after_pool output_tokens", FLAG),
    "act_kwargs": (None, {}, {"approximate": "none"}, {"approximate": "tanh"}),
    "block_type": (None, "default"),
    "ls_init_value": NUMBER_OR_NONE,
    **dict.fromkeys("qk_norm scaled_cosine_attn scale_heads scale_attn_inner scale_attn scale_fc".split(), (False,)),
}
VISION = TRANSFORMER | {
    **_keys("head_width attn_pooler_queries attn_pooler_heads", SIZE),
    "patch_size": Kind("a size or null", lambda value: value is None or is_size(value)),
    "image_size": SIDE,
    **_keys("no_ln_pre attentional_pool timm_proj_bias", FLAG),
    "timm_model_name": TEXT_OR_NONE,
    **_keys("patch_dropout timm_model_pretrained timm_drop timm_drop_path"),
    "pool_type": ("tok", "avg"),
    "pos_embed_type": ("learnable", "sin_cos_2d"),
    "timm_pool": ("", "avg", "map", "token"),
    "timm_proj": (None, "none", "linear", "mlp"),
    "cliptail_model_name": TEXT_OR_NONE,  # an image tower that open_clip does not have
    "cliptail_initialization": ("clip", "pytorch"),  # of a modified ResNet
    "cliptail_resampling": (OTHER_GRIDS, EVERY_GRID),  # of the positions of DINO's towers
}
TEXT = TRANSFORMER | {
    **_keys("context_length vocab_size heads", SIZE),
    **_keys("pad_id eos_id", TOKEN),
    **_keys("embed_cls no_causal_mask proj_bias", FLAG),
    **_keys("hf_model_name hf_tokenizer_name", TEXT_OR_NONE),
    **_keys("tokenizer_kwargs hf_model_pretrained"),
    "tokenizer_mode": (None, ""),
    "pool_type": ("argmax", "eos", "first", "last"),
    "proj_type": ("linear", "none"),
    "hf_proj_type": PROJECTIONS,
    "hf_pooler_type": POOLERS,
    "cliptail_encoder": OBJECT,  # a Hugging Face encoder's config.json
}


@cache
def _read_table(file: str) -> dict[str, Any]:
    table = json.loads((Path(__file__).parent / file).read_text(encoding="utf-8"))
    del table["source"]
    return table


def architecture_names() -> tuple[str, ...]:
    """The names of open_clip's configurations that `named_architecture` knows."""
    return tuple(_read_table("architectures.json"))


def named_architecture(name: str) -> dict[str, Any]:
    """open_clip's configuration with this name. Raises UserError if it is not in architectures.json."""
    table = _read_table("architectures.json")
    if name not in table:
        raise UserError(
            f"unknown architecture '{name}'{did_you_mean(name, table)}: it is a name in cliptail_jax/models/architectures.json"
        )
    return deepcopy(table[name])


def encoder_names() -> tuple[str, ...]:
    """The names of Hugging Face text encoders that `named_encoder` knows."""
    return tuple(_read_table("encoders.json"))


def named_encoder(name: str) -> dict[str, Any] | None:
    """The Hugging Face configuration of a published text encoder, with or without its owner's name; None if unknown."""
    return deepcopy(_read_table("encoders.json").get(name.rsplit("/", 1)[-1]))


def check_model(model_cfg: Mapping[str, Any]) -> None:
    """Raise UserError for the first key or value of a model's configuration that is not supported."""
    check_keys("", model_cfg, MODEL)
    check_keys("vision_cfg.", model_cfg["vision_cfg"], VISION)
    check_keys("text_cfg.", model_cfg["text_cfg"], TEXT)


def check_keys(prefix: str, config: Mapping[str, Any], choices: Mapping[str, Any]) -> None:
    """Raise UserError for the first key that is not in `choices`, or whose value is not among the supported ones."""
    for key, value in config.items():
        if key not in choices:
            raise UserError(f"the model's configuration has {prefix + key[:50]!r}, which is not supported")
        if value not in choices[key]:
            setting, values = f"{prefix}{key}={json.dumps(value)[:100]}", choices[key]
            if isinstance(values, Kind):
                raise UserError(f"the model's configuration has {setting}; it takes {values.text}")
            values = ", ".join(json.dumps(value) for value in values)
            raise UserError(f"the model's configuration has {setting}, which is not supported; {values} are")


def image_size(vision_cfg: Mapping[str, Any]) -> int:
    """The side in pixels of the square images that a tower is made for. Raises UserError if they are not square."""
    size = vision_cfg.get("image_size", 224)
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) > 1:
        raise UserError(f"the model's configuration has vision_cfg.image_size={size}; only square images are supported")
    return sides.pop()


def activation(section: str, config: Mapping[str, Any], quick_gelu: bool) -> str:
    """The activation of a tower's MLPs, a name in `transformer.ACTIVATIONS`; `section` is 'vision_cfg' or 'text_cfg'."""
    approximate = (config.get("act_kwargs") or {}).get("approximate", "none")
    if quick_gelu and config.get("act_kwargs"):
        raise UserError(f"the model's configuration has quick_gelu=true, which takes no {section}.act_kwargs")
    if quick_gelu:
        return "quick_gelu"
    return "gelu_tanh" if approximate == "tanh" else "gelu"


def epsilon(section: str, config: Mapping[str, Any]) -> float:
    """The epsilon of a tower's layer norms; `section` is 'vision_cfg' or 'text_cfg'."""
    options = config.get("norm_kwargs") or {}
    if options.keys() - {"eps"}:
        raise UserError(
            f"the model's configuration has {section}.norm_kwargs={json.dumps(options)}; only 'eps' is supported"
        )
    check_keys(f"{section}.norm_kwargs.", options, {"eps": POSITIVE})
    return options.get("eps", EPSILON)
