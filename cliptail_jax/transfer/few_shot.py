"""Few-shot classification by prototypes: each query gets the class with the nearest mean of a few examples.

Method: Snell et al., "Prototypical Networks for Few-shot Learning", NeurIPS 2017 (arXiv 1703.05175).
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from cliptail_jax.host.errors import UserError
from cliptail_jax.transfer.configuration import FewShotOptions

_EPISODES_AT_ONCE = 25  # bounds the memory of the gathered features


def mean_and_margin(accuracies: Float[np.ndarray, " episode"]) -> tuple[float, float]:
    """Mean accuracy over episodes and half of its 95 % confidence interval, 1.96 σ/√n; both in 0..1.

    σ is the standard deviation over the n episodes with n - 1 in its denominator (0 for one episode).
    """
    deviation = accuracies.std(ddof=1) if len(accuracies) > 1 else 0.0
    return float(accuracies.mean()), float(1.96 * deviation / np.sqrt(len(accuracies)))


def few_shot_accuracies(
    features: Float[np.ndarray, "example dim"], labels: Int[np.ndarray, " example"], options: FewShotOptions, seed: int
) -> Float[np.ndarray, " episode"]:
    """The accuracy, in 0..1, of each seeded episode.

    The same labels and seed give the same episodes, whatever the features. Raises UserError as `sample_episodes` does.
    """
    examples = sample_episodes(labels, options.ways, options.shots + options.queries, options.episodes, seed)
    return np.asarray(episode_accuracies(np.float32(features), examples, options.shots), np.float64)


def sample_episodes(
    labels: Int[np.ndarray, " example"], ways: int, per_class: int, episodes: int, seed: int
) -> Int[np.ndarray, "episode way per_class"]:
    """Examples of each episode: `ways` different classes, `per_class` different examples of each, all uniform.

    Classes are the labels that occur. Raises UserError if there are fewer classes than `ways`, or if a class has fewer
    examples than an episode needs.
    """
    classes, class_of = np.unique(np.asarray(labels), return_inverse=True)
    sizes = np.bincount(class_of, minlength=len(classes))
    if len(classes) < ways:
        raise UserError(f"{ways}-way episodes need {ways} classes, but there are {len(classes)}: lower the ways")
    if sizes.min() < per_class:
        rarest = sizes.argmin()
        raise UserError(
            f"class {classes[rarest]} has {sizes[rarest]} examples, but an episode takes {per_class} of each class: "
            "lower the shots or the queries"
        )
    rng = np.random.default_rng(seed)
    episode_classes = rng.random((episodes, len(classes))).argpartition(ways - 1, axis=1)[:, :ways]
    examples = np.empty((episodes, ways, per_class), np.int64)
    for index in range(len(classes)):
        members = np.flatnonzero(class_of == index)
        places = episode_classes == index
        order = rng.random((places.sum(), len(members))).argpartition(per_class - 1, axis=1)
        examples[places] = members[order[:, :per_class]]
    return rng.permuted(examples, axis=2)  # argpartition's order is not uniform


@partial(jax.jit, static_argnames="shots")
def episode_accuracies(
    features: Float[Array, "example dim"], examples: Int[Array, "episode way per_class"], shots: int
) -> Float[Array, " episode"]:
    """The share of each episode's queries that are nearest, in Euclidean distance, to the mean of their own class's shots.

    The first `shots` examples of each class give its mean; the others are its queries.
    """

    def accuracy(episode: Int[Array, "way per_class"]) -> Float[Array, ""]:
        episode_features = features[episode]
        prototypes = episode_features[:, :shots].mean(1)
        queries = episode_features[:, shots:]
        distances = ((queries[:, :, None] - prototypes) ** 2).sum(-1)
        return (distances.argmin(-1) == jnp.arange(len(episode))[:, None]).mean()

    return jax.lax.map(accuracy, examples, batch_size=_EPISODES_AT_ONCE)
