"""WordNet 3.0 through NLTK, found or fetched once: lemmas of words, synsets of ImageNet's ids."""

import contextlib
import functools
import io
import os
import pathlib
import re
import shutil
import tempfile
import threading
import warnings
import zipfile

import nltk
from nltk.corpus.reader.wordnet import Synset, WordNetCorpusReader

from cliptail_jax.errors import UserError

DEBIAN_FOLDER = pathlib.Path("/usr/share/wordnet")  # where the package wordnet-base puts its data
DEBIAN_FILES = (
    "cntlist.rev",
    *(f"{kind}.{pos}" for kind in ("data", "index") for pos in ("adj", "adv", "noun", "verb")),
    *(f"{pos}.exc" for pos in ("adj", "adv", "noun", "verb")),
)
DOWNLOAD_SECONDS = 30
GET_WORDNET = "run `python -m nltk.downloader wordnet`, or install Debian's package wordnet-base"

# WordNet 3.0's lexicographer files in the order of their numbers, and their syntactic categories: lexnames(5WN).
LEXICOGRAPHER_FILES = """
    adj.all adj.pert adv.all noun.Tops noun.act noun.animal noun.artifact noun.attribute noun.body noun.cognition
    noun.communication noun.event noun.feeling noun.food noun.group noun.location noun.motive noun.object noun.person
    noun.phenomenon noun.plant noun.possession noun.process noun.quantity noun.relation noun.shape noun.state
    noun.substance noun.time verb.body verb.change verb.cognition verb.communication verb.competition verb.consumption
    verb.contact verb.creation verb.emotion verb.motion verb.perception verb.possession verb.social verb.stative
    verb.weather adj.ppl
""".split()
CATEGORIES = {"noun": 1, "verb": 2, "adj": 3, "adv": 4}

# An id among ImageNet's that is no offset in WordNet 3.0.
SYNSETS_BY_NAME = {"n02112837": "siberian_husky"}


@functools.cache
def wordnet() -> WordNetCorpusReader:
    """NLTK's WordNet reader, loaded; from then on NLTK's `WordNetLemmatizer` works in this process too.

    WordNet is looked for on NLTK's data path, then among Debian's files, which need no network; last of all NLTK
    downloads it.

    Raises:
        UserError: there is no WordNet to be had, or a damaged one.
    """
    if not (loads() or (use_debian_files() and loads()) or (download() and loads())):
        raise UserError(f"WordNet is not on this machine, and could not be downloaded: {GET_WORDNET}")
    return nltk.corpus.wordnet


def synset(wnid: str) -> Synset:
    """The synset of an ImageNet id such as 'n02110185'.

    Raises:
        UserError: the id is not of that form, or not one of WordNet 3.0's nouns.
    """
    if not re.fullmatch("n[0-9]{8}", wnid):
        raise UserError(f"{wnid!r} is not a WordNet id, which is 'n' and eight digits, as in 'n02110185'")
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


def loads() -> bool:
    """Loads what NLTK finds on its data path; False where that holds no WordNet."""
    try:
        nltk.corpus.wordnet.ensure_loaded()
    except LookupError:
        return False
    except (OSError, ValueError, AssertionError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(f"the WordNet that NLTK finds is damaged ({reason}): remove it, then {GET_WORDNET}") from error
    return True


def cache_folder() -> pathlib.Path:
    """An NLTK data folder of the project's own, in the user's cache."""
    return pathlib.Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cliptail_jax" / "wordnet"


def use_debian_files() -> bool:
    """Puts Debian's WordNet on NLTK's data path; False where it is neither installed nor in the cache."""
    folder = cache_folder()
    if not folder.is_dir():
        if not all((DEBIAN_FOLDER / name).is_file() for name in DEBIAN_FILES):
            return False
        copy_debian_files(DEBIAN_FOLDER)
    if str(folder) not in nltk.data.path:
        nltk.data.path.append(str(folder))
    return True


def copy_debian_files(debian_folder: pathlib.Path) -> None:
    """Makes the cache folder from wordnet-base's data, whole or not at all, whatever other processes do meanwhile.

    A copy, as NLTK refuses links and what others may write to. It also needs two files that the package lacks:
    `lexnames`, and `index.sense`, which links WordNet to other versions and languages and may be empty.

    Raises:
        UserError: a file cannot be read, or the cache not written.
    """
    folder = cache_folder()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".wordnet-", dir=folder.parent) as unfinished:
            root = pathlib.Path(unfinished, folder.name)
            corpus = root / "corpora" / "wordnet"
            corpus.mkdir(parents=True)
            for name in DEBIAN_FILES:
                shutil.copyfile(debian_folder / name, corpus / name)
            (corpus / "lexnames").write_text(lexnames())
            (corpus / "index.sense").touch()
            for path in (root, *root.rglob("*")):
                path.chmod(path.stat().st_mode & ~0o022)
            rename_unless_there(root, folder)
    except OSError as error:
        raise UserError(
            f"WordNet's files in {debian_folder} cannot be copied to {folder} ({error}); "
            "XDG_CACHE_HOME may name another place for the copy"
        ) from error


def rename_unless_there(source: pathlib.Path, target: pathlib.Path) -> None:
    try:
        source.rename(target)
    except OSError:
        if not target.is_dir():  # else another process was faster
            raise


def lexnames() -> str:
    """The file `lexnames`: number, name and syntactic category of each lexicographer file."""
    numbered = enumerate(LEXICOGRAPHER_FILES)
    return "".join(f"{number:02}\t{name}\t{CATEGORIES[name.split('.')[0]]}\n" for number, name in numbered)


@functools.cache  # one attempt a process
def download() -> bool:
    """Lets NLTK download WordNet to its usual place; False if that fails or takes too long.

    It runs in a thread, because NLTK waits minutes for a silent server, and without limit for a name.
    """
    outcome = []

    def attempt() -> None:
        with contextlib.suppress(Exception):  # no network, no place to write, a login page for an index, ...
            outcome.append(nltk.download("wordnet", quiet=True, print_error_to=io.StringIO()))

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(DOWNLOAD_SECONDS)
    return outcome == [True]
