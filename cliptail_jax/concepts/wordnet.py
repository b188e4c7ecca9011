"""The nouns of WordNet 3.0: synsets of ImageNet's ids, and the lemmas of words.

This module reads WordNet's files, because NLTK takes three seconds to start and to read all of them. NLTK only downloads.
"""

import contextlib
import functools
import io
import os
import re
import sys
import threading
import zipfile
from pathlib import Path
from typing import NamedTuple

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import user_cache

DOWNLOAD_SECONDS = 30
GET_WORDNET = (
    "run `python -m nltk.downloader wordnet`, or install Debian's package wordnet-base; or use the rule "
    "'phrases' (--config.data.class_match.rule, or count's --rule), which needs it only for ImageNet's classes"
)
SYSTEM_FOLDERS = ("/usr/share", "/usr/local/share", "/usr/lib", "/usr/local/lib")

# An id of ImageNet that is not in WordNet 3.0, and the id of the same class there.
RENAMED = {"n02112837": "n02110185"}

# The endings of nouns, and what replaces them in lemmas: morphy(7WN).
ENDINGS = (
    ("s", ""),
    ("ses", "s"),
    ("ves", "f"),
    ("xes", "x"),
    ("zes", "z"),
    ("ches", "ch"),
    ("shes", "sh"),
    ("men", "man"),
    ("ies", "y"),
)


class WordNetError(UserError):
    """Raised when WordNet is missing or damaged."""


class Nouns(NamedTuple):
    """WordNet's nouns.

    Attributes:
        lemmas: all of them, in lower case, with '_' for spaces.
        exceptions: the lemmas of irregular forms.
        data: the file of synsets, in which ImageNet's ids are positions.
    """

    lemmas: frozenset[str]
    exceptions: dict[str, list[str]]
    data: bytes


class Synset(NamedTuple):
    """The words of a noun in WordNet's order and spelling, as 'Tinca_tinca', and its definition."""

    words: tuple[str, ...]
    definition: str


@functools.cache
def wordnet() -> Nouns:
    """WordNet's nouns, from where NLTK or Debian's package has put them, or else downloaded by NLTK.

    Raises:
        WordNetError: WordNet is missing and cannot be downloaded, or it is damaged.
    """
    path = find() or (find() if download() else None)
    if not path:
        raise WordNetError(f"WordNet is not on this machine, and could not be downloaded: {GET_WORDNET}")
    try:
        folder = zipfile.Path(path, "wordnet/") if path.suffix == ".zip" else path
        index, exceptions = ((folder / name).read_text(encoding="utf-8") for name in ("index.noun", "noun.exc"))
        forms = {form: bases for form, *bases in map(str.split, exceptions.splitlines())}
        nouns = Nouns(frozenset(re.findall(r"^\S+", index, re.M)), forms, (folder / "data.noun").read_bytes())
        if not nouns.lemmas:
            raise ValueError("index.noun is empty")
    except (OSError, ValueError, KeyError, zipfile.BadZipFile) as error:
        raise WordNetError(f"the WordNet in {path} is damaged ({error}): remove it, then {GET_WORDNET}") from error
    return nouns


def find() -> Path | None:
    """WordNet's folder or .zip file: in NLTK's data path, in the user's cache, or where Debian's package puts it."""
    nltk_folders = filter(None, os.environ.get("NLTK_DATA", "").split(os.pathsep))
    prefixes = ("~", *(f"{sys.prefix}{folder}" for folder in ("", "/share", "/lib")), *SYSTEM_FOLDERS)
    roots = (*nltk_folders, *(f"{folder}/nltk_data" for folder in prefixes), cache_folder())
    corpora = [Path(os.path.expanduser(root), "corpora", name) for root in roots for name in ("wordnet", "wordnet.zip")]
    return next((path for path in (*corpora, Path(SYSTEM_FOLDERS[0], "wordnet")) if path.exists()), None)


def cache_folder() -> Path:
    """The project's folder of NLTK data in the user's cache; it may not exist."""
    return user_cache("wordnet")


def lemmas_of_noun(word: str) -> list[str]:
    """The lemmas that a word may be a form of, itself first, as morphy(7WN) finds them."""
    nouns = wordnet()
    candidates = nouns.exceptions.get(word) or [word[: -len(old)] + new for old, new in ENDINGS if word.endswith(old)]
    return [form for form in dict.fromkeys((word, *candidates)) if form in nouns.lemmas]


def synset(wnid: str) -> Synset:
    """The synset of an ImageNet id such as 'n02110185'.

    Raises:
        UserError: It is not a noun of WordNet 3.0.
    """
    offset, data = RENAMED.get(wnid, wnid)[1:], wordnet().data
    line = data[int(offset) : data.find(b"\n", int(offset))].decode()
    columns, _, gloss = line.partition("|")
    fields = columns.split()
    if fields[:1] != [offset]:
        raise UserError(f"WordNet 3.0 has no noun {wnid!r}")
    return Synset(tuple(fields[4 : 4 + 2 * int(fields[3], 16) : 2]), re.sub('".*?"', "", gloss).strip().strip("; "))


def lemmas(wnid: str) -> tuple[str, ...]:
    """The synset's words in WordNet's order, in lower case and with spaces: 'tench', 'tinca tinca'."""
    return tuple(name.lower().replace("_", " ") for name in synset(wnid).words)


@functools.cache  # one attempt per process
def download() -> bool:
    """Lets NLTK download WordNet to its usual place; False if that fails or takes too long.

    It runs in a thread, because NLTK waits minutes for a silent server, and forever for name resolution.
    """
    outcome = []

    def attempt() -> None:
        with contextlib.suppress(Exception):  # no network, nowhere to write, a login page in place of the index, ...
            import nltk

            outcome.append(nltk.download("wordnet", quiet=True, print_error_to=io.StringIO()))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    return outcome == [True]
