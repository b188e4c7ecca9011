"""Sets of caption templates: sentences with a placeholder, `{}`, for the class name.

The longer ones are the files `template_sets/NAME.txt`, a template per line after a line with the source.
"""

import importlib.resources

from cliptail_jax.errors import UserError


def read_templates(name: str) -> tuple[str, ...]:
    """The templates of a file `template_sets/NAME.txt`."""
    file = importlib.resources.files(__package__) / "template_sets" / f"{name}.txt"
    return tuple(line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


def templates(name: str) -> tuple[str, ...]:
    """The templates of a set. Raises UserError for an unknown name, listing the known ones."""
    if name not in TEMPLATE_SETS:
        raise UserError(f"unknown template set '{name}': choose from {', '.join(TEMPLATE_SETS)}")
    return TEMPLATE_SETS[name]


TEMPLATE_SETS = {
    "cname": ("{}",),
    "a+cname": ("a {}",),
    "photo": ("a photo of a {}.",),
    "simple": read_templates("simple"),
    "openai80": read_templates("openai80"),
}
