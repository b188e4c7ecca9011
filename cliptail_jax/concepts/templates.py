"""Sets of caption templates: sentences with a placeholder, `{}`, for the class name.

Long sets are files `template_sets/NAME.txt`: a line with the source, then one template per line.
"""

import importlib.resources

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_text, work_path


def read_templates(name: str) -> tuple[str, ...]:
    """The templates of a file `template_sets/NAME.txt`."""
    file = importlib.resources.files(__package__) / "template_sets" / f"{name}.txt"
    return tuple(line for line in file.read_text(encoding="utf-8").splitlines() if not line.startswith("#"))


def templates(name: str) -> tuple[str, ...]:
    """The templates of a set, or of a .txt file with one per line.

    Raises:
        UserError: There is no such set or file, or a line of the file has no placeholder.
    """
    if name in TEMPLATE_SETS:
        return TEMPLATE_SETS[name]
    if not name.endswith(".txt"):
        raise UserError(f"unknown template set '{name}': choose from {', '.join(TEMPLATE_SETS)}, or give a .txt file")
    try:
        lines = read_text(work_path(name)).splitlines()
    except (OSError, ValueError) as error:
        raise UserError(f"the file of templates {name} cannot be read: {getattr(error, 'strerror', error)}") from None
    lines = tuple(line.strip() for line in lines if line.strip())
    if not lines:
        raise UserError(f"the file of templates {name} is empty: write a template a line, such as 'a photo of a {{}}.'")
    if bad_lines := [line for line in lines if "{}" not in line]:
        raise UserError(f"{name} has the template '{bad_lines[0]}', which lacks {{}}, the place of the class name")
    return lines


TEMPLATE_SETS = {
    "cname": ("{}",),
    "a+cname": ("a {}",),
    "photo": ("a photo of a {}.",),
    "simple": read_templates("simple"),
    "openai80": read_templates("openai80"),
}
