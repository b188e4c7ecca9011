"""Writes models in the format of open_clip: open_clip_model.safetensors, open_clip_config.json and tokenizer.json.

sha256.json has their digests, by which `load` detects damage.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx
from safetensors.numpy import save as serialize

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import DIGESTS, json_text, write_bytes, write_digests, write_json, write_text
from cliptail_jax.input.huggingface_tokenizer import SETTINGS
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import END, START, Tokenizer
from cliptail_jax.models.build import classifies_words
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.image_towers import image_tower
from cliptail_jax.models.positions import EVERY_GRID
from cliptail_jax.models.text_towers import build_text_tower
from cliptail_jax.pretrained.names import published_name, to_published
from cliptail_jax.pretrained.published_clip import HEAD, WEIGHTS_FILES
from cliptail_jax.pretrained.source import CONFIG, TOKENIZER
from cliptail_jax.pretrained.tokenizers import TextTokenizer

FILES = (WEIGHTS_FILES[0], HEAD, TOKENIZER, SETTINGS)
# open_clip has no model without a text tower: an image tower is saved with the smallest one, all zeros.
NO_TEXT = {"context_length": 1, "vocab_size": 1, "width": 1, "heads": 1, "layers": 1}


def save(
    model: ImageModel,
    folder: str | Path,
    config: Mapping[str, Any],
    preprocess: Preprocess,
    tokenizer: TextTokenizer | None = None,
) -> None:
    """Write a model to `folder`, in float32, as `load` here and open_clip ('local-dir:FOLDER') read it.

    A classifier's class head is in a separate file, class_head.safetensors; open_clip reads the classifier's image
    tower.

    Args:
        config: open_clip's model_cfg: `OpenedModel.config` of a published model, or `open_clip_config` of a run.

    Raises:
        UserError: open_clip lacks the image tower for the model's image size.
    """
    config = without_unused(config)
    config["vision_cfg"] = image_tower(config["vision_cfg"]).for_open_clip(config["vision_cfg"])
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    for name in (CONFIG, DIGESTS):  # of an earlier export
        (folder / name).unlink(missing_ok=True)
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
    _save_tensors(tensors, folder / WEIGHTS_FILES[0])
    if tokenizer is not None:
        write_text(folder / TOKENIZER, tokenizer.to_json())
        # Tokens after the end token of our own tokenizers have no effect, so none is reserved for padding.
        own_settings = {"bos_token": START, "eos_token": END, "pad_token": END}
        settings = own_settings if isinstance(tokenizer, Tokenizer) else tokenizer.settings()
        write_json(folder / SETTINGS, {"tokenizer_class": "PreTrainedTokenizerFast", **settings})
    # The configuration is last, since a folder that has one counts as complete.
    text = json_text({"model_cfg": config, "preprocess_cfg": preprocess.to_config()})
    write_digests(folder, FILES, {CONFIG: text})
    write_text(folder / CONFIG, text)


def is_export(folder: Path) -> bool:
    """Whether a folder has only the files of an export, possibly interrupted."""
    names = {path.name for path in folder.iterdir()}
    return names <= {*FILES, CONFIG, DIGESTS} and (DIGESTS in names or CONFIG not in names)


def state_dict(model: nnx.Module) -> dict[str, np.ndarray]:
    """Every parameter and running statistic by its published name, in PyTorch's layout."""
    state = nnx.state(model, nnx.Any(nnx.Param, nnx.BatchStat))
    return {
        published_name(path): to_published(path, np.asarray(variable[...], np.float32))
        for path, variable in nnx.to_flat_state(state)
    }


def _save_tensors(tensors: dict[str, np.ndarray], path: Path) -> None:
    # safetensors' own `save_file` writes files that other users may not read.
    write_bytes(
        path, serialize({name: np.asarray(value, order="C") for name, value in tensors.items()}, {"format": "pt"})
    )


def without_unused(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration without parts that our models lack: CoCa's decoder and the outputs for it."""
    config = {key: value for key, value in config.items() if key != "multimodal_cfg"}
    for tower in ("vision_cfg", "text_cfg"):
        config[tower] = {key: value for key, value in config[tower].items() if key != "output_tokens"}
    return config


def open_clip_config(description: Mapping[str, Any]) -> dict[str, Any]:
    """open_clip's model_cfg for a description, an argument of `cliptail_jax.models.build.build_model`.

    Raises UserError for parts that open_clip lacks: a linear head, a head of words, an image or text tower that exists
    only in this project, or towers with different activations.
    """
    if description.get("head", {}).get("kind") == "linear":
        raise UserError("head.kind='linear': open_clip's models cannot have such a head; use the run's checkpoints")
    if classifies_words(description):
        raise UserError("the run classifies words, which open_clip's models do not: use the run's checkpoints")
    config = dict(description["model_cfg"])
    vision, text = dict(config["vision_cfg"]), config.get("text_cfg", NO_TEXT)
    vision.pop("cliptail_initialization", None)  # affects new weights only
    if vision.pop("cliptail_resampling", "") == EVERY_GRID:
        raise UserError("dino.resample_own_grid: open_clip has no tower that resamples the positions of its own grid")
    if name := vision.get("cliptail_model_name"):
        raise UserError(
            f"model.image.name: open_clip has no {name}; modified_resnet and vit can be saved for it. "
            "cliptail_jax/pretrained/README.md has the flags of a small vit for small images"
        )
    if "cliptail_encoder" in text:
        raise UserError(
            f"model.text.name: open_clip has no {text['hf_model_name']} with this run's vocabulary; a transformer can "
            "be saved for it"
        )
    if "text_quick_gelu" in description and not text.get("hf_model_name"):
        if image_tower(vision).has_activation:
            raise UserError(
                "model.activation: open_clip has one activation per model, but one tower of this run has GELU and the other "
                "QuickGELU"
            )
        config["quick_gelu"] = description["text_quick_gelu"]
    return {**config, "vision_cfg": vision, "text_cfg": text}
