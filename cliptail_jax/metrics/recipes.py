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


class Number(NamedTuple):
    """A parameter of a recipe that is a number; `kind` is `int` or `float`."""

    name: str
    kind: type
    minimum: float
    maximum: float = math.inf

    def read(self, text: str) -> float:
        value = self.kind(text)
        if not self.minimum <= value <= self.maximum:
            raise ValueError
        return value


class Choice(NamedTuple):
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
    parameters: Sequence[Number | Choice] = ()


def flat(frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    return np.zeros(len(frequency))


def adjusted_log_prior(frequency: Int[np.ndarray, " class"], tau: float) -> Float[np.ndarray, " class"]:
    """ψ_c = (1 − τ) log p_c of cross-entropy of the logits plus τ log p (Menon et al., 2021)."""
    return (1 - tau) * log_prior(frequency)


SAMPLING = Choice("uniform|sqrt|linear", tuple(SAMPLING_EXPONENTS))
BATCH = Number("BATCH", int, 2)
# By their names, which are those of runs in studies where there is one.
RECIPES = {
    "sl": Recipe("cross-entropy over all classes", log_prior),
    "batch": Recipe("a softmax over the classes of a batch, or group, of BATCH images", batch_log_prior, (BATCH,)),
    "vocabulary": Recipe(
        "a softmax over SIZE sampled classes, with those of the batch",
        vocabulary_log_prior,
        (Number("SIZE", int, 2), SAMPLING, BATCH),
    ),
    "adjusted": Recipe("logits adjusted in training by TAU log p", adjusted_log_prior, (Number("TAU", float, 0),)),
    "weights": Recipe(
        "class weights by the effective number of images", weights_log_prior, (Number("BETA", float, 0, 1 - 1e-12),)
    ),
    "counts": Recipe("classes of a batch, weighted by their number there", flat),
    "balanced": Recipe("balanced sampling", flat),
    "clip": Recipe("CLIP on class names or captions", flat),
    "sigmoid": Recipe("SigLIP's loss", flat),
}
USAGES = {name: ":".join([name, *(p.name for p in recipe.parameters)]) for name, recipe in RECIPES.items()}


def is_recipe(text: str) -> bool:
    """Whether a text begins with the name of a recipe, and is no config, whose arguments have '='."""
    return text.partition(":")[0] in RECIPES and "=" not in text


def effective_log_prior(text: str, frequency: Int[np.ndarray, " class"]) -> Float[np.ndarray, " class"]:
    """The effective log-prior of a recipe such as 'batch:64', on the numbers of training images of classes that have any.

    Raises UserError for an unknown recipe or a wrong parameter.

    >>> effective_log_prior("adjusted:1", np.array([100, 10])).tolist()
    [0.0, 0.0]
    """
    name, *texts = text.split(":")
    if name not in RECIPES:
        hint = did_you_mean(name, RECIPES)
        raise UserError(f"'{name}' is no recipe{hint}; there are {', '.join(USAGES.values())}")
    recipe = RECIPES[name]
    try:
        values = [parameter.read(value) for parameter, value in zip(recipe.parameters, texts, strict=True)]
    except ValueError:
        example = USAGES[name] if recipe.parameters else f"{name}, without parameters"
        raise UserError(f"the recipe '{text}' is wrong: write {example}") from None
    return recipe.log_prior(frequency, *values)
