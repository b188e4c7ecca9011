"""The rule of concept counting taken at its word: each caption word by word, each concept in turn. Slow and plain.

scripts/benchmark/concepts.py times it beside `ConceptCounter`, and the tests compare the two.
"""

import string
from collections.abc import Iterable, Iterator, Sequence

import nltk
from nltk.stem import WordNetLemmatizer
from nltk.tokenize import TreebankWordTokenizer

from cliptail_jax.concepts.class_lists import Concept
from cliptail_jax.concepts.wordnet import cache_folder

nltk.data.path.append(str(cache_folder()))  # see scripts/wordnet.sh
NLTK = nltk.corpus.wordnet
TOKENIZER, LEMMATIZER = TreebankWordTokenizer(), WordNetLemmatizer()
LETTERS_AND_SPACE = set(string.ascii_lowercase + " ")


def lemmas(text: str | None) -> set[str]:
    clean_text = "".join(c if c in LETTERS_AND_SPACE else " " for c in (text or "").lower())
    return {LEMMATIZER.lemmatize(word) for word in TOKENIZER.tokenize(clean_text)}


def phrases(concept: Concept) -> list[set[str]]:
    texts = concept.synonyms
    if not texts:
        texts = [part for option in outside_parentheses(concept.name).split(" or ") for part in option.split(" / ")]
    return [words for text in texts if (words := lemmas(outside_parentheses(text)))]


def outside_parentheses(text: str) -> str:
    result, depth = "", 0
    for character in text:
        depth += character == "("
        result += " " if depth else character
        depth -= character == ")"
    return result


def carried(concepts: Sequence[Concept], captions: Iterable[str | None]) -> Iterator[list[int]]:
    """The numbers of the concepts that each caption carries."""
    concept_lemmas = [(phrases(concept), lemmas(" ".join(concept.exclude))) for concept in concepts]
    for caption in captions:
        words = lemmas(caption)
        yield [
            number
            for number, (any_of, none_of) in enumerate(concept_lemmas)
            if any(phrase <= words for phrase in any_of) and not none_of & words
        ]
