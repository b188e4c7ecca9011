"""Lists of published CLIPs with the corpora on which they were trained: those of the study, and those of today.

The study (github.com/CVMI-Lab/clip-beyond-tail, exps_clip) evaluated each (architecture, weights) pair in open_clip's list
whose name for the weights has one of the six corpora: 49 in open_clip 2.24. Its figures omit the three EVA-CLIPs. The
repositories are those that open_clip 3.3 (src/open_clip/pretrained.py) gives for the same weights, except for
ViT-B-16-plus-240's laion400m_e32: open_clip gives that of e31, timm (timm/models/vision_transformer.py) its own.

Five of the 49 combine weights that were trained with QuickGELU with the architecture without it: RN50 twice, RN101, and
ViT-B-32 twice. So there are 44 different weights.

The list of today has the best published model of each family and size by its average accuracy in open_clip's table of
results (docs/openclip_results.csv in github.com/mlfoundations/open_clip, of June 2026). Two models are of the same family
and size if open_clip's names of their architectures differ in nothing but the side of the images and '-quickgelu'. Of those
that are not in this table, such as SigLIP 2, it has the one with the largest images, or that was trained for longest.
ViTamin is left out: open_clip lists its weights as pytorch_model.bin, which `load` does not read. A corpus is given only
where the study has published its class frequencies.
"""

import dataclasses
import re

from cliptail_jax.pretrained.hub import PREFIX


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """Published weights.

    Attributes:
        name: open_clip's names of the architecture and the weights, 'ARCHITECTURE/WEIGHTS'.
        repository: 'hf-hub:OWNER/NAME', the argument of `cliptail_jax.pretrained.load`.
        corpus: the data on which they were trained, one of `cliptail_jax.evaluation.corpora.CORPORA`; None for others.
        architecture: the `architecture` to give to `load`, for the five pairs whose activation is not that with which the
            weights were trained; None for the one in the repository.
    """

    name: str
    repository: str
    corpus: str | None
    architecture: str | None = None


def published_models() -> tuple[PublishedModel, ...]:
    """All models of all lists, each once."""
    return tuple({model.name: model for models in LISTS.values() for model in models()}.values())


def models_of_study() -> tuple[PublishedModel, ...]:
    """The study's 49, by corpus."""
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


def models_of_today() -> tuple[PublishedModel, ...]:
    """The best of each family and size."""
    return tuple(PublishedModel(name, PREFIX + repository, corpus) for name, repository, corpus in TODAY)


def family_and_size(name: str) -> str:
    """The name of a model's architecture without the side of the images and '-quickgelu'."""
    return re.sub(r"[-_]\d{3}(?=-|$)|-quickgelu", "", name.split("/")[0])


LISTS = {"study": models_of_study, "today": models_of_today}


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
# Those of the six corpora that the study's figures leave out.
NOT_IN_FIGURES = ("EVA01-g-14/laion400m_s11b_b41k", "EVA02-E-14/laion2b_s4b_b115k", "EVA02-E-14-plus/laion2b_s9b_b144k")
# Name, repository and corpus, one of each family and size.
TODAY = (
    ("RN50-quickgelu/openai", "timm/resnet50_clip.openai", None),
    ("RN101-quickgelu/openai", "timm/resnet101_clip.openai", None),
    ("RN50x4-quickgelu/openai", "timm/resnet50x4_clip.openai", None),
    ("RN50x16-quickgelu/openai", "timm/resnet50x16_clip.openai", None),
    ("RN50x64-quickgelu/openai", "timm/resnet50x64_clip.openai", None),
    ("ViT-B-32-256/datacomp_s34b_b86k", "laion/CLIP-ViT-B-32-256x256-DataComp-s34B-b86K", None),
    ("ViT-B-16/datacomp_xl_s13b_b90k", "laion/CLIP-ViT-B-16-DataComp.XL-s13B-b90K", None),
    ("ViT-B-16-plus-240/laion400m_e32", "timm/vit_base_patch16_plus_clip_240.laion400m_e32", "laion400m"),
    ("ViT-L-14-quickgelu/dfn2b", "apple/DFN2B-CLIP-ViT-L-14", None),
    ("ViT-H-14-378-quickgelu/dfn5b", "apple/DFN5B-CLIP-ViT-H-14-378", None),
    ("ViT-g-14/laion2b_s34b_b88k", "laion/CLIP-ViT-g-14-laion2B-s34B-b88K", "laion2b"),
    ("ViT-bigG-14/laion2b_s39b_b160k", "laion/CLIP-ViT-bigG-14-laion2B-39B-b160k", "laion2b"),
    ("ViT-L-14-CLIPA-336/datacomp1b", "UCSC-VLAA/ViT-L-14-CLIPA-336-datacomp1B", None),
    ("ViT-H-14-CLIPA-336/datacomp1b", "UCSC-VLAA/ViT-H-14-CLIPA-336-datacomp1B", None),
    ("ViT-bigG-14-CLIPA-336/datacomp1b", "UCSC-VLAA/ViT-bigG-14-CLIPA-336-datacomp1B", None),
    ("ViT-H-14-worldwide-378/metaclip2_worldwide", "timm/vit_huge_patch14_clip_378.metaclip2_worldwide", None),
    ("ViT-bigG-14-worldwide-378/metaclip2_worldwide", "timm/vit_gigantic_patch14_clip_378.metaclip2_worldwide", None),
    ("ViT-B-16-SigLIP-512/webli", "timm/ViT-B-16-SigLIP-512", None),
    ("ViT-L-16-SigLIP-384/webli", "timm/ViT-L-16-SigLIP-384", None),
    ("ViT-SO400M-14-SigLIP-384/webli", "timm/ViT-SO400M-14-SigLIP-384", None),
    ("ViT-B-16-SigLIP-i18n-256/webli", "timm/ViT-B-16-SigLIP-i18n-256", None),
    ("ViT-SO400M-16-SigLIP-i18n-256/webli", "timm/ViT-SO400M-16-SigLIP-i18n-256", None),
    ("ViT-B-32-SigLIP2-256/webli", "timm/ViT-B-32-SigLIP2-256", None),
    ("ViT-B-16-SigLIP2-512/webli", "timm/ViT-B-16-SigLIP2-512", None),
    ("ViT-L-16-SigLIP2-512/webli", "timm/ViT-L-16-SigLIP2-512", None),
    ("ViT-SO400M-14-SigLIP2-378/webli", "timm/ViT-SO400M-14-SigLIP2-378", None),
    ("ViT-SO400M-16-SigLIP2-512/webli", "timm/ViT-SO400M-16-SigLIP2-512", None),
    ("ViT-gopt-16-SigLIP2-384/webli", "timm/ViT-gopt-16-SigLIP2-384", None),
    ("EVA01-g-14/laion400m_s11b_b41k", "timm/eva_giant_patch14_clip_224.laion400m_s11b_b41k", "laion400m"),
    ("EVA01-g-14-plus/merged2b_s11b_b114k", "timm/eva_giant_patch14_plus_clip_224.merged2b_s11b_b114k", None),
    ("EVA02-B-16/merged2b_s8b_b131k", "timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k", None),
    ("EVA02-L-14-336/merged2b_s6b_b61k", "timm/eva02_large_patch14_clip_336.merged2b_s6b_b61k", None),
    ("EVA02-E-14/laion2b_s4b_b115k", "timm/eva02_enormous_patch14_clip_224.laion2b_s4b_b115k", "laion2b"),
    ("EVA02-E-14-plus/laion2b_s9b_b144k", "timm/eva02_enormous_patch14_plus_clip_224.laion2b_s9b_b144k", "laion2b"),
    ("PE-Core-T-16-384/meta", "timm/PE-Core-T-16-384", None),
    ("PE-Core-S-16-384/meta", "timm/PE-Core-S-16-384", None),
    ("PE-Core-B-16/meta", "timm/PE-Core-B-16", None),
    ("PE-Core-L-14-336/meta", "timm/PE-Core-L-14-336", None),
    ("PE-Core-bigG-14-448/meta", "timm/PE-Core-bigG-14-448", None),
    ("convnext_base/laion400m_s13b_b51k", "laion/CLIP-convnext_base-laion400M-s13B-b51K", "laion400m"),
    (
        "convnext_base_w_320/laion_aesthetic_s13b_b82k_augreg",
        "laion/CLIP-convnext_base_w_320-laion_aesthetic-s13B-b82K-augreg",
        None,
    ),
    (
        "convnext_large_d_320/laion2b_s29b_b131k_ft_soup",
        "laion/CLIP-convnext_large_d_320.laion2B-s29B-b131K-ft-soup",
        "laion2b",
    ),
    (
        "convnext_xxlarge/laion2b_s34b_b82k_augreg_soup",
        "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup",
        "laion2b",
    ),
    ("coca_ViT-B-32/laion2b_s13b_b90k", "laion/CoCa-ViT-B-32-laion2B-s13B-b90k", "laion2b"),
    ("coca_ViT-L-14/laion2b_s13b_b90k", "laion/CoCa-ViT-L-14-laion2B-s13B-b90k", "laion2b"),
    ("roberta-ViT-B-32/laion2b_s12b_b32k", "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k", "laion2b"),
    ("xlm-roberta-base-ViT-B-32/laion5b_s13b_b90k", "laion/CLIP-ViT-B-32-xlm-roberta-base-laion5B-s13B-b90k", None),
    (
        "xlm-roberta-large-ViT-H-14/frozen_laion5b_s13b_b90k",
        "laion/CLIP-ViT-H-14-frozen-xlm-roberta-large-laion5B-s13B-b90k",
        None,
    ),
    ("nllb-clip-base/v1", "visheratin/nllb-clip-base-oc", None),
    ("nllb-clip-large/v1", "visheratin/nllb-clip-large-oc", None),
    ("nllb-clip-base-siglip/v1", "visheratin/nllb-clip-base-siglip", None),
    ("nllb-clip-large-siglip/v1", "visheratin/nllb-clip-large-siglip", None),
    ("MobileCLIP-S1/datacompdr", "apple/MobileCLIP-S1-OpenCLIP", None),
    ("MobileCLIP-S2/datacompdr", "apple/MobileCLIP-S2-OpenCLIP", None),
    ("MobileCLIP-B/datacompdr_lt", "apple/MobileCLIP-B-LT-OpenCLIP", None),
    ("MobileCLIP2-S0/dfndr2b", "timm/MobileCLIP2-S0-OpenCLIP", None),
    ("MobileCLIP2-S2/dfndr2b", "timm/MobileCLIP2-S2-OpenCLIP", None),
    ("MobileCLIP2-S3/dfndr2b", "timm/MobileCLIP2-S3-OpenCLIP", None),
    ("MobileCLIP2-S4/dfndr2b", "timm/MobileCLIP2-S4-OpenCLIP", None),
    ("MobileCLIP2-B/dfndr2b", "timm/MobileCLIP2-B-OpenCLIP", None),
    ("MobileCLIP2-L-14/dfndr2b", "timm/MobileCLIP2-L-14-OpenCLIP", None),
)
