"""Predicts the classes of images, and writes them to a table."""

import argparse
import collections
import contextlib
import dataclasses
import glob
import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Float, Int

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
from cliptail_jax.objectives import prior_of_run, run_config
from cliptail_jax.parallel.sharding import check_batch, make_mesh, replicated
from cliptail_jax.pretrained.class_head import places_of
from cliptail_jax.pretrained.model import find_model, open_run
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.source import settings_digest
from cliptail_jax.results.run import Run
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.files import FREQUENCY
from cliptail_jax.runs.lock import FILE as LOCK
from cliptail_jax.runs.lock import InUseError, sole_writer

LINE_SECONDS = 60.0  # seconds between two lines of progress where there is no terminal


class ChosenImages(NamedTuple):
    """The images to classify.

    Attributes:
        source: the images from which they are taken.
        records: their indices in the source, in the order of the table.
        filenames: their names in the table.
        labels: the names of their classes, or of folders that may not be classes; '' for an image without a label.
        eval_set: their prepared set, if it has labels.
    """

    source: ImageSource
    records: Int[np.ndarray, " image"]
    filenames: list[str]
    labels: list[str]
    eval_set: OpenedSet | None = None


def predict_command(options: argparse.Namespace) -> None:
    """Run `cliptail predict`: write the files that its flags name."""
    mesh = make_mesh(MeshAxes())
    check_options(options, mesh)
    model, data, run_options = open_with_data(options, mesh)
    if run_options.logit_adjustment:
        log_line(
            f"note: the run's eval.logit_adjustment={run_options.logit_adjustment:g} is for `evaluate`; these are its plain "
            "logits"
        )
    images = find_images(options.images, options.classes, data, run_options.class_names, model)
    classes = classes_of(options.classes, images, model)
    labels = known_labels(images.labels, classes.class_names)
    prior = log_prior(work_path(options.workdir), model, classes.class_names) if options.without_prior else None
    if options.top > len(classes.class_names):
        raise UserError(f"--top={options.top}, but there are {len(classes.class_names)} classes: give at most as many")
    prompts = Evaluation(templates=options.templates or run_options.templates, batch_size=options.batch_size)

    with folder_of_parts(options.output) as folder:
        parts = Parts(folder, settings_of(options, model, images, classes, prompts))
        predict(model, classes, prompts, images, data, mesh, options.top, bool(options.logits), parts, prior)
        rows, predictions = parts.read()
        table = [images.filenames[row] for row in rows], [labels[row] for row in rows], predictions, classes.class_names
        if len(rows) and options.logits:
            options.logits.parent.mkdir(parents=True, exist_ok=True)
            save_arrays(options.logits, **logit_arrays(*table))
        if len(rows):
            write_text(options.output, table_text(*table))
        parts.remove()
    if not len(rows):
        raise UserError(f"no image of {options.images} could be read: give files of images, such as .jpg or .png")
    print(f"wrote {options.output}: {summary(len(images.filenames), *table[1:])}")
    if options.workdir and any(table[1]):
        frequency = work_path(options.workdir) / FREQUENCY
        words = ["cliptail", "measure", str(options.logits or options.output), f"--frequency={frequency}"]
        print(f"its bias:  {shlex.join(words)}")


def check_options(options: argparse.Namespace, mesh: Mesh) -> None:
    """Raise UserError if an option is wrong, or an output cannot be written."""
    for name in ("top", "batch_size"):
        if (value := getattr(options, name)) < 1:
            raise UserError(f"--{name}={value} is not a positive number")
    check_batch(mesh, options.batch_size, "--batch_size")
    if options.without_prior and not options.workdir:
        raise UserError("--without_prior is for a run, whose loss is known: leave it out")
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
    """The model, the settings for reading images, and the evaluation settings of a run, or the defaults."""
    if options.workdir:
        workdir = work_path(options.workdir)
        config = run_config(workdir)
        data = dataclasses.replace(config.data, data_dir=options.data_dir or config.data.data_dir)
        model, run_options = open_run(workdir, mesh=mesh), config.eval
    else:
        source = find_model(options.model)
        if source.is_run:
            raise UserError(f"{options.model} is a run: give it as --workdir={options.model}")
        model, data, run_options = source.open(mesh=mesh), Data(data_dir=options.data_dir, resize=PILLOW), Evaluation()
    if not model.has_text and "head" not in model.description:
        raise UserError(
            f"{model.name} has image features, and neither a class head nor prompts: it predicts no classes"
        )
    if options.templates and not model.has_prompts:
        raise UserError(f"{model.name} has a class head, and no prompts: leave out --templates")
    return model, data, run_options


def find_images(pattern: str, classes: str | None, data: Data, prompt_names: str, model: OpenedModel) -> ChosenImages:
    """The images that --images names. `prompt_names` is the run's `eval.class_names`. Raises UserError if there are none."""
    path = Path(pattern).expanduser()
    if path.is_dir():
        counts = collections.Counter()
        files = images_in(path, lambda reason, example: counts.update([reason]))
        for reason, count in counts.items():
            log_line(f"note: {count:,} {reason} are skipped")
        inside = [file.relative_to(path) for file in files]
        folder_name = "" if any(len(file.parts) > 1 for file in inside) else path.resolve().name
        labels = [file.parts[0] if len(file.parts) > 1 else folder_name for file in inside]
        names = [file.as_posix() for file in inside]
    else:
        matches = [str(path)] if path.exists() else sorted({*glob.glob(str(path), recursive=True)})
        files = [Path(name) for name in matches if is_image(name) and Path(name).is_file()]
        if other_files := sum(is_image(name) and not Path(name).is_file() for name in matches):
            log_line(f"note: {other_files:,} folders or pipes with names of images are skipped")
        labels, names = [file.parent.name for file in files], [file.as_posix() for file in files]
        if not files and (":" in pattern or pattern in EVALUATION_SETS):
            return images_of_set(pattern, classes, data, prompt_names, model)
    if not files:
        problem = "is neither a folder, nor a prepared set as NAME:SPLIT, and matches no image"
        reason = "has no image" if path.is_dir() else problem
        raise UserError(f"--images={pattern} {reason}; the names of images end in {', '.join(EXTENSIONS)}")
    source = ImageFiles(path.name, "files", tuple(files))
    return ChosenImages(source, np.arange(len(files)), [*map(clean_text, names)], [*map(composed, labels)])


def images_of_set(name: str, classes: str | None, data: Data, prompt_names: str, model: OpenedModel) -> ChosenImages:
    """The images of a prepared set. If the model can be evaluated on the set, these are the images of the evaluation."""
    eval_set = evaluation_set(name)
    names_file = data.class_names if eval_set.source.name == data.name else ""
    draw_missing([name], data.data_dir)
    source = open_source(eval_set.source.name, data.data_dir, eval_set.split, names_file)
    opened_set, records, labels = None, np.arange(len(source)), [""] * len(source)
    if source.class_names and not classes:
        opened_set = set_for(name, source, data, model)
    if opened_set:
        opened_set = with_class_names(opened_set, prompt_names)
        source, records = opened_set.variant.source, opened_set.variant.records
        if other_images := len(source) - len(records):
            log_line(
                f"note: {other_images:,} of {len(source):,} images of {name} are of none of the model's classes, and are left "
                "out"
            )
        labels = [opened_set.class_names[label] for label in opened_set.variant.labels]
    elif source.class_names:
        labels = [source.class_names[label] if label >= 0 else "" for label in source.metadata["label"].to_pylist()]
    filenames = [f"{name}/{record}" for record in records]
    if "filename" in source.metadata.column_names:
        filenames = source.metadata["filename"].take(records).to_pylist()
    return ChosenImages(source, records, filenames, labels, opened_set)


def set_for(name: str, source: Source, data: Data, model: OpenedModel) -> OpenedSet | None:
    """The evaluation set; None for a model without prompts whose classes are not those of the set."""
    if not model.class_names:
        return open_set(name, data.data_dir)
    if not model.has_prompts and ":" in name and not set(model.class_names) <= set(source.class_names):
        return None
    opened_set = open_run_set(name, 0, data, model.class_names, model.has_prompts)
    return (
        opened_set if model.has_prompts or columns_of(opened_set.class_names, model.class_names) is not None else None
    )


def classes_of(class_list: str | None, images: ChosenImages, model: OpenedModel) -> PromptedClasses | OpenedSet:
    """The classes of --classes, else of the set, else of the run. Raises UserError if there are none."""
    if class_list:
        names = listed_names(class_list)
    elif images.eval_set:
        names = images.eval_set.class_names
    elif model.class_names:
        names = model.class_names
    else:
        raise UserError(f"which classes? {model.name} has none of its own: give --classes=names.txt, one name per line")
    if not model.has_prompts and columns_of(names, model.class_names) is None:
        place = places_of(names, model.class_names).index(None)
        raise UserError(
            f"'{names[place]}' is none of the classes that {model.name} was trained on, and it has no prompts: leave out "
            "--classes, or give images of its classes"
        )
    if images.eval_set and not class_list:
        return images.eval_set
    return PromptedClasses("--classes" if class_list else model.name, names, names, templates("photo"))


def known_labels(names: Sequence[str], class_names: Sequence[str]) -> list[str]:
    """The class name for each name of a folder or a label; '' for a name that is no class."""
    distinct_names = list(dict.fromkeys(filter(None, names)))
    class_of = {
        name: class_names[place]
        for name, place in zip(distinct_names, places_of(distinct_names, class_names))
        if place is not None
    }
    if other_names := [name for name in distinct_names if name not in class_of]:
        log_line(
            f"note: {len(other_names)} of {len(distinct_names)} folders or labels, such as '{other_names[0]}', are none of the "
            f"{len(class_names)} classes: their images have no label"
        )
    return [class_of.get(name, "") for name in names]


def settings_of(
    options: argparse.Namespace,
    model: OpenedModel,
    images: ChosenImages,
    classes: PromptedClasses | OpenedSet,
    prompts: Evaluation,
) -> dict[str, Any]:
    """The settings on which the predictions depend; parts of other settings are not continued."""
    texts = set_prompts(classes, prompts.templates) if model.has_prompts else ()
    source = images.source
    # All files of a set are built at once, so the first file identifies them.
    files = source.files if isinstance(source, ImageFiles) else map(source.file_of, images.records[:1])
    return {
        "model": [model.digest[:16], settings_digest(options.model)[:16] if options.model else ""],
        "images": digest_of_json([source.split, images.filenames, [*map(version_of, files)]])[:16],
        "classes": digest_of_json([classes.class_names, texts])[:16],
        "batch_size": options.batch_size,
        "top": options.top,
        "logits": bool(options.logits),
    } | ({"without_prior": True} if options.without_prior else {})


def version_of(file: os.PathLike) -> list[str | int]:
    """The path, size in bytes and time of change of a file, which identify its version."""
    state = os.stat(file) if os.path.exists(file) else None
    return [os.path.realpath(file), *((state.st_size, state.st_mtime_ns) if state else ())]


@contextlib.contextmanager
def folder_of_parts(output: Path) -> Iterator[Path]:
    """Lock the folder of parts beside the output in this context, and remove it when the output is complete."""
    folder = output.with_name(f"{output.name}.unfinished")
    try:
        with sole_writer(folder):
            yield folder
    except InUseError as error:
        raise UserError(
            f"{error.holder} predicts into {output}: wait until it ends, or choose another --output"
        ) from None
    except UserError:
        # The folder contains no results, and no files of another program.
        if folder.exists() and {path.name for path in folder.iterdir()} <= {SETTINGS, LOCK}:
            folder.rmtree()
        raise
    folder.rmtree()


def predict(
    model: OpenedModel,
    classes: PromptedClasses | OpenedSet,
    prompts: Evaluation,
    images: ChosenImages,
    reading: Reading,
    mesh: Mesh,
    top: int,
    with_logits: bool,
    parts: Parts,
    prior: Float[np.ndarray, " class"] | None = None,
) -> None:
    """Predict the classes of the images whose parts are missing, with logits minus `prior`.

    Raises UserError if features are not finite.
    """
    total, batch_size = len(images.records), prompts.batch_size
    finished_images = min(parts.number * batch_size, total)
    if finished_images:
        log_line(f"{finished_images:,} of {total:,} images are done")
    if finished_images == total:
        return
    graphdef, state = nnx.split(model.model)
    tokenizer = model.tokenizer if model.has_prompts else None
    heads = class_heads({classes.name: classes}, prompts, graphdef, mesh, tokenizer, model.class_names or ())
    head = heads((state,))[classes.name]
    head = jax.device_put(head if prior is None else head._replace(adjustment=np.float32(prior)), replicated(mesh))
    if model.has_text:
        del model.model.text  # images do not need it
        graphdef, state = nnx.split(model.model)
    predict_batch = make_predict_batch(graphdef, mesh, model.preprocess, top, with_logits)
    last_line = time.monotonic()

    def save(predictions: Predicted, _: np.ndarray, mask: np.ndarray) -> None:
        nonlocal finished_images, last_line
        rows = rows_of_batch(finished_images, total, mask)
        predictions = Predicted(*(None if array is None else array[mask] for array in predictions))
        if not np.isfinite(predictions.confidence).all():
            raise UserError(f"{model.name} has features with NaN or infinite values: check its weights")
        parts.add(rows, predictions)
        finished_images = min(finished_images + batch_size, total)
        progress = f"{finished_images:,} of {total:,} images are done"
        note_saved(f"{progress}, and the same command continues")
        if not sys.stderr.isatty() and time.monotonic() - last_line > LINE_SECONDS:
            log_line(progress)
            last_line = time.monotonic()

    reading = dataclasses.replace(reading, max_unreadable=1.0)
    rows = SourceRows(images.source, images.records[finished_images:])
    run_pass = make_pass(rows, model.preprocess, reading, mesh, batch_size, f"predicting {images.source.name}")
    run_pass(lambda batch: predict_batch((state,), head, batch), [save])


def log_prior(workdir: Path, model: OpenedModel, class_names: Sequence[str]) -> Float[np.ndarray, " class"]:
    """The effective log-prior of a run's loss for these classes. One without training images counts as one with an image.

    Raises UserError if the log-prior is not known, or a class is not one of the run.
    """
    places = places_of(class_names, model.class_names)
    if None in places:
        name = class_names[places.index(None)]
        raise UserError(f"--without_prior: the run has no class '{name}', and no prior for it: leave one of both out")
    return prior_of_run(Run(workdir))(np.maximum(model.class_frequency, 1))[places]


def logits_of_run(workdir: Path, data_dir: str = "") -> tuple[list[str], Float[np.ndarray, "example class"], list[str]]:
    """The labels and logits of the examples of a run's first evaluation set, and the classes of the logits.

    Raises UserError if the set has no labels of the run's classes, or the run has no checkpoint.
    """
    mesh, config = make_mesh(MeshAxes()), run_config(workdir)
    if not config.eval.sets:
        raise UserError(
            f"{workdir} has no evaluation set: give --logits of any model, as `cliptail predict` writes them"
        )
    data = dataclasses.replace(config.data, data_dir=data_dir or config.data.data_dir)
    model = open_run(workdir, mesh=mesh)
    images = images_of_set(config.eval.sets[0], None, data, config.eval.class_names, model)
    if images.eval_set is None:
        raise UserError(
            f"{config.eval.sets[0]} has no labels of the classes of {workdir}: give --logits on another set"
        )
    prompts = Evaluation(templates=config.eval.templates, batch_size=config.eval.batch_size)
    with tempfile.TemporaryDirectory() as folder:
        parts = Parts(work_path(folder), {})
        predict(model, images.eval_set, prompts, images, data, mesh, 1, True, parts)
        rows, predictions = parts.read()
    return [images.labels[row] for row in rows], predictions.logits, [*images.eval_set.class_names]


def summary(total: int, labels: Sequence[str], predictions: Predicted, class_names: Sequence[str]) -> str:
    """The number of images, and the accuracy on those with labels."""
    correct = [label == class_names[place] for label, place in zip(labels, predictions.classes[:, 0]) if label]
    omissions = f", {total - len(labels):,} left out" if total > len(labels) else ""
    accuracy = f", top-1 {100 * np.mean(correct):.1f} % of {len(correct):,} with a label" if correct else ""
    return f"{len(labels):,} images{omissions}{accuracy}"
