"""Published CLIPs: weights, configuration, tokenizer and preprocessing from a folder, a file or the Hugging Face Hub."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax.numpy as jnp
from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, load_tokenizer
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer
from cliptail_jax.models.build import build_clip
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.models.clip import CLIP
from cliptail_jax.models.open_clip import image_size, named_architecture, named_encoder
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.names import published_name
from cliptail_jax.pretrained.source import TOKENIZER, Source, checked_digest, find, read_json
from cliptail_jax.pretrained.weights import fill, open_weights

CONFIG = "open_clip_config.json"
HEAD = "class_head.safetensors"
WEIGHTS = ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"]
# Parts of published files that no feature depends on: CoCa's caption decoder, and a BERT pooler that is not asked for.
UNUSED = ("text_decoder.", "text.transformer.pooler.")


@dataclass(frozen=True)
class Pretrained:
    """A model with its weights in place, and all that goes with it."""

    model: CLIP | Classifier
    config: dict[str, Any]  # open_clip's model_cfg
    preprocess: Preprocess
    name: str  # as it was asked for
    digest: str  # sha256 of the weights file
    revision: str | None  # the commit, where it came from the Hub
    _tokenizer: Tokenizer | HuggingFaceTokenizer | None = field(repr=False)

    @property
    def tokenizer(self) -> Tokenizer | HuggingFaceTokenizer:
        """Texts to int32 [n, context]. Raises UserError where none came with the weights, and no merges were given."""
        if self._tokenizer is None:
            raise UserError(
                f"{self.name} comes without a {TOKENIZER}: put it beside the weights, or give CLIP's "
                "bpe_simple_vocab_16e6.txt.gz as merges"
            )
        return self._tokenizer


def load(
    name_or_path: str | Path,
    *,
    architecture: str | None = None,
    revision: str | None = None,
    merges: str | Path | None = None,
    dtype=jnp.float32,
    mesh: Mesh | None = None,
) -> Pretrained:
    """The CLIP at `name_or_path`, which computes in `dtype`; its parameters are float32, laid out on `mesh` if given.

    `name_or_path` is 'hf-hub:OWNER/NAME', a folder with open_clip_config.json and weights, that configuration, or a
    .safetensors file with the configuration beside it. `architecture` is open_clip's name of one, where there is no
    configuration; `revision` a branch, tag or commit of the Hub; `merges` CLIP's merges file, for weights that come
    without their tokenizer. Raises UserError where something is missing, damaged, unknown or does not fit.
    """
    name = str(name_or_path)
    source = find(name, CONFIG, WEIGHTS, revision)
    document = read_document(name, source.config, architecture)
    config = document["model_cfg"]
    encoder = read_encoder(config["text_cfg"], source)
    model = read_model(config, encoder, source.weights, dtype, mesh)
    tokenizer = read_tokenizer(config["text_cfg"], source, merges)
    preprocess = read_preprocess(document.get("preprocess_cfg") or {}, image_size(config["vision_cfg"]))
    return Pretrained(model, config, preprocess, name, checked_digest(source), source.revision, tokenizer)


def read_document(name: str, path: Path | None, architecture: str | None) -> dict[str, Any]:
    """model_cfg and preprocess_cfg. Raises UserError where there is neither a configuration nor an architecture."""
    if architecture is not None:
        return {"model_cfg": named_architecture(architecture)}
    if path is None:
        raise UserError(f"{name} has no {CONFIG} beside it: name its architecture, such as 'ViT-B-32'")
    document = read_json(path)
    config = document.get("model_cfg", document)
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - config.keys()
    if missing:
        raise UserError(f"{path} is no configuration of open_clip's: it has no {min(missing)}")
    return {"model_cfg": config, "preprocess_cfg": document.get("preprocess_cfg")}


def read_encoder(text_config: Mapping[str, Any], source: Source) -> dict[str, Any] | None:
    """config.json of the Hugging Face text encoder that `text_cfg` names; None where it names none."""
    name = text_config.get("hf_model_name")
    if not name:
        return None
    if known := named_encoder(name):
        return known
    path = Path(name) / "config.json"
    if not path.is_file():
        path = hub.fetch(name, ["config.json"], None)
    return read_json(path)


def read_tokenizer(
    text_config: Mapping[str, Any], source: Source, merges: str | Path | None
) -> Tokenizer | HuggingFaceTokenizer | None:
    """CLIP's tokenizer where its merges are given, else what lies beside the weights, or where `text_cfg` says; or None."""
    hugging_face = text_config.get("hf_tokenizer_name")
    if merges is not None:
        if hugging_face:
            raise UserError(f"merges make CLIP's tokenizer, but the model's texts are cut by that of {hugging_face}")
        return load_clip_tokenizer(merges, text_config.get("context_length", 77))
    path = source.tokenizer
    if path is None and hugging_face and source.revision is not None:
        path = hub.fetch(hugging_face, [TOKENIZER], None)
    return load_tokenizer(path, text_config) if path else None


def read_model(
    config: Mapping[str, Any], encoder: Mapping[str, Any] | None, weights: Path, dtype, mesh: Mesh | None
) -> CLIP | Classifier:
    """The model of a configuration with the weights of a file; a classifier where a class head lies beside it."""
    abstract = nnx.eval_shape(lambda: build_clip(config, encoder, dtype=dtype, rngs=nnx.Rngs(0)))
    model = fill(abstract, weights, name_of=text_names(weights), ignored=UNUSED, mesh=mesh)
    head = weights.parent / HEAD
    if not head.is_file():
        return model
    with open_weights(head) as file:
        embeddings = file.get_tensor("head")
    if embeddings.ndim != 2 or embeddings.shape[1] != config["embed_dim"]:
        raise UserError(
            f"{head}: head has shape {list(embeddings.shape)}, but the features are {config['embed_dim']} wide"
        )
    classifier = Classifier(model.visual, embeddings)
    classifier.logit_scale = model.logit_scale
    return classifier


def text_names(weights: Path) -> Callable[[tuple], str]:
    """How the file names parameters: open_clip leaves the prefix `text.` out for its own text transformers."""
    with open_weights(weights) as file:
        prefixed = any(name.startswith("text.") for name in file.keys())
    return published_name if prefixed else lambda path: published_name(path).removeprefix("text.")
