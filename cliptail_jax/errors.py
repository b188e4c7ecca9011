"""The one exception for anything a user can cause and mend."""

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A mistake in a config, a path or the data. Its message is one line that names the thing and the remedy."""


def did_you_mean(name: str, known: Iterable[str], cutoff: float = 0.6) -> str:
    """' (did you mean A or B?)' of those known names that are like `name`, or ''; to stand in an error's message."""
    close = difflib.get_close_matches(name, list(known), cutoff=cutoff)
    return f" (did you mean {' or '.join(close)}?)" if close else ""
