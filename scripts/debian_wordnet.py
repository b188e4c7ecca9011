"""Copies the data of Debian's package wordnet-base to the user's cache, in NLTK's form, for wordnet.sh.

    python scripts/debian_wordnet.py FOLDER    # such as /usr/share/wordnet

NLTK refuses links and files that others may write to, hence a copy. It also needs two files that the package lacks:
`lexnames`, and `index.sense`, which links WordNet to other versions and languages and may be empty.
"""

import pathlib
import shutil
import sys
import tempfile

from cliptail_jax.concepts.wordnet import cache_folder

POS = ("adj", "adv", "noun", "verb")
FILES = ("cntlist.rev", *(f"{kind}.{pos}" for kind in ("data", "index") for pos in POS), *(f"{pos}.exc" for pos in POS))

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


def lexnames() -> str:
    """The file `lexnames`: number, name and syntactic category of each lexicographer file."""
    numbers = enumerate(LEXICOGRAPHER_FILES)
    return "".join(f"{number:02}\t{name}\t{CATEGORIES[name.split('.')[0]]}\n" for number, name in numbers)


def copy(debian_folder: pathlib.Path) -> None:
    """Makes the cache folder, completely or not at all, even if several processes do so at once."""
    folder = cache_folder()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".wordnet-", dir=folder.parent) as temporary_folder:
        root = pathlib.Path(temporary_folder, folder.name)
        corpus = root / "corpora" / "wordnet"
        corpus.mkdir(parents=True)
        for name in FILES:
            shutil.copyfile(debian_folder / name, corpus / name)
        (corpus / "lexnames").write_text(lexnames())
        (corpus / "index.sense").touch()
        for path in (root, *root.rglob("*")):
            path.chmod(path.stat().st_mode & ~0o022)
        try:
            root.rename(folder)
        except OSError:
            if not folder.is_dir():  # else another process was faster
                raise


if __name__ == "__main__":
    copy(pathlib.Path(sys.argv[1]))
