"""CLIP's byte-pair encoding of texts, with CLIP's merges or with merges trained on a variant's captions.

The recipe is that of Radford et al. (2021), arXiv 2103.00020: text is cleaned and lower-cased, split into words,
written as bytes, and merged within each word. The vocabulary consists of the 256 bytes, the 256 bytes at the end of a
word, an entry per merge, and the start and end tokens. The end token has the highest id, by which a text tower finds
it.
"""

import gzip
import html
import json
import math
import os
import zlib
from collections.abc import Iterable, Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
import regex
import tokenizers
from etils import epath
from jaxtyping import Int32
from tokenizers import pre_tokenizers
from tokenizers.models import BPE
from tokenizers.pre_tokenizers import ByteLevel
from tokenizers.processors import TemplateProcessing
from tokenizers.trainers import BpeTrainer

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, write_text

# The threads of `tokenizers` would compete with the input's worker processes, and it warns at every fork.
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

START, END = "<start_of_text>", "<end_of_text>"
END_OF_WORD = "</w>"
CLIP_MERGES = 49152 - 256 - 2

_SORTED_BYTES = sorted(ByteLevel.alphabet())
BYTE_SYMBOLS = [*_SORTED_BYTES, *(symbol + END_OF_WORD for symbol in _SORTED_BYTES)]
SMALLEST_VOCABULARY = len(BYTE_SYMBOLS) + len([START, END])

# A word is a special token, an English contraction, letters, one digit, or anything else but white space.
_WORD = regex.compile(
    rf"{START}|{END}|'s|'t|'re|'ve|'m|'ll|'d|[\p{{L}}]+|[\p{{N}}]|[^\s\p{{L}}\p{{N}}]+", regex.IGNORECASE
)


class Tokenizer:
    """Byte-pair encoding with CLIP's vocabulary layout. It pickles as its merges, for spawned workers.

    Attributes:
        vocab_size: the model's number of tokens; by default the number of symbols. The start and end tokens are the last.

    Raises:
        UserError: The context has no room for the start and end tokens.
    """

    pad_id = 0  # as a `HuggingFaceTokenizer` has it

    def __init__(self, merges: Sequence[Sequence[str]], context_length: int, vocab_size: int | None = None):
        if context_length < 2:
            raise UserError(f"context_length is {context_length}; the start and end tokens alone need 2")
        self.context_length = context_length
        self._merges = [tuple(merge) for merge in merges]
        # Two merges may make the same symbol, which has one id.
        symbols = dict.fromkeys([*BYTE_SYMBOLS, *("".join(merge) for merge in self._merges), START, END])
        ids = {symbol: id_ for id_, symbol in enumerate(symbols)}
        self.vocab_size = vocab_size or len(ids)
        self.start_id, self.end_id = ids[START], ids[END]
        self._encoder = tokenizers.Tokenizer(BPE(ids, self._merges, end_of_word_suffix=END_OF_WORD))
        self._encoder.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
        marks = [tokenizers.AddedToken(mark, normalized=False, special=True) for mark in (START, END)]
        self._encoder.add_special_tokens(marks)
        # Captions from templates are few and repeat in every batch.
        self._cached_row = lru_cache(maxsize=1 << 16)(self._row)

    def __call__(self, texts: Sequence[str]) -> Int32[np.ndarray, "batch context"]:
        """The ids of texts: start token, text, end token, then zeros. A text that is too long is truncated."""
        ids = np.empty((len(texts), self.context_length), np.int32)
        for row, text in zip(ids, texts):
            row[:] = self._cached_row(text)
        return ids

    def _row(self, text: str) -> Int32[np.ndarray, " context"]:
        encoding = self._encoder.encode(words(text), is_pretokenized=True, add_special_tokens=False)
        ids = [self.start_id, *encoding.ids[: self.context_length - 2], self.end_id]
        row = np.zeros(self.context_length, np.int32)
        row[: len(ids)] = ids
        return row

    def __reduce__(self):
        return Tokenizer, (self._merges, self.context_length, self.vocab_size)

    def vocabulary(self) -> dict[str, int]:
        """All symbols with their ids."""
        return self._encoder.get_vocab()

    def to_json(self) -> str:
        """The content of Hugging Face's tokenizer.json, which gives the same ids for repaired, lower-case text."""
        standalone = tokenizers.Tokenizer.from_str(self._encoder.to_str())
        words = pre_tokenizers.Split(tokenizers.Regex("(?i)" + _WORD.pattern), "removed", invert=True)
        standalone.pre_tokenizer = pre_tokenizers.Sequence([words, self._encoder.pre_tokenizer])
        marks = [(START, self.start_id), (END, self.end_id)]
        standalone.post_processor = TemplateProcessing(single=[START, "$A", END], special_tokens=marks)
        return standalone.to_str(pretty=True)

    def save(self, path: str | os.PathLike) -> None:
        """Writes the merges and the sizes as JSON, for `load`."""
        content = {"context_length": self.context_length, "vocab_size": self.vocab_size, "merges": self._merges}
        write_text(epath.Path(path), json.dumps(content, ensure_ascii=False))

    @classmethod
    def load(cls, path: str | os.PathLike) -> "Tokenizer":
        """Loads a file of `save`. Raises UserError if it is missing or damaged."""
        content = read_json(epath.Path(path))
        if content is None:
            raise UserError(f"no tokenizer at {path}: it is saved when the run that owns it starts")
        try:
            return cls(content["merges"], content["context_length"], content.get("vocab_size"))
        except Exception as error:  # `tokenizers` raises Exception itself, and what is wrong may be of any type
            raise UserError(f"{path} is not a saved tokenizer ({error!r}): restore it from a copy") from None


def load_clip_tokenizer(merges_path: str | os.PathLike, context_length: int = 77) -> Tokenizer:
    """Loads CLIP's own tokenizer from its `bpe_simple_vocab_16e6.txt`, plain or gzipped.

    The first line is a header; CLIP uses the 48,894 merges after it and ignores the rest. The ids equal those of OpenAI's
    and open_clip's tokenizers.

    Raises:
        UserError: The file is missing or is not a list of merges.
    """
    path = Path(merges_path)
    if not path.is_file():
        raise UserError(f"no tokenizer merges at {path}: give the path of CLIP's bpe_simple_vocab_16e6.txt or .txt.gz")
    try:
        with (gzip.open if path.suffix == ".gz" else open)(path, "rt", encoding="utf-8") as lines:
            merges = [tuple(line.split()) for line in list(lines)[1 : CLIP_MERGES + 1]]
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UserError(f"cannot read tokenizer merges from {path} ({error}): fetch the file again") from None
    if not merges or any(len(merge) != 2 for merge in merges):
        raise UserError(f"{path} is not a list of merges: expected a header, then two symbols a line, as CLIP's has")
    return Tokenizer(merges, context_length)


def train_tokenizer(captions: Iterable[str], vocab_size: int, context_length: int, multiple: int = 1) -> Tokenizer:
    """Trains a tokenizer on captions; the result is the same in every process.

    Args:
        vocab_size: the number of bytes, merges, and start and end tokens; captions with little text give fewer.
        multiple: if there are fewer, tokens that no text has make their number a multiple of this.

    Raises:
        UserError: `vocab_size` is below 514, the number without merges.
    """
    if vocab_size < SMALLEST_VOCABULARY:
        raise UserError(f"a tokenizer's vocab_size is {vocab_size}; it must be {SMALLEST_VOCABULARY} or more")
    # With all byte symbols given in order, ties between merges are broken in one way; otherwise the trainer numbers the
    # symbols in an order that differs between processes.
    trainer = BpeTrainer(
        vocab_size=vocab_size - len([START, END]),
        special_tokens=BYTE_SYMBOLS,
        initial_alphabet=[],
        end_of_word_suffix=END_OF_WORD,
        show_progress=False,
    )
    learner = tokenizers.Tokenizer(BPE())
    learner.pre_tokenizer = ByteLevel(add_prefix_space=False, use_regex=False)
    learner.train_from_iterator((word for caption in captions for word in words(caption)), trainer)
    tokenizer = Tokenizer(json.loads(learner.to_str())["model"]["merges"], context_length)
    tokenizer.vocab_size = min(vocab_size, math.ceil(tokenizer.vocab_size / multiple) * multiple)
    return tokenizer


def words(text: str) -> list[str]:
    """The cleaned words of a text, before they are split into tokens."""
    return _WORD.findall(clean(text))


def clean(text: str) -> str:
    """The text repaired and in lower case, as in CLIP."""
    return mend(text).lower()


def mend(text: str) -> str:
    """The text with broken Unicode and HTML entities repaired and white space collapsed, as in open_clip."""
    import ftfy  # slow to import

    text = html.unescape(html.unescape(ftfy.fix_text(text)))
    return " ".join(text.split())
