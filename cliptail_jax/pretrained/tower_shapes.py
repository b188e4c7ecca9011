"""Towers of published models whose shapes are known, without their weights: enough to plan a run that starts from them."""

from flax import nnx

from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.open_clip import named_architecture, named_encoder
from cliptail_jax.pretrained.published_weights import PublishedWeights
from cliptail_jax.pretrained.towers import Tower

ARCHITECTURES = {"hf-hub:timm/resnet50_clip.openai": "RN50-quickgelu"}  # by published model


def image_tower_shapes(name: str, *, output_dim: int, image_size: int) -> Tower | None:
    """As `open_image_tower`, without weights; None if the model's shapes are not known."""
    if name not in ARCHITECTURES:
        return None
    architecture = named_architecture(ARCHITECTURES[name])
    quick_gelu, preprocess = bool(architecture.get("quick_gelu")), Preprocess(image_size)
    return Tower("visual", name, _Absent(), architecture["vision_cfg"], output_dim, quick_gelu, preprocess=preprocess)


def text_tower_shapes(name: str, *, output_dim: int, context_length: int) -> Tower | None:
    """As `open_text_tower`, without weights and tokenizer; None if the model's shapes are not known."""
    if encoder := named_encoder(name):
        text_cfg = {"hf_model_name": name, "context_length": context_length, "hf_proj_type": "mlp"}
        return Tower("text", name, _Absent("proj"), text_cfg, output_dim, False, encoder)
    if name not in ARCHITECTURES:
        return None
    architecture = named_architecture(ARCHITECTURES[name])
    return Tower("text", name, _Absent(), architecture["text_cfg"], output_dim, bool(architecture.get("quick_gelu")))


class _Absent(PublishedWeights):
    """Weights that are not at hand. They fill all of a tower except its part `lacking`."""

    digest = ""

    def __init__(self, lacking: str = ""):
        object.__setattr__(self, "lacking", lacking)

    def problems(self, state: nnx.State) -> dict[tuple, str]:
        flat = nnx.to_flat_state(state)
        return {path: "not among the weights" for path, _ in flat if path[1] == self.lacking}
