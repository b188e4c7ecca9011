"""The table of published CLIPs, published.tsv: one row per model, and the lists that `configs/zero_shot_all.py` evaluates.

The list `study` has the paper's models (github.com/CVMI-Lab/clip-beyond-tail, exps_clip): each pair of architecture and
weights in open_clip 2.24 whose weights are named after one of the six corpora. Five of these 49 pair weights trained
with QuickGELU with an architecture without it: RN50 twice, RN101, and ViT-B-32 twice.

The list `today` has the best published model of each family and size by its average accuracy in open_clip's table of
results (docs/openclip_results.csv in github.com/mlfoundations/open_clip, of June 2026). Two models are of the same family
and size if the names of their architectures differ only in the side of the images and '-quickgelu'. Models that are not
in this table, such as SigLIP 2, are represented by the one with the largest images or the longest training. ViTamin is
left out: open_clip lists its weights as pytorch_model.bin, which must be converted before `load` reads them.

Models outside the lists are in the table for the preprocessing of their architectures. Repositories and preprocessing
are those of open_clip 3.3 (src/open_clip/pretrained.py), except that ViT-B-16-plus-240's laion400m_e32 has a repository
of its own in timm (timm/models/vision_transformer.py). `scripts/benchmark/published_sizes.py` fills in parameters.
"""

import csv
import dataclasses
import functools
import re
from pathlib import Path
from typing import Any

from cliptail_jax.pretrained.hub import PREFIX

TABLE = Path(__file__).with_suffix(".tsv")
# The corpora whose class frequencies the paper has published, in the order of its list.
CORPORA = ("cc12m", "yfcc15m", "laion400m", "laion2b", "metaclip_400m", "metaclip_fullcc")
LISTS = ("study", "today")
NOT_IN_FIGURES = ("EVA01-g-14/laion400m_s11b_b41k", "EVA02-E-14/laion2b_s4b_b115k", "EVA02-E-14-plus/laion2b_s9b_b144k")


@dataclasses.dataclass(frozen=True)
class PublishedModel:
    """A row of the table.

    Attributes:
        name: open_clip's names of the architecture and the weights, 'ARCHITECTURE/WEIGHTS'.
        repository: 'hf-hub:OWNER/NAME', the argument of `cliptail_jax.pretrained.load`.
        corpus: the training data, one of `CORPORA`; None for other data.
        lists: the names of the lists that contain the model.
        architecture: the `architecture` for `load`, for the five pairs whose activation differs from that of the
            weights; None for the architecture in the repository.
        preprocess: open_clip's preprocess_cfg.
        image_size: the side of the images in pixels.
        parameters: the number of parameters.
    """

    name: str
    repository: str
    corpus: str | None
    lists: tuple[str, ...]
    architecture: str | None
    preprocess: dict[str, Any]
    image_size: int
    parameters: int


@functools.cache
def published_models() -> tuple[PublishedModel, ...]:
    """All models of the table, by family."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        return tuple(_model(row) for row in csv.DictReader(file, delimiter="\t"))


def listed_models(name: str) -> tuple[PublishedModel, ...]:
    """The models of a list, one of `LISTS`; the paper's are sorted by corpus."""
    models = [model for model in published_models() if name in model.lists]
    if name == "study":
        models.sort(key=lambda model: CORPORA.index(model.corpus))
    return tuple(models)


def listed_preprocess(architecture: str) -> dict[str, Any]:
    """The preprocess_cfg of an architecture's first model in the table; {} (CLIP's) for other architectures."""
    models = (model for model in published_models() if model.name.split("/")[0] == architecture)
    return next((model.preprocess for model in models), {})


def family_and_size(name: str) -> str:
    """The name of a model's architecture without the side of the images and '-quickgelu'."""
    return re.sub(r"[-_]\d{3}(?=-|$)|-quickgelu", "", name.split("/")[0])


def _model(row: dict[str, str]) -> PublishedModel:
    mean, std = ([float(number) for number in row[key].split(",")] for key in ("mean", "std"))
    preprocess = {"mean": mean, "std": std} | {key: row[key] for key in ("interpolation", "resize_mode")}
    return PublishedModel(
        name=row["name"],
        repository=PREFIX + row["repository"],
        corpus=row["corpus"] or None,
        lists=tuple(filter(None, row["lists"].split("+"))),
        architecture=row["architecture"] or None,
        preprocess=preprocess,
        image_size=int(row["image_size"]),
        parameters=int(row["parameters"]),
    )
