"""The tokenizers of published models, and a check that a file has the tokenizer of its model."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from cliptail_jax.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, load_tokenizer
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer
from cliptail_jax.pretrained.source import ModelFiles, fetch_tokenizer

TextTokenizer = Tokenizer | HuggingFaceTokenizer
ENGLISH = "eng_Latn"  # NLLB's token for the language of texts


class Kind(NamedTuple):
    """The kind of a tokenizer: the type of `model` in tokenizer.json, and the ids that pad and end texts."""

    model: str
    pad_id: int
    end_id: int | None  # None: not compared, since `model` is enough

    def __str__(self) -> str:
        end = "" if self.end_id is None else f" and ends them with {self.end_id}"
        return f"{self.model}, which pads texts with {self.pad_id}{end}"


# By the repository in `hf_tokenizer_name`, without its owner. Models and ids are those of transformers' classes for them
# (5.24, models/*/tokenization_*.py: T5's for SigLIP and mT5, Gemma's for SigLIP 2, XLM-RoBERTa's for XLM-V). SigLIP pads
# with the end token, as in its repositories' tokenizer_config.json.
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
    """The kind of the tokenizer called `name`; None if it is unknown."""
    return next((kind for pattern, kind in KINDS.items() if re.fullmatch(pattern, name.rsplit("/", 1)[-1])), None)


def check_kind(path: Path, tokenizer: Tokenizer | HuggingFaceTokenizer, name: str) -> None:
    """Raise UserError if `tokenizer`, from the file `path`, is of another kind than the one called `name`."""
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


def published_tokenizer(
    text_cfg: Mapping[str, Any], encoder: Mapping[str, Any] | None, source: ModelFiles, merges: str | Path | None
) -> TextTokenizer | None:
    """The tokenizer in the weights' folder or repository, or else CLIP's, for a model that has it, from its merges."""
    hugging_face, path = text_cfg.get("hf_tokenizer_name"), source.tokenizer
    if path is None and hugging_face and source.revision is not None:
        path = fetch_tokenizer(hugging_face, None)
    if path is None:
        given = merges and not hugging_face
        return load_clip_tokenizer(merges, text_cfg.get("context_length", 77)) if given else None
    if encoder is not None:
        return encoder_tokenizer(path, text_cfg, encoder)
    tokenizer = load_tokenizer(path, text_cfg)
    check_kind(path, tokenizer, hugging_face or "")
    # A tower that pools by the highest token needs CLIP's, in which that is the end of the text.
    by_highest = text_cfg.get("pool_type", "argmax") == "argmax"
    if by_highest and not isinstance(tokenizer, Tokenizer):
        raise UserError(f"{path} is not CLIP's tokenizer, which the model's text tower needs: put that in its place")
    return tokenizer


def encoder_tokenizer(path: Path, text_cfg: Mapping[str, Any], encoder: Mapping[str, Any]) -> TextTokenizer:
    """The tokenizer in `path` for a Hugging Face encoder. Raises UserError if it is that of another kind of encoder."""
    # transformers begins texts with NLLB's language, as open_clip's models need it; the published tokenizer.json ends them so.
    start = {"start_token": ENGLISH} if encoder.get("model_type") == "m2m_100" else {}
    tokenizer = load_tokenizer(path, {**text_cfg, "vocab_size": encoder["vocab_size"], **start})
    ids = {"pad_token_id": tokenizer.pad_id, "eos_token_id": tokenizer.end_id}
    for key, id_ in ids.items():
        if encoder.get(key, id_) != id_:
            raise UserError(
                f"{path} is the tokenizer of another text encoder: its {key} is {id_}, that of the encoder's config.json "
                f"{encoder[key]}"
            )
    check_kind(path, tokenizer, text_cfg.get("hf_tokenizer_name") or "")
    return tokenizer
