"""Linear probes and few-shot episodes of one model's features on one set.

Scores are in percent. The arrays beside them serve to bootstrap the difference between two models, which are tested on the
same images and episodes.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.errors import UserError
from cliptail_jax.transfer.calibration import error_after_temperature_scaling, expected_calibration_error
from cliptail_jax.transfer.features import Features
from cliptail_jax.transfer.few_shot import few_shot_accuracies, mean_and_margin
from cliptail_jax.transfer.linear_probe import (
    WEIGHT_DECAYS,
    Examples,
    Linear,
    choose_weight_decay,
    fit,
    fit_binary_path,
)
from cliptail_jax.transfer.sets import HELD_OUT, OpenedSet


class Measurement(NamedTuple):
    """The numbers of a result by name, among them `score`, and the arrays of its predictions."""

    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]


def probe(opened: OpenedSet, splits: Mapping[str, Features], seed: int) -> Measurement:
    """A linear probe: the weight decay is chosen on validation images, then fitted on them and the training images.

    Images that show several classes are probed as `probe_objects` says. Raises UserError where a class has no images.
    """
    if opened.chosen.has_objects:
        return probe_objects(opened, splits)
    chosen, classes = opened.chosen, len(opened.class_names)
    train, test = examples(splits[chosen.train]), splits[chosen.test]
    check_classes(np.eye(classes, dtype=bool)[train.labels], opened, "training")
    if chosen.validation:
        validation = examples(splits[chosen.validation])
    else:
        kept, held_out = seeded_split(train.labels, HELD_OUT, seed)
        train, validation = (Examples(train.features[rows], train.labels[rows]) for rows in (kept, held_out))
    weight_decay = choose_weight_decay(train, validation, classes, opened.score, WEIGHT_DECAYS)
    both = Examples(*(np.concatenate(parts) for parts in zip(train, validation)))
    logits = logits_of(fit(*both, classes, weight_decay), test.features)
    predictions = logits.argmax(1)
    numbers = {
        "score": 100 * opened.score(predictions, test.labels),
        "weight_decay": weight_decay,
        "edge": edge(weight_decay),
        "ece": 100 * expected_calibration_error(logits, test.labels),
        "ece_scaled": 100 * error_after_temperature_scaling(logits, test.labels, seed=seed),
        "sizes": sizes(train, validation, test, classes),
    }
    return Measurement(numbers, {"predictions": predictions, "labels": test.labels, "records": test.records})


def probe_objects(opened: OpenedSet, splits: Mapping[str, Features]) -> Measurement:
    """A linear probe of each class against the rest.

    All classes share one weight decay, that of the best mean average precision on the validation images, as in the study's
    code (github.com/linusericsson/ssl-transfer): one class has too few positives to choose its own.
    """
    chosen = opened.chosen
    train, validation, test = (splits[name] for name in (chosen.train, chosen.validation, chosen.test))
    for part, name in ((train, "training"), (validation, "validation"), (test, "test")):
        check_classes(part.labels, opened, name)
    path = fit_binary_path(train.features, train.labels, WEIGHT_DECAYS)
    scores = [opened.score(of_decay, validation.labels) for of_decay in logits_of(path, validation.features)]
    weight_decay = float(WEIGHT_DECAYS[np.argmax(scores)])
    features, labels = (
        np.concatenate([getattr(part, key) for part in (train, validation)]) for key in ("features", "labels")
    )
    (scores,) = logits_of(fit_binary_path(features, labels, [weight_decay]), test.features)
    numbers = {
        "score": 100 * opened.score(scores, test.labels),
        "weight_decay": weight_decay,
        "edge": edge(weight_decay),
        "sizes": sizes(train, validation, test, len(opened.class_names)),
    }
    return Measurement(numbers, {"scores": scores, "labels": test.labels, "records": test.records})


def few_shot(
    opened: OpenedSet, splits: Mapping[str, Features], ways: int, shots: int, queries: int, episodes: int, seed: int
) -> Measurement:
    """Few-shot episodes of the images of all splits. Raises UserError where a class is smaller than an episode takes."""
    features, labels = (
        np.concatenate([getattr(part, key) for part in splits.values()]) for key in ("features", "labels")
    )
    accuracies = few_shot_accuracies(features, labels, ways, shots, queries, episodes, seed)
    result = mean_and_margin(accuracies)
    numbers = {"score": 100 * result.mean, "margin": 100 * result.margin}
    numbers["sizes"] = {"images": len(labels), "classes": len(opened.class_names), "dim": features.shape[1]}
    return Measurement(numbers, {"accuracies": accuracies})


def edge(weight_decay: float) -> str:
    """The end of the grid that a weight decay is at; '' where it is inside."""
    return {WEIGHT_DECAYS[0]: "strongest", WEIGHT_DECAYS[-1]: "weakest"}.get(weight_decay, "")


def examples(features: Features) -> Examples:
    return Examples(features.features, features.labels)


def sizes(train: Examples, validation: Examples, test: Features, classes: int) -> dict[str, int]:
    parts = {"train": train, "validation": validation, "test": test}
    return {name: len(part.labels) for name, part in parts.items()} | {
        "classes": classes,
        "dim": test.features.shape[1],
    }


def logits_of(classifier: Linear, features: Float[np.ndarray, "image dim"]) -> Float[np.ndarray, "*decay image class"]:
    """Logits in float64 from a float32 classifier, so that they are the same on any device."""
    weights, bias = (np.asarray(part, np.float64) for part in classifier)
    return features @ weights + bias[..., None, :]


def check_classes(shows: Bool[np.ndarray, "image class"], opened: OpenedSet, part: str) -> None:
    """Raises UserError where a class has no image in a part of the set."""
    missing = np.flatnonzero(~shows.any(0))
    if len(missing):
        raise UserError(
            f"class '{opened.class_names[missing[0]]}' has no {part} image ({len(missing)} of {shows.shape[1]} classes have "
            "none): prepare the whole set, or another split"
        )
