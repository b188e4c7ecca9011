"""The kinds of runs that studies compare: what people call them, and their looks in figures.

The name of a run, such as `counts`, is what one types. Tables have the name of its kind beside it, and figures have that
alone. A study whose runs are of other kinds names them in its config's field `names`.
"""

import itertools
from collections.abc import Iterable, Mapping
from typing import NamedTuple


class KindOfRuns(NamedTuple):
    """A kind of runs.

    Attributes:
        name: what people call it.
        look: the number of its colour, line and marker (`cliptail_jax.report.style`), the same in all figures; None if any
            will do.
    """

    name: str
    look: int | None = None


# By the names of runs. A name must be right in all studies with such runs, and in those of users.
KINDS = {
    "sl": KindOfRuns("SL", 0),
    "sl_linear": KindOfRuns("SL, linear head", 12),
    "sl_adamw": KindOfRuns("SL, CLIP's optimizer", 9),
    "sl_best": KindOfRuns("SL, its best learning rate", 24),
    "sl_sampled": KindOfRuns("SL, sampled vocabulary", 5),
    "batch": KindOfRuns("softmax over the batch's classes", 2),
    "counts": KindOfRuns("classes weighted by their count in the batch", 3),
    "adjusted": KindOfRuns("adjusted logits", 4),
    "ldam": KindOfRuns("LDAM, deferred weights", 11),
    "balanced": KindOfRuns("balanced sampling", 8),
    "bag_of_words": KindOfRuns("words as labels", 6),
    "clip": KindOfRuns("CLIP", 1),
    "clip_names": KindOfRuns("CLIP on class names", 1),
    "clip_captions": KindOfRuns("CLIP on captions", 7),
    "clip_distinct": KindOfRuns("CLIP, batches of distinct classes", 10),
    "sigmoid": KindOfRuns("CLIP, sigmoid loss", 16),
    "names": KindOfRuns("CLIP, image to text only", 17),
    "dino": KindOfRuns("DINO"),
    "dino_sampled": KindOfRuns("DINO, sampled prototypes"),
}
# Names of kinds in results of earlier versions, and in studies of users from that time.
FORMER = {
    "batch_softmax": "batch",
    "counted_classes": "counts",
    "adjusted_logits": "adjusted",
    "balanced_sampling": "balanced",
}
# The numbers of looks, by the names of runs and by those of kinds.
LOOKS = {key: kind.look for run, kind in KINDS.items() if kind.look is not None for key in (run, kind.name)}


def kind_name(run: str, own: Mapping[str, str] | None = None) -> str:
    """What people call the kind of a run: as its study does (`own`), or else by `KINDS`; '' if neither has a name."""
    kind = KINDS.get(FORMER.get(run, run))
    return (own or {}).get(run, kind.name if kind else "")


def labels_of(runs: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """What people call runs, by their names; `own` as for `kind_name`. Runs without such a name are left out."""
    return {run: label for run in runs if (label := kind_name(run, own))}


def known_look(run: str, label: str) -> int | None:
    """The number of the look of runs by what people call them, or else by their name; None if any will do.

    A name may begin with a directory, as in 'noise/clip'.
    """
    name = run.rpartition("/")[2]
    return LOOKS.get(label, LOOKS.get(FORMER.get(name, name)))


def look_numbers(labels: Mapping[str, str]) -> dict[str, int]:
    """The numbers of looks, all different, by the names of runs. Runs without a known look have the smallest that are left.

    `labels` are what people call the runs.
    """
    own: dict[int, str] = {}
    for run, label in labels.items():
        if (number := known_look(run, label)) is not None:
            own.setdefault(number, run)
    numbers = {run: number for number, run in own.items()}
    left = (number for number in itertools.count() if number not in own)
    return {run: numbers[run] if run in numbers else next(left) for run in labels}
