"""Writes the class names of configs/study/name_tokens.py to configs/study/names: one to six letters that mean nothing.

    python configs/study/analyses/coded_names.py

In each file, a third of the classes has one letter or digit, a third three letters, and a third six, all drawn at random: in `longer.txt`,
from the most frequent class to the rarest; in `shorter.txt`, from the rarest to the most frequent; in `balanced.txt`, one of each
length among any three classes in the order of frequency. The order is that of data.seed=4.
"""

import string
from pathlib import Path

import numpy as np
from jaxtyping import Int

from cliptail_jax.host.files import write_text

SEED = 4  # of the order of the classes, in Profile
LENGTHS, CLASSES = (1, 3, 6), 100
FOLDER = Path(__file__).parents[1] / "names"


def draw_names(rng: np.random.Generator, lengths: Int[np.ndarray, " class"]) -> list[str]:
    """Distinct names of these lengths."""
    single = iter(rng.permutation(list(string.ascii_lowercase + string.digits)))
    names: list[str] = []
    for length in lengths:
        name = ""
        while not name or name in names:
            name = next(single) if length == 1 else "".join(rng.choice(list(string.ascii_lowercase), length))
        names.append(name)
    return names


def main() -> None:
    rng = np.random.default_rng(SEED)
    classes_in_order = rng.permutation(CLASSES)  # from the most frequent to the rarest
    longer = np.repeat(LENGTHS, (34, 33, 33))
    triples = [rng.permutation(LENGTHS) for _ in range(33)]
    lengths_in_order = {
        "longer": longer,
        "shorter": longer[::-1],
        "balanced": np.concatenate([*triples, [1]]),
    }
    for name, lengths in lengths_in_order.items():
        by_class = np.empty(CLASSES, int)
        by_class[classes_in_order] = lengths
        write_text(FOLDER / f"{name}.txt", "\n".join(draw_names(rng, by_class)) + "\n")


if __name__ == "__main__":
    main()
