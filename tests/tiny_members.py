"""Tiny members of timm's families, each a real member with other sizes, as scripts/parity/timm_vit_families.py has them."""

from dataclasses import replace

import pytest

from cliptail_jax.models.rotary import Rotary
from cliptail_jax.models.timm_members import EVAS, GAP_VITS, MOBILECLIP_VITS, PE_CORES, TOKEN_VITS

SIZES = {"image_size": 32, "patch_size": 8, "width": 32, "layers": 2, "heads": 4, "inner": 128}
# Table, made-up name, name of the real member, and what differs besides `SIZES`.
TIMM_VITS = (
    (EVAS, "eva01_parity", "eva_giant_patch14_224", {"inner": 112}),
    (EVAS, "eva02_parity", "eva02_base_patch16_clip_224", {"inner": 85, "rotary": Rotary(3)}),
    (EVAS, "eva02_parity_post_norm", "eva02_enormous_patch14_clip_224", {"inner": 80}),
    (
        PE_CORES,
        "pe_core_parity",
        "vit_pe_core_base_patch16_224",
        {"rotary": replace(PE_CORES["vit_pe_core_base_patch16_224"].rotary, side=3)},
    ),
    (
        PE_CORES,
        "pe_core_parity_without_token",
        "vit_pe_core_gigantic_patch14_448",
        {"inner": 80, "rotary": replace(PE_CORES["vit_pe_core_gigantic_patch14_448"].rotary, side=4)},
    ),
    (MOBILECLIP_VITS, "mobileclip_vit_parity", "vit_base_mci_224", {"patch_size": 16}),
    (TOKEN_VITS, "token_vit_parity", "vit_large_patch14_clip_224", {}),
    (GAP_VITS, "gap_vit_parity", "vit_medium_patch16_gap_256", {}),
)


def add(patch: pytest.MonkeyPatch) -> None:
    """Add the tiny members to the tables of image towers until `patch` is undone."""
    for table, name, member, changes in TIMM_VITS:
        patch.setitem(table, name, replace(table[member], **SIZES | changes))
