"""The images of the page: for each class, training images with captions and test images with predictions."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Int

from cliptail_jax.host.errors import reason_of
from cliptail_jax.pretrained.class_head import places_of
from cliptail_jax.report.comparison import ComparedRuns, Owner, named
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

MAX_PAGE_BYTES = 10_500_000  # bytes of all images
MAX_CLASS_BYTES = 28_000  # bytes of those of a class, on average
MAX_SPRITE_IMAGES = 4000  # images of a class: WebP files have at most 16,383 pixels a side
MIN_IMAGE_BYTES = 500  # bytes that an image takes
Found = TypeVar("Found")
Part = dict[str, Any]  # the training images or the test images; `classes` has a list of JSON values for each class
Problems = dict[str, dict[Owner, None]]  # the runs of each


def page_images(comparison: ComparedRuns, each: int, every: bool = False) -> PageImages:
    """The given number of training and of test images per class; fewer, with a note, if they would not fit.

    With `every`, all test images besides, whatever their size.
    """
    if not (each and comparison.evaluated):
        return PageImages(None, [])
    notes: list[str] = []
    most = min(MAX_PAGE_BYTES, MAX_CLASS_BYTES * comparison.classes)
    number = min(each, most // (MIN_IMAGE_BYTES * comparison.classes))
    parts: dict[str, Part | None] = {}
    if number:
        parts = {
            "training": training_images(comparison, number, notes),
            "test": test_images(comparison, number, notes, every),
        }
        open_once.cache_clear()
        number = number_that_fit(parts.values(), number, most)
    for part in filter(None, parts.values()):
        part["classes"] = [of_class[:number] for of_class in part["classes"]]
    if number < each:
        kept = f"{number} and {number} instead of {each} and {each}" if number else "none"
        notes.append(
            f"The page would be too large with {each} training and {each} test images of {comparison.classes:,} classes: "
            f"it has {kept}."
        )
    return PageImages(parts if number and any(parts.values()) else None, notes)


def training_images(comparison: ComparedRuns, each: int, notes: list[str]) -> Part | None:
    """Images that a run was trained on, with its captions and those of the other kinds of runs.

    The run is the first of the first kind with captions and existing data, or else with existing data.
    """
    runs = {(kind.name, kind.runs[0].seed): kind.runs[0] for kind in comparison.evaluated}
    runs = {owner: run for owner, run in runs.items() if data_values(run.config)}
    problems: Problems = {}
    for owner in sorted(runs, key=lambda owner: not has_captions(runs[owner].config)):
        values = data_values(runs[owner].config)
        chosen = attempt(owner, lambda: as_trained(runs[owner], choose_images(values, each)), problems)  # noqa: B023
        if chosen:
            break
    else:
        notes += described("There are no training images", problems, list(runs))
        return None
    source = source_of(values)
    images = tuple((name, image.record) for name, of_class in chosen.of_class.items() for image in of_class)
    captions = {}
    for other, run in runs.items():
        if has_captions(run.config) and source_of(data_values(run.config)) == source:
            find = lambda: as_trained(run, find_captions(data_values(run.config), images))  # noqa: E731
            captions[other[0]] = attempt(other, find, problems)

    def with_captions(name: str) -> list[Any]:
        return [[image.thumbnail, captions_of((name, image.record), captions)] for image in chosen.of_class[name]]

    names = tuple(chosen.of_class)
    places = places_of(shared_names(comparison), names)
    notes += described("There are no training images or captions", problems, list(runs))
    classes = [[] if place is None else with_captions(names[place]) for place in places]
    return {"of": " ".join(filter(None, owner)), "from": source, "classes": classes}


def test_images(comparison: ComparedRuns, each: int, notes: list[str], every: bool = False) -> Part | None:
    """Evaluation images of the first existing set, with the label that each run predicts.

    With `every`, the part has under this name a sprite of all images of each class, the side of its cells, and what each
    run has predicted of each.
    """
    runs = {(kind.name, run.seed): (run, kind) for kind in comparison.evaluated for run in kind.runs if run.evaluation}
    problems: Problems = {}
    on, predicted = "", {}
    for owner, (run, kind) in runs.items():
        evaluation = kind.shared[run.seed]
        if evaluation.predicted is None:
            again = "remove eval/ from its directory and evaluate again" if run.is_published else "evaluate again"
            reason = f"the evaluation is of an earlier version, which keeps no prediction of each image; {again}"
            problems.setdefault(reason, {})[owner] = None
        elif on not in ("", evaluation.on):
            problems.setdefault(f"the evaluation is on {evaluation.on}", {})[owner] = None
        elif images := attempt(owner, lambda: open_images(run), problems):  # noqa: B023
            if not on:
                on, first, names = evaluation.on, images, run.evaluation.class_names
            places = np.searchsorted(images.records, first.records).clip(max=len(images.records) - 1)
            is_there = images.records[places] == first.records
            predicted[owner] = np.where(is_there, evaluation.predicted[places], UNKNOWN)
    notes += described("There are no predictions of test images", problems, list(runs))
    if not on:
        return None
    labels = shared_labels(comparison, names)[first.labels]
    of_runs = np.stack(list(predicted.values()))
    known = (of_runs != UNKNOWN).all(axis=0)
    chosen = []
    for label in range(comparison.classes):
        of_class = np.flatnonzero(known & (labels == label))
        chosen.append(of_class[most_informative_images(of_runs[:, of_class] == label, each)])
    small = iter(first.thumbnails(first.records[np.concatenate(chosen)].tolist()))
    classes = [
        [[thumbnail, of_runs[:, image].tolist()] for image in of_class if (thumbnail := next(small))]
        for of_class in chosen
    ]
    part: Part = {"on": on, "runs": [list(owner) for owner in predicted], "classes": classes}
    if every:
        part["every"] = []
        for label in range(comparison.classes):
            of_class = np.flatnonzero(known & (labels == label))[:MAX_SPRITE_IMAGES]
            encoded = first.encoded(first.records[of_class].tolist())
            part["every"].append([*sprite(encoded), of_runs[:, of_class].T.tolist()])
    return part


def attempt(owner: Owner, read: Callable[[], Found], problems: Problems) -> Found | None:
    """The result of `read`; None, and a problem, if it fails. Damaged data raise exceptions of many kinds."""
    try:
        return read()
    except Exception as error:
        problems.setdefault(reason_of(error), {})[owner] = None
        return None


def as_trained(run: Run, found: Found) -> Found:
    """The images of a run's training data. Raises UserError if they are others."""
    run.check_data(found.fingerprint)
    return found


def captions_of(image: tuple[str, int], captions: Mapping[str, Any]) -> list[tuple[str, list[str]]]:
    """The different captions of an image, each with the kinds of runs that have it."""
    kinds: dict[str, list[str]] = {}
    for kind, of_kind in captions.items():
        if of_kind and (text := of_kind.of_image.get(image)):
            kinds.setdefault(text, []).append(kind)
    return list(kinds.items())


def shared_names(comparison: ComparedRuns) -> tuple[str, ...]:
    """The names of the shared classes, as runs have them."""
    return next(iter(comparison.evaluated[0].shared.values())).class_names[: comparison.classes]


def shared_labels(comparison: ComparedRuns, names: Sequence[str]) -> Int[np.ndarray, " class"]:
    """The index of each of a run's classes among the shared classes; UNKNOWN for other classes."""
    shared = shared_names(comparison)
    if tuple(names) == shared:  # two may have the same name
        return np.arange(len(names))
    place = {name: number for number, name in enumerate(shared)}
    return np.array([place.get(name, UNKNOWN) for name in names])


def number_that_fit(parts: Iterable[Part | None], number: int, most: int) -> int:
    """The number of images of each class, at most `number`, that fit into the bytes."""
    size = 0
    for rank in range(number):
        for part in filter(None, parts):
            size += sum(len(json.dumps(of_class[rank])) for of_class in part["classes"] if len(of_class) > rank)
        if size > most:
            return rank
    return number


def described(what: str, problems: Problems, runs: Sequence[Owner]) -> list[str]:
    """A line for each problem."""
    lines = []
    for reason, owners in problems.items():
        of = named(list(owners), runs)
        lines.append(f"{what}{f' of {of}' if of else ''}: {reason}")
    return lines
