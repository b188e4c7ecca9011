"""The tokenizers of published models, and checks that a file has the tokenizer of its model."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, load_tokenizer
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer
from cliptail_jax.pretrained.source import ModelFiles, fetch_tokenizer

TextTokenizer = Tokenizer | HuggingFaceTokenizer
ENGLISH = "eng_Latn"  # NLLB's token for the language of texts


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
    return tokenizer
