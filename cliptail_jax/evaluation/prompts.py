"""Families of prompts: a tuple of texts per class, from templates, descriptors or random words."""

import importlib.resources
import json
import string
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from cliptail_jax.concepts.vocabulary import normalized_name
from cliptail_jax.errors import UserError
from cliptail_jax.files import work_path

Prompts = tuple[tuple[str, ...], ...]

KINDS = ("words", "characters")
CHARACTERS = string.ascii_letters + string.digits
WORDS_PER_DESCRIPTOR = 2  # WaffleCLIP's random words come in pairs


def template_prompts(names: Sequence[str], templates: Sequence[str]) -> Prompts:
    """Every class name in every template (Radford et al., 2021)."""
    return tuple(tuple(template.replace("{}", name) for template in templates) for name in names)


def descriptor_prompts(names: Sequence[str], descriptors: Sequence[Sequence[str]]) -> Prompts:
    """'NAME, which has DESCRIPTOR' for each descriptor of a class, or NAME if it has none (Menon & Vondrick, 2023)."""
    return tuple(
        tuple(f"{name}, which has {descriptor}" for descriptor in of_class) or (name,)
        for name, of_class in zip(names, descriptors, strict=True)
    )


def read_descriptors(path: str | Path, names: Sequence[str], other_names: Sequence[str] = ()) -> Prompts:
    """Reads each class's descriptors from a JSON object of class name -> list of texts, joined by normalized name.

    Args:
        other_names: other names of the same classes in the same order, which the file may use. Further classes of the
            file are ignored, and a list may be empty.

    Raises:
        UserError: The file cannot be read or is not such an object, lacks a class, or has a class twice.
    """
    table = descriptor_table(work_path(str(path)))
    times = Counter(normalized_name(name) for name in table)
    descriptors_of = {normalized_name(name): of_class for name, of_class in table.items()}
    others = zip(names, other_names or names)
    names = [name if normalized_name(name) in descriptors_of else other for name, other in others]
    missing = [name for name in names if normalized_name(name) not in descriptors_of]
    if missing:
        raise UserError(
            f"descriptors file {path} lacks {len(missing)} of the classes, such as '{missing[0]}': add them, with [] "
            "for no descriptors"
        )
    twice = [name for name in names if times[normalized_name(name)] > 1]
    if twice:
        raise UserError(f"descriptors file {path} has the class '{twice[0]}' more than once, in several spellings")
    return tuple(descriptors_of[normalized_name(name)] for name in names)


def descriptor_table(path: Path) -> dict[str, tuple[str, ...]]:
    """The checked content of a descriptors file."""
    try:
        table = json.loads(path.read_bytes())
    except OSError as error:
        raise UserError(f"descriptors file {path} cannot be read: {error.strerror or error}") from None
    except ValueError as error:
        raise UserError(f"descriptors file {path} is not JSON: {error}") from None
    if not isinstance(table, dict):
        raise UserError(f'descriptors file {path} is not a JSON object of {{"class name": ["descriptor", ...], ...}}')
    for name, of_class in table.items():
        if not isinstance(of_class, list) or not all(isinstance(text, str) and text.strip() for text in of_class):
            raise UserError(f"descriptors file {path}: the value of '{name}' is not a list of texts")
    return {name: tuple(text.strip() for text in of_class) for name, of_class in table.items()}


def waffle_prompts(names: Sequence[str], n: int, seed: int, kind: str) -> Prompts:
    """`n` prompts per class with random descriptors, the same ones for every class (WaffleCLIP, Roth et al., 2023).

    Args:
        kind: 'words', for pairs of common words, or 'characters', for two strings of random letters and digits of the
            length of such words.
        seed: the prompts are the same in any process.

    Raises:
        UserError: The kind is unknown, or `n` is below 1.
    """
    if kind not in KINDS:
        raise UserError(f"unknown kind of random descriptors '{kind}': choose from {', '.join(KINDS)}")
    if n < 1:
        raise UserError(f"{n} random descriptors per class: give 1 or more")
    random = np.random.default_rng(seed)
    descriptors = [random_descriptor(random, kind) for _ in range(n)]
    return descriptor_prompts(names, [descriptors] * len(names))


def random_descriptor(random: np.random.Generator, kind: str) -> str:
    words = random.choice(common_words(), WORDS_PER_DESCRIPTOR, replace=False).tolist()
    if kind == "characters":
        words = ["".join(random.choice(list(CHARACTERS), len(word))) for word in words]
    return " ".join(words)


def common_words() -> list[str]:
    """Common English words, a few hundred."""
    lines = importlib.resources.files(__package__).joinpath("words.txt").read_text(encoding="utf-8").splitlines()
    return [word for line in lines if not line.startswith("#") for word in line.split()]
