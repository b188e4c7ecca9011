"""One cell of the table: what one model, or its features, are worth on one set, by one method.

Numbers are in percent. Beside them come the arrays from which differences between two models are bootstrapped: they saw
the same test images, and the same episodes.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float
from ml_collections import ConfigDict

from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.errors import UserError
from cliptail_jax.transfer.calibration import error_after_temperature_scaling, expected_calibration_error
from cliptail_jax.transfer.features import Features
from cliptail_jax.transfer.few_shot import few_shot_accuracies, mean_and_margin
from cliptail_jax.transfer.fine_tuning import fine_tune
from cliptail_jax.transfer.linear_probe import (
    WEIGHT_DECAYS,
    Examples,
    Linear,
    choose_weight_decay,
    fit,
    fit_binary_path,
)
from cliptail_jax.transfer.models import TransferModel
from cliptail_jax.transfer.sets import HELD_OUT, OpenedSet, TransferSet


@dataclasses.dataclass(frozen=True)
class Measured:
    """The numbers of a cell, by name, and its arrays."""

    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]


def applies(method: str, chosen: TransferSet) -> bool:
    """Whether a method is measured on a set."""
    if method == "few_shot":
        return chosen.few_shot
    return method == "probe" or not chosen.has_objects


def measure(method: str, opened: OpenedSet, splits: Mapping[str, Features], config: ConfigDict) -> Measured:
    """The cell of a method, from the features of the set's splits.

    Raises UserError where features and labels do not allow it: a class is missing, or smaller than an episode.
    """
    if method == "probe":
        return probe_objects(opened, splits) if opened.chosen.has_objects else probe(opened, splits, config.seed)
    return few_shot(opened, splits, config.few_shot, config.seed)


def metric(method: str, opened: OpenedSet) -> str:
    """What the score of a cell is."""
    return "accuracy" if method == "few_shot" else opened.chosen.metric


def settings(method: str, config: ConfigDict) -> dict[str, Any]:
    """What a method's numbers depend on besides the features."""
    if method == "probe":
        return {"seed": config.seed, "weight_decays": len(WEIGHT_DECAYS), "held_out": HELD_OUT}
    if method == "finetune":
        asked = config.finetune
        grid = {key: list(asked[key]) for key in ("learning_rates", "weight_decays")}  # as results.jsonl has it
        return {"seed": config.seed, "held_out": HELD_OUT, **asked.to_dict(), **grid}
    return {"seed": config.seed, **config.few_shot.to_dict()}


def probe(opened: OpenedSet, splits: Mapping[str, Features], seed: int) -> Measured:
    """Linear probe: the weight decay is chosen on validation images, then fitted on them and the training images."""
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
    return Measured(numbers, {"predictions": predictions, "labels": test.labels, "records": test.records})


def probe_objects(opened: OpenedSet, splits: Mapping[str, Features]) -> Measured:
    """A linear probe of each class against the rest.

    One weight decay serves all classes, the one of the best mean average precision on the validation images: so did the
    study's code (github.com/linusericsson/ssl-transfer), and the few positives of one class would choose it badly.
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
    return Measured(numbers, {"scores": scores, "labels": test.labels, "records": test.records})


def few_shot(opened: OpenedSet, splits: Mapping[str, Features], asked: ConfigDict, seed: int) -> Measured:
    """Prototypical episodes over the images of all splits."""
    features, labels = (
        np.concatenate([getattr(part, key) for part in splits.values()]) for key in ("features", "labels")
    )
    accuracies = few_shot_accuracies(features, labels, asked.ways, asked.shots, asked.queries, asked.episodes, seed)
    result = mean_and_margin(accuracies)
    numbers = {"score": 100 * result.mean, "margin": 100 * result.margin}
    numbers["sizes"] = {"images": len(labels), "classes": len(opened.class_names), "dim": features.shape[1]}
    return Measured(numbers, {"accuracies": accuracies})


def finetune(model: TransferModel, opened: OpenedSet, config: ConfigDict, folder: Path) -> Measured:
    """Fine-tuning, with the runs in `folder`. Raises UserError where a class is missing, or training cannot start or end."""
    shows = np.eye(len(opened.class_names), dtype=bool)[opened.labels(opened.chosen.train)]
    check_classes(shows, opened, "training")
    return Measured(*fine_tune(model, opened, config, folder))


def edge(weight_decay: float) -> str:
    """Which end of the grid a weight decay is; '' for none."""
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
    """In float64 from the classifier's float32, on any device alike."""
    weights, bias = (np.asarray(part, np.float64) for part in classifier)
    return features @ weights + bias[..., None, :]


def check_classes(shows: Bool[np.ndarray, "image class"], opened: OpenedSet, part: str) -> None:
    """Raises UserError where no image of a part of the set shows one of its classes."""
    missing = np.flatnonzero(~shows.any(0))
    if len(missing):
        raise UserError(
            f"class '{opened.class_names[missing[0]]}' has no {part} image ({len(missing)} of {shows.shape[1]} classes have "
            "none): prepare the whole set, or another split"
        )
