"""One door to a model that exists: a run, a published CLIP, or a published text encoder.

`open_model` reads descriptions, not weights: these are loaded when `OpenedModel.model` is first used.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int

from cliptail_jax import runs
from cliptail_jax.concepts.frequency_tables import read_frequency
from cliptail_jax.errors import UserError, did_you_mean
from cliptail_jax.files import work_path
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer, load_tokenizer
from cliptail_jax.input.preprocess import Preprocess, read_preprocess
from cliptail_jax.input.tokenizer import Tokenizer, load_clip_tokenizer
from cliptail_jax.models.build import DTYPES, build_model
from cliptail_jax.models.image_model import ImageModel
from cliptail_jax.models.open_clip import check_model, image_size, named_architecture, named_encoder
from cliptail_jax.models.text import TextModel
from cliptail_jax.models.text_towers import bert_shape
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import state_shardings
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.checkpoint_weights import CheckpointWeights
from cliptail_jax.pretrained.names import published_name
from cliptail_jax.pretrained.published import published_models
from cliptail_jax.pretrained.published_weights import PublishedWeights, encoder_names, open_weights
from cliptail_jax.pretrained.source import TOKENIZER, Source, checked_digest, find, read_json
from cliptail_jax.runs.checkpoints import newest_valid_step, no_checkpoint

CONFIG = "open_clip_config.json"
HEAD = "class_head.safetensors"
WEIGHTS = ["open_clip_model.safetensors", "open_clip_pytorch_model.safetensors", "model.safetensors"]
ENCODER_CONFIG, ENCODER_WEIGHTS = "config.json", ["model.safetensors"]
# Parts of published files that no feature depends on: CoCa's caption decoder, and a BERT pooler that is not used.
UNUSED = ("text_decoder.", "text.transformer.pooler.")

TextTokenizer = Tokenizer | HuggingFaceTokenizer


class Weights(Protocol):
    """The arrays of a model that exists, read on request."""

    @property
    def revision(self) -> str | None:
        """Which state of a model that changes: the Hub's commit, or the step of a run."""

    @property
    def digest(self) -> str:
        """sha256 of the weights."""

    def problems(self, state: nnx.State) -> dict[tuple, str]:
        """The parameters of `state` that the weights lack or have in another shape, and why."""

    def read(self, state: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
        """The values for `state`, laid out by `shardings`."""


@dataclasses.dataclass(frozen=True)
class OpenedModel:
    """A model that exists, with all that goes with it.

    Attributes:
        name: as it was opened.
        description: as `cliptail_jax.models.build.build_model` takes it.
        weights: of all parts of the model.
        preprocess: what its images go through; None for a text encoder alone.
        dtype: what it computes in; parameters are float32.
        mesh: the devices that its parameters are laid out on; None for one device.
        class_names: the classes of the variant that a run was trained on.
        class_frequency: their frequency there.
        step: of a run, the training step.
    """

    name: str
    description: Mapping[str, Any]
    weights: Weights
    preprocess: Preprocess | None
    dtype: Any = jnp.float32
    mesh: Mesh | None = None
    class_names: tuple[str, ...] | None = None
    class_frequency: Int[np.ndarray, "class"] | None = None
    step: int | None = None
    open_tokenizer: Callable[[], TextTokenizer | None] = dataclasses.field(default=lambda: None, repr=False)

    @property
    def config(self) -> Mapping[str, Any]:
        """open_clip's model_cfg."""
        return self.description["model_cfg"]

    @property
    def digest(self) -> str:
        """sha256 of the weights."""
        return self.weights.digest

    @property
    def revision(self) -> str | None:
        return self.weights.revision

    @property
    def embed_dim(self) -> int:
        """The width of the features."""
        return self.config["embed_dim"]

    @property
    def has_text(self) -> bool:
        """Whether the model has a text tower."""
        return "text_cfg" in self.config and "head" not in self.description

    @functools.cached_property
    def model(self) -> ImageModel | TextModel:
        """The model with its weights in place: a CLIP, a Classifier, an ImageModel or a TextModel.

        Raises UserError where the weights are damaged or are not those that the description asks for.
        """
        abstract = nnx.eval_shape(lambda: build_model(self.description, dtype=self.dtype, rngs=nnx.Rngs(0)))
        graphdef, state = nnx.split(abstract)
        shardings = state_shardings(self.mesh, state) if self.mesh is not None else None
        if isinstance(self.weights, PublishedWeights):
            self.weights.check(state)
        elif problems := self.weights.problems(state):
            raise UserError(f"{self.name}: its checkpoint does not fit the model: {next(iter(problems.values()))}")
        return nnx.merge(graphdef, self.weights.read(state, shardings))

    @functools.cached_property
    def tokenizer(self) -> TextTokenizer:
        """From texts to int32 tokens [n, context]. Raises UserError where none came with the weights."""
        tokenizer = self.open_tokenizer()
        if tokenizer is None:
            raise UserError(
                f"{self.name} comes without a {TOKENIZER}: put it beside the weights, or give CLIP's "
                "bpe_simple_vocab_16e6.txt.gz as merges"
            )
        return tokenizer


@dataclasses.dataclass(frozen=True)
class ModelName:
    """What a name stands for: nothing has been read yet.

    Attributes:
        name: of the model.
        source: a run's work directory, or what `load` takes.
        is_run: which of the two.
        architecture: open_clip's name of another architecture than the one beside the weights.
        corpus: what a published model was trained on, if known.
        is_supported: whether its architecture is.
    """

    name: str
    source: str
    is_run: bool = False
    architecture: str | None = None
    corpus: str | None = None
    is_supported: bool = True

    @functools.cached_property
    def digest(self) -> str | None:
        """sha256 of the weights that the name now stands for; None for the Hub's, which a name stands for for good.

        Raises UserError where there are none.
        """
        if self.is_run:
            return open_run(self.source).digest
        return None if self.source.startswith(hub.PREFIX) else checked_digest(find(self.source, CONFIG, WEIGHTS, None))

    def open(self, *, dtype=jnp.float32, mesh: Mesh | None = None) -> OpenedModel:
        """The model. Raises UserError where it cannot be opened."""
        if not self.is_supported:
            raise UserError(f"{self.source} is an EVA-CLIP, whose architecture is not supported")
        if self.is_run:
            return open_run(self.source, mesh=mesh)
        return open_published(self.source, architecture=self.architecture, dtype=dtype, mesh=mesh)


def find_model(name: str) -> ModelName:
    """What `name` stands for: a run's work directory, a published model's name or repository, or a folder.

    Raises UserError for what is none of them, naming what is like it.
    """
    held = None if name.startswith(hub.PREFIX) else runs.read_config(work_path(name))
    if held is not None:
        if held["objective"] == "zero_shot":
            raise UserError(f"{name} holds evaluations of a published model: name that model itself")
        return ModelName(name, name, is_run=True)
    published = published_models()
    for model in published:
        if name == model.name:
            return ModelName(name, model.repository, False, model.architecture, model.corpus, model.is_supported)
    for model in published:  # of a repository, with its own architecture
        if name == model.repository:
            return ModelName(name, name, False, None, model.corpus, model.is_supported)
    if name.startswith(hub.PREFIX) or Path(name).exists():
        return ModelName(name, name)
    hint = did_you_mean(name, (model.name for model in published), cutoff=0.7)
    raise UserError(
        f"unknown model '{name}'{hint}: give a name of cliptail_jax.pretrained.published, hf-hub:OWNER/NAME, or a folder "
        "that exists"
    )


def open_model(name: str, *, dtype=jnp.float32, mesh: Mesh | None = None) -> OpenedModel:
    """The model that `name` stands for: a run's work directory, a published name, 'hf-hub:OWNER/NAME', or a folder.

    A run computes in its own dtype, published models in `dtype`. Raises UserError where there is no such model.
    """
    return find_model(name).open(dtype=dtype, mesh=mesh)


def load(
    name_or_path: str | Path,
    *,
    architecture: str | None = None,
    revision: str | None = None,
    merges: str | Path | None = None,
    dtype=jnp.float32,
    mesh: Mesh | None = None,
) -> OpenedModel:
    """As `open_published`, with the weights loaded."""
    opened = open_published(
        name_or_path, architecture=architecture, revision=revision, merges=merges, dtype=dtype, mesh=mesh
    )
    opened.model
    return opened


# Runs


def describe_run(
    workdir: Path, model: Mapping[str, Any], preprocess: Preprocess, dtype: str, tokenizer: Mapping[str, str]
) -> None:
    """Write what `open_run` needs to know of a run beside its checkpoints.

    Args:
        model: its description, as `build_model` takes it.
        preprocess: what its evaluation images go through.
        tokenizer: {} for the one in the work directory, {"merges": PATH} for CLIP's, or {"model": NAME} for a published
            text tower's.
    """
    sizes = {"size": preprocess.size, "short_side": preprocess.short_side}
    document = {"model": model, "preprocess": sizes, "dtype": dtype, "tokenizer": tokenizer}
    runs.write_description(workdir, document)


def open_run(workdir: str | Path, *, mesh: Mesh | None = None) -> OpenedModel:
    """The model of a run, by its newest valid checkpoint. Raises UserError where there is none."""
    workdir = work_path(str(workdir))
    document = runs.read_description(workdir)
    if document is None:
        raise UserError(f"{workdir} holds no run, or one of an earlier version whose model is not described: train it")
    step = agreed(newest_valid_step(workdir / "checkpoints"))
    if step < 0:
        raise no_checkpoint(workdir / "checkpoints")
    names, frequency = read_frequency(workdir / "class_frequency.tsv")
    return OpenedModel(
        name=str(workdir),
        description=document["model"],
        weights=CheckpointWeights(workdir / "checkpoints" / str(step)),
        preprocess=Preprocess(**document["preprocess"]),
        dtype=DTYPES[document["dtype"]],
        mesh=mesh,
        class_names=names,
        class_frequency=frequency,
        step=step,
        open_tokenizer=functools.partial(_run_tokenizer, workdir, document),
    )


def _run_tokenizer(workdir: Path, document: Mapping[str, Any]) -> TextTokenizer | None:
    source, text_cfg = document["tokenizer"], document["model"]["model_cfg"].get("text_cfg")
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
    """The CLIP at `name_or_path`, which computes in `dtype`; its parameters are float32, laid out on `mesh` if given.

    `name_or_path` is 'hf-hub:OWNER/NAME', a folder with open_clip_config.json and weights, that configuration, or a
    .safetensors file with the configuration beside it. `architecture` is open_clip's name of one, where there is no
    configuration; `revision` a branch, tag or commit of the Hub; `merges` CLIP's merges file, for weights that come
    without their tokenizer. Raises UserError where something is missing, damaged, unknown or does not fit.
    """
    name = str(name_or_path)
    source = find(name, CONFIG, WEIGHTS, revision)
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
        open_tokenizer=functools.partial(_published_tokenizer, text_cfg, source, merges),
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
    """The Hugging Face encoder in a folder, or at 'hf-hub:OWNER/NAME': config.json, model.safetensors, tokenizer.json.

    Its features are its pooled outputs. `pooler` is one of cliptail_jax.models.bert.POOLERS; texts are cut to
    `context_length` tokens. Raises UserError where something is missing, damaged or does not fit.
    """
    name = str(name_or_path)
    source = find(name, ENCODER_CONFIG, ENCODER_WEIGHTS, revision)
    for file, path in ((ENCODER_CONFIG, source.config), (TOKENIZER, source.tokenizer)):
        if path is None:
            raise UserError(f"{name} has no {file} beside its weights")
    encoder = read_json(source.config)
    shape = bert_shape(encoder)
    if context_length > shape.max_context:
        raise UserError(f"context_length={context_length} is more than the positions that {name} has")
    repository, _ = hub.split(name)
    text_cfg = {"hf_model_name": repository, "hf_tokenizer_name": repository, "context_length": context_length}
    text_cfg |= {"hf_proj_type": None, "hf_pooler_type": pooler}
    name_of, unused = encoder_names(source.weights)
    tokens = {"context_length": context_length, "vocab_size": shape.vocab_size}
    return OpenedModel(
        name=name,
        description={"model_cfg": {"embed_dim": shape.width, "text_cfg": text_cfg}, "encoder": encoder},
        weights=PublishedWeights(source, lambda path: name_of(path[1:]), unused),
        preprocess=None,
        dtype=dtype,
        mesh=mesh,
        open_tokenizer=lambda: load_tokenizer(source.tokenizer, tokens),
    )


def is_encoder(name: str) -> bool:
    """Whether `name` is a text encoder on its own: a folder or repository without open_clip's configuration."""
    if not name.startswith(hub.PREFIX):
        path = Path(name)
        return path.is_dir() and not (path / CONFIG).exists() and runs.read_config(work_path(name)) is None
    repository, revision = hub.split(name)
    try:
        hub.fetch(repository, [CONFIG], revision)
        return False
    except UserError:  # which may also be because the Hub is out of reach
        hub.fetch(repository, [ENCODER_CONFIG], revision)
        return True


def open_text_model(name: str, context_length: int = 77, merges: str | None = None) -> OpenedModel:
    """A model with a text tower: a run, a published CLIP, or a text encoder, which cuts texts to `context_length` tokens.

    Raises UserError where there is no such model, or it has no text tower.
    """
    if is_encoder(name):
        return open_encoder(name, context_length=context_length)
    model = find_model(name)
    opened = model.open() if model.is_run else open_published(model.source, merges=merges)
    if not opened.has_text:
        raise UserError(f"{name} holds a model without a text tower")
    return opened


def _read_document(name: str, path: Path | None, architecture: str | None) -> dict[str, Any]:
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


def _read_encoder(text_cfg: Mapping[str, Any]) -> dict[str, Any] | None:
    """config.json of the Hugging Face text encoder that `text_cfg` names; None where it names none."""
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
    text_cfg: Mapping[str, Any], source: Source, merges: str | Path | None
) -> TextTokenizer | None:
    """CLIP's tokenizer where its merges are given, else what lies beside the weights, or where `text_cfg` says; or None."""
    hugging_face = text_cfg.get("hf_tokenizer_name")
    if merges:
        if hugging_face:
            raise UserError(f"merges make CLIP's tokenizer, but the model's texts are cut by that of {hugging_face}")
        return load_clip_tokenizer(merges, text_cfg.get("context_length", 77))
    path = source.tokenizer
    if path is None and hugging_face and source.revision is not None:
        path = hub.fetch(hugging_face, [TOKENIZER], None)
    return load_tokenizer(path, text_cfg) if path else None


def _text_names(weights: Path) -> Callable[[tuple], str]:
    """How the file names parameters: open_clip leaves the prefix `text.` out for its own text transformers."""
    with open_weights(weights) as file:
        prefixed = any(name.startswith("text.") for name in file.keys())
    return published_name if prefixed else lambda path: published_name(path).removeprefix("text.")


def _head_rows(path: Path, embed_dim: int) -> int:
    """The number of classes of the class head beside a classifier's weights."""
    with open_weights(path) as file:
        shape = file.get_slice("head").get_shape()
    if len(shape) != 2 or shape[1] != embed_dim:
        raise UserError(f"{path}: head has shape {list(shape)}, but the features are {embed_dim} wide")
    return shape[0]
