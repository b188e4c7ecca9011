"""Tiny members of timm's families ViTamin, FastViT, Swin and vit_relpos, registered with timm under names of their own."""

from functools import partial

from timm.layers import HybridEmbed, LayerNorm2d
from timm.models import register_model
from timm.models.fastvit import FastVit, RepConditionalPosEnc
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_relpos import VisionTransformerRelPos
from timm.models.vitamin import GeGluMlp, MbConvStages, VitCfg

POSITIONS = partial(RepConditionalPosEnc, spatial_shape=(7, 7))


def used(options: dict) -> dict:
    """Those of `timm.create_model`'s options that are the model's."""
    return {key: value for key, value in options.items() if key in ("num_classes", "drop_path_rate", "global_pool")}


def vitamin(options: dict, **changes) -> VisionTransformer:
    stages = MbConvStages(VitCfg(embed_dim=(8, 12, 32), depths=(2, 4, 1), stem_width=8))
    model = VisionTransformer(
        img_size=32,
        patch_size=1,
        embed_dim=32,
        depth=2,
        num_heads=4,
        mlp_layer=GeGluMlp,
        mlp_ratio=2.0,
        class_token=False,
        global_pool="avg",
        embed_layer=partial(HybridEmbed, backbone=stages, proj=False),
        **changes,
        **used(options),
    )
    model.default_cfg = {"pool_size": None}
    return model


@register_model
def vitamin_parity(pretrained=False, **options) -> VisionTransformer:
    return vitamin(options)


@register_model
def vitamin_parity_any_size(pretrained=False, **options) -> VisionTransformer:
    return vitamin(options, pos_embed="none")  # as timm's vitamin_xlarge


def fastvit(options: dict, **changes) -> FastVit:
    return FastVit(lkc_use_act=True, **changes, **used(options))


@register_model
def fastvit_parity(pretrained=False, **options) -> FastVit:
    return fastvit(
        options,
        layers=(1, 1, 2, 1),
        embed_dims=(8, 16, 32, 64),
        mlp_ratios=(3, 3, 3, 3),
        se_downsamples=(False, False, True, True),
        pos_embs=(None, None, None, POSITIONS),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention"),
    )


@register_model
def fastvit_parity_large(pretrained=False, **options) -> FastVit:
    """The design of timm's fastvit_mci3 and fastvit_mci4."""
    return fastvit(
        options,
        layers=(1, 1, 1, 1, 1),
        embed_dims=(8, 16, 32, 64, 128),
        mlp_ratios=(4, 4, 4, 4, 4),
        se_downsamples=(False,) * 5,
        downsamples=(False, True, True, True, True),
        pos_embs=(None, None, None, POSITIONS, POSITIONS),
        token_mixers=("repmixer", "repmixer", "repmixer", "attention", "attention"),
        norm_layer=partial(LayerNorm2d, eps=1e-5),
        stem_use_scale_branch=False,
    )


@register_model
def swin_parity(pretrained=False, **options) -> SwinTransformer:
    """Its second stage is one window, which is not shifted."""
    sizes = {"img_size": 32, "embed_dim": 8, "depths": (2, 2), "num_heads": (2, 4), "window_size": 4}
    model = SwinTransformer(**sizes, **used(options))
    model.default_cfg = {"pool_size": (4, 4)}
    return model


@register_model
def relpos_parity(pretrained=False, **options) -> VisionTransformerRelPos:
    sizes = {"img_size": 32, "patch_size": 8, "embed_dim": 32, "depth": 2, "num_heads": 4, "rel_pos_dim": 12}
    pool = {"qkv_bias": False, "class_token": True, "global_pool": "token"}
    model = VisionTransformerRelPos(**sizes, **pool, **used(options))
    model.default_cfg = {"pool_size": None}
    return model
