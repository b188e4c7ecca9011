"""The images embedded in a page."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple


class PageImages(NamedTuple):
    """The images embedded in the page.

    Attributes:
        data: `training` and `test`, each None if there are none, for the page's script; None if there are no images.
        notes: which images are missing, and why.
    """

    data: Mapping[str, dict[str, Any] | None] | None
    notes: Sequence[str]
