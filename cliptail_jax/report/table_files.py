"""A table as a file for programs, with pictures of the same name beside it."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_text
from cliptail_jax.host.outputs import check_output
from cliptail_jax.host.text import tsv
from cliptail_jax.report.style import FORMATS, is_picture, save


def check_table(
    output: Path, header: Sequence[str], example: str, inputs: Iterable[Path | str], overwrite: bool
) -> None:
    """Raise UserError if a table with this header, and its pictures, cannot be written to `output` and beside it.

    Args:
        example: the name of a file, for the message.
        inputs: the files that the program reads, which must not be replaced, even with `overwrite`.
    """
    pictures = pictures_of(output) if output.name else []
    if not output.name or output in pictures:
        raise UserError(f"--output={output} is the name of a folder or a picture: give a file such as {example}")
    first_line = tsv(header, ())
    check_output(output, lambda path: path.read_text(encoding="utf-8").startswith(first_line), inputs, overwrite)
    for path in pictures:
        check_output(path, is_picture, inputs, overwrite)


def write_table(output: Path, text: str, figure: Figure) -> None:
    """Write the text of a table and its pictures, and print their names."""
    output.parent.mkdir(parents=True, exist_ok=True)
    write_text(output, text)
    for path in pictures_of(output):
        save(figure, path)
    print(f"wrote {', '.join(map(str, (output, *pictures_of(output))))}")


def pictures_of(output: Path) -> list[Path]:
    return [output.with_suffix(suffix) for suffix in FORMATS]
