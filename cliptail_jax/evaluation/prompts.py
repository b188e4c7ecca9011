"""Prompts of zero-shot classifiers: each class's name in each template (Radford et al., 2021)."""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Shaped

from cliptail_jax.concepts.templates import templates
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.sets import OpenedSet

Prompts = tuple[tuple[str, ...], ...]  # by class, in label order


def set_prompts(opened: OpenedSet, template_set: str) -> Prompts:
    """The prompts of a set's classes in the templates `template_set`, or for '' in the set's own."""
    return template_prompts(opened.prompt_names, templates(template_set) if template_set else opened.templates)


def template_prompts(names: Sequence[str], templates: Sequence[str]) -> Prompts:
    """Every class name in every template."""
    return tuple(tuple(template.replace("{}", name) for template in templates) for name in names)


def check_distinct(
    text: Shaped[np.ndarray, "prompt width"], sizes: Sequence[int], names: Sequence[str], template_set: str
) -> None:
    """Raise UserError if the context is so short that the prompts of different classes are the same.

    Args:
        text: the input of the text tower, prompts of the same class being consecutive.
        sizes: the number of prompts of each class.
        names: the classes' names in prompts; two may be equal.
        template_set: `config.eval.templates`.
    """
    class_texts = np.split(text, np.cumsum(sizes)[:-1])
    distinct, wanted = len({class_text.tobytes() for class_text in class_texts}), len(set(names))
    if distinct < wanted:
        prompts = f"eval.templates='{template_set}'" if template_set else "the set's own templates"
        context = f"the {text.shape[1]} tokens" if np.issubdtype(text.dtype, np.integer) else "the context"
        raise UserError(
            f"{prompts}: truncated to {context} that the text tower reads, the prompts of {wanted} classes are only "
            f"{distinct} different ones; use shorter prompts, or a tower with a longer context"
        )
