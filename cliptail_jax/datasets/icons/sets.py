"""Reads Iconify's file, the npm package @iconify/json: one JSON file for each icon set."""

import pathlib
import tarfile
from collections.abc import Callable, Iterator

import msgspec

from cliptail_jax.datasets.streaming import naming_damage
from cliptail_jax.host.errors import UserError

MEMBERS = "package/json/"


class Author(msgspec.Struct):
    name: str = ""
    url: str = ""


class License(msgspec.Struct):
    spdx: str = ""


class Info(msgspec.Struct):
    name: str = ""
    author: Author = msgspec.field(default_factory=Author)
    license: License = msgspec.field(default_factory=License)
    palette: bool = False  # whether the drawings have colours
    category: str = ""


class Icon(msgspec.Struct):
    """A drawing: the content of its <svg>, and its bounds; None for those of the set."""

    body: str
    left: float | None = None
    top: float | None = None
    width: float | None = None
    height: float | None = None
    hidden: bool = False  # withdrawn or renamed by the designer

    @property
    def is_animated(self) -> bool:
        return "<animate" in self.body or "<set" in self.body


class IconSet(msgspec.Struct):
    """The drawings of a designer. Sizes are in the units of the drawings; Iconify's defaults are 16."""

    prefix: str
    icons: dict[str, Icon]
    info: Info = msgspec.field(default_factory=Info)
    left: float = 0
    top: float = 0
    width: float = 16
    height: float = 16


def svg(icon: Icon, icon_set: IconSet, size: int) -> str:
    """The SVG document of a drawing, in the middle of a square of `size` pixels.

    The bounds are those of the drawing, or else of its set. The current colour is black.
    """
    left, top, width, height = (
        getattr(icon_set, side) if getattr(icon, side) is None else getattr(icon, side)
        for side in ("left", "top", "width", "height")
    )
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" color="black" '
        f'width="{size}" height="{size}" viewBox="{left:.9g} {top:.9g} {width:.9g} {height:.9g}">{icon.body}</svg>'
    )


def read_sets(
    raw: pathlib.Path, is_wanted: Callable[[str], bool], skip: Callable[[str, str], None]
) -> Iterator[IconSet]:
    """The wanted icon sets of a file, in its order. Calls `skip` with a reason and an example for unreadable ones.

    Raises:
        UserError: The file is not Iconify's, or damaged.
    """
    has_sets = False
    try:
        archive = tarfile.open(raw)
    except (tarfile.TarError, IsADirectoryError):
        archive = None
    if archive:
        with archive, naming_damage(raw):
            for member in archive:
                if member.isfile() and member.name.startswith(MEMBERS) and member.name.endswith(".json"):
                    has_sets = True
                    if not is_wanted(pathlib.PurePath(member.name).stem):
                        continue
                    content = archive.extractfile(member).read()
                    try:
                        icon_set = msgspec.json.decode(content, type=IconSet)
                    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
                        skip("icon sets that cannot be read", f"{member.name} in {raw} is broken: {error}")
                    else:
                        yield icon_set
    if not has_sets:
        raise UserError(f"--raw={raw} is not Iconify's: it has no {MEMBERS}*.json; get it by npm pack @iconify/json")
