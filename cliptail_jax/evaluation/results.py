"""The numbers and files of an evaluation, and the settings that identify a finished one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from cliptail_jax.concepts.class_lists import BUILT_IN
from cliptail_jax.concepts.templates import TEMPLATE_SETS
from cliptail_jax.config.sections import SOFTMAX, Evaluation
from cliptail_jax.config.training import RunEvaluation
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of_file, save_array, work_path
from cliptail_jax.metrics import calibration, groups
from cliptail_jax.metrics.measures import GROUPS, ClassResults
from cliptail_jax.runs.evaluations import ARRAYS, evaluation_directory, last_evaluation

ClassGroups = tuple[np.ndarray, np.ndarray, np.ndarray]  # class ids of head, mid and tail
COUNTED = "counted"  # a setting: the digest of the phrases by which classes were counted in captions
SAVED_ARRAYS = ("features", "labels", "records", "head")  # the .npy files of `save_features`


def evaluation_settings(options: Evaluation, uses_prompts: bool) -> dict[str, Any]:
    """The settings that an evaluation's numbers and files depend on besides the weights. Files count by their content.

    With `uses_prompts`, for a model with a text tower, they include the options for prompts.
    """
    keys = ("random_classes", "head_classes", "tail_classes", "neural_collapse", "similarity", "save_features")
    settings = {key: getattr(options, key, 0) for key in keys} | {"rank_by": file_digest(options.rank_by)}
    if uses_prompts:
        settings["templates"] = options.templates
        files = {"templates": options.templates, "class_names": options.class_names}
        settings |= {f"{key}_file": file_digest(path) for key, path in files.items() if is_file(path)}
    # Settings that were added later are left out at their defaults, since earlier evaluations lack them.
    defaults = {
        "logit_adjustment": 0.0,
        "estimate_prior": False,
        "confidence": SOFTMAX,
        "captions": (),
        "class_names": "",
        "without_prior": False,
    }
    changes = {key: value for key, default in defaults.items() if (value := getattr(options, key, default)) != default}
    return settings | {key: list(value) if isinstance(value, tuple) else value for key, value in changes.items()}


def is_file(name: str) -> bool:
    """Whether a template set or a class list is a file, instead of a built-in one."""
    return bool(name) and name not in (*TEMPLATE_SETS, *BUILT_IN)


def file_digest(path: str) -> str:
    """The first 16 digits of a file's SHA-256; '' for the path ''. Raises UserError if it cannot be read."""
    try:
        return digest_of_file(work_path(path))[:16] if path else ""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror or error}") from None


def recorded_settings(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a finished evaluation, as `evaluation_settings` returns them; {} if there is none."""
    return {key: value for key, value in summary.get("settings", {}).items() if key != COUNTED}


def is_evaluated(workdir: Path, options: RunEvaluation, uses_prompts: bool, step: int | None = None) -> bool:
    """Whether the run's last evaluation on each of `options.sets` has these settings and, if given, this step."""
    settings = evaluation_settings(options, uses_prompts)
    for name in options.sets:
        summary = last_evaluation(workdir, name) or {}
        if recorded_settings(summary) != settings or step not in (None, summary.get("step")):
            return False
        if not (evaluation_directory(workdir, name) / ARRAYS).exists():
            return False
    return True


def head_mid_tail(
    options: Evaluation, class_names: tuple[str, ...], frequency: Int[np.ndarray, " class"] | None
) -> ClassGroups | None:
    """The classes in head, mid and tail, ranked by the table `rank_by` or else by their frequency; None without either.

    The table is joined by name. Raises UserError if it does not fit the classes.
    """
    table = options.rank_by
    ranking = frequency_of(class_names, work_path(table)) if table else frequency
    if ranking is None:
        return None
    return groups.head_mid_tail(ranking, options.head_classes or None, options.tail_classes or None)


def class_results(
    counts: Mapping[str, np.ndarray],
    frequency: Int[np.ndarray, " class"] | None,
    class_groups: ClassGroups | None,
    values: Mapping[str, Float[np.ndarray, " class"]],
) -> ClassResults:
    """The counts and values of one evaluation, the input of `cliptail_jax.metrics.measures`.

    Args:
        counts: as `counting.count_shapes` lists them.
        frequency: the class frequency of the training data; None if it is unknown.
        class_groups: the result of `head_mid_tail`.
        values: other measures of each class.
    """
    return ClassResults.from_confusion(
        counts["confusion"],
        frequency=frequency,
        groups=dict(zip(GROUPS, class_groups or ())),
        calibration=calibration.calibration(counts["calibration"]) if "calibration" in counts else None,
        values={name: by_class for name, by_class in values.items() if not np.all(np.isnan(by_class))},
        top5=int(counts["top5"]),
    )


def write_saved_arrays(directory: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an .npy file for each of the arrays, whose names are among `SAVED_ARRAYS`.

    Other .npy files of an earlier evaluation are removed, since they belong to other weights.
    """
    for name in SAVED_ARRAYS:
        if name in arrays:
            save_array(directory / f"{name}.npy", arrays[name])
        else:
            (directory / f"{name}.npy").unlink(missing_ok=True)
