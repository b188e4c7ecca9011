"""Class lists: the classes to look for in captions, built in by name or read from a file.

The built-in ones are the files `lists/NAME.txt`. Their first lines, starting with '#', give the source; every
other line is a class, in label order: its name and, if captions use other phrases, a tab and these phrases, separated
by '; '.

ImageNet's lines are a WordNet id, a tab and a name; `imagenet1k_eval` lists only the names that differ from
`imagenet1k`. The phrases of a class are the lemmas of its synset and its lower-case name in captions, as edited by
`imagenet1k_edits.json` under its id: "remove" and "replace" phrases, "add" some at the end, and "exclude" words.
"""

import collections
import importlib.resources
import itertools
import json
import pathlib
import re
from collections.abc import Sequence
from typing import Annotated

import msgspec

from cliptail_jax.concepts.wordnet import lemmas
from cliptail_jax.formats.class_names import composed
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.host.files import read_text

FOLDER = importlib.resources.files(__package__) / "lists"
BUILT_IN = tuple(sorted(file.name.removesuffix(".txt") for file in FOLDER.iterdir() if file.name.endswith(".txt")))
# The rules by which captions name classes (see `ConceptCounter`).
LEMMAS, PHRASES, LONGEST = "lemmas", "phrases", "longest"
IMAGENET = ("imagenet1k", "imagenet1k_eval", "imagenet100")
FORM = '{"name": ..., "synonyms": [...], "exclude": [...]}'
Phrase = Annotated[str, msgspec.Meta(pattern=r"\S")]


class Concept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A class, and the words that captions use for it.

    Attributes:
        name: the class name.
        synonyms: the phrases that name the class; if there are none, its name does.
        exclude: phrases; a caption with any of their words does not name the class.
    """

    name: Phrase
    synonyms: tuple[Phrase, ...] = ()
    exclude: tuple[Phrase, ...] = ()


def load_class_list(name_or_path: str) -> tuple[Concept, ...]:
    """Loads a built-in class list (one of `BUILT_IN`) or a file.

    A .txt file has one name per line. Any other file is JSON, a list of {"name", "synonyms", "exclude"}. Only "name" is
    required. A WordNet id "wnid" is ignored.

    Raises:
        UserError: There is no such list, the file cannot be read or has another form, a name occurs twice, or
            WordNet is missing (ImageNet's phrases need it).
    """
    if name_or_path in IMAGENET:
        return imagenet_concepts(name_or_path)
    if name_or_path in BUILT_IN:
        return tuple(
            Concept(name, tuple(phrases.split("; ")) if phrases else ()) for name, phrases in class_lines(name_or_path)
        )
    return read_class_list(pathlib.Path(name_or_path).expanduser())


def class_list_for(name_or_path: str, rule: str) -> tuple[Concept, ...]:
    """The class list for a rule. For exact phrases, ImageNet's classes have only their lemmas, without edits.

    Raises UserError as `load_class_list`.
    """
    if rule != LEMMAS and name_or_path in IMAGENET:
        return tuple(Concept(name, lemmas(wnid)) for wnid, name in imagenet_names(name_or_path).items())
    return load_class_list(name_or_path)


def concepts_by_name(name_or_path: str, rule: str) -> dict[str, Concept]:
    """The class list for a rule, by class name; empty for ''. Raises UserError as `load_class_list`."""
    return {concept.name: concept for concept in class_list_for(name_or_path, rule)} if name_or_path else {}


def listed_names(name_or_path: str) -> tuple[str, ...]:
    """The class names of a list in label order, which need no WordNet. Raises UserError as `load_class_list`."""
    if name_or_path in IMAGENET:
        return tuple(imagenet_names(name_or_path).values())
    return tuple(concept.name for concept in load_class_list(name_or_path))


def imagenet_wnids() -> tuple[str, ...]:
    """The WordNet ids of ImageNet-1k's 1,000 classes in label order."""
    return tuple(wnid for wnid, _ in class_lines("imagenet1k"))


def imagenet_names(class_list: str) -> dict[str, str]:
    """WordNet id -> class name of one of the lists `IMAGENET`, in label order.

    `imagenet1k_eval` has the names of the paper's zero-shot prompts. They are not unique: two classes are a "missile",
    and two are "sunglasses".
    """
    names = dict(class_lines("imagenet1k"))
    if class_list == "imagenet1k_eval":
        return names | dict(class_lines(class_list))
    return {wnid: names[wnid] for wnid, _ in class_lines(class_list)}


def class_lines(class_list: str) -> tuple[tuple[str, str], ...]:
    """The lines of a built-in list's classes, each split at its tab; the second part may be ''."""
    lines = data_file(f"{class_list}.txt").splitlines()
    return tuple(tuple(line.partition("\t")[::2]) for line in lines if not line.startswith("#"))


def data_file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def imagenet_concepts(class_list: str) -> tuple[Concept, ...]:
    caption_names, edits = imagenet_names("imagenet1k"), json.loads(data_file("imagenet1k_edits.json"))
    concepts = []
    for wnid, name in imagenet_names(class_list).items():
        edit, phrases = edits.get(wnid, {}), dict.fromkeys((*lemmas(wnid), caption_names[wnid].lower()))
        kept_phrases = (phrase for phrase in phrases if phrase not in edit.get("remove", ()))
        new_phrases = itertools.chain.from_iterable(
            edit.get("replace", {}).get(phrase, [phrase]) for phrase in kept_phrases
        )
        concepts.append(Concept(name, (*new_phrases, *edit.get("add", ())), tuple(edit.get("exclude", ()))))
    return tuple(concepts)


def read_class_list(path: pathlib.Path) -> tuple[Concept, ...]:
    is_text = path.suffix.lower() == ".txt"
    try:
        content = read_text(path)
        lines = [re.sub(" +", " ", line.strip()) for line in content.splitlines()]
        entries = [{"name": line} for line in lines if line] if is_text else json.loads(content)
    except FileNotFoundError as error:
        hint = f"of that name{did_you_mean(str(path).lower(), BUILT_IN)}: there is {', '.join(BUILT_IN)}"
        raise UserError(f"there is no class list {path}: no file, and no built-in one {hint}") from error
    except OSError as error:
        raise UserError(f"class list {path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:  # RecursionError: it is nested too deeply
        raise UserError(f"class list {path} is not {'UTF-8' if is_text else 'JSON'}: {error}") from error
    if not isinstance(entries, list) or not entries:
        form = "has no class names, one a line" if is_text else f"is not a JSON list of classes: {FORM}, ..."
        raise UserError(f"class list {path} {form}")
    concepts = tuple(concept(entry, f"class list {path}, entry {i}") for i, entry in enumerate(entries, start=1))
    check_unique([concept.name for concept in concepts], f"class list {path}")
    return concepts


def check_unique(names: Sequence[str], origin: str) -> None:
    """Raises UserError if a class name occurs twice; `origin` describes the list."""
    name, count = collections.Counter(names).most_common(1)[0]
    if count > 1:
        raise UserError(f"{origin} has the class name {name!r} {count} times")


def concept(entry: object, origin: str) -> Concept:
    """Checks one entry of a file; `origin` names it in error messages."""
    if isinstance(entry, dict):
        entry = {key: value for key, value in entry.items() if key != "wnid"}
    try:
        result = msgspec.convert(entry, Concept)
    except msgspec.ValidationError as error:
        raise UserError(f"{origin} is not of the form {FORM}: {error}") from error
    is_half = any("\ud800" <= character <= "\udfff" for character in result.name)  # of a surrogate pair: it is not text
    if is_half:
        raise UserError(
            f"{origin}: name {result.name!r} is not valid Unicode; if a file has this name, set PYTHONUTF8=1"
        )
    if result.name.splitlines() != [result.name] or "\t" in result.name:
        raise UserError(f"{origin}: name {result.name!r} is not one line of text without tabs")
    return msgspec.structs.replace(
        result,
        name=composed(result.name),
        synonyms=tuple(map(composed, result.synonyms)),
        exclude=tuple(map(composed, result.exclude)),
    )
