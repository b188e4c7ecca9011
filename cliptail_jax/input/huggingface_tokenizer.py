"""Tokenizers that come with published weights as Hugging Face's tokenizer.json."""

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Int32

from cliptail_jax.errors import UserError
from cliptail_jax.input.tokenizer import END, END_OF_WORD, START, Tokenizer, clean, mend

PADS = ("<pad>", "[PAD]")
SEPARATORS = ("</s>", "[SEP]")
CLIP_MARKS = ("<|startoftext|>", "<|endoftext|>")  # as Hugging Face writes CLIP's two


def canonicalize(text: str) -> str:
    """`text` mended, in lower case, without punctuation; underscores are spaces (big_vision's and open_clip's rule)."""
    without = mend(text).replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return " ".join(without.lower().split())


def marked(content: Mapping[str, Any], start: str, end: str = SEPARATORS[0]) -> dict[str, Any]:
    """A tokenizer.json that puts the token `start` before each text and `end` after it, whatever it put around texts."""
    ids = content["model"]["vocab"] if isinstance(content["model"]["vocab"], dict) else {}
    ids = ids | {token["content"]: token["id"] for token in content["added_tokens"]}
    mark = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}  # noqa: E731
    single = [mark(start), {"Sequence": {"id": "A", "type_id": 0}}, mark(end)]
    special = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (start, end)}
    template = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special}
    return {**content, "post_processor": template}


CLEANERS = {"whitespace": mend, "lower": clean, "canonicalize": canonicalize}


class HuggingFaceTokenizer:
    """A tokenizer.json with open_clip's cleaning, cutting and padding in front and behind. Pickles.

    `strip_separator` writes 0 for the token that ends a text (CLIPA). `pad_id` and `end_id` are the ids of the token that pads
    texts and of the one that ends them, None if there is none.
    """

    def __init__(
        self, definition: str, context_length: int, cleaner: str = "whitespace", strip_separator: bool = False
    ):
        self.context_length = context_length
        self._arguments = definition, context_length, cleaner, strip_separator
        self._encoder = tokenizers.Tokenizer.from_str(definition)
        self.vocab_size = self._encoder.get_vocab_size()
        self._clean = CLEANERS[cleaner]
        self._separator = self._first_id(SEPARATORS) if strip_separator else None
        self.pad_id = self._first_id(PADS)
        self.end_id = next(filter(None, map(self._encoder.token_to_id, SEPARATORS)), None)
        self._encoder.enable_truncation(context_length)
        pad_token = self._encoder.id_to_token(self.pad_id)
        self._encoder.enable_padding(length=context_length, pad_id=self.pad_id, pad_token=pad_token)

    def __call__(self, texts: Sequence[str]) -> Int32[np.ndarray, "batch context"]:
        """Ids of `texts`: what the tokenizer puts around a text, cut to the context, then padding."""
        encodings = self._encoder.encode_batch([self._clean(text) for text in texts])
        ids = np.array([encoding.ids for encoding in encodings], np.int32).reshape(len(texts), self.context_length)
        return ids if self._separator is None else np.where(ids == self._separator, 0, ids).astype(np.int32)

    def to_json(self) -> str:
        """The definition that this was made from."""
        return self._arguments[0]

    def _first_id(self, tokens: Sequence[str]) -> int:
        ids = [id_ for id_ in map(self._encoder.token_to_id, tokens) if id_ is not None]
        if not ids:
            raise UserError(f"the tokenizer has none of the tokens {', '.join(tokens)}")
        return ids[0]

    def __reduce__(self):
        return HuggingFaceTokenizer, self._arguments


def load_tokenizer(path: Path, text_config: Mapping[str, Any]) -> Tokenizer | HuggingFaceTokenizer:
    """The tokenizer in `path` as a model with `text_cfg` uses it.

    A vocabulary laid out as CLIP's gives CLIP's tokenizer with the merges of the file. With a `start_token`, texts begin with
    it and end with </s>. Raises UserError where the file is
    no tokenizer.json, or has more ids than the model.
    """
    context_length = text_config.get("context_length", 77)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["model"].get("end_of_word_suffix") == END_OF_WORD:
            tokenizer = clip_tokenizer(content, path, context_length)
        else:
            options = text_config.get("tokenizer_kwargs") or {}
            if unknown := options.keys() - {"clean", "strip_sep_token"}:
                raise UserError(
                    f"the model's configuration has text_cfg.tokenizer_kwargs.{min(unknown)}: not supported"
                )
            if start := text_config.get("start_token"):
                content = marked(content, start)
            cleaner, strip_separator = options.get("clean", "whitespace"), options.get("strip_sep_token", False)
            tokenizer = HuggingFaceTokenizer(json.dumps(content), context_length, cleaner, strip_separator)
    except UserError:
        raise
    except Exception as error:  # the library raises bare exceptions
        raise UserError(f"{path} is no tokenizer.json ({error!r}): fetch it again") from None
    size = text_config.get("vocab_size")
    if size is not None and tokenizer.vocab_size > size:
        raise UserError(f"{path} has {tokenizer.vocab_size} tokens, but the model's vocabulary has {size}")
    return tokenizer


def clip_tokenizer(content: Mapping[str, Any], path: Path, context_length: int) -> Tokenizer:
    """CLIP's tokenizer with the merges of a tokenizer.json. Raises UserError where its ids are laid out otherwise."""
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in content["model"]["merges"]]
    tokenizer = Tokenizer([tuple(pair) for pair in pairs], context_length)
    vocabulary = content["model"]["vocab"] | {
        token["content"]: token["id"] for token in content.get("added_tokens", ())
    }
    for theirs, ours in zip(CLIP_MARKS, (START, END)):
        if theirs in vocabulary:
            vocabulary[ours] = vocabulary.pop(theirs)
    if vocabulary != tokenizer.vocabulary():
        raise UserError(f"{path} numbers its tokens otherwise than CLIP's tokenizer does")
    return tokenizer
