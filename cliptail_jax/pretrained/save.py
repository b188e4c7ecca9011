"""Our models as open_clip writes its own: open_clip_model.safetensors, open_clip_config.json and tokenizer.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from ml_collections import ConfigDict
from safetensors.numpy import save_file

from cliptail_jax.errors import UserError
from cliptail_jax.files import write_text
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import END, START, Tokenizer
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.image_towers import describe_image_tower, image_tower
from cliptail_jax.models.open_clip import for_open_clip
from cliptail_jax.models.text_towers import build_text_tower, describe_text_tower
from cliptail_jax.pretrained.load import CONFIG, HEAD, WEIGHTS
from cliptail_jax.pretrained.names import published_name, to_published
from cliptail_jax.pretrained.run_tower import RunTower
from cliptail_jax.pretrained.source import TOKENIZER
from cliptail_jax.pretrained.towers import Tower, Towers

# open_clip has no image tower alone: the smallest text tower stands beside a classifier's, all zeros.
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}


def save(
    model: CLIP | Classifier,
    folder: str | Path,
    config: Mapping[str, Any],
    preprocess: Preprocess,
    tokenizer: Tokenizer | HuggingFaceTokenizer | None = None,
) -> None:
    """Writes a model to `folder`, as `load` here and open_clip ('local-dir:FOLDER') read it. Weights are float32.

    `config` is open_clip's model_cfg: `Pretrained.config`, or `open_clip_config` of a run. A classifier's class head lies
    beside the weights, in class_head.safetensors; open_clip reads its image tower.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    config = without_unused(config)
    tensors = state_dict(model)
    if isinstance(model, Classifier):
        _save_tensors({"head": tensors.pop("head")}, folder / HEAD)
        config |= {"text_cfg": NO_TEXT, "custom_text": False}
        text = nnx.eval_shape(lambda: build_text_tower(NO_TEXT, config["embed_dim"], rngs=nnx.Rngs(0)))
        for path, variable in nnx.to_flat_state(nnx.state(text)):
            tensors[published_name(path)] = to_published(path, np.zeros(variable.shape, np.float32))
    elif not config.get("custom_text") and not config["text_cfg"].get("hf_model_name"):
        tensors = {name.removeprefix("text."): value for name, value in tensors.items()}
    _save_tensors(tensors, folder / WEIGHTS[0])
    if tokenizer is not None:
        write_text(folder / TOKENIZER, tokenizer.to_json())
        if isinstance(tokenizer, Tokenizer):
            # Padding behind the end has no effect, and no token of this vocabulary is kept for it.
            marks = {"bos_token": START, "eos_token": END, "pad_token": END}
            names = {"tokenizer_class": "PreTrainedTokenizerFast", **marks}
            write_text(folder / "tokenizer_config.json", json.dumps(names, indent=2))
    # Last, because a folder with a configuration is taken for a whole one.
    document = {"model_cfg": config, "preprocess_cfg": preprocess.to_config()}
    write_text(folder / CONFIG, json.dumps(document, indent=2))


def state_dict(model: nnx.Module) -> dict[str, np.ndarray]:
    """Every parameter and running statistic by its published name, in PyTorch's layout."""
    state = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    return {
        published_name(path): to_published(path, np.asarray(variable[...], np.float32))
        for path, variable in nnx.to_flat_state(state)
    }


def _save_tensors(tensors: dict[str, np.ndarray], path: Path) -> None:
    partial = path.with_name(path.name + ".partial")
    save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, partial, {"format": "pt"})
    partial.rename(path)


def without_unused(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what our models leave out: CoCa's decoder and the outputs that are for it."""
    kept = {key: value for key, value in config.items() if key != "multimodal_cfg"}
    for tower in ("vision_cfg", "text_cfg"):
        kept[tower] = {key: value for key, value in kept[tower].items() if key != "output_tokens"}
    return kept


def open_clip_config(config: ConfigDict, embed_dim: int, towers: Towers) -> dict[str, Any]:
    """open_clip's model_cfg for a run's config and its published towers.

    Raises UserError for an image encoder that open_clip has not, and for towers with different activations, of which it
    has one a model.
    """
    vision, text = vision_config(config, towers.image), text_config(config, towers.text)
    own = config.model.activation == "quick_gelu"
    has_choice = {"image": image_tower(vision).has_activation, "text": not text.get("hf_model_name")}
    quick = {
        tower.quick_gelu if tower else own
        for part, tower in (("image", towers.image), ("text", towers.text))
        if has_choice[part]  # a ResNet and a BERT have none
    }
    if len(quick) > 1:
        raise UserError("open_clip has one activation a model: one tower of this run has GELU, the other QuickGELU")
    model_cfg = {"embed_dim": embed_dim, "quick_gelu": True in quick, "vision_cfg": vision, "text_cfg": text}
    return for_open_clip(model_cfg)


def vision_config(config: ConfigDict, tower: Tower | RunTower | None) -> dict[str, Any]:
    """open_clip's vision_cfg."""
    if isinstance(tower, RunTower):
        return vision_config(tower.config, tower.first)
    if tower:
        return tower.published_config
    quick_gelu = config.model.activation == "quick_gelu"
    return describe_image_tower(config.model.image, config.data.image_size, quick_gelu=quick_gelu)


def text_config(config: ConfigDict, tower: Tower | None) -> dict[str, Any]:
    """open_clip's text_cfg."""
    if tower:
        return tower.published_config
    text = describe_text_tower(config.model.text)
    if config.text.tokenizer:
        return text
    # The merges are the run's own: open_clip must read tokenizer.json.
    return text | {"hf_tokenizer_name": TOKENIZER, "tokenizer_kwargs": {"clean": "lower"}}
