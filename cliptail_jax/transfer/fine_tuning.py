"""Fine-tuning: a whole model is trained on a set, with a new linear head, by the project's own training loop.

The recipe is Ericsson et al.'s, "How Well Do Self-Supervised Models Transfer?", CVPR 2021 (finetune.py of
github.com/linusericsson/ssl-transfer): SGD with Nesterov momentum 0.9, a cosine to 0 by the step, random resized crops of
0.08 to 1 of the area and flips; each learning rate η with each weight decay λ of a grid. The optimizer's weight decay is
λ/η, so that a step at rate η shrinks the weights by λ, whatever the learning rate. The pair with the best validation score
(the first of them if several are equal) trains once more, on train + validation.

A folder has the work directory of a run for each pair, `lr=0.1,wd=1e-06/`, with a `score.json` and without checkpoints once
it is scored, and `final/`, which keeps its checkpoints.
"""

import functools
import itertools
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.config.sections import MeshAxes, Reading
from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.source import Source
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.counting import FeatureCollector, count, gather, make_evaluate_batch, with_progress
from cliptail_jax.files import write_json
from cliptail_jax.input.pipeline import UnreadableImages, evaluation_batches
from cliptail_jax.objectives import base_config
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import check_batch, local_rows, make_mesh
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.runs.log import Diverged, say
from cliptail_jax.train import train
from cliptail_jax.training import initialization
from cliptail_jax.transfer.configuration import FineTuneOptions
from cliptail_jax.transfer.methods import Measurement, check_classes
from cliptail_jax.transfer.models import TransferModel
from cliptail_jax.transfer.sets import HELD_OUT, OpenedSet

CROP_SCALE = (0.08, 1.0)
SCORE, FINAL = "score.json", "final"


class Point(NamedTuple):
    """A point of the grid. The weight decay is λ, not yet divided by the learning rate."""

    learning_rate: float
    weight_decay: float

    @property
    def name(self) -> str:
        return f"lr={self.learning_rate!r},wd={self.weight_decay!r}"


def fine_tune(
    model: TransferModel,
    opened: OpenedSet,
    folder: Path,
    options: FineTuneOptions,
    seed: int,
    image_size: int,
    batch_size: int,
    reading: Reading,
    axes: MeshAxes,
) -> Measurement:
    """Fine-tunes a model on a set of one class an image, with its runs in `folder`.

    Runs of an earlier call with the same arguments and weights are not repeated. `image_size` 0 is the model's own, and
    `batch_size` is that of evaluation. The arrays are `predictions`, `labels` and `records` of the test images.

    Raises:
        UserError: a class has no training image, the weights cannot be trained, images cannot be read, or all runs diverge.
    """
    check_classes(np.eye(len(opened.class_names), dtype=bool)[opened.labels(opened.chosen.train)], opened, "training")
    mesh = make_mesh(axes)
    check_batch(mesh, options.batch_size, "finetune.batch_size")
    grid = [Point(*pair) for pair in itertools.product(options.learning_rates, options.weight_decays)]
    base = run_config(model, opened, options, seed, image_size, batch_size, reading, axes)
    validation = validation_images(opened, seed)
    scores = []
    for point in grid:
        config = at_point(base, point, trained_on(opened, whole=False))
        scores.append(score_of(config, folder / point.name, model, opened, validation, mesh))
    best = int(np.argmax(scores))
    if np.isneginf(scores[best]):
        raise UserError(
            f"all {len(grid)} runs of {model.name} on {opened.chosen.name} diverged: lower finetune.learning_rates"
        )
    final = at_point(base, grid[best], trained_on(opened, whole=True))
    train(final, folder / FINAL, overwrite=True)
    check_weights(model, folder / FINAL)
    test_images = all_images(opened.sources[opened.chosen.test])
    arrays = predict(folder / FINAL, test_images, mesh, batch_size, reading)
    numbers = {
        "score": 100 * opened.score(arrays["predictions"], arrays["labels"]),
        "learning_rate": grid[best].learning_rate,
        "weight_decay": grid[best].weight_decay,
        "edge": edge(grid[best], options),
        "validation_score": 100 * scores[best],
        "grid": [[*point, None if np.isneginf(score) else 100 * score] for point, score in zip(grid, scores)],
        "sizes": sizes(opened, validation, arrays["labels"]),
    }
    return Measurement(numbers, arrays)


def score_of(
    config: ConfigDict,
    workdir: Path,
    model: TransferModel,
    opened: OpenedSet,
    validation: Variant,
    mesh: Mesh,
) -> float:
    """The validation score, in 0..1, of the run of `config` in `workdir`; -inf if it diverges."""
    if not agreed((workdir / SCORE).exists()):
        try:
            train(config, workdir, overwrite=True)
            check_weights(model, workdir)
            arrays = predict(workdir, validation, mesh, config.eval.batch_size, config.data)
            noted = {"score": opened.score(arrays["predictions"], arrays["labels"])}
        except Diverged as error:
            noted = {"score": None, "diverged": str(error)}
        if jax.process_index() == 0:
            write_json(workdir / SCORE, noted)
            epath.Path(workdir / "checkpoints").rmtree(missing_ok=True)
        shown = "diverged" if noted["score"] is None else f"{100 * noted['score']:.1f} on validation images"
        say(f"{model.name} on {opened.chosen.name}, {workdir.name}: {shown}")
    else:
        noted = json.loads((workdir / SCORE).read_text())
    return -np.inf if noted["score"] is None else noted["score"]


def run_config(
    model: TransferModel,
    opened: OpenedSet,
    options: FineTuneOptions,
    seed: int,
    image_size: int,
    batch_size: int,
    reading: Reading,
    axes: MeshAxes,
) -> ConfigDict:
    """The training config of all runs on a set: all but the images and the point of the grid."""
    initial, start = model.initial, model.open()
    size = image_size or start.preprocess.size
    config = base_config()
    config.update(
        {
            "seed": seed,
            "total_steps": options.steps,
            "batch_size": options.batch_size,
            "eval": {"sets": (), "batch_size": batch_size},
            "data": {
                "name": opened.chosen.source.name,
                "data_dir": reading.data_dir,
                "seed": seed,
                "image_size": size,
                "eval_resize": size,
                "crop_scale": CROP_SCALE,
                "flip": True,
                "workers": reading.workers,
                "max_unreadable": reading.max_unreadable,
            },
            "mesh": {"data": axes.data, "fsdp": axes.fsdp},
            "model": {"image": {"output_dim": start.embed_dim}},
            "image": {"init": initial},
            "head": {"kind": "linear"},
            "optimizer": {"nesterov": True, "schedule": "cosine_steps"},
        }
    )
    return config


def at_point(base: ConfigDict, point: Point, images: Mapping[str, str | float]) -> ConfigDict:
    """The config of the run at a point of the grid on `images`, as `trained_on` gives them."""
    config = base.copy_and_resolve_references()
    config.data.update(images)
    config.optimizer.learning_rate = point.learning_rate
    config.optimizer.weight_decay = point.weight_decay / point.learning_rate
    return config


def trained_on(opened: OpenedSet, whole: bool) -> dict[str, str | float]:
    """The fields of `config.data` for the training images, or for the `whole` of them and the validation images."""
    train_split, validation = opened.chosen.train, opened.chosen.validation
    split = f"{train_split}+{validation}" if whole and validation else train_split
    return {"split": split, "held_out": 0.0 if whole or validation else HELD_OUT}


def check_weights(model: TransferModel, workdir: Path) -> None:
    """Raises UserError where a run has started from other weights than the model has: it has been trained further."""
    began = json.loads((workdir / initialization.TOWERS).read_text())["visual"]["digest"]
    if model.run and began != model.weights:
        raise UserError(
            f"{model.name} has a newer checkpoint than {model.run.step}: run the command again for that one"
        )


def all_images(source: Source) -> Variant:
    labels = source.columns("label")["label"].to_numpy()
    return Variant(source, np.arange(len(labels)), labels, source.class_names, labels, captions=None)


def validation_images(opened: OpenedSet, seed: int) -> Variant:
    """The validation split, or the images that `data.held_out` leaves out of the training images."""
    chosen = opened.chosen
    if chosen.validation:
        return all_images(opened.sources[chosen.validation])
    train_images = all_images(opened.sources[chosen.train])
    _, held_out = seeded_split(train_images.labels, HELD_OUT, seed)
    labels = train_images.labels[held_out]
    return Variant(train_images.source, held_out, labels, train_images.class_names, labels, captions=None)


def predict(
    workdir: Path, images: Variant, mesh: Mesh, batch_size: int, reading: Reading
) -> dict[str, Int[np.ndarray, "image"]]:
    """`predictions` of the newest checkpoint of a run, `labels` and `records`, of the images that could be read."""
    opened = open_run(workdir, mesh=mesh)
    graphdef, state = nnx.split(opened.model)
    weights, bias = gather(opened.model.head[...]), gather(opened.model.bias[...])
    evaluate_batch = functools.partial(make_evaluate_batch(graphdef, mesh), bias=bias)
    batches = evaluation_batches(
        images, opened.preprocess, batch_size=batch_size, slots=local_rows(batch_size), workers=reading.workers
    )()
    kept, unreadable = FeatureCollector(images), UnreadableImages(images, reading.max_unreadable)
    progress = with_progress(batches, images, batch_size)
    count(evaluate_batch, (state,), weights, progress, unreadable, [kept.add], mesh)
    arrays = kept.result()
    if not len(arrays["labels"]):
        raise UserError(
            f"no image of {images.source.name} ({images.source.split}) could be read: prepare the set again"
        )
    logits = arrays.pop("features").astype(np.float64) @ weights.T.astype(np.float64) + bias
    return {"predictions": logits.argmax(1), **arrays}


def edge(point: Point, options: FineTuneOptions) -> str:
    """The hyper-parameters in which a point is at an end of the grid, so that a better value may lie beyond; '' for none.

    A weight decay of 0 does not count: none is weaker.
    """
    at_end = {
        "learning rate": point.learning_rate in ends(options.learning_rates),
        "weight decay": point.weight_decay in ends(options.weight_decays) and point.weight_decay > 0,
    }
    return " and ".join(name for name, is_at_end in at_end.items() if is_at_end)


def ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def sizes(opened: OpenedSet, validation: Variant, tested: Int[np.ndarray, "image"]) -> dict[str, int]:
    held_out = 0 if opened.chosen.validation else len(validation)
    of_train = len(opened.sources[opened.chosen.train]) - held_out
    return {"train": of_train, "validation": len(validation), "test": len(tested), "classes": len(opened.class_names)}
