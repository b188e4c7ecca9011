"""The lists of published models as a page: what `python -m cliptail_jax.evaluate --list` prints."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
from flax import nnx

from cliptail_jax import pretrained
from cliptail_jax.errors import UserError
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import architecture_names, image_size, named_architecture, named_encoder
from cliptail_jax.pretrained.published import LISTS, PublishedModel, published_models
from cliptail_jax.runs.tables import UNDEFINED, format_number, pad_columns

SIZES = Path(pretrained.__file__).parent / "published_sizes.json"  # written by scripts/benchmark/published_sizes.py
CHIP, BATCH_SIZE, CLASSES = "v5e-1", 256, 1000  # for which the memory is computed
HEADER = ("model", "trained on", "parameters, millions", "image size", "memory, GB")
NOT_SUPPORTED, NOT_COMPILED, REFUSED = "not supported", "not compiled", "refused"
NOTE = (
    f"'trained on' is the corpus where the study has published its class frequencies, and '{UNDEFINED}' for others. Memory "
    "is that of a TPU v5e chip (it has 17.2 GB): float32 parameters, and the compiled step in bfloat16 on "
    f"{BATCH_SIZE} images and {CLASSES:,} classes. '{NOT_COMPILED}': scripts/benchmark/published_sizes.py has not done it "
    f"yet; '{REFUSED}': by the TPU's compiler, which may take a smaller eval.batch_size; '{NOT_SUPPORTED}': the architecture "
    "cannot be built here."
)


def page(lists: Mapping[str, Sequence[PublishedModel]]) -> str:
    """Each list as a table under its heading, with the number of its models that are supported."""
    sizes = json.loads(SIZES.read_text())
    lines = []
    for heading, models in lists.items():
        rows = [row(model, sizes) for model in models]
        supported = sum(NOT_SUPPORTED not in cells for cells in rows)
        lines += [heading, "", *("  ".join(r).rstrip() for r in pad_columns([HEADER, *rows])), ""]
        lines += [f"{supported} of {len(models)} supported", ""]
    return "\n".join([*lines, NOTE]) + "\n"


def all_lists() -> dict[str, Sequence[PublishedModel]]:
    """The lists by the config that evaluates them."""
    return {f"configs/zero_shot_all.py:list={name}": models() for name, models in LISTS.items()}


def listed(names: Sequence[str]) -> list[PublishedModel]:
    """The models with these names. Raises UserError if one is in no list."""
    known = {model.name: model for model in published_models()}
    for name in names:
        if name not in known:
            raise UserError(f"--list prints models of the published lists: {name} is in none")
    return [known[name] for name in names]


def row(model: PublishedModel, sizes: Mapping[str, Mapping[str, int | None]]) -> tuple[str, ...]:
    """A model as a row; `sizes` has the number of parameters and bytes of memory by architecture, as far as they are known."""
    architecture = model.name.split("/")[0]
    known = sizes.get(architecture, {})
    parameters = known.get("parameters") or count_parameters(architecture)
    if parameters is None:
        return model.name, model.corpus or UNDEFINED, *(3 * [NOT_SUPPORTED])
    return (
        model.name,
        model.corpus or UNDEFINED,
        format_number(parameters / 1e6, ",.0f"),
        str(image_size(named_architecture(architecture)["vision_cfg"])),
        memory_cell(known),
    )


def memory_cell(known: Mapping[str, int | None]) -> str:
    """An architecture's memory, or why it is not known: null stands for what the compiler refuses."""
    if "memory" not in known:
        return NOT_COMPILED
    return REFUSED if known["memory"] is None else format_number(known["memory"] / 1e9, ".1f")


def count_parameters(architecture: str) -> int | None:
    """The number of parameters of one of open_clip's architectures; None if it is not supported."""
    if architecture not in architecture_names():
        return None
    try:
        return sum(x.size for x in jax.tree.leaves(nnx.state(abstract_model(describe(architecture)), nnx.Param)))
    except UserError:
        return None


def describe(architecture: str) -> dict[str, Any]:
    """The argument of `models.build.build_model` for one of open_clip's architectures."""
    config = named_architecture(architecture)
    return {"model_cfg": config, "encoder": named_encoder(config["text_cfg"].get("hf_model_name") or "")}
