"""Forecasts of what other recipes give, from the logits of a trained model.

All losses with an effective log-prior ψ learn the logits log P(image | class) + ψ_class. So the logits of a model, minus its own
ψ, plus the ψ of another recipe, are a forecast of the other recipe's logits.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.metrics.recipes import effective_log_prior
from cliptail_jax.predictions import adjustment
from cliptail_jax.predictions.arguments import predictions_in_memory
from cliptail_jax.predictions.classes import ClassTable, with_images
from cliptail_jax.predictions.evaluations import (
    check_examples,
    class_numbers,
    evaluated_model,
    evaluation_of,
    number_of,
    reading_notes,
)
from cliptail_jax.predictions.measured import Measured
from cliptail_jax.predictions.reading import PredictionFile
from cliptail_jax.results.evaluated import EvaluatedModel
from cliptail_jax.results.group import RunGroup

Prior = Callable[[Int[np.ndarray, " class"]], Float[np.ndarray, " class"]]  # ψ by the numbers of training images


class LogitSource(NamedTuple):
    """The logits of a trained model for test examples of classes that have training images.

    Attributes:
        prior: the ψ of the model's recipe.
        origin: the file or run of the logits.
    """

    labels: Int[np.ndarray, " example"]
    logits: Float[np.ndarray, "example class"]
    table: ClassTable
    prior: Prior
    origin: str
    notes: Sequence[str] = ()


def source_of(content: PredictionFile, table: ClassTable, prior: Prior) -> LogitSource:
    """The source of forecasts in a file. Examples and logits of classes without training images are left out.

    Raises UserError if the file has no logits, or they do not fit the class table.
    """
    numbers = class_numbers(content, table)
    labels, logits = numbers.labels, numbers.logits
    if logits is None:
        raise UserError(
            f"{content.path} has predictions and no logits, from which to forecast: give logits [example, class]"
        )
    has_images = table.frequency > 0
    notes = reading_notes(content, table)
    if not has_images.all():
        notes.append(
            f"{number_of(int(np.sum(~has_images)), 'class')} without training images, and their "
            f"{number_of(int(np.sum(~has_images[labels])), 'example')}, are left out: no loss has a finite log-prior for them"
        )
        is_known = has_images[labels]
        labels, logits = (np.cumsum(has_images) - 1)[labels[is_known]], logits[is_known][:, has_images]
        table = with_images(table)
    check_examples(labels, table, content.path)
    return LogitSource(labels, logits, table, prior, content.path, notes)


class Forecast(NamedTuple):
    """The forecast of a recipe, or the measures of the trained model itself.

    Attributes:
        prior: the ψ of the recipe on the classes of the first source.
    """

    prior: Float[np.ndarray, " class"]
    measures: Measured


def forecasts_from(
    replicates: Sequence[Sequence[LogitSource]], name: str, recipes: Mapping[str, Prior]
) -> dict[str, Forecast]:
    """The measures of a model itself, by its name, and the forecasts of other recipes by theirs.

    Args:
        replicates: for each seed or mirrored pair, the logits of its runs.
        name: the name of the model.

    Raises UserError if a ψ is not known, or the model is at chance.
    """
    priors: dict[str, Float[np.ndarray, " class"]] = {}
    runs: dict[str, list[list[EvaluatedModel]]] = {recipe: [[] for _ in replicates] for recipe in (name, *recipes)}
    for number, sources in enumerate(replicates):
        for source in sources:
            frequency = source.table.frequency
            own_prior = source.prior(frequency)
            source_priors = {name: own_prior} | {recipe: prior(frequency) for recipe, prior in recipes.items()}
            priors = priors or source_priors
            all_predictions = adjustment.predictions_without(
                source.logits, own_prior - np.stack([*source_priors.values()])
            )
            for recipe, predictions in zip(source_priors, all_predictions):
                evaluation = evaluation_of(source.labels, predictions.astype(np.int64), None, source.table)
                replicate = runs[recipe][number]
                seed = f"seed_{number}" + "_mirrored" * bool(replicate)
                replicate.append(evaluated_model(recipe, seed, evaluation, source.origin, source.notes))
    size, labels = len(replicates[0]), replicates[0][0].labels
    groups = {recipe: RunGroup(recipe, members, size) for recipe, members in runs.items()}
    if note := groups[name].chance_note():
        raise UserError(f"{name} is not measurably above chance: {note}")
    return {recipe: Forecast(priors[recipe], Measured(group, labels)) for recipe, group in groups.items()}


def forecast(
    labels: Sequence[Any],
    logits: Sequence[Any],
    frequency: Mapping[Any, int] | Sequence[int],
    trained_with: str,
    recipes: Sequence[str],
    classes: Sequence[Any] | None = None,
) -> dict[str, Measured]:
    """Forecast the accuracy and bias that other recipes give, from the logits of a trained model.

    Args:
        labels, frequency, classes: as for `measure`.
        logits: the logits of test examples [example, class]. Of probabilities, the logarithms are taken.
        trained_with: the recipe of the model: 'sl', 'batch:64', 'vocabulary:70:linear:128', 'adjusted:1', 'weights:0.999',
            'counts', 'balanced', 'clip' or 'sigmoid'.
        recipes: other recipes.

    Returns:
        The measures of the model itself by the name `trained_with`, and those that are forecast, by recipe.

    Raises:
        UserError: a recipe is unknown, the arguments do not fit, or the model is at chance.

    >>> import numpy as np
    >>> from cliptail_jax import forecast
    >>> labels, rng = np.repeat(np.arange(10), 20), np.random.default_rng(0)
    >>> frequency = np.geomspace(1000, 10, 10).astype(int)
    >>> logits = 4 * np.eye(10)[labels] + rng.normal(size=(200, 10)) + np.log(frequency)
    >>> forecasts = forecast(labels, logits, frequency, "sl", ["batch:64", "counts"])
    >>> [f"{name}: {measured.odds_acc:.1f}" for name, measured in forecasts.items()]
    ['sl: 2.9', 'batch:64: 1.7', 'counts: 0.6']
    """
    content, table = predictions_in_memory(labels, logits, frequency, classes)
    source = source_of(content, table, prior_of(trained_with))
    priors = {recipe: prior_of(recipe) for recipe in recipes if recipe != trained_with}
    forecasts = forecasts_from([[source]], trained_with, priors)
    return {recipe: measures for recipe, (_, measures) in forecasts.items()}


def prior_of(recipe: str) -> Prior:
    """The ψ of a recipe. Raises UserError for a wrong one."""
    effective_log_prior(recipe, np.array([1, 2]))  # an error now, and not after other work
    return lambda frequency: effective_log_prior(recipe, frequency)
