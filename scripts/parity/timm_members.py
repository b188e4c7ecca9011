"""Tiny members of timm's families for pretrained_fixtures.py, registered with timm under names of their own.

tests/tiny_members.py has the same members for this project's tables.
"""

from collections.abc import Callable
from functools import partial

from timm.layers import HybridEmbed, LayerNorm, LayerNorm2d
from timm.models import register_model
from timm.models.convnext import ConvNeXt
from timm.models.eva import Eva
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from timm.models.vitamin import GeGluMlp, MbConvStages, VitCfg
from torch import nn

VIT_OPTIONS = ("num_classes", "global_pool")
SIZES = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4}
EVA02 = {"qkv_fused": False, "swiglu_mlp": True, "scale_mlp": True, "scale_attn_inner": True, "use_rot_pos_emb": True}
PE_CORE = {
    "attn_type": "rope",
    "use_pre_transformer_norm": True,
    "use_rot_pos_emb": True,
    "rope_grid_indexing": "xy",
    "attn_pool_num_heads": 8,
    "attn_pool_mlp_ratio": 4.0,
    "norm_layer": partial(LayerNorm, eps=1e-5),
}
WITHOUT_TOKEN = {"class_token": False, "ref_feat_shape": (4, 4), "mlp_ratio": 2.5}
SIGLIP = {"class_token": False}
CONVNEXT = {"depths": (1, 2, 1, 1), "dims": (8, 12, 16, 24)}
MIXERS, POSITIONS = ("repmixer",) * 3, partial(RepConditionalPosEnc, spatial_shape=(7, 7))
FASTVIT = {
    "layers": (1, 1, 2, 1),
    "embed_dims": (8, 16, 32, 64),
    "mlp_ratios": (3,) * 4,
    "se_downsamples": (False, False, True, True),
    "pos_embs": (None, None, None, POSITIONS),
    "token_mixers": (*MIXERS, "attention"),
}
FASTVIT_LARGE = {  # the design of timm's fastvit_mci3 and fastvit_mci4
    "layers": (1,) * 5,
    "embed_dims": (8, 16, 32, 64, 128),
    "mlp_ratios": (4,) * 5,
    "se_downsamples": (False,) * 5,
    "downsamples": (False, True, True, True, True),
    "pos_embs": (None, None, None, POSITIONS, POSITIONS),
    "token_mixers": (*MIXERS, "attention", "attention"),
    "norm_layer": partial(LayerNorm2d, eps=1e-5),
    "stem_use_scale_branch": False,
}


def register(
    name: str,
    build: Callable[..., nn.Module],
    *,
    names: tuple[str, ...] = ("num_classes", "drop_path_rate", "global_pool"),
    pool_size: tuple[int, int] | None = None,
    **constants,
) -> None:
    """Have timm create the member `name` with the arguments `constants`, and pass on those of open_clip with these `names`."""

    def create(pretrained=False, **options) -> nn.Module:
        model = build(**constants | {key: value for key, value in options.items() if key in names})
        model.default_cfg = {"pool_size": pool_size}
        return model

    create.__name__ = name
    create.__module__ = __name__
    globals()[name] = create
    register_model(create)


def mobileclip_vit(**options) -> VisionTransformer:
    channels = (options["embed_dim"] // 4, options["embed_dim"] // 4, options["embed_dim"])
    stem = ConvStem(channels=channels, stride=(4, 2, 2), kernel_size=(4, 2, 2), padding=0, act_layer=nn.GELU)
    embed = partial(HybridEmbed, backbone=stem, proj=False)
    return VisionTransformer(**options | {"patch_size": 1}, embed_layer=embed, no_embed_class=True)


def vitamin(**options) -> VisionTransformer:
    stages = MbConvStages(VitCfg(embed_dim=(8, 12, 32), depths=(2, 4, 1), stem_width=8))
    embed = partial(HybridEmbed, backbone=stages, proj=False)
    shape = SIZES | {"patch_size": 1, "mlp_layer": GeGluMlp, "mlp_ratio": 2.0, "class_token": False}
    return VisionTransformer(**shape | {"global_pool": "avg"} | options, embed_layer=embed)


def register_vit(name: str, build: Callable[..., nn.Module], **constants) -> None:
    register(name, build, names=VIT_OPTIONS, **SIZES | constants)


register_vit("eva01_parity", Eva, mlp_ratio=3.5)
register_vit("eva02_parity", Eva, mlp_ratio=4 * 2 / 3, ref_feat_shape=(3, 3), **EVA02)
register_vit("eva02_parity_post_norm", Eva, mlp_ratio=2.5, use_post_norm=True)
register_vit("pe_core_parity", Eva, mlp_ratio=4.0, ref_feat_shape=(3, 3), rope_grid_offset=1.0, **PE_CORE)
register_vit("pe_core_parity_without_token", Eva, **WITHOUT_TOKEN, **PE_CORE)
register_vit("mobileclip_vit_parity", mobileclip_vit)
register_vit("token_vit_parity", VisionTransformer, pre_norm=True, norm_layer=partial(LayerNorm, eps=1e-5))
register_vit("siglip_parity_32", VisionTransformer, **SIGLIP)
# As timm's vit_so400m_patch16_siglip, with pixels that fill no patch.
register_vit("siglip_parity_tanh_36", VisionTransformer, img_size=36, mlp_ratio=3.7362, act_layer="gelu_tanh", **SIGLIP)
register("vitamin_parity", vitamin)
register("vitamin_parity_any_size", vitamin, pos_embed="none")  # as timm's vitamin_xlarge
register("fastvit_parity", FastVit, lkc_use_act=True, **FASTVIT)
register("fastvit_parity_large", FastVit, lkc_use_act=True, **FASTVIT_LARGE)
PASSED = ("num_classes", "drop_path_rate")
register("convnext_parity", ConvNeXt, names=PASSED, pool_size=(2, 2), norm_eps=None, **CONVNEXT)
register("convnext_parity_d", ConvNeXt, names=PASSED, pool_size=(2, 2), norm_eps=1e-5, **CONVNEXT)  # convnext_xxlarge
