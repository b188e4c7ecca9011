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
    repository, path = text_cfg.get("hf_tokenizer_name"), source.tokenizer
    if path is None and repository and source.revision is not None:
        path = fetch_tokenizer(repository, None)
    if path is None:
        return read_tokenizer(merges, text_cfg) if merges and not repository else None
    if encoder is not None:
        return encoder_tokenizer(path, text_cfg, encoder)
    return read_tokenizer(path, text_cfg)


def read_tokenizer(path: str | Path, text_cfg: Mapping[str, Any]) -> TextTokenizer:
    """The tokenizer in a file, a tokenizer.json or CLIP's merges, for the text transformer of a `text_cfg`.

    Raises UserError if the file cannot be read, or has another tokenizer than the tower needs.
    """
    path = Path(path)
    if needs_clip_tokenizer(text_cfg) and path.suffix != ".json":
        return load_clip_tokenizer(path, text_cfg.get("context_length", 77))
    if not path.is_file():
        raise UserError(f"there is no tokenizer {path}: give the path of a tokenizer.json")
    if path.suffix != ".json":
        raise UserError(f"{path} is not a tokenizer.json, which the model's text tower needs: give the path of its own")
    tokenizer = load_tokenizer(path, text_cfg)
    if needs_clip_tokenizer(text_cfg) and not isinstance(tokenizer, Tokenizer):
        raise UserError(f"{path} is not CLIP's tokenizer, which the model's text tower needs: put that in its place")
    return tokenizer


def needs_clip_tokenizer(text_cfg: Mapping[str, Any]) -> bool:
    """Whether a text tower selects the highest token, which is the end of the text in CLIP's tokenizer."""
    return text_cfg.get("pool_type", "argmax") == "argmax"


def takes_trained(text_cfg: Mapping[str, Any]) -> bool:
    """Whether a text tower works with any tokenizer laid out as CLIP's: what follows the end of a text has no effect."""
    return needs_clip_tokenizer(text_cfg) and not text_cfg.get("no_causal_mask")


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
