"""Predicts the classes of images, and writes them to a table."""

import argparse
import collections
import contextlib
import dataclasses
import glob
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.concepts.templates import templates
from cliptail_jax.config.sections import PILLOW, Evaluation, MeshAxes, Reading
from cliptail_jax.config.training import Data
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.datasets.image_folder import EXTENSIONS, ImageFiles, images_in, is_image
from cliptail_jax.datasets.known_sources import EVALUATION_SETS
from cliptail_jax.datasets.source import Source, open_source
from cliptail_jax.datasets.streaming import clean_text
from cliptail_jax.evaluation.counting import make_pass
from cliptail_jax.evaluation.heads import class_heads, columns_of
from cliptail_jax.evaluation.predictions import (
    COLUMNS,
    SETTINGS,
    Parts,
    Predicted,
    SourceRows,
    logit_arrays,
    make_predict_batch,
    rows_of_batch,
    table_text,
)
from cliptail_jax.evaluation.prompts import set_prompts
from cliptail_jax.evaluation.sets import (
    OpenedSet,
    PromptedClasses,
    evaluation_set,
    open_run_set,
    open_set,
    with_class_names,
)
from cliptail_jax.formats.class_names import composed
from cliptail_jax.formats.decoding import ImageSource
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of_json, save_arrays, work_path, write_text
from cliptail_jax.host.interrupts import note_saved
from cliptail_jax.host.outputs import check_output, files_in, first_bytes
from cliptail_jax.objectives import run_config
from cliptail_jax.parallel.sharding import check_batch, make_mesh, replicated
from cliptail_jax.pretrained.class_head import places_of
from cliptail_jax.pretrained.model import find_model, open_run
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.source import settings_digest
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.lock import FILE as LOCK
from cliptail_jax.runs.lock import InUseError, sole_writer

BETWEEN_LINES = 60.0  # seconds between two lines of progress where there is no terminal


class ChosenImages(NamedTuple):
    """The images to classify.

    Attributes:
        records: of the source, in the order of the table.
        labels: the names of their classes, or of folders that may be no classes; '' where there is none.
        opened: the prepared set that they are from, if it has labels.
    """

    source: ImageSource
    records: Int[np.ndarray, " image"]
    filenames: list[str]
    labels: list[str]
    opened: OpenedSet | None = None


def predict_command(options: argparse.Namespace) -> None:
    """Run `cliptail predict`: write the files that its flags name."""
    mesh = make_mesh(MeshAxes())
    check_options(options, mesh)
    opened, data, of_run = open_with_data(options, mesh)
    if of_run.logit_adjustment:
        log_line(
            f"note: the run's eval.logit_adjustment={of_run.logit_adjustment:g} is for `evaluate`; these are its plain logits"
        )
    images = find_images(options.images, options.classes, data, of_run.class_names, opened)
    classes = classes_of(options.classes, images, opened)
    labels = known_labels(images.labels, classes.class_names)
    if options.top > len(classes.class_names):
        raise UserError(f"--top={options.top}, but there are {len(classes.class_names)} classes: give at most as many")
    prompts = Evaluation(templates=options.templates or of_run.templates, batch_size=options.batch_size)

    with unfinished(options.output) as folder:
        parts = Parts(folder, settings_of(options, opened, images, classes, prompts))
        predict(opened, classes, prompts, images, data, mesh, options.top, bool(options.logits), parts)
        rows, predicted = parts.read()
        table = [images.filenames[row] for row in rows], [labels[row] for row in rows], predicted, classes.class_names
        if len(rows) and options.logits:
            options.logits.parent.mkdir(parents=True, exist_ok=True)
            save_arrays(options.logits, **logit_arrays(*table))
        if len(rows):
            write_text(options.output, table_text(*table))
        parts.remove()
    if not len(rows):
        raise UserError(f"no image of {options.images} could be read: give files of images, such as .jpg or .png")
    print(f"wrote {options.output}: {summary(len(images.filenames), *table[1:])}")


def check_options(options: argparse.Namespace, mesh: Mesh) -> None:
    """Raise UserError if an option is wrong, or an output cannot be written."""
    for name in ("top", "batch_size"):
        if (value := getattr(options, name)) < 1:
            raise UserError(f"--{name}={value} is not a positive number")
    check_batch(mesh, options.batch_size, "--batch_size")
    if options.logits and options.logits.suffix != ".npz":
        raise UserError(f"--logits={options.logits} is not the name of an .npz file: give one that ends in .npz")
    inputs = files_in([options.images, options.classes, options.templates])
    header = ",".join(COLUMNS).encode()
    check_output(options.output, lambda path: first_bytes(path).startswith(header), inputs, options.overwrite)
    if options.logits:
        check_output(options.logits, has_logits, [*inputs, options.output], options.overwrite)


def has_logits(path: Path) -> bool:
    """Whether a file has the arrays of --logits."""
    with path.open("rb") as file, np.load(file) as arrays:
        return {*arrays.files} - {"labels"} == {"logits", "classes", "filenames"}


def open_with_data(options: argparse.Namespace, mesh: Mesh) -> tuple[OpenedModel, Data, Evaluation]:
    """The model, how its images are read, and how a run is evaluated."""
    if options.workdir:
        workdir = work_path(options.workdir)
        trained = run_config(workdir)
        data = dataclasses.replace(trained.data, data_dir=options.data_dir or trained.data.data_dir)
        opened, of_run = open_run(workdir, mesh=mesh), trained.eval
    else:
        model = find_model(options.model)
        if model.is_run:
            raise UserError(f"{options.model} is a run: give it as --workdir={options.model}")
        opened, data, of_run = model.open(mesh=mesh), Data(data_dir=options.data_dir, resize=PILLOW), Evaluation()
    if not opened.has_text and "head" not in opened.description:
        raise UserError(
            f"{opened.name} has image features, and neither a class head nor prompts: it predicts no classes"
        )
    if options.templates and not opened.has_prompts:
        raise UserError(f"{opened.name} has a class head, and no prompts: leave out --templates")
    return opened, data, of_run


def find_images(given: str, classes: str | None, data: Data, prompt_names: str, opened: OpenedModel) -> ChosenImages:
    """The images that --images names. `prompt_names` is the run's `eval.class_names`. Raises UserError if there are none."""
    path = Path(given).expanduser()
    if path.is_dir():
        skipped = collections.Counter()
        files = images_in(path, lambda reason, example: skipped.update([reason]))
        for reason, count in skipped.items():
            log_line(f"note: {count:,} {reason} are skipped")
        inside = [file.relative_to(path) for file in files]
        own = "" if any(len(file.parts) > 1 for file in inside) else path.resolve().name
        labels = [file.parts[0] if len(file.parts) > 1 else own for file in inside]
        names = [file.as_posix() for file in inside]
    else:
        found = [str(path)] if path.exists() else sorted({*glob.glob(str(path), recursive=True)})
        files = [Path(name) for name in found if is_image(name) and Path(name).is_file()]
        if others := sum(is_image(name) and not Path(name).is_file() for name in found):
            log_line(f"note: {others:,} folders or pipes with names of images are skipped")
        labels, names = [file.parent.name for file in files], [file.as_posix() for file in files]
        if not files and (":" in given or given in EVALUATION_SETS):
            return images_of_set(given, classes, data, prompt_names, opened)
    if not files:
        unknown = "is neither a folder, nor a prepared set as NAME:SPLIT, and matches no image"
        what = "has no image" if path.is_dir() else unknown
        raise UserError(f"--images={given} {what}; the names of images end in {', '.join(EXTENSIONS)}")
    source = ImageFiles(path.name, "files", tuple(files))
    return ChosenImages(source, np.arange(len(files)), [*map(clean_text, names)], [*map(composed, labels)])


def images_of_set(name: str, classes: str | None, data: Data, prompt_names: str, opened: OpenedModel) -> ChosenImages:
    """The images of a prepared set: those that an evaluation of the model counts, if it can be evaluated on the set, or else all."""
    selected = evaluation_set(name)
    names_file = data.class_names if selected.source.name == data.name else ""
    draw_missing([name], data.data_dir)
    source = open_source(selected.source.name, data.data_dir, selected.split, names_file)
    of_set, records, labels = None, np.arange(len(source)), [""] * len(source)
    if source.class_names and not classes:
        of_set = set_for(name, source, data, opened)
    if of_set:
        of_set = with_class_names(of_set, prompt_names)
        source, records = of_set.variant.source, of_set.variant.records
        if others := len(source) - len(records):
            log_line(
                f"note: {others:,} of {len(source):,} images of {name} are of none of the model's classes, and are left out"
            )
        labels = [of_set.class_names[label] for label in of_set.variant.labels]
    elif source.class_names:
        labels = [source.class_names[label] if label >= 0 else "" for label in source.metadata["label"].to_pylist()]
    filenames = [f"{name}/{record}" for record in records]
    if "filename" in source.metadata.column_names:
        filenames = source.metadata["filename"].take(records).to_pylist()
    return ChosenImages(source, records, filenames, labels, of_set)


def set_for(name: str, source: Source, data: Data, opened: OpenedModel) -> OpenedSet | None:
    """The evaluation set; None if it lacks classes of a model without prompts, or has others."""
    if not opened.class_names:
        return open_set(name, data.data_dir)
    if not opened.has_prompts and ":" in name and not set(opened.class_names) <= set(source.class_names):
        return None
    found = open_run_set(name, 0, data, opened.class_names, opened.has_prompts)
    return found if opened.has_prompts or columns_of(found.class_names, opened.class_names) is not None else None


def classes_of(class_list: str | None, images: ChosenImages, opened: OpenedModel) -> PromptedClasses | OpenedSet:
    """The classes to choose from: those of --classes, else of the set, else of the run. Raises UserError if there are none."""
    if class_list:
        names = listed_names(class_list)
    elif images.opened:
        names = images.opened.class_names
    elif opened.class_names:
        names = opened.class_names
    else:
        raise UserError(
            f"which classes? {opened.name} has none of its own: give --classes=names.txt, one name per line"
        )
    if not opened.has_prompts and columns_of(names, opened.class_names) is None:
        place = places_of(names, opened.class_names).index(None)
        raise UserError(
            f"'{names[place]}' is none of the classes that {opened.name} was trained on, and it has no prompts: leave out "
            "--classes, or give images of its classes"
        )
    if images.opened and not class_list:
        return images.opened
    return PromptedClasses("--classes" if class_list else opened.name, names, names, templates("photo"))


def known_labels(names: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """The class name for each name of a folder or a label; '' for those that are no class."""
    distinct = list(dict.fromkeys(filter(None, names)))
    class_of = {
        name: class_names[place] for name, place in zip(distinct, places_of(distinct, class_names)) if place is not None
    }
    if others := [name for name in distinct if name not in class_of]:
        log_line(
            f"note: {len(others)} of {len(distinct)} folders or labels, such as '{others[0]}', are none of the "
            f"{len(class_names)} classes: their images have no label"
        )
    return [class_of.get(name, "") for name in names]


def settings_of(
    options: argparse.Namespace,
    opened: OpenedModel,
    images: ChosenImages,
    classes: PromptedClasses | OpenedSet,
    prompts: Evaluation,
) -> dict[str, Any]:
    """What the predictions depend on."""
    texts = set_prompts(classes, prompts.templates) if opened.has_prompts else ()
    source = images.source
    # All files of a set are built at once, so the first will do.
    files = source.files if isinstance(source, ImageFiles) else map(source.file_of, images.records[:1])
    return {
        "model": [opened.digest[:16], settings_digest(options.model)[:16] if options.model else ""],
        "images": digest_of_json([source.split, images.filenames, [*map(version_of, files)]])[:16],
        "classes": digest_of_json([classes.class_names, texts])[:16],
        "batch_size": options.batch_size,
        "top": options.top,
        "logits": bool(options.logits),
    }


def version_of(file: os.PathLike) -> list[str | int]:
    """What identifies a version of a file: its path, size in bytes and time of change."""
    state = os.stat(file) if os.path.exists(file) else None
    return [os.path.realpath(file), *((state.st_size, state.st_mtime_ns) if state else ())]


@contextlib.contextmanager
def unfinished(output: Path) -> Iterator[Path]:
    """The folder of parts beside the output, which no other program uses in this context. A complete output removes it."""
    folder = output.with_name(f"{output.name}.unfinished")
    try:
        with sole_writer(folder):
            yield folder
    except InUseError as error:
        raise UserError(
            f"{error.holder} predicts into {output}: wait until it ends, or choose another --output"
        ) from None
    except UserError:
        # Nothing is done, and nothing is another program's.
        if {path.name for path in folder.iterdir()} <= {SETTINGS, LOCK}:
            folder.rmtree()
        raise
    folder.rmtree()


def predict(
    opened: OpenedModel,
    classes: PromptedClasses | OpenedSet,
    prompts: Evaluation,
    images: ChosenImages,
    reading: Reading,
    mesh: Mesh,
    top: int,
    with_logits: bool,
    parts: Parts,
) -> None:
    """Predict the classes of the images whose parts are missing. Raises UserError if features are not finite."""
    total, batch_size = len(images.records), prompts.batch_size
    done = min(parts.number * batch_size, total)
    if done:
        log_line(f"{done:,} of {total:,} images are done")
    if done == total:
        return
    graphdef, state = nnx.split(opened.model)
    read = opened.tokenizer if opened.has_prompts else None
    heads = class_heads({classes.name: classes}, prompts, graphdef, mesh, read, opened.class_names or ())
    head = jax.device_put(heads((state,))[classes.name], replicated(mesh))
    if opened.has_text:
        del opened.model.text  # images do not need it
        graphdef, state = nnx.split(opened.model)
    predict_batch = make_predict_batch(graphdef, mesh, opened.preprocess, top, with_logits)
    shown = time.monotonic()

    def save(predicted: Predicted, _: np.ndarray, mask: np.ndarray) -> None:
        nonlocal done, shown
        rows = rows_of_batch(done, total, mask)
        predicted = Predicted(*(None if array is None else array[mask] for array in predicted))
        if not np.isfinite(predicted.confidence).all():
            raise UserError(f"{opened.name} has features with NaN or infinite values: check its weights")
        parts.add(rows, predicted)
        done = min(done + batch_size, total)
        progress = f"{done:,} of {total:,} images are done"
        note_saved(f"{progress}, and the same command continues")
        if not sys.stderr.isatty() and time.monotonic() - shown > BETWEEN_LINES:
            log_line(progress)
            shown = time.monotonic()

    reading = dataclasses.replace(reading, max_unreadable=1.0)
    rows = SourceRows(images.source, images.records[done:])
    run_pass = make_pass(rows, opened.preprocess, reading, mesh, batch_size, f"predicting {images.source.name}")
    run_pass(lambda batch: predict_batch((state,), head, batch), [save])


def summary(total: int, labels: Sequence[str], predicted: Predicted, class_names: Sequence[str]) -> str:
    """The number of images, and the accuracy on those with labels."""
    correct = [label == class_names[best] for label, best in zip(labels, predicted.classes[:, 0]) if label]
    left_out = f", {total - len(labels):,} left out" if total > len(labels) else ""
    accuracy = f", top-1 {100 * np.mean(correct):.1f} % of {len(correct):,} with a label" if correct else ""
    return f"{len(labels):,} images{left_out}{accuracy}"
