"""The images of the page: for each class, training images with captions and test images with predictions."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int

from cliptail_jax.host.errors import reason_of
from cliptail_jax.pretrained.class_head import places_of
from cliptail_jax.report.comparison import ComparedRuns, Owner, name_of
from cliptail_jax.report.embedded import PageImages
from cliptail_jax.report.evaluated_images import most_informative_images, open_images
from cliptail_jax.report.thumbnails import sprite
from cliptail_jax.report.training_images import (
    choose_images,
    data_values,
    find_captions,
    has_captions,
    open_once,
    source_of,
)
from cliptail_jax.results.run import Run
from cliptail_jax.runs.evaluations import UNKNOWN

MAX_PAGE_BYTES = 10_500_000  # of all images
MAX_CLASS_BYTES = 28_000  # of the images of a class, on average
MAX_SPRITE_IMAGES = 4000  # images of a class: WebP files have at most 16,383 pixels a side
MIN_IMAGE_BYTES = 500  # of an image
Result = TypeVar("Result")
Part = dict[str, Any]  # the training images or the test images; `classes` has a list of JSON values for each class
Problems = dict[str, dict[Owner, None]]  # the runs of each


def page_images(comparison: ComparedRuns, number: int, every_image: bool = False) -> PageImages:
    """Training images and as many test images of each class; fewer, with a note, if they would not fit.

    `every_image` adds all test images, whatever their size.
    """
    if not (number and comparison.evaluated_kinds):
        return PageImages(None, [])
    notes: list[str] = []
    max_bytes = min(MAX_PAGE_BYTES, MAX_CLASS_BYTES * comparison.classes)
    limit = min(number, max_bytes // (MIN_IMAGE_BYTES * comparison.classes))
    parts: dict[str, Part | None] = {}
    if limit:
        parts = {
            "training": training_images(comparison, limit, notes),
            "test": test_images(comparison, limit, notes, every_image),
        }
        open_once.cache_clear()
        limit = number_that_fits(parts.values(), limit, max_bytes)
    for part in filter(None, parts.values()):
        part["classes"] = [class_images[:limit] for class_images in part["classes"]]
    if limit < number:
        rest = f"{limit} and {limit} instead of {number} and {number}" if limit else "none"
        notes.append(
            f"The page would be too large with {number} training and {number} test images of {comparison.classes:,} classes: "
            f"it has {rest}."
        )
    return PageImages(parts if limit and any(parts.values()) else None, notes)


def training_images(comparison: ComparedRuns, number: int, notes: list[str]) -> Part | None:
    """Images of each class that a run was trained on, with its captions and those of the other kinds of runs.

    The run is the first one of the first kind that has captions and data on this machine, or else of the first that has data.
    """
    runs = {(kind.name, kind.runs[0].seed): kind.runs[0] for kind in comparison.evaluated_kinds}
    runs = {owner: run for owner, run in runs.items() if data_values(run.config)}
    problems: Problems = {}
    for owner in sorted(runs, key=lambda owner: not has_captions(runs[owner].config)):
        values = data_values(runs[owner].config)
        images_of_run = attempt(owner, lambda: checked(runs[owner], choose_images(values, number)), problems)  # noqa: B023
        if images_of_run:
            break
    else:
        notes += problem_notes("There are no training images", problems, list(runs))
        return None
    source = source_of(values)
    images = tuple(
        (name, image.record) for name, class_images in images_of_run.by_class.items() for image in class_images
    )
    captions = {}
    for other, run in runs.items():
        if has_captions(run.config) and source_of(data_values(run.config)) == source:
            find = lambda: checked(run, find_captions(data_values(run.config), images))  # noqa: E731
            captions[other[0]] = attempt(other, find, problems)

    def with_captions(name: str) -> list[Any]:
        return [
            [image.thumbnail, captions_of((name, image.record), captions)] for image in images_of_run.by_class[name]
        ]

    names = tuple(images_of_run.by_class)
    places = places_of(shared_names(comparison), names)
    notes += problem_notes("There are no training images or captions", problems, list(runs))
    classes = [[] if place is None else with_captions(names[place]) for place in places]
    return {"of": " ".join(filter(None, owner)), "from": source, "classes": classes}


def test_images(comparison: ComparedRuns, number: int, notes: list[str], every_image: bool = False) -> Part | None:
    """Images of each class of the first evaluation set on this machine, with the label that each run predicts.

    With `every_image`, `every` in the part has for each class a sprite of all its images, the side of the sprite's cells, and
    the predictions of the runs.
    """
    runs = {
        (kind.name, run.seed): (run, kind) for kind in comparison.evaluated_kinds for run in kind.runs if run.evaluation
    }
    problems: Problems = {}
    set_name, predictions = "", {}
    for owner, (run, kind) in runs.items():
        evaluation = kind.by_seed[run.seed]
        if evaluation.predicted is None:
            remedy = "remove eval/ from its directory and evaluate again" if run.is_published else "evaluate again"
            reason = (
                f"its evaluation is from an earlier version, which did not save the predictions of images; {remedy}"
            )
            problems.setdefault(reason, {})[owner] = None
        elif set_name not in ("", evaluation.set_name):
            problems.setdefault(f"the evaluation is on {evaluation.set_name}", {})[owner] = None
        elif images := attempt(owner, lambda: open_images(run), problems):  # noqa: B023
            if not set_name:
                set_name, first, names = evaluation.set_name, images, run.evaluation.class_names
            places = np.searchsorted(images.records, first.records).clip(max=len(images.records) - 1)
            is_there = images.records[places] == first.records
            predictions[owner] = np.where(is_there, evaluation.predicted[places], UNKNOWN)
    notes += problem_notes("There are no predictions of test images", problems, list(runs))
    if not set_name:
        return None
    labels = shared_labels(comparison, names)[first.labels]
    all_predictions = np.stack(list(predictions.values()))
    is_known = (all_predictions != UNKNOWN).all(axis=0)
    indices = []
    for label in range(comparison.classes):
        members = np.flatnonzero(is_known & (labels == label))
        indices.append(members[most_informative_images(all_predictions[:, members] == label, number)])
    thumbnails = iter(first.thumbnails(first.records[np.concatenate(indices)].tolist()))
    classes = [
        [[thumbnail, all_predictions[:, image].tolist()] for image in chosen_images if (thumbnail := next(thumbnails))]
        for chosen_images in indices
    ]
    part: Part = {"on": set_name, "runs": [list(owner) for owner in predictions], "classes": classes}
    if every_image:
        part["every"] = []
        for label in range(comparison.classes):
            members = np.flatnonzero(is_known & (labels == label))[:MAX_SPRITE_IMAGES]
            files = first.encoded(first.records[members].tolist())
            part["every"].append([*sprite(files), all_predictions[:, members].T.tolist()])
    return part


def attempt(owner: Owner, load: Callable[[], Result], problems: Problems) -> Result | None:
    """The result of `load`; None, and a problem, if it fails. Damaged data raise exceptions of many kinds."""
    try:
        return load()
    except Exception as error:
        problems.setdefault(reason_of(error), {})[owner] = None
        return None


def checked(run: Run, result: Result) -> Result:
    """Images or captions of a run's data. Raises UserError if it was trained on other data."""
    run.check_data(result.fingerprint)
    return result


def captions_of(image: tuple[str, int], captions: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The different captions of an image, each with the kinds of runs that have it."""
    kinds: dict[str, list[str]] = {}
    for kind, kind_captions in captions.items():
        if kind_captions and (text := kind_captions.by_image.get(image)):
            kinds.setdefault(text, []).append(kind)
    return list(kinds.items())


def shared_names(comparison: ComparedRuns) -> tuple[str, ...]:
    """The names of the shared classes, as runs have them."""
    return next(iter(comparison.evaluated_kinds[0].by_seed.values())).class_names[: comparison.classes]


def shared_labels(comparison: ComparedRuns, names: Sequence[str]) -> Int[np.ndarray, " class"]:
    """The index of each of a run's classes among the shared classes; UNKNOWN for other classes."""
    common_names = shared_names(comparison)
    if tuple(names) == common_names:  # two may have the same name
        return np.arange(len(names))
    place = {name: number for number, name in enumerate(common_names)}
    return np.array([place.get(name, UNKNOWN) for name in names])


def number_that_fits(parts: Iterable[Part | None], number: int, max_bytes: int) -> int:
    """The number of images of each class, at most `number`, that fit into the bytes."""
    size = 0
    for rank in range(number):
        for part in filter(None, parts):
            size += sum(
                len(json.dumps(class_images[rank])) for class_images in part["classes"] if len(class_images) > rank
            )
        if size > max_bytes:
            return rank
    return number


def problem_notes(images: str, problems: Problems, runs: Sequence[Owner]) -> list[str]:
    """A line for each problem, with the runs that have it."""
    names = {reason: name_of(list(owners), runs) for reason, owners in problems.items()}
    return [f"{images}{f' of {name}' if name else ''}: {reason}" for reason, name in names.items()]
