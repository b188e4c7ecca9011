"""Vocabularies: the classes to look for in captions, built in by name or read from a file.

The built-in ones lie in `vocabularies/NAME.txt`, a class a line in label order, after '#' lines that say where they are
from: its name and, where captions need other phrases than the name, after a tab those phrases, separated by '; '.
ImageNet's lines are WordNet id and name; `imagenet1k_eval` has those only that differ from `imagenet1k`. Its phrases
are the lemmas of the synset, then the name in captions in lower case unless it is one of them, changed by what
`imagenet1k_edits.json` says of the id: "remove" and "replace" phrases, "add" some at the end, and "exclude" words.
"""

import dataclasses
import importlib.resources
import itertools
import json
import pathlib
import re

from cliptail_jax.errors import UserError, did_you_mean

IMAGENET = ("imagenet1k", "imagenet1k_eval", "imagenet100")
BUILT_IN = (
    *IMAGENET,
    "cub",
    "dtd",
    "eurosat",
    "flowers102",
    "food101",
    "pets",
    "places365",
    "cars",
    "aircraft",
    "aircraft_family",
    "birdsnap",
    "caltech101",
    "sun397",
    "cifar10",
    "cifar100",
    "voc2007",
)
KEYS = ("name", "synonyms", "exclude", "wnid")


@dataclasses.dataclass(frozen=True)
class Concept:
    """A class, and how captions speak of it.

    Attributes:
        name: the class name.
        synonyms: the phrases that stand for the class; where there are none, its name does.
        exclude: words and phrases that a caption of the class does not contain a word of.
    """

    name: str
    synonyms: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def load_vocabulary(name_or_path: str) -> tuple[Concept, ...]:
    """A built-in vocabulary (one of `BUILT_IN`), or that of a JSON file: a list of {"name", "synonyms", "exclude"}.

    Only "name" is required; "wnid", a WordNet id, may stand beside it and says nothing about captions.

    Raises:
        UserError: there is no such vocabulary, the file cannot be read or is not of that form, a name occurs twice, or
            WordNet is missing (ImageNet's phrases need it).
    """
    if name_or_path in IMAGENET:
        return imagenet_concepts(name_or_path)
    if name_or_path in BUILT_IN:
        return tuple(
            Concept(name, tuple(phrases.split("; ")) if phrases else ()) for name, phrases in class_lines(name_or_path)
        )
    return read_vocabulary(pathlib.Path(name_or_path))


def normalized_name(name: str) -> str:
    """A class name as tables are joined by it: in lower case, with single spaces for '_', '-', '/' and white space."""
    return " ".join(re.sub("[_/-]", " ", name.lower()).split())


def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet ids of ImageNet-1k's 1,000 classes in label order."""
    return tuple(wnid for wnid, _ in class_lines("imagenet1k"))


def imagenet_names(vocabulary: str) -> dict[str, str]:
    """The names of the classes of one of `IMAGENET` by WordNet id, in label order.

    `imagenet1k_eval` has the names of the study's zero-shot prompts, where two classes are a "missile", and two
    "sunglasses": its names do not tell the classes apart.
    """
    names = dict(class_lines("imagenet1k"))
    if vocabulary == "imagenet1k_eval":
        return names | dict(class_lines(vocabulary))
    return {wnid: names[wnid] for wnid, _ in class_lines(vocabulary)}


def class_lines(vocabulary: str) -> tuple[tuple[str, str], ...]:
    """The lines of a built-in vocabulary's classes, each split at its tab; the second part may be ''."""
    lines = data_file(f"{vocabulary}.txt").splitlines()
    return tuple(tuple(line.partition("\t")[::2]) for line in lines if not line.startswith("#"))


def data_file(name: str) -> str:
    return importlib.resources.files(__package__).joinpath("vocabularies", name).read_text(encoding="utf-8")


def imagenet_concepts(vocabulary: str) -> tuple[Concept, ...]:
    in_captions = imagenet_names("imagenet1k")
    edits = json.loads(data_file("imagenet1k_edits.json"))
    return tuple(
        dataclasses.replace(imagenet_concept(wnid, in_captions[wnid], edits.get(wnid, {})), name=name)
        for wnid, name in imagenet_names(vocabulary).items()
    )


def imagenet_concept(wnid: str, name: str, edit: dict) -> Concept:
    from cliptail_jax.concepts.wordnet import lemmas  # the other vocabularies need no WordNet, nor NLTK's slow import

    phrases = dict.fromkeys((*lemmas(wnid), name.lower()))
    kept = (phrase for phrase in phrases if phrase not in edit.get("remove", ()))
    replaced = itertools.chain.from_iterable(edit.get("replace", {}).get(phrase, [phrase]) for phrase in kept)
    return Concept(name, (*replaced, *edit.get("add", ())), tuple(edit.get("exclude", ())))


def read_vocabulary(path: pathlib.Path) -> tuple[Concept, ...]:
    try:
        entries = json.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError as error:
        raise UserError(not_found(str(path))) from error
    except OSError as error:
        raise UserError(f"vocabulary file {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"vocabulary file {path} is not JSON: {error}") from error
    if not isinstance(entries, list):
        raise UserError(f'vocabulary file {path} is not a JSON list of {{"name": ..., "synonyms": [...], ...}}')
    if not entries:
        raise UserError(f"vocabulary file {path} has no classes")
    concepts = tuple(concept(entry, f"vocabulary file {path}, entry {i}") for i, entry in enumerate(entries, start=1))
    refuse_twins(concepts, path)
    return concepts


def not_found(name: str) -> str:
    hint = did_you_mean(name.lower(), BUILT_IN)
    return f"no vocabulary file {name}, and no built-in vocabulary of that name{hint}: there is {', '.join(BUILT_IN)}"


def concept(entry: object, where: str) -> Concept:
    """One entry of a vocabulary file, checked; `where` names it in errors."""
    if not isinstance(entry, dict) or "name" not in entry:
        raise UserError(f'{where} is not of the form {{"name": ..., "synonyms": [...], "exclude": [...]}}')
    if unknown := sorted(set(entry) - set(KEYS)):
        raise UserError(f"{where} has an unknown key {unknown[0]!r}; there is {', '.join(KEYS)}")
    name = entry["name"]
    if not isinstance(name, str) or not name.strip() or name.splitlines() != [name] or "\t" in name:
        raise UserError(f"{where}: name {name!r} is not a line of text, without tabs")
    for key in ("synonyms", "exclude"):
        phrases = entry.get(key, [])
        if not isinstance(phrases, list) or not all(isinstance(phrase, str) and phrase.strip() for phrase in phrases):
            raise UserError(f"{where} ({name!r}): {key} is not a list of texts")
    return Concept(name, tuple(entry.get("synonyms", ())), tuple(entry.get("exclude", ())))


def refuse_twins(concepts: tuple[Concept, ...], path: pathlib.Path) -> None:
    entry_of_name = {}
    for i, concept in enumerate(concepts, start=1):
        first = entry_of_name.setdefault(concept.name, i)
        if first != i:
            raise UserError(
                f"vocabulary file {path} has the class name {concept.name!r} twice, entries {first} and {i}"
            )
