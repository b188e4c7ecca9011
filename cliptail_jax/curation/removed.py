"""Concepts whose pairs are removed from training, so that their classes are zero-shot."""

import numpy as np
from jaxtyping import Bool

from cliptail_jax.concepts.class_lists import LEMMAS, PHRASES, Concept, concepts_by_name
from cliptail_jax.concepts.counter import ConceptCounter, concepts_by_phrase
from cliptail_jax.config.training import ClassMatch, Removed
from cliptail_jax.curation.rows import Rows
from cliptail_jax.host.errors import UserError, did_you_mean


def rows_of_concepts(rows: Rows, section: Removed, match: ClassMatch) -> Bool[np.ndarray, " row"]:
    """Whether each row is of one of the removed classes, or its text has a phrase that names one.

    Rows without text are judged by their labels. The phrases are those of `match.classes` or, without one, the names of the
    classes; `match.rule` 'lemmas' also finds other forms of their words, and other rules find them as written.

    Raises:
        UserError: A class is unknown, or words are looked for in rows without text.
    """
    for name in section.classes:
        if name not in rows.class_names:
            hint = did_you_mean(name, rows.class_names)
            raise UserError(f"data.removed.classes has '{name}', which is not a class of the source{hint}")
    is_removed = np.isin(rows.labels, [rows.class_names.index(name) for name in section.classes])
    if rows.words is None:
        if section.words:
            raise UserError("data.removed.words looks for words in data.captions.words: name the text fields to search")
        return is_removed
    rule = LEMMAS if match.rule == LEMMAS else PHRASES
    concepts = concepts_by_name(match.classes, rule)
    phrases = concepts_by_phrase([concepts.get(name, Concept(name)) for name in section.classes])
    if section.words:
        phrases = dict.fromkeys(word for phrase in phrases for word in phrase.split())
    captions, _ = ConceptCounter([*map(Concept, phrases)], rule).matches(rows.words)
    is_removed[captions] = True
    return is_removed
