"""Tiny members of timm's families, each a real member with other sizes, whose features by timm are stored.

scripts/parity has the same: timm_vit_families.py, timm_members.py and pretrained_fixtures.py.
"""

from dataclasses import replace

import pytest

from cliptail_jax.models import fastvit, open_clip, timm_members, vitamin
from cliptail_jax.models.convnext import CONVNEXTS

SIZES = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "heads": 4, "inner": 128}


def tiny(name: str, *, table: dict = timm_members.TIMM_VITS, rotary_side: int = 0, **changes):
    """The table, and its member `name` with `SIZES`, `changes` and rotary positions for another grid."""
    member = replace(table[name], **SIZES | changes)
    return table, replace(member, rotary=replace(member.rotary, side=rotary_side)) if rotary_side else member


TIMM_VITS = {
    "eva01_parity": tiny("eva_giant_patch14_224", inner=112),
    "eva02_parity": tiny("eva02_base_patch16_clip_224", inner=85, rotary_side=3),
    "eva02_parity_post_norm": tiny("eva02_enormous_patch14_clip_224", inner=80),
    "pe_core_parity": tiny("vit_pe_core_base_patch16_224", rotary_side=3),
    "pe_core_parity_without_token": tiny("vit_pe_core_gigantic_patch14_448", inner=80, pool_inner=128, rotary_side=4),
    "siglip_parity_32": tiny("vit_base_patch16_siglip_224"),
    "siglip_parity_40": tiny("vit_base_patch16_siglip_224", image_size=40),
    "siglip_parity_tanh_32": tiny("vit_so400m_patch16_siglip_256", inner=119),  # the name in exports of runs on siglip2
    "siglip_parity_tanh_36": tiny("vit_so400m_patch16_siglip_256", inner=119, image_size=36),
    "mobileclip_vit_parity": tiny("vit_base_mci_224", table=timm_members.MOBILECLIP_VITS, patch_size=16),
    "token_vit_parity": tiny("vit_large_patch14_clip_224"),
}


VITAMIN = {"widths": (8, 12, 32), "layers": 2, "heads": 4}
VITAMINS = {
    "vitamin_parity": vitamin.ViTaminSize(**VITAMIN, image_size=32),
    "vitamin_parity_any_size": vitamin.ViTaminSize(**VITAMIN, image_size=None),
}
FASTVITS = {
    "fastvit_parity": fastvit.FastViTSize((1, 1, 2, 1), 8, is_large=False),
    "fastvit_parity_large": fastvit.FastViTSize((1, 1, 1, 1, 1), 8, is_large=True),
}
TINY_CONVNEXTS = {
    "convnext_parity": ((1, 2, 1, 1), (8, 12, 16, 24), 1e-6),
    "convnext_parity_d": ((1, 2, 1, 1), (8, 12, 16, 24), 1e-5),
}
# Image towers of configurations that have a name, as open_clip's have.
ARCHITECTURES = {
    "ViTamin-tiny": {"vision_cfg": {"timm_model_name": "vitamin_parity", "timm_pool": "", "timm_proj": "linear"}},
    "MobileCLIP-tiny": {"vision_cfg": {"timm_model_name": "fastvit_parity", "timm_pool": "avg", "timm_proj": None}},
}
TABLES = (
    (vitamin.VITAMINS, VITAMINS),
    (fastvit.FASTVITS, FASTVITS),
    (CONVNEXTS, TINY_CONVNEXTS),
    (open_clip._read_table("architectures.json"), ARCHITECTURES),
)


def add(patch: pytest.MonkeyPatch) -> None:
    """Add the tiny members to the tables of image towers, and the architectures, until `patch` is undone."""
    for name, (table, member) in TIMM_VITS.items():
        patch.setitem(table, name, member)
    for table, members in TABLES:
        for name, member in members.items():
            patch.setitem(table, name, member)
