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


def set_prompts(eval_set: OpenedSet | PromptedClasses, template_set: str) -> ClassPrompts:
    """The prompts of a set's classes.

    Args:
        template_set: `config.eval.templates`: a template set or a file of templates, '' for the set's own templates, or a
            .json file, an object from each class to its prompts.

    Raises:
        UserError: a file cannot be read, a template has no placeholder, or the classes of the .json are not the set's.
    """
    if template_set.endswith(".json"):
        return prompts_by_class(work_path(template_set), eval_set)
    set_templates = templates(template_set) if template_set else eval_set.templates
    return tuple(tuple(template.replace("{}", name) for template in set_templates) for name in eval_set.prompt_names)


def prompts_by_class(path: Path, eval_set: OpenedSet | PromptedClasses) -> ClassPrompts:
    """The prompts in a file for the classes of a set, by their names or their names in prompts."""
    try:
        prompts_of = msgspec.json.decode(read_text(path), type=dict[str, list[str]])
    except OSError as error:
        raise UserError(f"the file of prompts {path} cannot be read: {error.strerror or error}") from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not a JSON object from each class to a list of its prompts: {error}") from None
    prompts_of = {composed(name): list(filter(str.strip, texts)) for name, texts in prompts_of.items()}
    prompts = []
    for name, prompt_name in zip(eval_set.class_names, eval_set.prompt_names):
        class_prompts = prompts_of.pop(name, None) or prompts_of.pop(prompt_name, None)
        if not class_prompts:
            raise UserError(f"{path} has no prompts for '{name}', a class of {eval_set.name}: give at least one")
        prompts.append(tuple(class_prompts))
    if prompts_of:
        raise UserError(
            f"{path} has prompts for '{next(iter(prompts_of))}', which is not a class of {eval_set.name}: leave it out"
        )
    return tuple(prompts)


def check_distinct(
    text: Shaped[np.ndarray, "prompt width"], sizes: Sequence[int], names: Sequence[str], template_set: str
) -> None:
    """Raise UserError if the text tower reads the same prompts, in any order, for different classes, as in a short context.

    Args:
        text: the input of the text tower, prompts of the same class being consecutive.
        sizes: the number of prompts of each class.
        names: the classes' names in prompts; two may be equal.
        template_set: `config.eval.templates`.
    """
    first: dict[bytes, str] = {}
    class_texts = np.split(text, np.cumsum(sizes)[:-1])
    duplicates = [
        (other, name)
        for name, texts in zip(names, class_texts)
        if (other := first.setdefault(texts[np.lexsort(texts.T)].tobytes(), name)) != name
    ]
    if duplicates:
        prompts = f"eval.templates='{template_set}'" if template_set else "the set's own templates"
        context = f"{text.shape[1]} tokens" if np.issubdtype(text.dtype, np.integer) else "a context"
        raise UserError(
            f"{prompts}: {len(duplicates)} of {len(set(names))} classes have the prompts of others to the text tower, such as "
            f"'{duplicates[0][1]}' and '{duplicates[0][0]}'; it reads {context} and may ignore case: use shorter prompts or "
            "other names"
        )
