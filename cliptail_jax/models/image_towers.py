"""Image towers, built from open_clip's `vision_cfg`: one entry per kind in `IMAGE_TOWERS`.

To add a kind, write its module and add an entry. timm's kinds are recognized by `vision_cfg["timm_model_name"]`. A kind
that open_clip lacks, such as `basic_resnet`, is described by `vision_cfg["cliptail_model_name"]`, its name in the
table.
"""

from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax.numpy as jnp
from flax import nnx

from cliptail_jax.config.training import ImageTower
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.models import convnext, modified_resnet, vitamin
from cliptail_jax.models.basic_resnet import BasicResNet
from cliptail_jax.models.convnext import CONVNEXTS, ConvNeXt
from cliptail_jax.models.fastvit import FASTVITS, FastViT
from cliptail_jax.models.modified_resnet import ModifiedResNet
from cliptail_jax.models.open_clip import (
    PIXELS,
    activation,
    architecture_names,
    check_keys,
    epsilon,
    image_size,
    named_architecture,
)
from cliptail_jax.models.timm_members import MOBILECLIP_VITS, TIMM_VITS
from cliptail_jax.models.timm_vit import TimmMember, TimmViT
from cliptail_jax.models.transformer import head_width
from cliptail_jax.models.vit import VisionTransformer
from cliptail_jax.models.vitamin import VITAMINS, ViTamin

VisionCfg = Mapping[str, Any]
FIXED, RESAMPLED = "fixed", "resampled"
TIMM_DEFAULTS = {"timm_pool": "avg", "timm_proj": "linear"}  # open_clip's, for a `vision_cfg` without them


@dataclass(frozen=True)
class ImageTowerKind:
    """One kind of image tower: its description as a `vision_cfg`, and its construction.

    Attributes:
      build: the tower for `(vision_cfg, output_dim, dtype=..., rngs=...)`, and `group_size=...` if the kind has batch
        norm, `quick_gelu=...` if its activation can be chosen.
      side_multiple: from a `vision_cfg` to the number of pixels that must divide an image's sides.
      describe: the `vision_cfg`, without `image_size`, for a config's section; None if the kind has named members only.
      stages: the number of entries of `model.image.layers`.
      timm_names: timm's names of the members of the kind.
      for_open_clip: a `vision_cfg` with open_clip's name of the tower for its image size. Raises UserError
        if there is none.
      values: from a `vision_cfg` to the values that its tower supports, by key, where towers differ.
      has_batch_norm: whether statistics are computed over groups of examples in training.
      has_activation: whether the tower's activation is the model's.
      positions: `FIXED` if its positional embedding is for images of one size, `RESAMPLED` if DINO may resample it, '' for none.
    """

    build: Callable[..., nnx.Module]
    side_multiple: Callable[[VisionCfg], int]
    describe: Callable[[ImageTower], dict[str, Any]] | None = None
    stages: int = 1
    timm_names: Collection[str] = ()
    for_open_clip: Callable[[VisionCfg], VisionCfg] = lambda vision_cfg: vision_cfg
    values: Callable[[VisionCfg], Mapping[str, Container]] = lambda vision_cfg: {}
    has_batch_norm: bool = False
    has_activation: bool = False
    positions: str = ""


def image_tower(vision_cfg: VisionCfg) -> ImageTowerKind:
    """The kind of tower that `vision_cfg` describes. Raises UserError if there is none."""
    if name := vision_cfg.get("timm_model_name"):
        for tower in IMAGE_TOWERS.values():
            if name in tower.timm_names:
                return tower
        hint = did_you_mean(name, [member for tower in IMAGE_TOWERS.values() for member in tower.timm_names])
        raise UserError(
            f"the model's configuration has vision_cfg.timm_model_name='{name}', which is not supported{hint}"
        )
    # open_clip recognizes its own towers by the type of `layers`
    default = "modified_resnet" if isinstance(vision_cfg.get("layers"), list | tuple) else "vit"
    kind = vision_cfg.get("cliptail_model_name") or default
    if kind not in IMAGE_TOWERS or not IMAGE_TOWERS[kind].describe:
        raise UserError(
            f"the model's configuration has vision_cfg.cliptail_model_name='{kind}', which is not supported"
        )
    return IMAGE_TOWERS[kind]


def build_image_tower(
    vision_cfg: VisionCfg,
    output_dim: int,
    *,
    quick_gelu: bool = False,
    group_size: int = 0,
    dtype=jnp.float32,
    rngs: nnx.Rngs,
) -> nnx.Module:
    """The image tower of a `vision_cfg`, with features of width `output_dim`.

    `group_size` examples share batch statistics in training (0: the whole batch), in towers with batch norm.
    `quick_gelu` selects that activation, in towers that have a choice. Raises UserError for unsupported values.
    """
    tower = image_tower(vision_cfg)
    settings, values = TIMM_DEFAULTS | vision_cfg, tower.values(vision_cfg)
    check_keys("vision_cfg.", {key: settings[key] for key in values}, values)
    options = {"dtype": dtype, "rngs": rngs}
    if tower.has_batch_norm:
        options["group_size"] = group_size
    if tower.has_activation:
        options["quick_gelu"] = quick_gelu
    return tower.build(vision_cfg, output_dim, **options)


def describe_image_tower(image: ImageTower, side: int, *, quick_gelu: bool = False) -> dict[str, Any]:
    """The `vision_cfg` for images of `side` × `side` pixels.

    `image.name` is a kind in `IMAGE_TOWERS`, whose sizes are the other fields, or one of open_clip's
    configurations, whose image tower it is. Raises UserError for an unknown name or values that do not fit together.
    """
    kinds = [name for name, tower in IMAGE_TOWERS.items() if tower.describe]
    if image.name in kinds:
        tower = IMAGE_TOWERS[image.name]
        if len(image.layers) != tower.stages:
            raise UserError(
                f"model.image.layers is {image.layers}: {image.name} takes one number for each of its stages, {tower.stages}"
            )
        vision_cfg = tower.describe(image)
    elif image.name in architecture_names():
        model_cfg = named_architecture(image.name)
        vision_cfg = model_cfg["vision_cfg"]
        if model_cfg.get("quick_gelu") and not quick_gelu and image_tower(vision_cfg).has_activation:
            raise UserError(f"model.image.name: {image.name} has QuickGELU: set model.activation='quick_gelu'")
    else:
        hint = did_you_mean(image.name, [*kinds, *architecture_names()])
        raise UserError(
            f"config key 'model.image.name' is '{image.name}'{hint}; it must be one of {', '.join(kinds)}, or a name in "
            "cliptail_jax/models/architectures.json"
        )
    check_image_size(vision_cfg, side)
    vision_cfg["image_size"] = side
    if image.initialization != "clip":
        vision_cfg["cliptail_initialization"] = image.initialization
    return vision_cfg


def check_image_size(vision_cfg: VisionCfg, side: int, key: str = "data.image_size") -> None:
    """Raise UserError, naming the config's `key`, unless the tower can divide images of `side` × `side` pixels.

    The tower's own size is always valid: SigLIP's ViT-SO400M-14-384 drops pixels that fill no patch.
    """
    if side not in PIXELS:
        raise UserError(f"{key}: {side} is not {PIXELS.text}")
    factor = image_tower(vision_cfg).side_multiple(vision_cfg)
    if side % factor and side != vision_cfg.get("image_size"):
        raise UserError(f"{key}: {side} is not divisible by {factor}: choose a multiple of it")


def _build_basic_resnet(vision_cfg: VisionCfg, output_dim: int, **options) -> BasicResNet:
    return BasicResNet(tuple(vision_cfg["layers"]), vision_cfg["width"], output_dim, **options)


def _build_modified_resnet(vision_cfg: VisionCfg, output_dim: int, **options) -> ModifiedResNet:
    width = vision_cfg.get("width", 768)
    return ModifiedResNet(
        tuple(vision_cfg["layers"]),
        width,
        width * 32 // vision_cfg.get("head_width", 64),
        output_dim,
        image_size(vision_cfg),
        resampling=vision_cfg.get("cliptail_resampling", ""),
        pytorch_init=vision_cfg.get("cliptail_initialization") == "pytorch",
        **options,
    )


def _describe_modified_resnet(image: ImageTower) -> dict[str, Any]:
    width_of_head = head_width("model.image.heads", image.heads, 32 * image.width)
    return {"layers": list(image.layers), "width": image.width, "head_width": width_of_head, "patch_size": None}


def _build_convnext(vision_cfg: VisionCfg, output_dim: int, **options) -> ConvNeXt:
    if name := vision_cfg.get("timm_model_name"):
        depths, widths, options["epsilon"] = CONVNEXTS[name]
    else:
        depths, widths = vision_cfg["layers"], [vision_cfg["width"] * 2**stage for stage in range(4)]
    return ConvNeXt(
        depths,
        widths,
        output_dim,
        projection=vision_cfg.get("timm_proj", "linear"),
        projection_bias=vision_cfg.get("timm_proj_bias", False),
        **options,
    )


def _describe_stages(name: str, image: ImageTower) -> dict[str, Any]:
    """The `vision_cfg` of a tower that open_clip does not have."""
    return {"cliptail_model_name": name, "layers": list(image.layers), "width": image.width}


def _build_vitamin(vision_cfg: VisionCfg, output_dim: int, **options) -> ViTamin:
    size, bias = VITAMINS[vision_cfg["timm_model_name"]], bool(vision_cfg.get("timm_proj_bias"))
    return ViTamin(size, output_dim, image_size(vision_cfg), projection_bias=bias, **options)


def _build_fastvit(vision_cfg: VisionCfg, output_dim: int, **options) -> FastViT:
    return FastViT(FASTVITS[vision_cfg["timm_model_name"]], output_dim, **options)


def _build_vit(vision_cfg: VisionCfg, output_dim: int, *, quick_gelu: bool, **options) -> VisionTransformer:
    width = vision_cfg.get("width", 768)
    attention_pool = None
    if vision_cfg.get("attentional_pool"):
        if vision_cfg.get("pool_type", "tok") != "tok" or width == output_dim:
            raise UserError(
                "the model's configuration has vision_cfg.attentional_pool=true, which is supported with pool_type "
                "'tok' and a width other than embed_dim"
            )
        attention_pool = vision_cfg.get("attn_pooler_heads", 8), vision_cfg.get("attn_pooler_queries", 256)
    return VisionTransformer(
        vision_cfg.get("patch_size", 16),
        width,
        vision_cfg.get("layers", 12),
        width // vision_cfg.get("head_width", 64),
        output_dim,
        image_size(vision_cfg),
        activation=activation("vision_cfg", vision_cfg, quick_gelu),
        mlp_ratio=vision_cfg.get("mlp_ratio", 4.0),
        epsilon=epsilon("vision_cfg", vision_cfg),
        layer_scale=vision_cfg.get("ls_init_value"),
        pool=vision_cfg.get("pool_type", "tok"),
        norm_after_pool=vision_cfg.get("final_ln_after_pool", False),
        norm_before=not vision_cfg.get("no_ln_pre", False),
        attention_pool=attention_pool,
        resampling=vision_cfg.get("cliptail_resampling", ""),
        **options,
    )


def _describe_vit(image: ImageTower) -> dict[str, Any]:
    width_of_head = head_width("model.image.heads", image.heads, image.width)
    return {
        "layers": image.layers[0],
        "width": image.width,
        "head_width": width_of_head,
        "patch_size": image.patch_size,
    }


def _at_its_size(members: Mapping[str, Any], vision_cfg: VisionCfg) -> VisionCfg:
    """The `vision_cfg` with timm's name for its image size, among members with the same other sizes."""
    name, side = vision_cfg["timm_model_name"], image_size(vision_cfg)
    base = members[name]
    if base.image_size in (None, side):
        return vision_cfg
    sides = {
        member.image_size: other
        for other, member in members.items()
        if other.rpartition("_")[0] == name.rpartition("_")[0] and replace(member, image_size=base.image_size) == base
    }
    if side not in sides:
        raise UserError(
            f"open_clip has {name} for images of {', '.join(map(str, sides or [base.image_size]))} pixels, not {side}: open or "
            "train the model at such a size"
        )
    return {**vision_cfg, "timm_model_name": sides[side]}


def _timm_vits(members: Mapping[str, TimmMember], has_batch_norm: bool) -> ImageTowerKind:
    """The kind of timm's vision transformers with the names and sizes in `members`."""

    def values(vision_cfg: VisionCfg) -> dict[str, Container]:
        member = members[vision_cfg["timm_model_name"]]
        return {"timm_pool": (member.pool,), "timm_proj": (None if member.projection else "none",)}

    def build(vision_cfg: VisionCfg, output_dim: int, **options) -> TimmViT:
        name = vision_cfg["timm_model_name"]
        member = members[name]
        if not member.projection and output_dim != member.width:
            raise UserError(
                f"{name} has features {member.width} wide, without a projection, not {output_dim}: set "
                f"model.image.output_dim, or the configuration's embed_dim, to {member.width}"
            )
        return TimmViT(member, output_dim, image_size(vision_cfg), **options)

    return ImageTowerKind(
        build=build,
        side_multiple=lambda vision_cfg: members[vision_cfg["timm_model_name"]].patch_size,
        timm_names=members,
        values=values,
        for_open_clip=partial(_at_its_size, members),
        has_batch_norm=has_batch_norm,
        positions=FIXED,
    )


IMAGE_TOWERS = {
    "modified_resnet": ImageTowerKind(
        build=_build_modified_resnet,
        describe=_describe_modified_resnet,
        stages=4,
        side_multiple=lambda _: modified_resnet.STRIDE,
        has_batch_norm=True,
        positions=RESAMPLED,
    ),
    "basic_resnet": ImageTowerKind(
        build=_build_basic_resnet,
        describe=partial(_describe_stages, "basic_resnet"),
        stages=3,
        side_multiple=lambda _: 1,
        has_batch_norm=True,
    ),
    "vit": ImageTowerKind(
        build=_build_vit,
        describe=_describe_vit,
        stages=1,
        side_multiple=lambda vision_cfg: vision_cfg.get("patch_size", 16),
        has_activation=True,
        positions=RESAMPLED,
    ),
    "convnext": ImageTowerKind(
        build=_build_convnext,
        describe=partial(_describe_stages, "convnext"),
        stages=4,
        side_multiple=lambda _: convnext.STRIDE,
        timm_names=CONVNEXTS,
        values=lambda _: {"timm_pool": ("", "avg"), "timm_proj": ("linear", "mlp")},
    ),
    "timm_vit": _timm_vits(TIMM_VITS, has_batch_norm=False),
    "mobileclip_vit": _timm_vits(MOBILECLIP_VITS, has_batch_norm=True),
    "vitamin": ImageTowerKind(
        build=_build_vitamin,
        side_multiple=lambda _: vitamin.STRIDE,
        timm_names=VITAMINS,
        for_open_clip=partial(_at_its_size, VITAMINS),
        positions=FIXED,
        values=lambda _: {"timm_pool": ("", "avg"), "timm_proj": ("linear",)},
    ),
    "fastvit": ImageTowerKind(
        build=_build_fastvit,
        side_multiple=lambda _: 1,
        timm_names=FASTVITS,
        values=lambda _: {"timm_pool": ("avg",), "timm_proj": (None,)},
        has_batch_norm=True,
    ),
}
