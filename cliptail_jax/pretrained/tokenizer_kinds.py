"""The kinds of the tokenizers that open_clip's configurations name, by which one in the place of another is noticed."""

import re
from pathlib import Path
from typing import NamedTuple

from cliptail_jax.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.tokenizer import Tokenizer


class Kind(NamedTuple):
    """What tells one tokenizer from another: the type of `model` in tokenizer.json, and the ids that pad and end texts."""

    model: str
    pad_id: int
    end_id: int | None  # None: not compared, since `model` says enough

    def __str__(self) -> str:
        end = "" if self.end_id is None else f" and ends them with {self.end_id}"
        return f"{self.model}, which pads texts with {self.pad_id}{end}"


# By the repository in `hf_tokenizer_name`, without its owner. Models and ids are those of transformers' classes for them
# (5.24, models/*/tokenization_*.py: T5's for SigLIP and mT5, Gemma's for SigLIP 2, XLM-RoBERTa's for XLM-V). SigLIP pads
# with the end token, as its repositories' tokenizer_config.json says.
KINDS = {
    r"ViT-.*-SigLIP2(-\d+)?": Kind("BPE", 0, 1),
    r"ViT-.*-SigLIP(-i18n)?(-\d+)?": Kind("Unigram", 1, 1),
    r"bert-base-uncased": Kind("WordPiece", 0, None),
    r"roberta-(base|large)": Kind("BPE", 1, 2),
    r"xlm-roberta-(base|large)": Kind("Unigram", 1, 2),
    r"xlm-v-base": Kind("Unigram", 1, 2),
    r"mt5-\w+": Kind("Unigram", 0, 1),
    r"nllb-200-.*": Kind("BPE", 1, 2),
}


def kind_of(name: str) -> Kind | None:
    """The kind of the tokenizer called `name`; None if nothing is known of it."""
    return next((kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, name.rsplit("/", 1)[-1])), None)


def check_kind(path: Path, tokenizer: Tokenizer | HuggingFaceTokenizer, name: str) -> None:
    """Raise UserError if `tokenizer`, in the file `path`, is of another kind than the one called `name`."""
    needed = kind_of(name)
    if needed is None:
        return
    end_id = None if needed.end_id is None else tokenizer.end_id
    found = Kind(tokenizer.kind, tokenizer.pad_id, end_id)
    if found != needed:
        raise UserError(
            f"{path} is not the tokenizer that the model needs, {name}: it is {found}, and {name} is {needed}; put the "
            "tokenizer.json and tokenizer_config.json of the model's repository in its place"
        )
