"""Labels and logits of 32 examples of four classes, and files of them; and a classifier of ten."""

import numpy as np

NAMES, FREQUENCY = ("cat", "dog", "red fox", "owl"), (400, 60, 9, 2)
RNG = np.random.default_rng(0)
LABELS = np.repeat(np.arange(4), (9, 8, 7, 8))
LOGITS = RNG.normal(0, 1.5, (32, 4)) + 2 * np.eye(4)[LABELS] + 0.3 * np.log(FREQUENCY)
PREDICTIONS = LOGITS.argmax(axis=1)


def rows(labels, predictions, names=("label", "prediction"), separator=","):
    return "\n".join(separator.join(map(str, row)) for row in [names, *zip(labels, predictions)]) + "\n"


def names_of(ids):
    return [NAMES[number] for number in ids]


def classifier(prior, examples=400):
    """Labels of classes of other frequency, and the logits of a classifier that adds `prior` · log π to those without bias."""
    rng, frequency = np.random.default_rng(0), np.geomspace(1000, 10, 10).astype(int)
    labels = np.repeat(np.arange(10), examples // 10)
    logits = 4 * np.eye(10)[labels] + rng.normal(size=(len(labels), 10))
    return labels, logits + prior * np.log(frequency), frequency
