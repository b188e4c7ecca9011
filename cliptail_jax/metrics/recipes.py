"""Training recipes by short names, such as `sl` and `batch:64`, with their effective log-priors."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.metrics.effective_prior import (
    SAMPLING_EXPONENTS,
    batch_log_prior,
    vocabulary_log_prior,
    weights_log_prior,
)
from cliptail_jax.metrics.imbalance import log_prior


class NumberParameter(NamedTuple):
    """A parameter of a recipe that is a number; `kind` is `int` or `float`."""

    name: str
    kind: type
    minimum: float
    maximum: float = math.inf

    def read(self, text: str) -> float:
        value = self.kind(text)
        if not (self.minimum <= value <= self.maximum and math.isfinite(value)):
            raise ValueError
        return value


class WordParameter(NamedTuple):
    """A parameter of a recipe that is one of several words."""

    name: str
    words: Sequence[str]

    def read(self, text: str) -> str:
        if text not in self.words:
            raise ValueError
        return text


class Recipe(NamedTuple):
    """A recipe.

    Attributes:
        meaning: a phrase that describes it.
        log_prior: its effective log-prior, from the numbers of training images of the classes, which are positive, and the
            values of the parameters.
        parameters: what follows its name, after colons.
    """

    meaning: str
    log_prior: Callable[..., Float[np.ndarray, " class"]]
    parameters: Sequence[NumberParameter | WordParameter] = ()


def flat(frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    return np.zeros(len(frequency))


def adjusted_log_prior(frequency: Int[np.ndarray, " class"], tau: float) -> Float[np.ndarray, " class"]:
    """ψ_c = (1 − τ) log p_c of cross-entropy of the logits plus τ log p (Menon et al., 2021)."""
    return (1 - tau) * log_prior(frequency)


SAMPLING = WordParameter("uniform|sqrt|linear", tuple(SAMPLING_EXPONENTS))
BATCH = NumberParameter("BATCH", int, 2)
# By their names, which are those of runs in studies where there is one.
RECIPES = {
    "sl": Recipe("cross-entropy over all classes", log_prior),
    "batch": Recipe("a softmax over the classes of a batch, or group, of BATCH images", batch_log_prior, (BATCH,)),
    "vocabulary": Recipe(
        "a softmax over SIZE sampled classes, with those of the batch",
        vocabulary_log_prior,
        (NumberParameter("SIZE", int, 2), SAMPLING, BATCH),
    ),
    "adjusted": Recipe(
        "logits adjusted in training by TAU log p", adjusted_log_prior, (NumberParameter("TAU", float, 0),)
    ),
    "weights": Recipe(
        "class weights by the effective number of images",
        weights_log_prior,
        (NumberParameter("BETA", float, 0, 1 - 1e-12),),
    ),
    "counts": Recipe("classes of a batch, weighted by their number there", flat),
    "balanced": Recipe("balanced sampling", flat),
    "clip": Recipe("CLIP on class names or captions", flat),
    "sigmoid": Recipe("SigLIP's loss", flat),
}
USAGES = {name: ":".join([name, *(p.name for p in recipe.parameters)]) for name, recipe in RECIPES.items()}


def is_recipe(text: str) -> bool:
    """Whether a text begins with the name of a recipe, and is no config, whose arguments have '='."""
    return text.partition(":")[0].lower() in RECIPES and "=" not in text


def effective_log_prior(recipe: str, frequency: Sequence[int]) -> Float[np.ndarray, " class"]:
    """How much a recipe's loss favours each class, whatever an image shows: ψ of `cliptail_jax.metrics.effective_prior`.

    Args:
        recipe: a short name with its parameters, such as 'sl', 'batch:64' or 'adjusted:0.5'.
        frequency: the number of training images of each class, 1 or more [class].

    Raises:
        UserError: the recipe is unknown, a parameter is wrong, or a class has no training images.

    >>> from cliptail_jax import effective_log_prior
    >>> effective_log_prior("sl", [80, 20]).round(2).tolist()
    [-0.22, -1.61]
    >>> effective_log_prior("batch:8", [80, 20]).round(2).tolist()
    [-0.22, -1.37]
    """
    counts = np.asarray(frequency)
    if counts.ndim != 1 or counts.dtype.kind not in "iuf" or not (counts > 0).all():
        raise UserError(
            "the class frequency is one positive number per class: leave out classes without training images"
        )
    name, *texts = recipe.lower().split(":")
    if name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise UserError(
            f"'{name}' is no recipe{hint}; there are {', '.join(USAGES.values())} (cliptail_jax.objectives.effective_log_prior takes the "
            "values of a config)"
        )
    kind = RECIPES[name]
    try:
        values = [parameter.read(value) for parameter, value in zip(kind.parameters, texts, strict=True)]
    except ValueError:
        example = USAGES[name] if kind.parameters else f"{name}, without parameters"
        raise UserError(f"the recipe '{recipe}' is wrong: write {example}") from None
    return kind.log_prior(counts, *values)
