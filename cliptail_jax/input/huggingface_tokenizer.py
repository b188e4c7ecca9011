"""Tokenizers that come with published weights as Hugging Face's tokenizer.json.

tokenizer_config.json beside it gives the padding token and side. SigLIP's tower attends to padding, so it needs the
right token: the end token, although the vocabulary also has a `<pad>`.
"""

import json
import string
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from jaxtyping import Int32

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.input.tokenizer import END, END_OF_WORD, START, Tokenizer, clean, mend

SETTINGS = "tokenizer_config.json"
PADS = ("<pad>", "[PAD]")  # where no file names the token
SEPARATORS = ("</s>", "[SEP]")
CLIP_MARKS = ("<|startoftext|>", "<|endoftext|>")  # CLIP's marks in Hugging Face's files


def canonicalize(text: str) -> str:
    """`text` mended, in lower case, without punctuation; underscores are spaces (big_vision's and open_clip's rule)."""
    words = mend(text).replace("_", " ").translate(str.maketrans("", "", string.punctuation))
    return " ".join(words.lower().split())


def marked(content: Mapping[str, Any], start: str) -> dict[str, Any]:
    """A tokenizer.json whose post-processor puts the token `start` before each text and a separator after it."""
    ids, end = token_ids(content), SEPARATORS[0]
    mark = lambda token: {"SpecialToken": {"id": token, "type_id": 0}}  # noqa: E731
    single = [mark(start), {"Sequence": {"id": "A", "type_id": 0}}, mark(end)]
    special = {token: {"id": token, "ids": [ids[token]], "tokens": [token]} for token in (start, end)}
    template = {"type": "TemplateProcessing", "single": single, "pair": single, "special_tokens": special}
    return {**content, "post_processor": template}


CLEANERS = {"whitespace": mend, "lower": clean, "canonicalize": canonicalize}


class HuggingFaceTokenizer:
    """A tokenizer.json with open_clip's cleaning, truncation and padding. It pickles.

    `strip_separator` writes 0 for the token that ends a text (CLIPA). `vocab_size` is the model's number of tokens; the
    definition may have more. `pad_id` and `end_id` are the ids of the tokens that pad and end texts, None if there is
    none.
    """

    def __init__(
        self,
        definition: str,
        context_length: int,
        cleaner: str = "whitespace",
        strip_separator: bool = False,
        vocab_size: int | None = None,
    ):
        self.context_length = context_length
        self._arguments = definition, context_length, cleaner, strip_separator, vocab_size
        self._encoder = tokenizers.Tokenizer.from_str(definition)
        self.vocab_size = vocab_size or self._encoder.get_vocab_size()
        self._clean = CLEANERS[cleaner]
        self._separator = self._first_id(SEPARATORS) if strip_separator else None
        padding = self._encoder.padding or {}
        self.pad_id = self._first_id([padding["pad_token"]] if padding else PADS)
        self._encoder.no_padding()
        self.end_id = next(reversed(self._encoder.encode("").ids), None)
        self._encoder.enable_truncation(context_length)
        self._encoder.enable_padding(
            length=context_length,
            pad_id=self.pad_id,
            pad_token=self._encoder.id_to_token(self.pad_id),
            direction=padding.get("direction", "right"),
        )

    def __call__(self, texts: Sequence[str]) -> Int32[np.ndarray, "batch context"]:
        """The ids of `texts` with the tokenizer's own marks, truncated to the context and padded.

        Raises UserError if a text has a token that the model lacks.
        """
        encodings = self._encoder.encode_batch([self._clean(text) for text in texts])
        ids = np.array([encoding.ids for encoding in encodings], np.int32).reshape(len(texts), self.context_length)
        for row in np.flatnonzero((ids >= self.vocab_size).any(1))[:1]:
            token = self._encoder.id_to_token(int(ids[row].max()))
            raise UserError(
                f"the text {texts[row]!r} has the token '{token}', which the model does not have: remove it"
            )
        return ids if self._separator is None else np.where(ids == self._separator, 0, ids).astype(np.int32)

    def to_json(self) -> str:
        """The definition from which this was made."""
        return self._arguments[0]

    def settings(self) -> dict[str, str]:
        """The tokenizer_config.json with which transformers, and so open_clip, give the same ids."""
        padding = self._encoder.padding
        settings = {"pad_token": padding["pad_token"], "padding_side": padding["direction"]}
        if self._separator is not None:
            settings["sep_token"] = self._encoder.id_to_token(self._separator)
        return settings

    def _first_id(self, tokens: Sequence[str]) -> int:
        ids = [id_ for id_ in map(self._encoder.token_to_id, tokens) if id_ is not None]
        if not ids:
            raise UserError(f"the tokenizer has none of the tokens {', '.join(tokens)}")
        return ids[0]

    def __reduce__(self):
        return HuggingFaceTokenizer, self._arguments


def load_tokenizer(path: Path, text_config: Mapping[str, Any]) -> Tokenizer | HuggingFaceTokenizer:
    """Loads the tokenizer in `path` for a model with this `text_cfg`.

    A vocabulary in CLIP's layout gives CLIP's tokenizer with the merges of the file. With a `start_token`, texts begin with
    it and end with </s>. Raises UserError if the file is not a tokenizer.json, or has more ids than the model.
    """
    context_length = text_config.get("context_length", 77)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["model"].get("end_of_word_suffix") == END_OF_WORD:
            tokenizer = clip_tokenizer(content, path, context_length)
            tokens = tokenizer.vocab_size
        else:
            options = text_config.get("tokenizer_kwargs") or {}
            if unknown_keys := options.keys() - {"clean", "strip_sep_token"}:
                raise UserError(
                    f"the model's configuration has text_cfg.tokenizer_kwargs.{min(unknown_keys)}: not supported"
                )
            if start := text_config.get("start_token"):
                content = marked(content, start)
            cleaner, strip_separator = options.get("clean", "whitespace"), options.get("strip_sep_token", False)
            content = configured(content, read_json(path.with_name(SETTINGS)) or {})
            # The features of open_clip's own transformers may depend on what follows a text.
            sees_padding = text_config.get("no_causal_mask") or text_config.get("pool_type") == "last"
            if not content.get("padding") and sees_padding and not text_config.get("hf_model_name"):
                raise UserError(f"{path} does not name the token that pads texts: put its {SETTINGS} beside it")
            options = cleaner, strip_separator, text_config.get("vocab_size")
            tokenizer = HuggingFaceTokenizer(json.dumps(content), context_length, *options)
            added_tokens = {
                token["content"] for token in content.get("added_tokens") or ()
            }  # such as T5's `<extra_id_0>`
            tokens = 1 + max(id_ for token, id_ in token_ids(content).items() if token not in added_tokens)
    except UserError:
        raise
    except Exception as error:  # the library raises bare exceptions
        raise UserError(f"{path} is not a tokenizer.json ({error!r}): fetch it again") from None
    size = text_config.get("vocab_size")
    if size is not None and tokens > size:
        raise UserError(f"{path} has {tokens} tokens, but the model's vocabulary has {size}")
    return tokenizer


def configured(content: dict[str, Any], settings: Mapping[str, Any]) -> dict[str, Any]:
    """Adds the padding of the `settings` in tokenizer_config.json, if they have any, to a tokenizer.json.

    Raises UserError if it lacks the padding token.
    """
    pad = settings.get("pad_token")
    pad = pad["content"] if isinstance(pad, dict) else pad
    if pad:
        if (id_ := token_ids(content).get(pad)) is None:
            raise UserError(f"{SETTINGS} has pad_token='{pad}', which is not in the tokenizer.json beside it")
        is_gemma = str(settings.get("tokenizer_class")).startswith("Gemma")
        side = settings.get("padding_side") or ("left" if is_gemma else "right")  # transformers' defaults
        padding = {"strategy": "BatchLongest", "pad_to_multiple_of": None, "pad_type_id": 0}
        content["padding"] = padding | {"pad_id": id_, "pad_token": pad, "direction": side.capitalize()}
    return content


def token_ids(content: Mapping[str, Any]) -> dict[str, int]:
    """The id of each token of a tokenizer.json."""
    vocabulary = content["model"]["vocab"]  # of a unigram model, a list of tokens and their scores
    ids = vocabulary if isinstance(vocabulary, dict) else {token: id_ for id_, (token, _) in enumerate(vocabulary)}
    return ids | {token["content"]: token["id"] for token in content.get("added_tokens") or ()}


def clip_tokenizer(content: Mapping[str, Any], path: Path, context_length: int) -> Tokenizer:
    """CLIP's tokenizer with the merges of a tokenizer.json. Raises UserError if its ids have another layout."""
    pairs = [merge.split(" ") if isinstance(merge, str) else merge for merge in content["model"]["merges"]]
    tokenizer = Tokenizer([tuple(pair) for pair in pairs], context_length)
    vocabulary = token_ids(content)
    for file_mark, own_mark in zip(CLIP_MARKS, (START, END)):
        if file_mark in vocabulary:
            vocabulary[own_mark] = vocabulary.pop(file_mark)
    if vocabulary != tokenizer.vocabulary():
        raise UserError(f"{path} has other numbers for its tokens than CLIP's tokenizer")
    return tokenizer
