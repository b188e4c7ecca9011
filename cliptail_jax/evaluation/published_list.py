"""The lists of published models that `python -m cliptail_jax.evaluate --list` prints."""

from collections.abc import Mapping, Sequence

from cliptail_jax.errors import UserError
from cliptail_jax.pretrained.published import PublishedModel, published_models
from cliptail_jax.runs.tables import UNDEFINED, format_number, pad_columns

HEADER = ("model", "trained on", "parameters, millions", "image size")
NOTE = f"'trained on' is the corpus if the paper has published its class frequencies, and '{UNDEFINED}' for others."


def page(lists: Mapping[str, Sequence[PublishedModel]]) -> str:
    """Each list as a table under its heading."""
    lines = []
    for heading, models in lists.items():
        rows = pad_columns([HEADER, *map(row, models)])
        lines += [heading, "", *("  ".join(cells).rstrip() for cells in rows), ""]
    return "\n".join([*lines, NOTE]) + "\n"


def listed(names: Sequence[str]) -> list[PublishedModel]:
    """The models with these names. Raises UserError if one is not in the table."""
    known = {model.name: model for model in published_models()}
    for name in names:
        if name not in known:
            raise UserError(f"--list prints models of the published lists: {name} is in none")
    return [known[name] for name in names]


def row(model: PublishedModel) -> tuple[str, ...]:
    """The cells of a model."""
    parameters = format_number(model.parameters / 1e6, ",.0f")
    return model.name, model.corpus or UNDEFINED, parameters, str(model.image_size)
