"""Models from a whole config. To be removed as soon as the objectives call `models.build` themselves."""

from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax.config.training import check_batch_norm
from cliptail_jax.models import build
from cliptail_jax.models.build import DTYPES, BuildTower
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.image_towers import build_image_tower, describe_image_tower, image_tower
from cliptail_jax.models.text_towers import build_text_tower, describe_text_tower


def build_visual(config: ConfigDict, rngs: nnx.Rngs, output_dim: int | None = None) -> nnx.Module:
    """The image tower `config.model.image`, with another `output_dim` if one is given."""
    model = config.model
    quick_gelu = model.activation == "quick_gelu"
    return build_image_tower(
        describe_image_tower(model.image, config.data.image_size, quick_gelu=quick_gelu),
        output_dim or model.image.output_dim,
        quick_gelu=quick_gelu,
        group_size=config.batch_norm.group_size,
        dtype=DTYPES[model.dtype],
        rngs=rngs,
    )


def image_builder(config: ConfigDict, output_dim: int | None = None) -> BuildTower:
    """`build_visual` of a run that initializes its image tower itself, whose groups of examples are checked."""
    vision_cfg = describe_image_tower(
        config.model.image, config.data.image_size, quick_gelu=config.model.activation == "quick_gelu"
    )
    if image_tower(vision_cfg).has_batch_norm:
        check_batch_norm(config)
    return lambda rngs: build_visual(config, rngs, output_dim)


def build_clip(
    config: ConfigDict, rngs: nnx.Rngs, image: BuildTower | None = None, text: BuildTower | None = None
) -> CLIP:
    """The towers of `config.model`, or those that `image` and `text` build."""
    visual = (image or image_builder(config))(rngs)
    return CLIP(visual, text(rngs) if text else build_text(config, rngs))


def build_text(config: ConfigDict, rngs: nnx.Rngs) -> nnx.Module:
    """The text tower `config.model.text`."""
    return build_text_tower(
        describe_text_tower(config.model.text),
        config.model.image.output_dim,
        quick_gelu=config.model.activation == "quick_gelu",
        dropout=config.text.dropout,
        dtype=DTYPES[config.model.dtype],
        rngs=rngs,
    )


def build_classifier(config: ConfigDict, num_classes: int, rngs: nnx.Rngs, head=None, image: BuildTower | None = None):
    """A classifier on `config.model.image`, which follows the width of a given head, or on what `image` builds."""
    dim = config.model.image.output_dim if head is None or image else head.shape[-1]
    visual = image or image_builder(config, dim)
    return build.build_classifier(visual, num_classes, dim, config.head.kind, head, rngs)


def build_dino(config: ConfigDict, rngs: nnx.Rngs, image: BuildTower | None = None):
    """The image tower `config.model.image`, or what `image` builds, with the head of `config.dino`."""
    dino = config.dino
    return build.build_dino(
        image or image_builder(config),
        config.model.image.output_dim,
        hidden=dino.hidden,
        bottleneck=dino.bottleneck,
        prototypes=dino.prototypes,
        dtype=DTYPES[config.model.dtype],
        rngs=rngs,
    )
