"""The towers that training starts from: `image.init` and `text.init` of a config.

A tower follows the configuration of the model that it is taken from, except for the width of the features and, for
published image towers, the size of the images, which are the run's. Parameters that the weights lack, or have in another
shape, are initialized as in any run.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from flax import nnx

from cliptail_jax.errors import UserError
from cliptail_jax.input.images import MEAN, STD
from cliptail_jax.models.image_towers import build_image_tower, check_image_size
from cliptail_jax.models.text_towers import build_text_tower
from cliptail_jax.pretrained.checkpoint_weights import CheckpointWeights
from cliptail_jax.pretrained.model import OpenedModel, TextTokenizer, Weights, is_encoder, open_model, open_text_model

PROJECTIONS = ("proj", "text_projection")  # what text towers have behind the pooled output


@dataclasses.dataclass(frozen=True)
class Tower:
    """One tower of a model that exists, its weights not read yet.

    Attributes:
        part: 'visual' or 'text': where it stands in the model.
        name: of the model that it is taken from.
        weights: of that model.
        config: open_clip's vision_cfg or text_cfg.
        output_dim: the width of the features in the run.
        quick_gelu: whether its activation is QuickGELU.
        missing: the parameters of the tower that the weights do not fill, by their path in the whole model, and why.
        encoder: config.json of a Hugging Face text tower.
        tokenizer: of a text tower.
    """

    part: str
    name: str
    weights: Weights
    config: dict[str, Any]
    output_dim: int
    quick_gelu: bool
    missing: dict[tuple, str]
    encoder: dict[str, Any] | None = None
    tokenizer: TextTokenizer | None = None

    @property
    def digest(self) -> str:
        """sha256 of the weights, of which the other tower may be a part."""
        return self.weights.digest

    @property
    def revision(self) -> str | None:
        """Which state of the model: the Hub's commit, or the step of a run."""
        return self.weights.revision

    def has_published_outputs(self) -> bool:
        """Whether a text tower's pooled outputs, in front of the projection, are those of the model it is taken from."""
        return all(path[1] in PROJECTIONS for path in self.missing)

    def fill(self, state: nnx.State, shardings: nnx.State | None = None) -> nnx.State:
        """`state`, parameters or statistics of a whole model, with the weights' values for this tower's."""

        def mine(of: nnx.State) -> nnx.State:
            flat = nnx.to_flat_state(of)
            return nnx.from_flat_state([(p, v) for p, v in flat if p[0] == self.part and p not in self.missing])

        return nnx.merge_state(state, self.weights.read(mine(state), None if shardings is None else mine(shardings)))


@dataclasses.dataclass(frozen=True)
class Towers:
    """The trained towers of a run; None for one that is randomly initialized."""

    image: Tower | None = None
    text: Tower | None = None

    def __iter__(self):
        return iter([tower for tower in (self.image, self.text) if tower])

    def are_missing(self, path: tuple) -> bool:
        """Whether the parameter at `path` of the whole model belongs to a tower whose weights do not fill it."""
        return any(path in tower.missing for tower in self)


def open_image_tower(name: str, *, output_dim: int, image_size: int, partial: bool) -> Tower:
    """The image tower of the run or the published CLIP `name`.

    A run's tower keeps the run's image size, whatever images it gets.

    Args:
        output_dim: the width of the features.
        image_size: the side of the images in pixels.
        partial: whether the weights may leave parameters of the tower unfilled.

    Raises:
        UserError: there is no such model, or the weights or the images do not fit.
    """
    opened = _open("image.init", lambda: open_model(name))
    if "vision_cfg" not in opened.config:
        raise UserError(f"image.init: {name} has no image tower")
    is_run = isinstance(opened.weights, CheckpointWeights)
    preprocess, vision_cfg = opened.preprocess, dict(opened.config["vision_cfg"])
    if preprocess.mean != tuple(MEAN.tolist()) or preprocess.std != tuple(STD.tolist()):
        raise UserError(f"image.init: {name} takes other pixel statistics than CLIP's, with which training normalises")
    check_image_size(vision_cfg, image_size)
    fixed = {"model.image.output_dim": (opened.embed_dim, output_dim)}
    if not is_run:
        vision_cfg["image_size"] = image_size
        fixed["data.image_size"] = (preprocess.size, image_size)
    quick_gelu = bool(opened.config.get("quick_gelu"))
    missing = _missing(
        "visual", opened, lambda rngs: build_image_tower(vision_cfg, output_dim, quick_gelu=quick_gelu, rngs=rngs)
    )
    if not partial:
        _check_filled("image", name, missing, fixed)
    return Tower("visual", name, opened.weights, vision_cfg, output_dim, quick_gelu, missing)


def open_text_tower(name: str, *, output_dim: int, context_length: int, partial: bool, merges: str = "") -> Tower:
    """The text tower of a run or a published CLIP, or the BERT or RoBERTa `name` with an MLP behind it.

    Args:
        output_dim: the width of the features.
        context_length: the number of tokens that a BERT or RoBERTa cuts texts to.
        partial: whether the weights may leave parameters of the tower unfilled.
        merges: CLIP's merges file, for a model that comes without its tokenizer.

    Raises:
        UserError: there is no such model, its weights do not fit, or it has no tokenizer.
    """
    opened = _open("text.init", lambda: open_text_model(name, context_length, merges or None))
    alone = is_encoder(name)
    text_cfg = dict(opened.config["text_cfg"]) | ({"hf_proj_type": "mlp"} if alone else {})
    encoder = opened.description.get("encoder")
    quick_gelu = bool(opened.description.get("text_quick_gelu", opened.config.get("quick_gelu")))
    options = {"quick_gelu": quick_gelu, "encoder": encoder}
    missing = _missing("text", opened, lambda rngs: build_text_tower(text_cfg, output_dim, **options, rngs=rngs))
    # The MLP is no part of an encoder.
    unexpected = {path: why for path, why in missing.items() if not (alone and path[1] == "proj")}
    if not partial:
        fixed = {} if alone else {"model.image.output_dim": (opened.embed_dim, output_dim)}
        _check_filled("text", name, unexpected, fixed)
    try:
        tokenizer = opened.tokenizer
    except UserError:
        raise UserError(
            f"text.init: {name} comes without a tokenizer.json: give CLIP's merges file as text.tokenizer"
        ) from None
    return Tower("text", name, opened.weights, text_cfg, output_dim, quick_gelu, missing, encoder, tokenizer)


def _open(field: str, open_it: Callable[[], OpenedModel]) -> OpenedModel:
    try:
        return open_it()
    except UserError as error:
        raise UserError(f"{field}: {error}") from None


def _missing(part: str, opened: OpenedModel, build: Callable[[nnx.Rngs], nnx.Module]) -> dict[tuple, str]:
    """The parameters of a tower that the model's weights do not fill, by their path in the whole model, and why."""
    state = nnx.state(nnx.eval_shape(lambda: build(nnx.Rngs(0))))
    whole = nnx.from_flat_state([((part, *path), variable) for path, variable in nnx.to_flat_state(state)])
    return opened.weights.problems(whole)


def _check_filled(key: str, name: str, missing: Mapping[tuple, str], fixed: Mapping[str, tuple[int, int]]) -> None:
    """Raise UserError where weights leave parameters unfilled.

    `fixed` has the value of each config field that the weights fix, and the one that it has.
    """
    if not missing:
        return
    wrong = [f"{field}={needed}" for field, (needed, given) in fixed.items() if needed != given]
    more = f" (and {len(missing) - 1} more parameters)" if len(missing) > 1 else ""
    remedy = f"set {' and '.join(wrong)}, or {key}.partial=True to" if wrong else f"{key}.partial=True would"
    raise UserError(
        f"{key}.init: {name} does not fill the tower: {next(iter(missing.values()))}{more}; {remedy} initialize and train "
        "what is missing"
    )
