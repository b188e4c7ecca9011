"""Whether a configuration of open_clip's is supported, checked without weights."""

import copy
from typing import Any

from cliptail_jax.host.errors import UserError
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import check_model, image_size, named_encoder

Config = dict[str, Any]
DEPTHS = {"num_hidden_layers", "encoder_layers"}  # keys of Hugging Face encoders


def unsupported(config: Config) -> str:
    """The error that building a model of the configuration raises, or ''."""
    try:
        check_model(config)
        image_size(config["vision_cfg"])
        encoder = named_encoder(config["text_cfg"].get("hf_model_name") or "") or {}
        one_layer = encoder | dict.fromkeys(encoder.keys() & DEPTHS, 1)
        abstract_model({"model_cfg": shallow(config), "encoder": one_layer or None})
    except UserError as error:
        return str(error)
    return ""


def shallow(config: Config) -> Config:
    """The configuration with one layer in each part: the others, which take most of the time, are alike."""
    config = copy.deepcopy(config)
    for section in (config["vision_cfg"], config["text_cfg"]):
        if "layers" in section:
            section["layers"] = [1] * len(section["layers"]) if isinstance(section["layers"], list) else 1
    return config
