"""What is known of a run after its training: its evaluations and its transfer results, read from files."""

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from cliptail_jax import runs
from cliptail_jax.files import load_arrays
from cliptail_jax.metrics.per_class import count_confusion, per_class_accuracy
from cliptail_jax.runs import FinishedRun
from cliptail_jax.runs.log import warnings_of
from cliptail_jax.transfer.results import Result, predictions_path
from cliptail_jax.transfer.sets import transfer_set

# The fields on which it depends which classes a run has.
SELECTING = ("data.name", "data.seed", "data.classes.", "data.class_match.", "eval.random_classes")


@dataclasses.dataclass
class TrainedRun:
    """A run of a study after its training."""

    workdir: Path
    eval_sets: Sequence[str]
    images: int  # number of training images
    seconds: float  # duration of the training
    warnings: Sequence[str] = ()  # of the training
    transfer_results: Sequence[Result] = ()

    @classmethod
    def read(cls, workdir: Path, eval_sets: Sequence[str]) -> "TrainedRun":
        return cls(workdir, eval_sets, *runs.trained_on(workdir), warnings_of(workdir))

    def evaluation(self, on: str = "") -> FinishedRun | None:
        """The last evaluation on a set, by default the first of the run; None if the run has no sets."""
        return FinishedRun.read(self.workdir, on or self.eval_sets[0]) if self.eval_sets else None

    def names_and_selection(self) -> tuple[str, dict[str, Any]]:
        """The list that its classes are named by, and all else that its classes depend on.

        The classes of runs that agree in the second are the same by label, whatever they are called.
        """
        config = runs.read_config(self.workdir)
        selection = {key: value for key, value in config.items() if key.startswith(SELECTING)}
        return config.get("data.class_names", ""), selection

    def probe_accuracies(self) -> dict[str, Float[np.ndarray, " class"]]:
        """The accuracy on each class, in 0..1, of the linear probe on each transfer set whose images have one class."""
        accuracies = {}
        for result in self.transfer_results:
            if result["method"] == "probe" and not transfer_set(result["set"]).has_objects:
                arrays = load_arrays(predictions_path(self.workdir.parent / "transfer", result))
                labels, predictions = arrays["labels"], arrays["predictions"]
                mask = np.ones(len(labels), bool)
                confusion = count_confusion(labels, predictions, mask, result["sizes"]["classes"])
                accuracies[result["set"]] = per_class_accuracy(confusion)
        return accuracies


Runs = Mapping[str, TrainedRun]  # the runs of one seed, by name
