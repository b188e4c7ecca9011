"""Prompts of zero-shot classifiers: each class's name in each template (Radford et al., 2021)."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Shaped

from cliptail_jax.concepts.templates import templates
from cliptail_jax.evaluation.sets import OpenedSet, PromptedClasses
from cliptail_jax.formats.class_names import composed
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_text, work_path

ClassPrompts = tuple[tuple[str, ...], ...]  # by class, in label order


def set_prompts(opened: OpenedSet | PromptedClasses, chosen: str) -> ClassPrompts:
    """The prompts of a set's classes.

    Args:
        chosen: `config.eval.templates`: a template set or a file of templates, '' for the set's own templates, or a .json
            file, an object from each class to its prompts.

    Raises:
        UserError: a file cannot be read, a template has no placeholder, or the classes of the .json are not the set's.
    """
    if chosen.endswith(".json"):
        return prompts_by_class(work_path(chosen), opened)
    chosen_templates = templates(chosen) if chosen else opened.templates
    return tuple(tuple(template.replace("{}", name) for template in chosen_templates) for name in opened.prompt_names)


def prompts_by_class(path: Path, opened: OpenedSet | PromptedClasses) -> ClassPrompts:
    """The prompts in a file for the classes of a set, by their names or their names in prompts."""
    try:
        given = msgspec.json.decode(read_text(path), type=dict[str, list[str]])
    except OSError as error:
        raise UserError(f"the file of prompts {path} cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a JSON object from each class to a list of its prompts: {error}") from None
    given, prompts = {composed(name): list(filter(str.strip, texts)) for name, texts in given.items()}, []
    for name, in_prompts in zip(opened.class_names, opened.prompt_names):
        of_class = given.pop(name, None) or given.pop(in_prompts, None)
        if not of_class:
            raise UserError(f"{path} has no prompts for '{name}', a class of {opened.name}: give at least one")
        prompts.append(tuple(of_class))
    if given:
        raise UserError(
            f"{path} has prompts for '{next(iter(given))}', which is not a class of {opened.name}: leave it out"
        )
    return tuple(prompts)


def check_distinct(
    text: Shaped[np.ndarray, "prompt width"], sizes: Sequence[int], names: Sequence[str], template_set: str
) -> None:
    """Raise UserError if different classes have the same prompts to the text tower, as in a short context, in any order.

    Args:
        text: the input of the text tower, prompts of the same class being consecutive.
        sizes: the number of prompts of each class.
        names: the classes' names in prompts; two may be equal.
        template_set: `config.eval.templates`.
    """
    first: dict[bytes, str] = {}
    class_texts = np.split(text, np.cumsum(sizes)[:-1])
    same = [
        (other, name)
        for name, read in zip(names, class_texts)
        if (other := first.setdefault(read[np.lexsort(read.T)].tobytes(), name)) != name
    ]
    if same:
        prompts = f"eval.templates='{template_set}'" if template_set else "the set's own templates"
        context = f"{text.shape[1]} tokens" if np.issubdtype(text.dtype, np.integer) else "a context"
        raise UserError(
            f"{prompts}: the prompts of {len(same)} of {len(set(names))} classes are those of others to the text tower, such as of "
            f"'{same[0][1]}' and '{same[0][0]}'; it reads {context} and may ignore case: use shorter prompts or other names"
        )
