"""Translates open_clip's names of models and weights, and its frozen parts of towers, to fields of a config."""

import csv
import functools
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.models.image_towers import image_tower
from cliptail_jax.models.open_clip import architecture_names, image_size, named_architecture, named_encoder
from cliptail_jax.pretrained.hub import PREFIX
from cliptail_jax.pretrained.published import published_models

WEIGHTS = Path(__file__).with_name("weights.tsv")
# Architectures of the study's fork, which the table of open_clip's lacks.
FORK_MODELS = {"roberta-RN50": ("RN50", "roberta-ViT-B-32")}  # the image tower of one, the text tower of the other
ENCODERS = {"roberta-base": "hf-hub:FacebookAI/roberta-base", "roberta-large": "hf-hub:FacebookAI/roberta-large"}
ENCODERS |= {name: f"hf-hub:FacebookAI/{name}" for name in ("xlm-roberta-base", "xlm-roberta-large")}
ENCODER_DROPOUT = 0.1  # Hugging Face's default for BERT and RoBERTa, which open_clip keeps in training
SIZES = ("context_length", "vocab_size", "width", "heads", "layers")  # the sizes of a text tower in a config
NAMES_OF_ANOTHER_KIND = {
    "coca": "CoCa's decoder of captions is not trained",
    "clap": "there are no audio towers",
    "genlip": "GenLIP is a generative model",
    "genlap": "there are no audio towers",
    "naflex": "towers take square images of one size, not NaFlex",
}
Fields = dict[str, Any]  # values of a config by dotted key


def architecture(name: str) -> dict[str, Any]:
    """open_clip's model configuration with this name. Raises UserError if it cannot be trained here."""
    for kind, reason in NAMES_OF_ANOTHER_KIND.items():
        if kind in name.lower():
            raise UserError(f"--model {name} is not supported: {reason}")
    if name.startswith((PREFIX, "local-dir:")):
        raise UserError(
            f"--model {name} names weights: give the architecture's name, and the weights as --pretrained {name}"
        )
    if name in FORK_MODELS:
        image, text = map(named_architecture, FORK_MODELS[name])
        return image | {"text_cfg": text["text_cfg"]}
    known_names = (*architecture_names(), *FORK_MODELS)
    if name not in known_names:
        raise UserError(f"--model {name} is unknown here{did_you_mean(name, known_names)}")
    return named_architecture(name)


def towers(name: str, source: str, quick_gelu: bool, size: int, text_only: bool) -> Fields:
    """The fields of the two towers.

    Args:
        name: open_clip's name of the model.
        source: the value of open_clip's flag; '' for random weights.
        quick_gelu: whether this activation is forced.
        size: the side of the images in pixels; 0 for that of the architecture.
        text_only: whether the pre-trained weights are for the text tower alone.
    """
    model_cfg = architecture(name)
    vision_cfg, text_cfg = model_cfg["vision_cfg"], model_cfg["text_cfg"]
    size = size or image_size(vision_cfg)
    fields: Fields = {
        "model.image.output_dim": model_cfg["embed_dim"],
        "data.image_size": size,
        "data.eval_resize": size,
    }
    if quick_gelu or model_cfg.get("quick_gelu"):
        fields["model.activation"] = "quick_gelu"
    if isinstance(vision_cfg.get("layers"), list):
        fields |= {"model.image.layers": tuple(vision_cfg["layers"]), "model.image.width": vision_cfg["width"]}
        fields["model.image.heads"] = vision_cfg["width"] * 32 // vision_cfg.get("head_width", 64)
    else:
        fields["model.image.name"] = name
    weights = find_weights(name, source) if source else ""
    if weights and not text_only:
        fields["image.init"] = weights
    if encoder := text_cfg.get("hf_model_name"):
        fields |= {"text.init": weights or encoder_weights(name, encoder), "text.dropout": ENCODER_DROPOUT}
    elif weights:
        fields["text.init"] = weights
    else:
        fields |= random_text(name, text_cfg)
    return fields


def random_text(name: str, text_cfg: Mapping[str, Any]) -> Fields:
    """The fields of a text tower without weights: its sizes, and its name if it differs from CLIP's in more than sizes."""
    fields = {f"model.text.{key}": text_cfg[key] for key in SIZES if key in text_cfg}
    return fields if text_cfg.keys() <= set(SIZES) else fields | {"model.text.name": name}


def encoder_weights(name: str, encoder: str) -> str:
    """The Hub's name of a text encoder's weights."""
    if encoder not in ENCODERS:
        raise UserError(
            f"--model {name}: its text encoder {encoder} can be trained from a published CLIP, by --pretrained"
        )
    return ENCODERS[encoder]


@functools.cache
def published_weights() -> dict[str, str]:
    """The repositories of published weights by open_clip's names, 'ARCHITECTURE/TAG'.

    They are in the table of published models, and in weights.tsv, which has further weights of src/open_clip/pretrained.py
    (commit 89fb801) for known architectures, except for those that are published only as pickles.
    """
    with WEIGHTS.open(encoding="utf-8", newline="") as file:
        further = {row["name"]: f"{PREFIX}{row['repository']}" for row in csv.DictReader(file, delimiter="\t")}
    return further | {model.name: model.repository for model in published_models()}


def find_weights(name: str, source: str) -> str:
    """The value of `image.init` for the weights that --pretrained names. Raises UserError if there are none."""
    if source.startswith(PREFIX):
        return source
    if "/" in source or Path(source).suffix:
        if Path(source).suffix not in ("", ".safetensors"):
            raise UserError(
                f"--pretrained {source} is a PyTorch checkpoint, which may run any program: convert it by "
                "scripts/convert_pytorch_weights.py, and give the folder"
            )
        return source
    repositories = published_weights()
    if f"{name}/{source}" in repositories:
        return repositories[f"{name}/{source}"]
    tags = [model.partition("/")[2] for model in repositories if model.partition("/")[0] == name]
    tags_text = f"it has {', '.join(tags)}" if tags else "it has none here"
    raise UserError(
        f"--pretrained {source} is no tag of {name}{did_you_mean(source, tags)}: {tags_text}, or give hf-hub:OWNER/NAME or a "
        "folder"
    )


def locked_image(name: str, number: int, statistics: bool) -> Fields:
    """The fields of --lock-image with its number of unlocked groups.

    `statistics` is whether the statistics of batch norm are frozen.
    """
    vision_cfg = architecture(name)["vision_cfg"]
    tower = image_tower(vision_cfg)
    if tower.has_batch_norm and not statistics:
        raise UserError(
            "--lock-image freezes the running statistics of batch norm, too: add --lock-image-freeze-bn-stats"
        )
    if not number:
        return {"image.freeze": True}
    if vision_cfg.get("timm_model_name"):
        raise UserError(f"--lock-image-unlocked-groups: {name} can only be locked as a whole")
    return {"freeze": tuple(frozen_parts("--lock-image-unlocked-groups", list(image_groups(vision_cfg)), number))}


def locked_text(name: str, number: int, norms: bool) -> Fields:
    """The fields of --lock-text with its number of unlocked layers.

    `norms` is whether the layer norms of encoders are frozen.
    """
    text_cfg = architecture(name)["text_cfg"]
    encoder = text_cfg.get("hf_model_name")
    if not number and (norms or not encoder):
        return {"text.freeze": True}
    groups = encoder_groups(named_encoder(encoder), norms) if encoder else text_groups(text_cfg)
    return {"freeze": tuple(frozen_parts("--lock-text-unlocked-layers", list(groups), number))}


def frozen_parts(flag: str, groups: list[list[str]], number: int) -> list[str]:
    """The parts of all groups except for the last `number` ones."""
    if not 0 <= number <= len(groups):
        raise UserError(f"{flag} is {number}; the tower has {len(groups)} groups")
    return [part for group in groups[: len(groups) - number] for part in group]


def image_groups(vision_cfg: Mapping[str, Any]) -> Iterator[list[str]]:
    """The groups of open_clip's image towers, in order from the images on."""
    if isinstance(vision_cfg.get("layers"), list):
        yield [f"visual.{kind}{number}" for number in (1, 2, 3) for kind in ("conv", "bn")]
        yield from ([f"visual.layer{stage}"] for stage in (1, 2, 3, 4))
        yield ["visual.attnpool"]
        return
    first = ["conv1", "class_embedding", "positional_embedding", *([] if vision_cfg.get("no_ln_pre") else ["ln_pre"])]
    yield [f"visual.{part}" for part in first]
    yield from blocks("visual", vision_cfg["layers"], "ln_post")
    yield ["visual.proj"]


def text_groups(text_cfg: Mapping[str, Any]) -> Iterator[list[str]]:
    """The groups of a text transformer, in order from the tokens on."""
    yield ["text.token_embedding", "text.positional_embedding"]
    yield from blocks("text", text_cfg.get("layers", 12), "ln_final")
    yield ["text.text_projection"]


def blocks(tower: str, layers: int, last_norm: str) -> Iterator[list[str]]:
    for layer in range(layers):
        norm = [f"{tower}.{last_norm}"] if layer == layers - 1 else []
        yield [f"{tower}.transformer.resblocks.{layer}", *norm]


def encoder_groups(encoder: Mapping[str, Any], norms: bool) -> Iterator[list[str]]:
    """The groups of a BERT or RoBERTa, with or without its layer norms."""
    tables = [f"{kind}_embeddings" for kind in ("word", "position", "token_type")]
    parts = ["attention.self", "attention.output.dense", "intermediate", "output.dense"]
    yield [f"text.transformer.embeddings.{part}" for part in tables] if not norms else ["text.transformer.embeddings"]
    for layer in range(encoder["num_hidden_layers"]):
        path = f"text.transformer.encoder.layer.{layer}"
        yield [path] if norms else [f"{path}.{part}" for part in parts]
    yield ["text.proj"]
