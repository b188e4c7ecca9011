"""Class names in the forms by which tables are joined."""

import unicodedata

SPACES = str.maketrans("_/-", "   ")  # faster than a regular expression


def without_point(name: str) -> str:
    """'3' for '3.0', as tables write integers of a column with gaps; other names as they are."""
    return name.removesuffix(".0") if name[:-2].isdecimal() else name


def composed(text: str) -> str:
    """The text in Unicode's composed form (NFC): an accented letter is one character, however it was typed."""
    return unicodedata.normalize("NFC", text)


def normalized_name(name: str) -> str:
    """A class name in the form by which tables are joined: lower case, single spaces for '_', '-', '/' and white space."""
    return " ".join(composed(name.lower()).translate(SPACES).split())
