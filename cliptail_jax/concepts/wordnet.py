"""WordNet 3.0 through NLTK, imported at first use: synsets of ImageNet's ids and their lemmas."""

import contextlib
import functools
import io
import pathlib
import threading
import warnings
import zipfile

from etils import epy

from cliptail_jax.errors import UserError
from cliptail_jax.files import user_cache

with epy.lazy_imports():
    import nltk

DOWNLOAD_SECONDS = 30
GET_WORDNET = (
    "run `python -m nltk.downloader wordnet`, or `bash scripts/wordnet.sh`, which copies it from Debian's package"
)

# An id among ImageNet's that is not an offset in WordNet 3.0.
SYNSETS_BY_NAME = {"n02112837": "siberian_husky"}


@functools.cache
def wordnet() -> "nltk.corpus.reader.WordNetCorpusReader":
    """NLTK's loaded WordNet reader. NLTK's `WordNetLemmatizer` then works in this process, too.

    Searches NLTK's data path and the user's cache (see scripts/wordnet.sh), or lets NLTK download WordNet.

    Raises:
        UserError: WordNet is missing and cannot be downloaded, or it is damaged.
    """
    if str(cache_folder()) not in nltk.data.path:
        nltk.data.path.append(str(cache_folder()))
    if not (loads() or (download() and loads())):
        raise UserError(f"WordNet is not on this machine, and could not be downloaded: {GET_WORDNET}")
    return nltk.corpus.wordnet


def synset(wnid: str) -> "nltk.corpus.reader.wordnet.Synset":
    """The synset of an ImageNet id such as 'n02110185'.

    Raises:
        UserError: It is not a noun of WordNet 3.0.
    """
    if wnid in SYNSETS_BY_NAME:
        return wordnet().synsets(SYNSETS_BY_NAME[wnid])[0]
    with warnings.catch_warnings(action="ignore"):  # for an unknown offset NLTK warns and returns None
        found = wordnet().synset_from_pos_and_offset("n", int(wnid[1:]))
    if found is None:
        raise UserError(f"WordNet 3.0 has no noun {wnid!r}")
    return found


def lemmas(wnid: str) -> tuple[str, ...]:
    """The synset's words in WordNet's order, in lower case and with spaces: 'tench', 'tinca tinca'."""
    return tuple(name.lower().replace("_", " ") for name in synset(wnid).lemma_names())


def cache_folder() -> pathlib.Path:
    """The project's NLTK data folder in the user's cache; it may not exist."""
    return user_cache("wordnet")


def loads() -> bool:
    """Loads the WordNet that NLTK finds; False if there is none."""
    try:
        nltk.corpus.wordnet.ensure_loaded()
    except LookupError:
        return False
    except (OSError, ValueError, AssertionError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"the WordNet that NLTK finds is damaged ({reason}): remove it, then {GET_WORDNET}") from error
    return True


@functools.cache  # one attempt per process
def download() -> bool:
    """Lets NLTK download WordNet to its usual place; False if that fails or takes too long.

    It runs in a thread, because NLTK waits minutes for a silent server, and forever for name resolution.
    """
    outcome = []

    def attempt() -> None:
        with contextlib.suppress(Exception):  # no network, nowhere to write, a login page in place of the index, ...
            outcome.append(nltk.download("wordnet", quiet=True, print_error_to=io.StringIO()))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    return outcome == [True]
