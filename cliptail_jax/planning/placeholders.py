"""Objectives of runs with published towers and heads, which need not be at hand: a plan needs no more than their shapes."""

from types import SimpleNamespace
from typing import Any

import numpy as np
from flax import nnx
from jaxtyping import Float32
from ml_collections import ConfigDict

from cliptail_jax.curation.variant import Variant
from cliptail_jax.errors import UserError
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.open_clip import named_architecture, named_encoder
from cliptail_jax.objectives import OBJECTIVES
from cliptail_jax.pretrained.towers import Tower, Towers
from cliptail_jax.training.objective import RANDOM, Objective

PUBLISHED = {"hf-hub:timm/resnet50_clip.openai": "RN50-quickgelu"}  # models by the architecture that they have


def make_objective(config: ConfigDict, variant: Variant) -> Objective:
    """The objective of a run of the config, with stand-ins for weights whose shapes are known: none is downloaded."""
    objective = OBJECTIVES[config.objective]
    return type(objective.__name__, (_Placeholders, objective), {})(config, variant)


class _Placeholders:
    """Towers of known shapes in place of what an objective opens, and a head where its file is not there."""

    def open_towers(self) -> Towers:
        names = {"image": self.config.image.init, "text": self.config.text.init}
        towers = {part: placeholder(part, name, self.config) for part, name in names.items() if name != RANDOM}
        return super().open_towers() if None in towers.values() else Towers(**towers)

    def _open_head(self) -> Float32[np.ndarray, "classes dim"] | None:
        try:
            return super()._open_head()
        except UserError:
            return np.zeros((len(self.variant.class_names), self.config.model.image.output_dim), np.float32)


def placeholder(part: str, name: str, config: ConfigDict) -> Tower | None:
    """The tower of a published model without its weights; None if the model's sizes are not known."""
    text, dim = config.model.text, config.model.image.output_dim
    encoder = named_encoder(name) if part == "text" else None
    if encoder:
        text_cfg = {"hf_model_name": name, "context_length": text.context_length, "hf_proj_type": "mlp"}
        return Tower("text", name, _no_weights("proj"), text_cfg, dim, False, encoder)
    if name not in PUBLISHED:
        return None
    architecture = named_architecture(PUBLISHED[name])
    path, section = {"image": ("visual", "vision_cfg"), "text": ("text", "text_cfg")}[part]
    quick_gelu, preprocess = bool(architecture.get("quick_gelu")), Preprocess(config.data.image_size)
    return Tower(path, name, _no_weights(), architecture[section], dim, quick_gelu, preprocess=preprocess)


def _no_weights(*lacking: str) -> Any:
    """Weights that fill all of a tower but the parts that they are `lacking`."""

    def problems(state: nnx.State) -> dict[tuple, str]:
        return {path: "not among the weights" for path, _ in nnx.to_flat_state(state) if path[1] in lacking}

    return SimpleNamespace(problems=problems, digest="")
