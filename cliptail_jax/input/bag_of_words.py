"""The words of captions as labels, with their weights."""

import collections
import json
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from etils import epath
from jaxtyping import Float32, Int, Int32

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, write_text
from cliptail_jax.input.tokenizer import Tokenizer, train_tokenizer, words

FILE, TOKENIZER = "words.json", "tokenizer.json"
PADDING = -1  # follows the ids of a text
Chunks = Iterable[Sequence[str]]  # captions


class BagOfWords:
    """Maps texts to the ids of their distinct words, or subwords with a tokenizer.

    Only the first `context_length` words of a text, or tokens of the tokenizer's context, are read. Words outside the
    vocabulary are left out.

    Attributes:
        counts: the number of the run's captions with each word.
        captions: the number of captions.
        idf: whether words are weighted by inverse document frequency.
    """

    def __init__(
        self,
        vocabulary: Sequence[str] | Tokenizer,
        counts: Int[np.ndarray, " word"],
        captions: int,
        idf: bool,
        context_length: int,
    ):
        self._vocabulary, self._context_length = vocabulary, context_length
        self.counts, self.captions, self.idf = np.asarray(counts), captions, idf
        self._ids = make_ids(vocabulary, context_length)

    def __len__(self) -> int:
        """The size of the vocabulary."""
        return len(self.counts)

    def __call__(self, texts: Sequence[str]) -> Int32[np.ndarray, "text context"]:
        """The ids of each text's distinct words, in ascending order; then -1."""
        rows = np.full((len(texts), self._context_length), PADDING, np.int32)
        for row, text in zip(rows, texts):
            ids = self._ids(text)
            row[: len(ids)] = ids
        return rows

    @property
    def weights(self) -> Float32[np.ndarray, " word"]:
        """log(N / n_c) for a word in n_c of the N captions, or 1 without `idf`; 0 for words of no caption."""
        weights = np.log(self.captions / np.maximum(self.counts, 1)) if self.idf else np.ones(len(self))
        return np.where(self.counts, weights, 0.0).astype(np.float32)

    def targets(self, texts: Sequence[str]) -> Float32[np.ndarray, "text word"]:
        """w_c y_c / Σ w y, where y_c is 1 if the text has word c; all 0 for a text without any word of positive weight."""
        has_word = np.zeros((len(texts), len(self) + 1), np.float32)
        np.put_along_axis(has_word, self(texts), 1.0, axis=1)  # -1, for none, is the last column
        word_weights = self.weights * has_word[:, :-1]
        sums = word_weights.sum(1, keepdims=True)
        return np.divide(word_weights, sums, out=np.zeros_like(word_weights), where=sums > 0)

    def __reduce__(self):
        return BagOfWords, (self._vocabulary, self.counts, self.captions, self.idf, self._context_length)

    def save(self, workdir: epath.PathLike) -> None:
        """Writes words.json and, for subwords, tokenizer.json, for `load`."""
        has_words = not isinstance(self._vocabulary, Tokenizer)
        if not has_words:
            self._vocabulary.save(epath.Path(workdir) / TOKENIZER)
        content = {"words": list(self._vocabulary) if has_words else None, "counts": self.counts.tolist()}
        content |= {"captions": self.captions, "idf": self.idf, "context_length": self._context_length}
        write_text(epath.Path(workdir) / FILE, json.dumps(content, ensure_ascii=False))

    @classmethod
    def load(cls, workdir: epath.PathLike) -> "BagOfWords":
        """Loads the files of `save`. Raises UserError if they are missing or damaged."""
        path = epath.Path(workdir) / FILE
        content = read_json(path)
        if content is None:
            raise UserError(f"no words at {path}: they are saved when the run that owns them starts")
        try:
            names, counts = content["words"], np.array(content["counts"], np.int64)
            settings = int(content["captions"]), bool(content["idf"]), int(content["context_length"])
            vocabulary = Tokenizer.load(epath.Path(workdir) / TOKENIZER) if names is None else tuple(map(str, names))
            size = vocabulary.vocab_size if names is None else len(vocabulary)
            if counts.shape != (size,):
                raise ValueError(f"{size} words, but counts of shape {counts.shape}")
        except (KeyError, TypeError, ValueError, OverflowError) as error:
            raise UserError(f"{path} is not a saved bag of words ({error!r}): restore it from a copy") from None
        return cls(vocabulary, counts, *settings)


def make_ids(vocabulary: Sequence[str] | Tokenizer, context_length: int):
    """The function from a text to the ids of its distinct words."""

    def token_ids(text: str) -> Int[np.ndarray, " distinct"]:
        (row,) = vocabulary([text])
        return np.unique(row[1 : row.argmax()])  # between start and end, the highest id

    def word_ids(text: str) -> Int[np.ndarray, " distinct"]:
        return np.unique([id_of[word] for word in words(text)[:context_length] if word in id_of]).astype(np.int64)

    if not isinstance(vocabulary, Tokenizer):
        id_of = {word: id_ for id_, word in enumerate(vocabulary)}
    # Captions from templates are few and repeat in every batch.
    return lru_cache(maxsize=1 << 16)(token_ids if isinstance(vocabulary, Tokenizer) else word_ids)


def count_words(chunks: Chunks, size: int, idf: bool, context_length: int) -> BagOfWords:
    """The bag of the `size` words that occur in most captions; ties are broken alphabetically."""
    counts: collections.Counter[str] = collections.Counter()
    captions = 0
    for chunk in chunks:
        captions += len(chunk)
        for caption in chunk:
            counts.update(set(words(caption)[:context_length]))
    vocabulary = sorted(counts, key=lambda word: (-counts[word], word))[:size]
    return BagOfWords(tuple(vocabulary), np.array([counts[word] for word in vocabulary]), captions, idf, context_length)


def count_subwords(chunks: Chunks, size: int, idf: bool, context_length: int) -> BagOfWords:
    """The bag of the `size` subwords of a tokenizer that is trained on the captions."""
    chunks = list(chunks)
    tokenizer = train_tokenizer((caption for chunk in chunks for caption in chunk), size, context_length)
    ids_of = make_ids(tokenizer, context_length)
    counts, captions = np.zeros(tokenizer.vocab_size, np.int64), sum(map(len, chunks))
    for chunk in chunks:
        for caption in chunk:
            counts[ids_of(caption)] += 1
    return BagOfWords(tokenizer, counts, captions, idf, context_length)
