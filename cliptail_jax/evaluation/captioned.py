"""Class frequency of evaluation sets, counted in a run's own captions."""

import contextlib
from collections.abc import Callable
from pathlib import Path

import msgspec
import numpy as np
from jaxtyping import Int

from cliptail_jax.concepts.class_lists import LEMMAS, PHRASES, Concept, concepts_by_name
from cliptail_jax.concepts.counter import ConceptCounter
from cliptail_jax.concepts.tally import count_chunks, in_order, naming_note
from cliptail_jax.concepts.wordnet import WordNetError
from cliptail_jax.evaluation.results import COUNTED
from cliptail_jax.evaluation.retrieval import TrainingCaptions
from cliptail_jax.evaluation.sets import OpenedSet
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of_json
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.evaluations import evaluation_directory, last_evaluation
from cliptail_jax.runs.files import FREQUENCY


def caption_frequency(
    eval_set: OpenedSet, workdir: Path, rule: str, captions: Callable[[], TrainingCaptions]
) -> tuple[Int[np.ndarray, " class"] | None, str]:
    """The number of a run's captions that name each class of a set, and the digest of the counted phrases.

    They are counted once. Without WordNet, which the rule 'lemmas' needs, the rule is 'phrases', and a note gives the reason.
    If that needs WordNet, too, or the training data are missing, the numbers are None, and a note gives the reason.

    Args:
        workdir: the run's directory, where the class frequency is kept in eval/<set>/.
        rule: how captions name classes: `data.class_match.rule`.
        captions: gives the run's captions of the first epoch, in chunks.
    """
    try:
        try:
            return count_by(rule, eval_set, workdir, captions)
        except WordNetError as error:
            if rule != LEMMAS:
                raise
            result = count_by(PHRASES, eval_set, workdir, captions)
            log_line(
                f"note: the classes of {eval_set.name} are counted by the rule '{PHRASES}', as they are written, in place of "
                f"'{LEMMAS}' ({error})"
            )
            return result
    except UserError as error:
        log_line(f"note: the classes of {eval_set.name} are not counted in the captions ({error})")
        return None, ""


def count_by(
    rule: str, eval_set: OpenedSet, workdir: Path, captions: Callable[[], TrainingCaptions]
) -> tuple[Int[np.ndarray, " class"], str]:
    """Like `caption_frequency`, with this rule alone. Raises UserError if the training data or WordNet are missing."""
    concepts = class_concepts(eval_set, rule)
    digest = digest_of_json([rule, *map(msgspec.structs.asdict, concepts)])[:16]
    folder, last = evaluation_directory(workdir, eval_set.name), last_evaluation(workdir, eval_set.name)
    if last and last.get("settings", {}).get(COUNTED) == digest and (folder / FREQUENCY).exists():
        with contextlib.suppress(UserError):  # the table has other classes: count again
            return frequency_of(eval_set.variant.class_names, folder / FREQUENCY), digest
    tally = count_chunks(ConceptCounter(concepts, rule), captions())
    log_line(
        f"classes of {eval_set.name}: {naming_note(tally.single_matches, tally.multiple_matches, tally.captions, len(concepts))}"
    )
    return in_order(tally.counts, eval_set.variant.class_names)["count"].to_numpy(), digest


def class_concepts(eval_set: OpenedSet, rule: str) -> list[Concept]:
    """A set's classes with the phrases that name them: those of its class list, or else their names in prompts.

    Raises UserError if WordNet is missing.
    """
    concept_of, concepts = concepts_by_name(eval_set.class_list, rule), []
    for name, prompt_name in zip(eval_set.variant.class_names, eval_set.prompt_names):
        concept = concept_of.get(prompt_name) or concept_of.get(name) or Concept(prompt_name)
        concepts.append(msgspec.structs.replace(concept, name=name, synonyms=concept.synonyms or (concept.name,)))
    return concepts
