"""The kinds of runs that studies compare: their display names, and their looks in figures.

Users type the name of a run, such as `counts`. Tables show the display name of its kind beside it, and figures show only the
display name. A study with other kinds of runs names them in its config's field `names`.
"""

import itertools
import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class KindOfRuns(NamedTuple):
    """A kind of runs.

    Attributes:
        name: its display name.
        look: the number of its colour, line and marker (`cliptail_jax.report.style`), the same in all figures; None for no
            fixed look.
    """

    name: str
    look: int | None = None


# By the names of runs. A display name must fit the runs of this name in all studies, including those of users.
KINDS = {
    "sl": KindOfRuns("SL", 0),
    "sl_linear": KindOfRuns("SL, linear head", 12),
    "sl_sgd": KindOfRuns("SL, SGD", 9),
    "sl_best": KindOfRuns("SL, its best learning rate", 24),
    "sl_sampled": KindOfRuns("SL, sampled vocabulary", 5),
    "batch": KindOfRuns("softmax over the batch's classes", 2),
    "counts": KindOfRuns("classes weighted by their count in the batch", 3),
    "adjusted": KindOfRuns("adjusted logits", 4),
    "ldam": KindOfRuns("LDAM, deferred weights", 11),
    "balanced": KindOfRuns("balanced sampling", 8),
    "bag_of_words": KindOfRuns("words as labels", 6),
    "clip": KindOfRuns("CLIP", 1),
    "clip_captions": KindOfRuns("CLIP on captions", 7),
    "clip_distinct": KindOfRuns("CLIP, batches of distinct classes", 10),
    "sigmoid": KindOfRuns("CLIP, sigmoid loss", 16),
    "names": KindOfRuns("CLIP, image to text only", 17),
    "dino": KindOfRuns("DINO"),
    "dino_sampled": KindOfRuns("DINO, sampled prototypes"),
}
# The names of runs in results of earlier versions and in users' studies from that time, with today's names.
FORMER_NAMES = {
    "batch_softmax": "batch",
    "counted_classes": "counts",
    "adjusted_logits": "adjusted",
    "balanced_sampling": "balanced",
}
# The numbers of looks, by the names of runs and by display names.
LOOKS = {key: kind.look for run, kind in KINDS.items() if kind.look is not None for key in (run, kind.name)}
# Those of the two kinds that all studies compare: no other run has them.
RESERVED = frozenset({KINDS["sl"].look, KINDS["clip"].look})


def kind_name(run: str, own_names: Mapping[str, str] | None = None) -> str:
    """The display name of a run, from its study's `own_names` or else from `KINDS`; '' if neither has one."""
    kind = KINDS.get(FORMER_NAMES.get(run, run))
    return (own_names or {}).get(run, kind.name if kind else "")


def labels_of(runs: Iterable[str], own_names: Mapping[str, str]) -> dict[str, str]:
    """The display names of runs, by the runs' names; `own_names` as for `kind_name`. Runs without one are left out."""
    return {run: label for run in runs if (label := kind_name(run, own_names))}


def known_look(run: str, label: str) -> int | None:
    """The number of a run's look by its display name, or else by its name; None if it has no fixed look.

    A name may begin with a directory, as in 'noise/clip'.
    """
    name = run.rpartition("/")[2]
    return LOOKS.get(label, LOOKS.get(FORMER_NAMES.get(name, name)))


def look_of_kind(label: str) -> int | None:
    """The number of the look of the kind whose name begins a display name, such as CLIP's of 'CLIP, frozen text tower'.

    None if it begins with no kind that has a fixed look.
    """
    names = [kind.name for kind in KINDS.values() if re.match(rf"{re.escape(kind.name)}\b", label)]
    return LOOKS.get(max(names, key=len)) if names else None


def look_numbers(labels: Mapping[str, str]) -> dict[str, int]:
    """The numbers of looks, all different, by the names of runs. Runs without a fixed look have the smallest free numbers.

    The same runs have the same looks in any order, so that pages and pictures agree. Where several runs would have one look, it
    is that of the first in alphabetical order.

    `labels` are the runs' display names.
    """
    runs = sorted(labels)
    numbers: dict[str, int] = {}
    candidates = [(run, known_look(run, labels[run])) for run in runs]
    candidates += [(run, look_of_kind(labels[run])) for run in runs]
    for run, number in candidates:
        if number is not None and run not in numbers and number not in numbers.values():
            numbers[run] = number
    used_numbers = RESERVED.union(numbers.values())
    free_numbers = (number for number in itertools.count() if number not in used_numbers)
    for run in runs:
        if run not in numbers:
            numbers[run] = next(free_numbers)
    return {run: numbers[run] for run in labels}
