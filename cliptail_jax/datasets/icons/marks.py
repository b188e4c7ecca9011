"""Detects marks: logos or flags, which are trademarks or national symbols, not pictures of things."""

import functools
import re

from cliptail_jax.datasets.icons.families import read_lines
from cliptail_jax.datasets.icons.sets import Info

FLAGS = ("cif", "circle-flags", "flag", "flagpack")  # Iconify's category of flags and maps also has map signs
# Logos of programs and file formats. Iconify's category 'Programming' has the icons of an editor's own commands, too.
PROGRAMS = (
    *("catppuccin", "devicon", "devicon-line", "devicon-original", "devicon-plain", "file-icons", "gcp", "k8s"),
    *("material-icon-theme", "skill-icons", "unjs", "vscode-icons"),
)
BRANDS = ("fa-brands", "fa6-brands", "academicons")  # in other categories
MARK_NAME = re.compile(r"(bxl|brand|brands|logo|social) .*|.* logo")
WHOLE_NAMES = (
    "android apple edge messenger meta notion opera safari steam stripe swift threads unity".split()
)  # also words
FLAG = re.compile(r"flags? (?!in hole).*")  # in sets of emojis


def is_mark_set(prefix: str, info: Info) -> bool:
    return info.category == "Logos" or prefix in (*FLAGS, *PROGRAMS, *BRANDS)


def is_mark(words: str, prefix: str, info: Info) -> bool:
    """Whether the drawing with these words is a logo or a flag.

    All drawings of some sets are. In other sets, a name with a word such as 'logo' or a brand in marks.tsv is a mark; in
    sets of emojis, so is the name of a country.
    """
    if is_mark_set(prefix, info) or MARK_NAME.fullmatch(words) or words in WHOLE_NAMES or brands().search(words):
        return True
    return info.category == "Emoji" and (FLAG.fullmatch(words) is not None or words in countries())


@functools.cache
def brands() -> re.Pattern:
    names = (re.escape(name) for kind, name in read_lines("marks.tsv") if kind == "brand")
    return re.compile(rf"(?<!\S)(?:{'|'.join(names)})(?!\S)")


@functools.cache
def countries() -> frozenset[str]:
    return frozenset(name for kind, name in read_lines("marks.tsv") if kind == "country")
