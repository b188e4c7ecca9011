"""Sizes of timm's vision transformers, by name (github.com/huggingface/pytorch-image-models 1.0.31, eva.py,
vision_transformer.py and vision_transformer_hybrid.py)."""

from functools import partial

from cliptail_jax.models.eva_blocks import KeysWithoutBias, NormedAttention, NormedSwiGlu, PostNormBlock
from cliptail_jax.models.rotary import Rotary
from cliptail_jax.models.timm_blocks import Block
from cliptail_jax.models.timm_vit import TimmMember

_EVA01 = partial(TimmMember, block=partial(Block, attention=KeysWithoutBias), eva_init=True)
_EVA02 = partial(
    TimmMember, block=partial(Block, attention=NormedAttention, make_mlp=NormedSwiGlu), rotary=Rotary(16), eva_init=True
)
_EVA02_POST_NORM = partial(TimmMember, block=partial(PostNormBlock, attention=KeysWithoutBias), eva_init=True)
_PE_CORE = partial(TimmMember, epsilon=1e-5, norm_before=True, pool="map", pool_heads=8, eva_init=True)


def _siglips(start: str, sides: tuple[int, ...], *sizes: int, **options) -> dict[str, TimmMember]:
    """SigLIP's members that differ in the size of the images alone. `start` is that of their names."""
    options = {"class_token": False, "pool": "map", "projection": False, **options}
    return {f"{start}_{side}": TimmMember(side, *sizes, **options) for side in sides}


def _rotary_with_token(side: int) -> Rotary:
    """PE-Core's positions, where there is a class token."""
    return Rotary(side, columns_first=True, offset=1)


# The arguments are image_size, patch_size, width, layers, heads and inner.
TIMM_VITS = {
    "eva_giant_patch14_224": _EVA01(224, 14, 1408, 40, 16, 6144),
    "eva02_base_patch16_clip_224": _EVA02(224, 16, 768, 12, 12, 2048),
    "eva02_large_patch14_clip_224": _EVA02(224, 14, 1024, 24, 16, 2730),
    "eva02_large_patch14_clip_336": _EVA02(336, 14, 1024, 24, 16, 2730),
    "eva02_enormous_patch14_clip_224": _EVA02_POST_NORM(224, 14, 1792, 64, 16, 15360),
    "vit_pe_core_tiny_patch16_384": _PE_CORE(384, 16, 192, 12, 3, 768, rotary=_rotary_with_token(24)),
    "vit_pe_core_small_patch16_384": _PE_CORE(384, 16, 384, 12, 6, 1536, rotary=_rotary_with_token(24)),
    "vit_pe_core_base_patch16_224": _PE_CORE(224, 16, 768, 12, 12, 3072, rotary=_rotary_with_token(14)),
    "vit_pe_core_large_patch14_336": _PE_CORE(336, 14, 1024, 24, 16, 4096, rotary=_rotary_with_token(24)),
    "vit_pe_core_gigantic_patch14_448": _PE_CORE(
        448, 14, 1536, 50, 16, 8960, class_token=False, rotary=Rotary(32, columns_first=True), pool_inner=6144
    ),
    **_siglips("vit_base_patch32_siglip", (256,), 32, 768, 12, 12, 3072, activation="gelu_tanh"),
    **_siglips("vit_base_patch16_siglip", (224, 256, 384, 512), 16, 768, 12, 12, 3072),
    **_siglips("vit_large_patch16_siglip", (256, 384), 16, 1024, 24, 16, 4096),
    **_siglips("vit_large_patch16_siglip", (512,), 16, 1024, 24, 16, 4096, activation="gelu_tanh"),
    **_siglips("vit_so400m_patch14_siglip", (224, 378, 384), 14, 1152, 27, 16, 4304),
    **_siglips("vit_so400m_patch16_siglip", (256, 384, 512), 16, 1152, 27, 16, 4304, activation="gelu_tanh"),
    **_siglips("vit_giantopt_patch16_siglip", (256, 384), 16, 1536, 40, 16, 6144, activation="gelu_tanh"),
    "vit_large_patch14_clip_224": TimmMember(224, 14, 1024, 24, 16, 4096, epsilon=1e-5, norm_before=True),
}
# These have batch norm, in the stem.
MOBILECLIP_VITS = {
    "vit_base_mci_224": TimmMember(224, 16, 768, 12, 12, 3072, conv_stem=True, token_has_position=False),
}
