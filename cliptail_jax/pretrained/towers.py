"""The towers that training starts from: `text.init` and `image.init` of a config.

Text towers are a published model's, image towers that or another run's. A published tower follows its weights' own
configuration, but for the width of the features (`model.image.output_dim`) and the size of the images
(`data.image_size`), which are the run's. Parameters that the weights have not, or have in another shape, are drawn as in
any run.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from etils import epath
from flax import nnx
from ml_collections import ConfigDict

from cliptail_jax import runs
from cliptail_jax.config.training import as_config, check_batch_norm, flatten
from cliptail_jax.errors import UserError
from cliptail_jax.input.huggingface_tokenizer import HuggingFaceTokenizer
from cliptail_jax.input.images import MEAN, STD
from cliptail_jax.input.preprocess import read_preprocess
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.models import whole_config as own
from cliptail_jax.models.bert import BertText
from cliptail_jax.models.build import DTYPES
from cliptail_jax.models.image_towers import build_image_tower, check_image_size, describe_image_tower, image_tower
from cliptail_jax.models.open_clip import image_size
from cliptail_jax.models.text_towers import build_text_tower
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained.class_head import read_head
from cliptail_jax.pretrained.load import CONFIG, WEIGHTS, read_document, read_encoder, read_tokenizer, text_names
from cliptail_jax.pretrained.names import published_name
from cliptail_jax.pretrained.run_tower import RunTower
from cliptail_jax.pretrained.run_tower import unfilled as unfilled_by_run
from cliptail_jax.pretrained.source import Source, checked_digest, find
from cliptail_jax.pretrained.text_encoder import CONFIG as ENCODER_CONFIG
from cliptail_jax.pretrained.text_encoder import encoder_names, read_encoder_files
from cliptail_jax.pretrained.weights import misfit, open_weights, read_tensors
from cliptail_jax.runs.checkpoints import newest_checkpoint

TextTokenizer = Tokenizer | HuggingFaceTokenizer
RANDOM = "random"
PROJECTIONS = ("proj", "text_projection")  # what text towers have behind the pooled state


@dataclasses.dataclass(frozen=True)
class Tower:
    """One tower of a model, its weights not read yet."""

    part: str  # 'visual' or 'text': where it stands in the model
    name: str  # of the published model
    source: Source
    build: Callable[[nnx.Rngs], nnx.Module]
    name_of: Callable[[tuple], str]  # the name in the weights of a parameter of the tower
    drawn: dict[tuple, str]  # the paths of parameters that the weights do not fill, and why
    published_config: dict[str, Any]  # open_clip's vision_cfg or text_cfg
    quick_gelu: bool = False
    encoder: dict[str, Any] | None = None  # the sizes of a BERT or RoBERTa
    tokenizer: TextTokenizer | None = None  # of a text tower

    @property
    def revision(self) -> str | None:
        """The commit, where the weights came from the Hub."""
        return self.source.revision

    @functools.cached_property
    def digest(self) -> str:
        """sha256 of the weights file, of which the other tower may be a part."""
        return checked_digest(self.source)

    def is_drawn(self, path: tuple) -> bool:
        """Whether the parameter at `path` of the whole model is one of this tower's that the weights do not fill."""
        return path[0] == self.part and path[1:] in self.drawn

    def has_published_states(self) -> bool:
        """Whether a text tower's pooled states, in front of the projection, are the published model's."""
        return all(path[0] in PROJECTIONS for path in self.drawn)

    def fill(self, state: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
        """`state`, parameters of a whole model, with the published values of this tower's."""

        def mine(of: nnx.State) -> nnx.State:
            flat = nnx.to_flat_state(of)
            return nnx.from_flat_state([(p, v) for p, v in flat if p[0] == self.part and not self.is_drawn(p)])

        with open_weights(self.source.weights) as file:
            placed = None if shardings is None else mine(shardings)
            filled = read_tensors(mine(state), file, lambda path: self.name_of(path[1:]), placed)
        return nnx.merge_state(state, filled)


@dataclasses.dataclass(frozen=True)
class Towers:
    """The towers that a run does not draw; None for one that it does."""

    image: Tower | RunTower | None = None
    text: Tower | None = None

    def __iter__(self):
        return iter([tower for tower in (self.image, self.text) if tower])


def open_towers(config: ConfigDict) -> Towers:
    """The towers that `image.init` and, in a contrastive run, `text.init` name.

    Raises UserError where there is no such model, or its weights do not fill all of it and the config does not allow that.
    """
    image = open_image_tower(config) if config.image.init != RANDOM else None
    if config.objective != "contrastive":
        return Towers(image)
    text = open_text_tower(config) if config.text.init != RANDOM else None
    has_dropout = text.encoder if text else config.model.text.name != "transformer"
    if config.text.dropout and not has_dropout:
        raise UserError(f"text.dropout={config.text.dropout}: only BERT and RoBERTa towers have dropout")
    return Towers(image, text)


def open_image_tower(config: ConfigDict) -> Tower | RunTower:
    """The image tower of the run or the published CLIP `image.init`."""
    name, size = config.image.init, config.data.image_size
    if run := run_config(name):
        return open_run_tower(config, run)
    source, document, quick_gelu = read_clip("image", name)
    vision = document["model_cfg"]["vision_cfg"]
    preprocess = read_preprocess(document.get("preprocess_cfg") or {}, image_size(vision))
    if preprocess.mean != tuple(MEAN.tolist()) or preprocess.std != tuple(STD.tolist()):
        raise UserError(f"image.init: {name} takes other pixel statistics than CLIP's, with which training normalises")
    check_sides(vision, config)
    vision = vision | {"image_size": size}
    group = {"group_size": config.batch_norm.group_size, "dtype": DTYPES[config.model.dtype]}

    def build(rngs: nnx.Rngs) -> nnx.Module:
        return build_image_tower(vision, config.model.image.output_dim, quick_gelu=quick_gelu, **group, rngs=rngs)

    def name_of(path: tuple) -> str:
        return published_name(("visual", *path))

    drawn = unfilled(build, source.weights, name_of)
    sizes = {"model.image.output_dim": document["model_cfg"]["embed_dim"], "data.image_size": preprocess.size}
    check_partial("image", name, drawn, config, sizes)
    return Tower("visual", name, source, build, name_of, drawn, vision, quick_gelu)


def run_config(name: str) -> ConfigDict | None:
    """The config of the run whose work directory `name` is; None where it is none."""
    held = runs.read_config(epath.Path(name)) if not name.startswith(hub.PREFIX) else None
    return None if held is None or held["objective"] == "zero_shot" else as_config(held)


def open_run_tower(config: ConfigDict, run: ConfigDict) -> RunTower:
    """The image tower of the run `image.init`, whose config is `run`. It has the run's image size, whatever images it gets."""
    name, of_run = config.image.init, feature_width(run)
    try:
        checkpoint = newest_checkpoint(epath.Path(name))
    except UserError as error:
        raise UserError(f"image.init: {error}") from None
    run = run.copy_and_resolve_references()
    run.model.dtype, run.batch_norm.group_size = config.model.dtype, config.batch_norm.group_size
    run.model.image.output_dim = config.model.image.output_dim
    first = None
    if run.image.init != RANDOM:
        run.image.partial = True  # the checkpoint has what the run has drawn
        first = open_image_tower(run)
    if isinstance(first, Tower):
        check_sides(first.published_config, config)
    elif first is None:
        quick_gelu = run.model.activation == "quick_gelu"
        vision = describe_image_tower(run.model.image, run.data.image_size, quick_gelu=quick_gelu)
        check_sides(vision, config)
    build = first.build if first else functools.partial(own.build_visual, run)
    drawn = unfilled_by_run(checkpoint, build)
    check_partial("image", name, drawn, config, {"model.image.output_dim": of_run})
    quick_gelu = first.quick_gelu if first else run.model.activation == "quick_gelu"
    return RunTower(name, run, checkpoint, build, drawn, quick_gelu, first)


def feature_width(run: ConfigDict) -> int:
    """How wide the image features of a run are."""
    if run.objective == "supervised" and run.head.init:
        return read_head(run.head.init).shape[1]
    return run.model.image.output_dim


def image_shape(name: str) -> tuple[int, int]:
    """The width of the features of a run or a published CLIP, and the size of the images that it was made for."""
    if run := run_config(name):
        return feature_width(run), run.data.image_size
    _, document, _ = read_clip("image", name)
    vision = document["model_cfg"]["vision_cfg"]
    preprocess = read_preprocess(document.get("preprocess_cfg") or {}, image_size(vision))
    return document["model_cfg"]["embed_dim"], preprocess.size


def open_text_tower(config: ConfigDict) -> Tower:
    """The text tower of the published CLIP `text.init`, or the BERT or RoBERTa of that name with an MLP drawn behind it."""
    name, dim = config.text.init, config.model.image.output_dim
    shared = {"dtype": DTYPES[config.model.dtype]}
    if is_encoder(name):
        context = config.model.text.context_length
        source, shape, tokenizer = read_encoder_files(name, context)

        def build(rngs: nnx.Rngs) -> nnx.Module:
            return BertText(shape, dim, dropout=config.text.dropout, **shared, rngs=rngs)

        name_of, _ = encoder_names(source.weights)
        drawn = unfilled(build, source.weights, name_of)
        # The MLP is no part of an encoder.
        check_partial("text", name, {path: why for path, why in drawn.items() if path[0] != "proj"}, config, {})
        repository, _ = hub.split(name)
        text_cfg = {"hf_model_name": repository, "hf_tokenizer_name": repository, "context_length": context}
        text_cfg |= {"hf_proj_type": "mlp", "hf_pooler_type": "mean_pooler"}
        encoder = dataclasses.asdict(shape)
        return Tower("text", name, source, build, name_of, drawn, text_cfg, encoder=encoder, tokenizer=tokenizer)

    source, document, quick_gelu = read_clip("text", name)
    text_cfg = document["model_cfg"]["text_cfg"]
    encoder = read_encoder(text_cfg, source)

    def build(rngs: nnx.Rngs) -> nnx.Module:
        options = {"quick_gelu": quick_gelu, "encoder": encoder, "dropout": config.text.dropout}
        return build_text_tower(text_cfg, dim, **options, **shared, rngs=rngs)

    in_model = text_names(source.weights)

    def name_of(path: tuple) -> str:
        return in_model(("text", *path))

    drawn = unfilled(build, source.weights, name_of)
    check_partial("text", name, drawn, config, {"model.image.output_dim": document["model_cfg"]["embed_dim"]})
    tokenizer = read_tokenizer(text_cfg, source, config.text.tokenizer or None)
    if tokenizer is None:
        raise UserError(f"text.init: {name} comes without a tokenizer.json: give CLIP's merges file as text.tokenizer")
    return Tower("text", name, source, build, name_of, drawn, text_cfg, quick_gelu, encoder, tokenizer)


def read_clip(key: str, name: str) -> tuple[Source, dict[str, Any], bool]:
    """A published CLIP's files, its configuration, and whether it has QuickGELU."""
    source = find(name, CONFIG, WEIGHTS, None)
    if source.config is None:
        raise UserError(f"{key}.init: {name} has no {CONFIG} beside its weights: put the model's there")
    document = read_document(name, source.config, None)
    return source, document, bool(document["model_cfg"].get("quick_gelu"))


def is_encoder(name: str) -> bool:
    """Whether `name` is a text encoder on its own: a folder or repository without open_clip's configuration."""
    if not name.startswith(hub.PREFIX):
        return Path(name).is_dir() and not (Path(name) / CONFIG).exists()
    repository, revision = hub.split(name)
    try:
        hub.fetch(repository, [CONFIG], revision)
        return False
    except UserError:  # which may also be because the Hub is out of reach
        hub.fetch(repository, [ENCODER_CONFIG], revision)
        return True


def unfilled(
    build: Callable[[nnx.Rngs], nnx.Module], weights: Path, name_of: Callable[[tuple], str]
) -> dict[tuple, str]:
    """The parameters that the weights have not as the tower needs them, by path, and why."""
    state = nnx.state(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    with open_weights(weights) as file:
        problems = {path: misfit(path, variable, file, name_of) for path, variable in nnx.to_flat_state(state)}
    return {path: why for path, why in problems.items() if why}


def check_partial(key: str, name: str, drawn: dict[tuple, str], config: ConfigDict, sizes: Mapping[str, int]) -> None:
    """Raise UserError where a tower would be filled in part and may not. `sizes` are the fields that the weights fix."""
    if not drawn or config[key].partial:
        return
    flat = dict(flatten(config))
    wrong = [f"{field}={size}" for field, size in sizes.items() if flat[field] != size]
    more = f" (and {len(drawn) - 1} more parameters)" if len(drawn) > 1 else ""
    remedy = f"set {' and '.join(wrong)}, or {key}.partial=True to" if wrong else f"{key}.partial=True would"
    raise UserError(
        f"{key}.init: {name} does not fill the tower: {next(iter(drawn.values()))}{more}; {remedy} draw and train what "
        "is missing"
    )


def check_sides(vision: Mapping[str, Any], config: ConfigDict) -> None:
    """Raise UserError where the run's images or batches cannot be cut as the image tower needs it."""
    if image_tower(vision).has_batch_norm:
        check_batch_norm(config)
    check_image_size(vision, config.data.image_size)
