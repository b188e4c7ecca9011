"""Linear probes and few-shot episodes on one model's features of one set.

Scores are in percent. The arrays are for bootstraps of the difference between two models, which are tested on the same
images and episodes.
"""

from collections.abc import Collection, Mapping
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float

from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.host.errors import UserError
from cliptail_jax.transfer.calibration import error_after_temperature_scaling, error_of_logits
from cliptail_jax.transfer.configuration import FewShotOptions
from cliptail_jax.transfer.features import SplitFeatures
from cliptail_jax.transfer.few_shot import few_shot_accuracies, mean_and_margin
from cliptail_jax.transfer.linear_probe import WEIGHT_DECAYS, Linear, fit_binary_path, fit_path, predict
from cliptail_jax.transfer.sets import HELD_OUT, OpenedTransferSet


class Measurement(NamedTuple):
    """The numbers of a result by name, among them `score`, and the arrays of its predictions."""

    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]


def probe(opened_set: OpenedTransferSet, splits: Mapping[str, SplitFeatures], seed: int) -> Measurement:
    """Choose a linear probe's weight decay on validation images, then fit the probe on these and the training images.

    If images show several classes, each class is probed against the rest. All classes share the weight decay with the best
    mean average precision, as in the paper's code (github.com/linusericsson/ssl-transfer), since a class has too few
    positives to choose its own. Raises UserError if a class has no images.
    """
    definition, classes = opened_set.definition, len(opened_set.class_names)
    train, test = splits[definition.train], splits[definition.test]
    if definition.validation:
        validation = splits[definition.validation]
    if definition.has_objects:
        for part, name in ((train, "training"), (validation, "validation"), (test, "test")):
            check_classes(part.labels, opened_set, name)
        fit, predict_all = fit_binary_path, logits_of
    else:
        check_classes(np.eye(classes, dtype=bool)[train.labels], opened_set, "training")
        fit, predict_all = partial(fit_path, num_classes=classes), predict
    if not definition.validation:
        train, validation = map(train.select, seeded_split(train.labels, HELD_OUT, seed))
    path = fit(train.features, train.labels, weight_decays=WEIGHT_DECAYS)
    scores = [
        opened_set.score(predict_all(Linear(*decay), validation.features), validation.labels) for decay in zip(*path)
    ]
    index = int(np.argmax(scores))  # the strongest of equal ones
    (logits,) = logits_of(
        fit(*concatenate([train, validation]), weight_decays=WEIGHT_DECAYS[index : index + 1]), test.features
    )
    outputs = {"scores": logits} if definition.has_objects else {"predictions": logits.argmax(1)}
    numbers = {
        "score": 100 * opened_set.score(*outputs.values(), test.labels),
        "weight_decay": float(WEIGHT_DECAYS[index]),
        "edge": {0: "strongest", len(WEIGHT_DECAYS) - 1: "weakest"}.get(index, ""),
    }
    if not definition.has_objects:
        numbers["ece"] = 100 * error_of_logits(logits, test.labels)
        numbers["ece_scaled"] = 100 * error_after_temperature_scaling(logits, test.labels, seed)
    parts = {"train": train, "validation": validation, "test": test}
    numbers["sizes"] = {name: len(part.labels) for name, part in parts.items()}
    numbers["sizes"] |= {"classes": classes, "dim": test.features.shape[1]}
    return Measurement(numbers, {**outputs, "labels": test.labels, "records": test.records})


def few_shot(
    opened_set: OpenedTransferSet, splits: Mapping[str, SplitFeatures], options: FewShotOptions, seed: int
) -> Measurement:
    """Run few-shot episodes on the images of all splits. Raises UserError if a class is too small for an episode."""
    features, labels = concatenate(splits.values())
    accuracies = few_shot_accuracies(features, labels, options, seed)
    mean, margin = mean_and_margin(accuracies)
    sizes = {"images": len(labels), "classes": len(opened_set.class_names), "dim": features.shape[1]}
    return Measurement({"score": 100 * mean, "margin": 100 * margin, "sizes": sizes}, {"accuracies": accuracies})


def concatenate(parts: Collection[SplitFeatures]) -> tuple[np.ndarray, np.ndarray]:
    """The features and labels of several parts together."""
    return np.concatenate([part.features for part in parts]), np.concatenate([part.labels for part in parts])


def logits_of(classifier: Linear, features: Float[np.ndarray, "image dim"]) -> Float[np.ndarray, "*fit image class"]:
    """Logits in float64 from a float32 classifier, so that they are the same on any device."""
    weights, bias = (np.asarray(part, np.float64) for part in classifier)
    return features @ weights + bias


def check_classes(presence: Bool[np.ndarray, "image class"], opened_set: OpenedTransferSet, part: str) -> None:
    """Raise UserError if a class has no image in a part of the set."""
    missing_classes = np.flatnonzero(~presence.any(0))
    if len(missing_classes):
        raise UserError(
            f"class '{opened_set.class_names[missing_classes[0]]}' has no {part} image ({len(missing_classes)} of "
            f"{presence.shape[1]} classes have none): prepare the whole set, or another split"
        )
