"""Our models as open_clip writes its own: open_clip_model.safetensors, open_clip_config.json and tokenizer.json."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors.numpy import save_file

from cliptail_jax.errors import UserError
from cliptail_jax.files import replacing, write_text
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import END, START, Tokenizer
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.image_towers import image_tower
from cliptail_jax.models.open_clip import for_open_clip
from cliptail_jax.models.text_towers import build_text_tower
from cliptail_jax.pretrained.model import CONFIG, HEAD, WEIGHTS
from cliptail_jax.pretrained.names import published_name, to_published
from cliptail_jax.pretrained.source import TOKENIZER

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
    if not isinstance(model, CLIP):
        if isinstance(model, Classifier):
            _save_tensors({"head": tensors.pop("head")}, folder / HEAD)
        config |= {"text_cfg": NO_TEXT, "custom_text": False}
        tensors.setdefault("logit_scale", np.zeros((), np.float32))
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
    with replacing(path) as partial:
        save_file({name: np.asarray(value, order="C") for name, value in tensors.items()}, partial, {"format": "pt"})


def without_unused(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without what our models leave out: CoCa's decoder and the outputs that are for it."""
    kept = {key: value for key, value in config.items() if key != "multimodal_cfg"}
    for tower in ("vision_cfg", "text_cfg"):
        kept[tower] = {key: value for key, value in kept[tower].items() if key != "output_tokens"}
    return kept


def open_clip_config(description: Mapping[str, Any]) -> dict[str, Any]:
    """open_clip's model_cfg for a description, as `cliptail_jax.models.build.build_model` takes it.

    Raises UserError for what open_clip does not have: a linear head, an image or text tower of this project alone, or
    towers with different activations.
    """
    if description.get("head", {}).get("kind") == "linear":
        raise UserError(
            "head.kind='linear': open_clip's models have no place for such a head; use the run's checkpoints"
        )
    config = dict(description["model_cfg"])
    vision_cfg, text_cfg = config["vision_cfg"], config.setdefault("text_cfg", NO_TEXT)
    if "text_quick_gelu" in description and not text_cfg.get("hf_model_name"):
        if image_tower(vision_cfg).has_activation:
            raise UserError("open_clip has one activation a model: one tower of this run has GELU, the other QuickGELU")
        config["quick_gelu"] = description["text_quick_gelu"]
    return for_open_clip(config)
