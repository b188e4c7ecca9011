"""The paper's rule, which turns a caption or a concept's phrase into a set of lemmas.

Text is lower-cased, every character outside a–z and space becomes a space, it is split into Treebank words, and each
word is lemmatized as a noun with WordNet. `lemmas_of` does this for one text; `forms_of` inverts the lemmatization.
"""

import functools
import re

from cliptail_jax.concepts.class_lists import Concept
from cliptail_jax.concepts.wordnet import ENDINGS, lemmas_of_noun, wordnet

# The words of a–z that NLTK's Treebank tokenizers split.
CONTRACTIONS = {
    "cannot": ("can", "not"),
    "gimme": ("gim", "me"),
    "gonna": ("gon", "na"),
    "gotta": ("got", "ta"),
    "lemme": ("lem", "me"),
    "wanna": ("wan", "na"),
}


def cleaned_words(text: str) -> list[str]:
    """The Treebank words of a text, in order, before lemmatization."""
    words = re.sub("[^a-z]", " ", text.lower()).split()
    return [part for word in words for part in CONTRACTIONS.get(word, (word,))]


def lemmas_of(text: str) -> frozenset[str]:
    return frozenset(map(lemma, cleaned_words(text)))


@functools.cache
def lemma(word: str) -> str:
    """The shortest noun lemma that WordNet has for the word, else the word itself, as NLTK's `WordNetLemmatizer`.

    Raises:
        UserError: WordNet is missing.
    """
    return min(lemmas_of_noun(word), key=len, default=word)


def phrases_of(concept: Concept) -> frozenset[frozenset[str]]:
    """The lemmas of each phrase of a concept, if it contains a word.

    The phrases are the concept's synonyms, else its name split at " or " and " / ". Parts in parentheses are ignored.
    """
    texts = concept.synonyms or re.split(" or | / ", without_parentheses(concept.name))
    return frozenset(lemmas_of(without_parentheses(text)) for text in texts) - {frozenset()}


def without_parentheses(text: str) -> str:
    changes = 1
    while changes:  # the innermost parentheses first
        text, changes = re.subn(r"\([^()]*\)", " ", text)
    return text


def excluded_by(concept: Concept) -> frozenset[str]:
    """The lemmas that must not occur in a caption that names the concept."""
    return frozenset().union(*map(lemmas_of, concept.exclude))


def forms_of(word: str) -> set[str]:
    """All words of a–z whose lemma is `word`.

    A lemma is the word itself, an entry of WordNet's list of exceptions, or the word with another ending. This function
    inverts each of these rules and drops candidates with another lemma, so that the words of a corpus need not be
    lemmatized.
    """
    variants = {word[: len(word) - len(new)] + old for old, new in ENDINGS if word.endswith(new)}
    candidates = {word} | variants | irregular_forms().get(word, set())
    return {form for form in candidates - CONTRACTIONS.keys() if re.fullmatch("[a-z]+", form) and lemma(form) == word}


@functools.cache
def irregular_forms() -> dict[str, set[str]]:
    """WordNet's list of exceptions for nouns, as lemma -> forms."""
    forms: dict[str, set[str]] = {}
    for form, lemmas in wordnet().exceptions.items():
        for word in lemmas:
            forms.setdefault(word, set()).add(form)
    return forms


@functools.cache
def changed_words() -> dict[str, str]:
    """Every word of a–z that differs from its lemma, with that lemma; without contractions."""
    return {form: noun for noun in sorted(wordnet().lemmas) for form in forms_of(noun) if form != noun}
