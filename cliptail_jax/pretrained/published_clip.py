"""Opens published CLIPs in the format of open_clip, which `cliptail_jax.pretrained.save` also writes."""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypedDict

import jax.numpy as jnp
from jax.sharding import Mesh

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json
from cliptail_jax.input.preprocess import read_preprocess
from cliptail_jax.models.open_clip import check_model, image_size, named_architecture, named_encoder
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.names import published_name
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published import listed_preprocess
from cliptail_jax.pretrained.published_weights import PublishedWeights, open_weights
from cliptail_jax.pretrained.source import CONFIG, find
from cliptail_jax.pretrained.text_encoder import ENCODER_CONFIG
from cliptail_jax.pretrained.tokenizers import published_tokenizer

HEAD = "class_head.safetensors"
WEIGHTS_FILES = ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"]
# Parts of published files that do not affect the features: CoCa's caption decoder, and a BERT pooler that is not used.
UNUSED_PARTS = ("text_decoder.", "text.transformer.pooler.")


class Document(TypedDict, total=False):
    """open_clip_config.json, unless the whole document is the model_cfg."""

    model_cfg: dict[str, Any]
    preprocess_cfg: dict[str, Any] | None


def load(name_or_path: str | Path, **options) -> OpenedModel:
    """Opens a published model as `open_published` does, and loads its weights at once."""
    model = open_published(name_or_path, **options)
    _ = model.model
    return model


def open_published(
    name_or_path: str | Path,
    *,
    architecture: str | None = None,
    merges: str | Path | None = None,
    dtype=jnp.float32,
    mesh: Mesh | None = None,
) -> OpenedModel:
    """A published CLIP, or a classifier that `cliptail_jax.pretrained.save` has written.

    Args:
        name_or_path: 'hf-hub:OWNER/NAME', perhaps with '@REVISION', a folder with open_clip_config.json and weights, that
            configuration, or a .safetensors file in the same folder.
        architecture: open_clip's name of the architecture, instead of the configuration.
        merges: CLIP's merges file, for weights that come without a tokenizer.
        dtype: the type in which the model computes. Its parameters are float32.
        mesh: the devices on which the parameters are laid out; None for one device.

    Raises:
        UserError: something is missing, corrupt, unknown or does not fit.
    """
    name = str(name_or_path)
    source = find(name, CONFIG, WEIGHTS_FILES)
    document = _read_document(name, source.config, architecture)
    config = document["model_cfg"]
    check_model(config)
    text_cfg = config["text_cfg"]
    encoder = _read_encoder(text_cfg)
    description = {"model_cfg": config} | ({"encoder": encoder} if encoder else {})
    head, weights = source.weights.parent / HEAD, PublishedWeights(source, _text_names(source.weights), UNUSED_PARTS)
    if head.is_file():
        description["head"] = {"kind": "cosine", "classes": _head_rows(head, config["embed_dim"])}
        weights = dataclasses.replace(weights, head=head)
    return OpenedModel(
        name=name,
        description=description,
        weights=weights,
        preprocess=read_preprocess(document.get("preprocess_cfg") or {}, image_size(config["vision_cfg"])),
        dtype=dtype,
        mesh=mesh,
        open_tokenizer=functools.partial(published_tokenizer, text_cfg, encoder, source, merges),
    )


def _read_document(name: str, path: Path | None, architecture: str | None) -> dict[str, Any]:
    """model_cfg and preprocess_cfg. Raises UserError if there is neither a configuration nor an architecture."""
    if architecture is not None:
        return {"model_cfg": named_architecture(architecture), "preprocess_cfg": listed_preprocess(architecture)}
    if path is None:
        raise UserError(f"{name} has no {CONFIG} in its folder: add it, or give an architecture, such as 'ViT-B-32'")
    document = read_json(path, Document)
    config = document.get("model_cfg", document)
    if missing_keys := {"embed_dim", "vision_cfg", "text_cfg"} - config.keys():
        raise UserError(f"{path} is not a configuration of open_clip: it has no {min(missing_keys)}")
    return {"model_cfg": config, "preprocess_cfg": document.get("preprocess_cfg")}


def _read_encoder(text_cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """config.json of the Hugging Face text encoder named by `text_cfg`, if any."""
    name = text_cfg.get("hf_model_name")
    if not name:
        return None
    if encoder := named_encoder(name):
        return encoder
    path = Path(name) / ENCODER_CONFIG
    if not path.is_file():
        path = hub.fetch(name, [ENCODER_CONFIG], None)
    return read_json(path)


def _text_names(weights: Path) -> Callable[[tuple], str]:
    """The file's names of parameters: open_clip omits the prefix `text.` for its own text transformers."""
    with open_weights(weights) as file:
        has_prefix = any(name.startswith("text.") for name in file.keys())
    return published_name if has_prefix else lambda path: published_name(path).removeprefix("text.")


def _head_rows(path: Path, embed_dim: int) -> int:
    """The number of classes of a classifier's class head."""
    with open_weights(path) as file:
        shape = file.get_slice("head").get_shape()
    if len(shape) != 2 or shape[1] != embed_dim:
        raise UserError(f"{path}: head has shape {list(shape)}, but the features are {embed_dim} wide")
    return shape[0]
