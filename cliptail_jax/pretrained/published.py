"""The published CLIPs that the study evaluated, with the corpora on which they were trained.

The study (github.com/CVMI-Lab/clip-beyond-tail, exps_clip) evaluated each (architecture, weights) pair in open_clip's list
whose name for the weights has one of the six corpora: 49 in open_clip 2.24. Its figures omit the three EVA-CLIPs. The
repositories are those that open_clip 3.3 (src/open_clip/pretrained.py) gives for the same weights, except for
ViT-B-16-plus-240's laion400m_e32: open_clip gives that of e31, timm (timm/models/vision_transformer.py) its own.

Five of the 49 combine weights that were trained with QuickGELU with the architecture without it: RN50 twice, RN101, and
ViT-B-32 twice. So there are 44 different weights.
"""

import dataclasses

from cliptail_jax.pretrained.hub import PREFIX


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """Published weights.

    Attributes:
        name: open_clip's names of the architecture and the weights, 'ARCHITECTURE/WEIGHTS'.
        repository: 'hf-hub:OWNER/NAME', the argument of `cliptail_jax.pretrained.load`.
        corpus: the data on which they were trained, one of `cliptail_jax.evaluation.corpora.CORPORA`.
        architecture: the `architecture` to give to `load`, for the five pairs whose activation is not that with which the
            weights were trained; None for the one in the repository.
    """

    name: str
    repository: str
    corpus: str
    architecture: str | None

    @property
    def is_supported(self) -> bool:
        """Whether `load` supports the architecture: it does not support EVA-CLIP."""
        return not self.name.startswith("EVA")


def published_models() -> tuple[PublishedModel, ...]:
    """All 49, by corpus."""
    return tuple(
        PublishedModel(
            f"{architecture}/{weights}",
            PREFIX + repository,
            corpus,
            architecture if f"{architecture}-quickgelu" in architectures_of(repository) else None,
        )
        for corpus, rows in WEIGHTS.items()
        for architecture, weights, repository in rows
    )


def architectures_of(repository: str) -> set[str]:
    """The architectures with which the weights in a repository are listed."""
    return {architecture for rows in WEIGHTS.values() for architecture, _, where in rows if where == repository}


# Corpus -> open_clip's architecture, its name of the weights, and their repository.
WEIGHTS = {
    "cc12m": (
        ("RN50", "cc12m", "timm/resnet50_clip.cc12m"),
        ("RN50-quickgelu", "cc12m", "timm/resnet50_clip.cc12m"),
    ),
    "yfcc15m": (
        ("RN50", "yfcc15m", "timm/resnet50_clip.yfcc15m"),
        ("RN50-quickgelu", "yfcc15m", "timm/resnet50_clip.yfcc15m"),
        ("RN101", "yfcc15m", "timm/resnet101_clip.yfcc15m"),
        ("RN101-quickgelu", "yfcc15m", "timm/resnet101_clip.yfcc15m"),
    ),
    "laion400m": (
        ("ViT-B-32", "laion400m_e31", "timm/vit_base_patch32_clip_224.laion400m_e31"),
        ("ViT-B-32", "laion400m_e32", "timm/vit_base_patch32_clip_224.laion400m_e32"),
        ("ViT-B-32-quickgelu", "laion400m_e31", "timm/vit_base_patch32_clip_224.laion400m_e31"),
        ("ViT-B-32-quickgelu", "laion400m_e32", "timm/vit_base_patch32_clip_224.laion400m_e32"),
        ("ViT-B-16", "laion400m_e31", "timm/vit_base_patch16_clip_224.laion400m_e31"),
        ("ViT-B-16", "laion400m_e32", "timm/vit_base_patch16_clip_224.laion400m_e32"),
        ("ViT-B-16-plus-240", "laion400m_e31", "timm/vit_base_patch16_plus_clip_240.laion400m_e31"),
        ("ViT-B-16-plus-240", "laion400m_e32", "timm/vit_base_patch16_plus_clip_240.laion400m_e32"),
        ("ViT-L-14", "laion400m_e31", "timm/vit_large_patch14_clip_224.laion400m_e31"),
        ("ViT-L-14", "laion400m_e32", "timm/vit_large_patch14_clip_224.laion400m_e32"),
        ("convnext_base", "laion400m_s13b_b51k", "laion/CLIP-convnext_base-laion400M-s13B-b51K"),
        ("EVA01-g-14", "laion400m_s11b_b41k", "timm/eva_giant_patch14_clip_224.laion400m_s11b_b41k"),
    ),
    "laion2b": (
        ("ViT-B-32", "laion2b_e16", "timm/vit_base_patch32_clip_224.laion2b_e16"),
        ("ViT-B-32", "laion2b_s34b_b79k", "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"),
        ("ViT-B-16", "laion2b_s34b_b88k", "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"),
        ("ViT-L-14", "laion2b_s32b_b82k", "laion/CLIP-ViT-L-14-laion2B-s32B-b82K"),
        ("ViT-H-14", "laion2b_s32b_b79k", "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"),
        ("ViT-g-14", "laion2b_s12b_b42k", "laion/CLIP-ViT-g-14-laion2B-s12B-b42K"),
        ("ViT-g-14", "laion2b_s34b_b88k", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K"),
        ("ViT-bigG-14", "laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k"),
        ("roberta-ViT-B-32", "laion2b_s12b_b32k", "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k"),
        ("convnext_base_w", "laion2b_s13b_b82k", "laion/CLIP-convnext_base_w-laion2B-s13B-b82K"),
        ("convnext_base_w", "laion2b_s13b_b82k_augreg", "laion/CLIP-convnext_base_w-laion2B-s13B-b82K-augreg"),
        ("convnext_large_d", "laion2b_s26b_b102k_augreg", "laion/CLIP-convnext_large_d.laion2B-s26B-b102K-augreg"),
        ("convnext_large_d_320", "laion2b_s29b_b131k_ft", "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft"),
        (
            "convnext_large_d_320",
            "laion2b_s29b_b131k_ft_soup",
            "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup",
        ),
        ("convnext_xxlarge", "laion2b_s34b_b82k_augreg", "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg"),
        (
            "convnext_xxlarge",
            "laion2b_s34b_b82k_augreg_rewind",
            "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-rewind",
        ),
        (
            "convnext_xxlarge",
            "laion2b_s34b_b82k_augreg_soup",
            "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup",
        ),
        ("coca_ViT-B-32", "laion2b_s13b_b90k", "laion/CoCa-ViT-B-32-laion2B-s13B-b90k"),
        (
            "coca_ViT-B-32",
            "mscoco_finetuned_laion2b_s13b_b90k",
            "laion/mscoco_finetuned_CoCa-ViT-B-32-laion2B-s13B-b90k",
        ),
        ("coca_ViT-L-14", "laion2b_s13b_b90k", "laion/CoCa-ViT-L-14-laion2B-s13B-b90k"),
        (
            "coca_ViT-L-14",
            "mscoco_finetuned_laion2b_s13b_b90k",
            "laion/mscoco_finetuned_CoCa-ViT-L-14-laion2B-s13B-b90k",
        ),
        ("EVA02-E-14", "laion2b_s4b_b115k", "timm/eva02_enormous_patch14_clip_224.laion2b_s4b_b115k"),
        ("EVA02-E-14-plus", "laion2b_s9b_b144k", "timm/eva02_enormous_patch14_plus_clip_224.laion2b_s9b_b144k"),
        ("ViT-H-14-CLIPA-336", "laion2b", "UCSC-VLAA/ViT-H-14-CLIPA-336-laion2B"),
    ),
    "metaclip_400m": (
        ("ViT-B-32-quickgelu", "metaclip_400m", "timm/vit_base_patch32_clip_224.metaclip_400m"),
        ("ViT-B-16-quickgelu", "metaclip_400m", "timm/vit_base_patch16_clip_224.metaclip_400m"),
        ("ViT-L-14-quickgelu", "metaclip_400m", "timm/vit_large_patch14_clip_224.metaclip_400m"),
    ),
    "metaclip_fullcc": (
        ("ViT-B-32-quickgelu", "metaclip_fullcc", "timm/vit_base_patch32_clip_224.metaclip_2pt5b"),
        ("ViT-B-16-quickgelu", "metaclip_fullcc", "timm/vit_base_patch16_clip_224.metaclip_2pt5b"),
        ("ViT-L-14-quickgelu", "metaclip_fullcc", "timm/vit_large_patch14_clip_224.metaclip_2pt5b"),
        ("ViT-H-14-quickgelu", "metaclip_fullcc", "timm/vit_huge_patch14_clip_224.metaclip_2pt5b"),
    ),
}
