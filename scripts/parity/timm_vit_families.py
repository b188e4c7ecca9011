"""Tiny members of timm's vision transformers for pretrained_fixtures.py, registered with timm under names of their own.

tests/tiny_members.py has the same members for this project's tables.
"""

from collections.abc import Callable
from functools import partial

from timm.layers import HybridEmbed, LayerNorm
from timm.models import register_model
from timm.models.eva import Eva
from timm.models.vision_transformer import VisionTransformer
from timm.models.vision_transformer_hybrid import ConvStem
from torch import nn

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
GAP = {"class_token": False, "qkv_bias": False, "init_values": 1e-6, "fc_norm": False, "global_pool": "avg"}


def register(name: str, build: Callable[..., nn.Module], **fixed) -> None:
    """Have timm create the member `name` with the arguments `fixed`, and those that open_clip gives."""

    def create(pretrained=False, **options) -> nn.Module:
        given = {key: value for key, value in options.items() if key in ("num_classes", "global_pool")}
        model = build(**SIZES | fixed | given)
        model.default_cfg = {}
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


register("eva01_parity", Eva, mlp_ratio=3.5)
register("eva02_parity", Eva, mlp_ratio=4 * 2 / 3, ref_feat_shape=(3, 3), **EVA02)
register("eva02_parity_post_norm", Eva, mlp_ratio=2.5, use_post_norm=True)
register("pe_core_parity", Eva, mlp_ratio=4.0, ref_feat_shape=(3, 3), rope_grid_offset=1.0, **PE_CORE)
register("pe_core_parity_without_token", Eva, **WITHOUT_TOKEN, **PE_CORE)
register("mobileclip_vit_parity", mobileclip_vit)
register("token_vit_parity", VisionTransformer, pre_norm=True, norm_layer=partial(LayerNorm, eps=1e-5))
register("gap_vit_parity", VisionTransformer, **GAP)


def vision(name: str, pool: str = "token", projection: str | None = None) -> dict:
    return {"image_size": 32, "timm_model_name": name, "timm_pool": pool, "timm_proj": projection}


# Family -> vision_cfg.
VISION = {
    "eva01": vision("eva01_parity"),
    "eva02": vision("eva02_parity"),
    "eva02-larger-images": vision("eva02_parity"),
    "eva02-post-norm": vision("eva02_parity_post_norm"),
    "pe-core": vision("pe_core_parity", "map"),
    "pe-core-without-token": vision("pe_core_parity_without_token", "map"),
    "pe-core-without-token-smaller-images": vision("pe_core_parity_without_token", "map"),
    "mobileclip-vit": vision("mobileclip_vit_parity"),
    "mobileclip-vit-larger-images": vision("mobileclip_vit_parity"),
    "token-vit": vision("token_vit_parity"),
    "gap-vit": vision("gap_vit_parity", "", "linear"),
}
OPENED_AT = {
    "eva02-larger-images": 48,
    "pe-core-without-token-smaller-images": 24,
    "mobileclip-vit-larger-images": 48,
}
