"""The shapes of towers of published models, without weights, to plan a run that starts from them."""

from typing import Any

from flax import nnx

from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.open_clip import named_architecture, named_encoder
from cliptail_jax.pretrained.published import published_models
from cliptail_jax.pretrained.published_weights import PublishedWeights
from cliptail_jax.pretrained.towers import Tower


def image_tower_shapes(name: str, *, output_dim: int, image_size: int) -> Tower | None:
    """The shapes of `open_image_tower`'s result; None if they are not known."""
    architecture = _architecture(name)
    if architecture is None:
        return None
    quick_gelu, preprocess = bool(architecture.get("quick_gelu")), Preprocess(image_size)
    return Tower("visual", name, _Absent(), architecture["vision_cfg"], output_dim, quick_gelu, preprocess=preprocess)


def text_tower_shapes(name: str, *, output_dim: int, context_length: int) -> Tower | None:
    """The shapes of `open_text_tower`'s result; None if they are not known."""
    if encoder := named_encoder(name):
        text_cfg = {"hf_model_name": name, "context_length": context_length, "hf_proj_type": "mlp"}
        return Tower("text", name, _Absent("proj"), text_cfg, output_dim, False, encoder)
    architecture = _architecture(name)
    if architecture is None:
        return None
    text_cfg, quick_gelu = architecture["text_cfg"], bool(architecture.get("quick_gelu"))
    encoder = named_encoder(text_cfg.get("hf_model_name", ""))
    return Tower("text", name, _Absent(), text_cfg, output_dim, quick_gelu, encoder)


def _architecture(repository: str) -> dict[str, Any] | None:
    """open_clip's configuration of the model in a repository; None if it is not in the table of published models."""
    names = (m.name for m in published_models() if m.repository == repository and m.architecture is None)
    return next((named_architecture(name.split("/")[0]) for name in names), None)


class _Absent(PublishedWeights):
    """Unavailable weights, which fill all of a tower except its part `missing_part`."""

    digest = ""

    def __init__(self, missing_part: str = ""):
        object.__setattr__(self, "missing_part", missing_part)

    def problems(self, state: nnx.State) -> dict[tuple, str]:
        flat = nnx.to_flat_state(state)
        return {path: "not among the weights" for path, _ in flat if path[1] == self.missing_part}
