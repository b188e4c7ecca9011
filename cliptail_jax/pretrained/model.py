"""Opens trained models: runs, published CLIPs and published text encoders.

`open_model` reads descriptions only; the weights are loaded on the first use of `OpenedModel.model`.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int

from cliptail_jax import runs
from cliptail_jax.config import zero_shot
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.files import check_digests, work_path
from cliptail_jax.input.bag_of_words import BagOfWords
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, load_tokenizer
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer
from cliptail_jax.models.build import DTYPES, abstract_model, classifies_words
from cliptail_jax.models.encoder_shapes import encoder_shape
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.image_towers import check_image_size
from cliptail_jax.models.open_clip import check_model, image_size, named_architecture, named_encoder
from cliptail_jax.models.text import TextModel
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.parallel.sharding import parameter_shardings
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.checkpoint_weights import CheckpointWeights
from cliptail_jax.pretrained.names import published_name
from cliptail_jax.pretrained.published import published_models
from cliptail_jax.pretrained.published_weights import PublishedWeights, encoder_names, open_weights
from cliptail_jax.pretrained.source import TOKENIZER, ModelFiles, checked_digest, fetch_tokenizer, find, read_json
from cliptail_jax.pretrained.tokenizer_kinds import check_kind
from cliptail_jax.runs.checkpoints import newest_valid_step, no_checkpoint

CONFIG = "open_clip_config.json"
HEAD = "class_head.safetensors"
WEIGHTS_FILES = ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"]
ENCODER_CONFIG, ENCODER_WEIGHTS = "config.json", ["model.safetensors"]
# Parts of published files that do not affect the features: CoCa's caption decoder, and a BERT pooler that is not used.
UNUSED = ("text_decoder.", "text.transformer.pooler.")

# open_clip's preprocess_cfg of the weights that it lists for architectures whose names contain the key, of which the first
# counts; of others it is CLIP's (src/open_clip/pretrained.py). Two weights differ from their sisters: ViT-L-14's of
# laion2b_s32b_b82k and ViT-H-14's of dfn5b, whose repositories say so.
LISTED_PREPROCESS = {
    "SigLIP": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"},
    "CLIPA": {
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "interpolation": "bilinear",
        "resize_mode": "squash",
    },
    "-378": {"resize_mode": "squash"},  # DFN's and MetaCLIP 2's
    "PE-Core": {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bilinear", "resize_mode": "squash"},
    "MobileCLIP2-S3": {"interpolation": "bilinear"},
    "MobileCLIP2-S4": {"interpolation": "bilinear"},
    "MobileCLIP2-L-14": {},
    "MobileCLIP": {"mean": [0.0] * 3, "std": [1.0] * 3, "interpolation": "bilinear"},
}
ENGLISH = "eng_Latn"  # NLLB's token for the language of texts

TextTokenizer = Tokenizer | HuggingFaceTokenizer
Weights = PublishedWeights | CheckpointWeights  # two classes with the same methods


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A trained model and everything that belongs to it.

    Attributes:
        name: its work directory, repository or folder.
        description: the argument of `cliptail_jax.models.build.build_model`.
        weights: of all parts of the model.
        preprocess: of its images; None for a text encoder.
        dtype: the type in which it computes. Parameters are float32.
        mesh: the devices on which its parameters are laid out; None for one device.
        class_names: the classes of the variant on which a run was trained.
        class_frequency: their frequency in it.
        step: a run's training step; None for a published model.
        open_tokenizer: returns the tokenizer, or None if the model comes without one.
    """

    name: str
    description: Mapping[str, Any]
    weights: Weights
    preprocess: Preprocess | None
    dtype: Any = jnp.float32
    mesh: Mesh | None = None
    class_names: tuple[str, ...] | None = None
    class_frequency: Int[np.ndarray, " class"] | None = None
    step: int | None = None
    open_tokenizer: Callable[[], TextTokenizer | BagOfWords | None] = dataclasses.field(
        default=lambda: None, repr=False
    )

    @property
    def config(self) -> Mapping[str, Any]:
        """open_clip's model_cfg."""
        return self.description["model_cfg"]

    @property
    def digest(self) -> str:
        """SHA-256 of the weights."""
        return self.weights.digest

    @property
    def revision(self) -> str | None:
        """The version of weights that may change: a commit of the Hub, or a step of a run."""
        return self.weights.revision

    @property
    def embed_dim(self) -> int:
        """The width of the features."""
        return self.config["embed_dim"]

    @property
    def is_run(self) -> bool:
        """Whether the model was trained by this project's training loop."""
        return self.step is not None

    @property
    def has_text(self) -> bool:
        """Whether the model has a text tower."""
        return "text_cfg" in self.config and "head" not in self.description

    @property
    def has_words(self) -> bool:
        """Whether the model classifies words, into which its tokenizer, a `BagOfWords`, splits texts."""
        return classifies_words(self.description)

    @property
    def has_tokenizer(self) -> bool:
        """Whether the model comes with a tokenizer, or merges were given for it."""
        return self._tokenizer is not None

    def at_size(self, size: int, key: str = "image_size") -> "OpenedModel":
        """The model for images of `size` × `size` pixels.

        Its positional embedding is resized when the weights are read, as in open_clip. That of a DINO run is resampled in
        each forward pass instead, as in its training. Raises UserError, naming the config's `key`, for a size that the
        image tower cannot divide.
        """
        vision_cfg = dict(self.config["vision_cfg"])
        check_image_size(vision_cfg, size, key)
        if "cliptail_resampling" not in vision_cfg:
            vision_cfg["image_size"] = size
        description = {**self.description, "model_cfg": {**self.config, "vision_cfg": vision_cfg}}
        preprocess = dataclasses.replace(self.preprocess, size=size, short_side=0)
        return dataclasses.replace(self, description=description, preprocess=preprocess)

    @functools.cached_property
    def model(self) -> ImageModel | TextModel:
        """The model with its weights: a CLIP, a Classifier, an ImageModel or a TextModel.

        Raises UserError if the weights are corrupt or do not fit the description.
        """
        abstract = abstract_model(self.description, dtype=self.dtype)
        graphdef, state = nnx.split(abstract)
        shardings = parameter_shardings(self.mesh, state) if self.mesh is not None else None
        self.weights.check(state)
        return nnx.merge(graphdef, self.weights.read(state, shardings))

    @property
    def tokenizer(self) -> TextTokenizer | BagOfWords:
        """From texts to int32 tokens [n, context]. Raises UserError if the model comes without one."""
        if not self.has_tokenizer:
            raise UserError(
                f"{self.name} comes without a {TOKENIZER}: put it in the folder of the weights, or give CLIP's "
                "bpe_simple_vocab_16e6.txt.gz as merges"
            )
        return self._tokenizer

    @functools.cached_property
    def _tokenizer(self) -> TextTokenizer | BagOfWords | None:
        return self.open_tokenizer()


@dataclasses.dataclass(frozen=True)
class ModelName:
    """What a name refers to. Nothing has been read yet.

    Attributes:
        name: of the model.
        source: the work directory of a run, or else the argument of `open_published`.
        is_run: which of the two.
        architecture: open_clip's name of the architecture, if it is not the one in the source.
        corpus: the data on which a published model was trained, if the study has published their class frequencies.
    """

    name: str
    source: str
    is_run: bool = False
    architecture: str | None = None
    corpus: str | None = None

    @functools.cached_property
    def digest(self) -> str | None:
        """SHA-256 of the current weights; None for the Hub's, which are taken to stay the same.

        Raises UserError if there are none.
        """
        if self.is_run:
            return open_run(self.source).digest
        return (
            None
            if self.source.startswith(hub.PREFIX)
            else checked_digest(find(self.source, CONFIG, WEIGHTS_FILES, None))
        )

    def open(self, *, merges: str | Path | None = None, dtype=jnp.float32, mesh: Mesh | None = None) -> OpenedModel:
        """The model; arguments as for `open_published`. Raises UserError if it cannot be opened."""
        if self.is_run:
            return open_run(self.source, mesh=mesh)
        return open_published(self.source, architecture=self.architecture, merges=merges, dtype=dtype, mesh=mesh)


def find_model(name: str) -> ModelName:
    """The run in the work directory `name`, or the published model with this name, repository or folder.

    Raises UserError if there is none, with similar names.
    """
    config = None if name.startswith(hub.PREFIX) else runs.read_config(work_path(name))
    if config is not None:
        if config["objective"] == zero_shot.MODE:
            raise UserError(f"{name} holds evaluations of a published model: give the name of that model")
        return ModelName(name, name, is_run=True)
    published = published_models()
    for model in published:
        if name == model.name:
            return ModelName(name, model.repository, False, model.architecture, model.corpus)
    for model in published:  # with the architecture in the repository
        if name == model.repository:
            return ModelName(name, name, False, None, model.corpus)
    if name.startswith(hub.PREFIX) or Path(name).exists():
        return ModelName(name, name)
    hint = did_you_mean(name, (model.name for model in published), cutoff=0.7)
    raise UserError(
        f"unknown model '{name}'{hint}: give a name of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or a folder "
        "that exists"
    )


def open_model(name: str, *, dtype=jnp.float32, mesh: Mesh | None = None) -> OpenedModel:
    """The model called `name`: a run's work directory, a published name, 'hf-hub:OWNER/NAME', or a folder.

    A run computes in the type that it was trained in, a published model in `dtype`. Raises UserError if there is no such
    model.
    """
    return find_model(name).open(dtype=dtype, mesh=mesh)


def load(name_or_path: str | Path, **options) -> OpenedModel:
    """As `open_published`, but loads the weights and the tokenizer at once."""
    opened = open_published(name_or_path, **options)
    _ = opened.model, opened.has_tokenizer
    return opened


# Runs


def describe_run(
    workdir: Path, model: Mapping[str, Any], preprocess: Preprocess, dtype: str, tokenizer: Mapping[str, str]
) -> None:
    """Write what `open_run` needs besides the checkpoints.

    Args:
        model: the argument of `build_model`.
        preprocess: of the run's evaluation images.
        tokenizer: {} for the one in the work directory, {"merges": PATH} for CLIP's, or {"model": NAME} for the one of a
            trained text tower, which also needs the merges if it comes without one.
    """
    document = {"model": model, "preprocess": dataclasses.asdict(preprocess), "dtype": dtype, "tokenizer": tokenizer}
    runs.write_description(workdir, document)


def open_run(workdir: str | Path, *, mesh: Mesh | None = None) -> OpenedModel:
    """The model of a run at its newest valid checkpoint. Raises UserError if there is none."""
    workdir = work_path(str(workdir))
    document = runs.read_description(workdir)
    if document is None:
        raise UserError(
            f"{workdir} holds no run, or a run of an earlier version, without a description of its model: train it again"
        )
    check_digests(workdir)
    step = broadcast_from_first(newest_valid_step(workdir / "checkpoints"))
    if step < 0:
        raise no_checkpoint(workdir / "checkpoints")
    last = runs.last_step(workdir)
    if last is not None and step < last:
        raise UserError(
            f"{workdir} was trained to step {last}, but its newest checkpoint that is not corrupt is step {step}: train it "
            "again with the same command, which trains what is missing"
        )
    names, frequency = runs.read_run_frequency(workdir)
    return OpenedModel(
        name=str(workdir),
        description=document["model"],
        weights=CheckpointWeights(workdir / "checkpoints" / str(step)),
        preprocess=read_preprocess(document["preprocess"], document["preprocess"]["size"]),
        dtype=DTYPES[document["dtype"]],
        mesh=mesh,
        class_names=names,
        class_frequency=frequency,
        step=step,
        open_tokenizer=functools.partial(_run_tokenizer, workdir, document),
    )


def _run_tokenizer(workdir: Path, document: Mapping[str, Any]) -> TextTokenizer | BagOfWords | None:
    source, text_cfg = document["tokenizer"], document["model"]["model_cfg"].get("text_cfg")
    if classifies_words(document["model"]):
        return BagOfWords.load(workdir)
    if text_cfg is None:
        return None
    if "model" in source:
        return open_text_model(source["model"], text_cfg["context_length"], source.get("merges")).tokenizer
    if "merges" in source:
        return load_clip_tokenizer(source["merges"], text_cfg["context_length"])
    return Tokenizer.load(workdir / "tokenizer.json")


# Published models


def open_published(
    name_or_path: str | Path,
    *,
    architecture: str | None = None,
    revision: str | None = None,
    merges: str | Path | None = None,
    dtype=jnp.float32,
    mesh: Mesh | None = None,
) -> OpenedModel:
    """A published CLIP, or a classifier that `cliptail_jax.pretrained.save` has written.

    Args:
        name_or_path: 'hf-hub:OWNER/NAME', a folder with open_clip_config.json and weights, that configuration, or a
            .safetensors file in the same folder.
        architecture: open_clip's name of the architecture, instead of the configuration.
        revision: a branch, tag or commit of the Hub.
        merges: CLIP's merges file, for weights that come without a tokenizer.
        dtype: the type in which the model computes. Its parameters are float32.
        mesh: the devices on which the parameters are laid out; None for one device.

    Raises:
        UserError: something is missing, corrupt, unknown or does not fit.
    """
    name = str(name_or_path)
    source = find(name, CONFIG, WEIGHTS_FILES, revision)
    document = _read_document(name, source.config, architecture)
    config = document["model_cfg"]
    check_model(config)
    text_cfg = config["text_cfg"]
    encoder = _read_encoder(text_cfg)
    description = {"model_cfg": config} | ({"encoder": encoder} if encoder else {})
    head, weights = source.weights.parent / HEAD, PublishedWeights(source, _text_names(source.weights), UNUSED)
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
        open_tokenizer=functools.partial(_published_tokenizer, text_cfg, encoder, source, merges),
    )


def open_encoder(
    name_or_path: str | Path,
    *,
    pooler: str = "mean_pooler",
    context_length: int = 77,
    revision: str | None = None,
    dtype=jnp.float32,
    mesh: Mesh | None = None,
) -> OpenedModel:
    """A Hugging Face text encoder, whose features are its pooled outputs.

    Args:
        name_or_path: 'hf-hub:OWNER/NAME', or a folder with config.json, model.safetensors and tokenizer.json.
        pooler: one of `cliptail_jax.models.encoder_text.POOLERS`.
        context_length: the number of tokens to which texts are truncated.
        revision, dtype, mesh: as for `open_published`.

    Raises:
        UserError: something is missing, corrupt or does not fit.
    """
    name = str(name_or_path)
    source = find(name, ENCODER_CONFIG, ENCODER_WEIGHTS, revision)
    for file, path in ((ENCODER_CONFIG, source.config), (TOKENIZER, source.tokenizer)):
        if path is None:
            raise UserError(f"{name} has weights but no {file}: add it to the folder")
    encoder = read_json(source.config)
    shape = encoder_shape(encoder)
    if context_length > shape.max_context:
        raise UserError(f"context_length={context_length} is more than the {shape.max_context} positions of {name}")
    repository, _ = hub.split(name)
    text_cfg = {"hf_model_name": repository, "hf_tokenizer_name": repository, "context_length": context_length}
    text_cfg |= {"hf_proj_type": None, "hf_pooler_type": pooler}
    name_of, unused = encoder_names(source.weights)
    return OpenedModel(
        name=name,
        description={"model_cfg": {"embed_dim": shape.width, "text_cfg": text_cfg}, "encoder": encoder},
        weights=PublishedWeights(source, lambda path: name_of(path[1:]), unused),
        preprocess=None,
        dtype=dtype,
        mesh=mesh,
        open_tokenizer=lambda: _encoder_tokenizer(source.tokenizer, text_cfg, encoder),
    )


def is_encoder(name: str) -> bool:
    """Whether `name` is a text encoder: a folder or repository without open_clip's configuration, and not a run."""
    if not name.startswith(hub.PREFIX):
        path = Path(name)
        return path.is_dir() and not (path / CONFIG).exists() and runs.read_config(work_path(name)) is None
    repository, revision = hub.split(name)
    try:
        hub.fetch(repository, [CONFIG], revision)
        return False
    except UserError:  # perhaps only because the Hub cannot be reached
        hub.fetch(repository, [ENCODER_CONFIG], revision)
        return True


def open_text_model(name: str, context_length: int = 77, merges: str | None = None) -> OpenedModel:
    """A model with a text tower: a run, a published CLIP, or a text encoder, which truncates to `context_length` tokens.

    `merges` is CLIP's merges file, for a CLIP that comes without a tokenizer. Raises UserError if there is no such model,
    or it has no text tower.
    """
    opened = (
        open_encoder(name, context_length=context_length) if is_encoder(name) else find_model(name).open(merges=merges)
    )
    if not opened.has_text:
        raise UserError(f"{name} holds a model without a text tower")
    return opened


def _read_document(name: str, path: Path | None, architecture: str | None) -> dict[str, Any]:
    """model_cfg and preprocess_cfg. Raises UserError if there is neither a configuration nor an architecture."""
    if architecture is not None:
        return {"model_cfg": named_architecture(architecture), "preprocess_cfg": listed_preprocess(architecture)}
    if path is None:
        raise UserError(f"{name} has no {CONFIG} in its folder: add it, or give an architecture, such as 'ViT-B-32'")
    document = read_json(path)
    config = document.get("model_cfg", document)
    missing = {"embed_dim", "vision_cfg", "text_cfg"} - config.keys()
    if missing:
        raise UserError(f"{path} is not a configuration of open_clip: it has no {min(missing)}")
    return {"model_cfg": config, "preprocess_cfg": document.get("preprocess_cfg")}


def listed_preprocess(architecture: str) -> dict[str, Any]:
    """The preprocess_cfg of published weights of an architecture; {} for CLIP's."""
    return next((config for part, config in LISTED_PREPROCESS.items() if part.lower() in architecture.lower()), {})


def _read_encoder(text_cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """config.json of the Hugging Face text encoder named by `text_cfg`, if any."""
    name = text_cfg.get("hf_model_name")
    if not name:
        return None
    if known := named_encoder(name):
        return known
    path = Path(name) / ENCODER_CONFIG
    if not path.is_file():
        path = hub.fetch(name, [ENCODER_CONFIG], None)
    return read_json(path)


def _published_tokenizer(
    text_cfg: Mapping[str, Any], encoder: Mapping[str, Any] | None, source: ModelFiles, merges: str | Path | None
) -> TextTokenizer | None:
    """CLIP's tokenizer if its merges are given, or else the one in the weights' folder or repository, if any."""
    hugging_face = text_cfg.get("hf_tokenizer_name")
    if merges:
        if hugging_face:
            raise UserError(f"merges are for CLIP's tokenizer, but the model has the tokenizer of {hugging_face}")
        return load_clip_tokenizer(merges, text_cfg.get("context_length", 77))
    path = source.tokenizer
    if path is None and hugging_face and source.revision is not None:
        path = fetch_tokenizer(hugging_face, None)
    if path is None:
        return None
    if encoder is not None:
        return _encoder_tokenizer(path, text_cfg, encoder)
    tokenizer = load_tokenizer(path, text_cfg)
    check_kind(path, tokenizer, hugging_face or "")
    # A tower that pools by the highest token needs CLIP's, in which that is the end of the text.
    by_highest = text_cfg.get("pool_type", "argmax") == "argmax"
    if by_highest and not isinstance(tokenizer, Tokenizer):
        raise UserError(f"{path} is not CLIP's tokenizer, which the model's text tower needs: put that in its place")
    return tokenizer


def _encoder_tokenizer(path: Path, text_cfg: Mapping[str, Any], encoder: Mapping[str, Any]) -> TextTokenizer:
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


def _text_names(weights: Path) -> Callable[[tuple], str]:
    """How the file names parameters: open_clip omits the prefix `text.` for its own text transformers."""
    with open_weights(weights) as file:
        prefixed = any(name.startswith("text.") for name in file.keys())
    return published_name if prefixed else lambda path: published_name(path).removeprefix("text.")


def _head_rows(path: Path, embed_dim: int) -> int:
    """The number of classes of a classifier's class head."""
    with open_weights(path) as file:
        shape = file.get_slice("head").get_shape()
    if len(shape) != 2 or shape[1] != embed_dim:
        raise UserError(f"{path}: head has shape {list(shape)}, but the features are {embed_dim} wide")
    return shape[0]
