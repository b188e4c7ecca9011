"""The lists of published models as a page: what `python -m cliptail_jax.evaluate --list` prints."""

import json
from pathlib import Path

from cliptail_jax import pretrained
from cliptail_jax.models.open_clip import architecture_names, image_size, named_architecture
from cliptail_jax.pretrained.published import LISTS, PublishedModel
from cliptail_jax.runs.tables import UNDEFINED, format_number, pad_columns

SIZES = Path(pretrained.__file__).parent / "published_sizes.json"  # written by scripts/benchmark/published_sizes.py
CHIP, BATCH_SIZE, CLASSES = "v5e-1", 256, 1000  # for which the memory is computed
HEADER = ("model", "trained on", "parameters, millions", "image size", "memory, GB")
NOTE = (
    f"'trained on' is the corpus where the study has published its class frequencies. Memory is that of a TPU v5e chip (it "
    f"has 17.2 GB): float32 parameters, and the compiled step in bfloat16 on {BATCH_SIZE} images and {CLASSES:,} classes. "
    f"'{UNDEFINED}': not known, not supported, or not compiled yet (scripts/benchmark/published_sizes.py does)."
)


def page() -> str:
    """Each list as a table."""
    sizes = json.loads(SIZES.read_text())
    lines = []
    for name, models in LISTS.items():
        rows = [HEADER, *(row(model, sizes.get(model.name.split("/")[0], {})) for model in models())]
        lines += [f"configs/zero_shot_all.py:list={name}", "", *("  ".join(r).rstrip() for r in pad_columns(rows)), ""]
    return "\n".join([*lines, NOTE]) + "\n"


def row(model: PublishedModel, sizes: dict[str, int]) -> tuple[str, ...]:
    """A model as a row; `sizes` are its number of parameters and bytes of memory, as far as they are known."""
    architecture = model.name.split("/")[0]
    known = architecture in architecture_names()
    millions, memory = sizes.get("parameters", float("nan")) / 1e6, sizes.get("memory", float("nan")) / 1e9
    return (
        model.name,
        model.corpus or UNDEFINED,
        format_number(millions, ",.0f"),
        str(image_size(named_architecture(architecture)["vision_cfg"])) if known else UNDEFINED,
        format_number(memory, ".1f"),
    )
