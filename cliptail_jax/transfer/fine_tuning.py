"""Fine-tuning: all of a model trained on a set, with a new linear head, by the project's own training loop.

The recipe is Ericsson et al.'s, "How Well Do Self-Supervised Models Transfer?", CVPR 2021 (finetune.py of
github.com/linusericsson/ssl-transfer): SGD with Nesterov momentum 0.9, a cosine to 0 by the step, random resized crops of
0.08 to 1 of the area and flips; each learning rate η with each weight decay λ of a grid. The gradient gets λ/η times the
weights, of which a step at rate η is λ: the pull of a weight decay is the same at all learning rates. The pair of the best
validation score, of equals the first, trains once more, on train + validation.

A folder has the work directory of a run for each pair, `lr=0.1,wd=1e-06/`, with a `score.json` and no checkpoints once it is
scored, and `final/`, which keeps them.
"""

import functools
import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int
from ml_collections import ConfigDict

from cliptail_jax.config import training as configuration
from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.source import Source
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.counting import FeatureCollector, count, gather, make_evaluate_batch, with_progress
from cliptail_jax.evaluation.run import run_preprocess
from cliptail_jax.files import write_json
from cliptail_jax.input.pipeline import UnreadableImages, evaluation_batches
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import check_batch, local_rows, make_mesh
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.runs.log import Diverged, say
from cliptail_jax.train import train
from cliptail_jax.training import initialization
from cliptail_jax.transfer.models import TransferModel
from cliptail_jax.transfer.sets import HELD_OUT, OpenedSet

CROP_SCALE = (0.08, 1.0)
SCORE, FINAL = "score.json", "final"


class FineTuned(NamedTuple):
    """The numbers of a model that is fine-tuned on a set, and its predictions of the test images that could be read."""

    numbers: dict[str, Any]
    arrays: dict[str, np.ndarray]  # predictions, labels, records


class Point(NamedTuple):
    """A point of the grid: the weight decay is λ, before it is divided."""

    learning_rate: float
    weight_decay: float

    @property
    def name(self) -> str:
        return f"lr={self.learning_rate!r},wd={self.weight_decay!r}"


def fine_tune(model: TransferModel, opened: OpenedSet, config: ConfigDict, folder: Path) -> FineTuned:
    """Fine-tunes a model on a set of one class an image; `config` is the transfer's.

    Runs that `folder` has from an earlier call, which must have been for the same weights, data and config, are not
    repeated. Raises UserError where training starts from no such weights, images cannot be read, or all runs diverge.
    """
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.finetune.batch_size, "finetune.batch_size")
    grid = [Point(*pair) for pair in itertools.product(config.finetune.learning_rates, config.finetune.weight_decays)]
    validation = validation_images(opened, config.seed)
    scores = [score_of(point, model, opened, validation, config, folder / point.name, mesh) for point in grid]
    best = int(np.argmax(scores))
    if np.isneginf(scores[best]):
        raise UserError(
            f"all {len(grid)} runs of {model.name} on {opened.chosen.name} diverged: lower finetune.learning_rates"
        )
    final = run_config(grid[best], model, opened, config, whole=True)
    train(final, folder / FINAL, overwrite=True)
    check_weights(model, folder / FINAL)
    arrays = predict(final, folder / FINAL, all_images(opened.sources[opened.chosen.test]), mesh)
    numbers = {
        "score": 100 * opened.score(arrays["predictions"], arrays["labels"]),
        "learning_rate": grid[best].learning_rate,
        "weight_decay": grid[best].weight_decay,
        "edge": edge(grid[best], config.finetune),
        "validation_score": 100 * scores[best],
        "grid": [[*point, None if np.isneginf(score) else 100 * score] for point, score in zip(grid, scores)],
        "sizes": sizes(opened, validation, arrays["labels"]),
    }
    return FineTuned(numbers, arrays)


def score_of(
    point: Point,
    model: TransferModel,
    opened: OpenedSet,
    validation: Variant,
    config: ConfigDict,
    workdir: Path,
    mesh: Mesh,
) -> float:
    """The validation score, in 0..1, of a run with a point's learning rate and weight decay; -inf where it diverges."""
    if not agreed((workdir / SCORE).exists()):
        run = run_config(point, model, opened, config, whole=False)
        try:
            train(run, workdir, overwrite=True)
            check_weights(model, workdir)
            arrays = predict(run, workdir, validation, mesh)
            noted = {"score": opened.score(arrays["predictions"], arrays["labels"])}
        except Diverged as error:
            noted = {"score": None, "diverged": str(error)}
        if jax.process_index() == 0:
            write_json(workdir / SCORE, noted)
            epath.Path(workdir / "checkpoints").rmtree(missing_ok=True)
        told = "diverged" if noted["score"] is None else f"{100 * noted['score']:.1f} on validation images"
        say(f"{model.name} on {opened.chosen.name}, {point.name}: {told}")
    else:
        noted = json.loads((workdir / SCORE).read_text())
    return -np.inf if noted["score"] is None else noted["score"]


def run_config(point: Point, model: TransferModel, opened: OpenedSet, config: ConfigDict, whole: bool) -> ConfigDict:
    """The config of a run on the training images, or on the `whole` of them and the validation images."""
    chosen, asked = opened.chosen, config.finetune
    initial = model.initial
    start = model.open()
    size = config.image_size or start.preprocess.size
    run = configuration.base_config()
    run.update(
        {
            "seed": config.seed,
            "total_steps": asked.steps,
            "batch_size": asked.batch_size,
            "eval": {"sets": (), "batch_size": config.batch_size},
            "data": {
                "name": chosen.source.name,
                "data_dir": config.data.data_dir,
                "split": f"{chosen.train}+{chosen.validation}" if whole and chosen.validation else chosen.train,
                "seed": config.seed,
                "held_out": 0.0 if whole or chosen.validation else HELD_OUT,
                "image_size": size,
                "eval_resize": size,
                "crop_scale": CROP_SCALE,
                "flip": True,
                "workers": config.data.workers,
                "max_unreadable": config.data.max_unreadable,
            },
            "mesh": config.mesh.to_dict(),
            "model": {"image": {"output_dim": start.embed_dim}},
            "image": {"init": initial},
            "head": {"kind": "linear"},
            "optimizer": {
                "learning_rate": point.learning_rate,
                "weight_decay": point.weight_decay / point.learning_rate,
                "nesterov": True,
                "schedule": "cosine_steps",
            },
        }
    )
    return run


def check_weights(model: TransferModel, workdir: Path) -> None:
    """Raises UserError where a model has been trained on between its naming and the run that begins with it."""
    began = json.loads((workdir / initialization.TOWERS).read_text())["visual"]["digest"]
    if model.run and began != model.weights:
        raise UserError(
            f"{model.name} has a newer checkpoint than {model.run.step}: run the command again for that one"
        )


def all_images(source: Source) -> Variant:
    labels = source.columns("label")["label"].to_numpy()
    return Variant(source, np.arange(len(labels)), labels, source.class_names, labels, captions=None)


def validation_images(opened: OpenedSet, seed: int) -> Variant:
    """The images to choose by: the validation split, or those that `data.held_out` leaves out of the training images."""
    chosen = opened.chosen
    if chosen.validation:
        return all_images(opened.sources[chosen.validation])
    train_images = all_images(opened.sources[chosen.train])
    _, held_out = seeded_split(train_images.labels, HELD_OUT, seed)
    labels = train_images.labels[held_out]
    return Variant(train_images.source, held_out, labels, train_images.class_names, labels, captions=None)


def predict(config: ConfigDict, workdir: Path, images: Variant, mesh: Mesh) -> dict[str, Int[np.ndarray, "image"]]:
    """`predictions`, `labels` and `records` of those images that could be read, by the newest checkpoint of a run."""
    model = open_run(workdir, mesh=mesh).model
    graphdef, state = nnx.split(model)
    weights, bias = gather(model.head[...]), gather(model.bias[...])
    evaluate_batch = make_evaluate_batch(graphdef, mesh)
    size = config.eval.batch_size
    batches = evaluation_batches(
        images,
        run_preprocess(config.data),
        batch_size=size,
        slots=local_rows(size),
        workers=config.data.workers,
    )()
    kept, unreadable = FeatureCollector(images), UnreadableImages(images, config.data.max_unreadable)
    evaluate_batch = functools.partial(evaluate_batch, bias=bias)
    progress = with_progress(batches, images, size)
    count(evaluate_batch, (state,), weights, progress, unreadable, [kept.add], mesh)
    arrays = kept.result()
    if not len(arrays["labels"]):
        raise UserError(
            f"no image of {images.source.name} ({images.source.split}) could be read: prepare the set again"
        )
    logits = arrays.pop("features").astype(np.float64) @ weights.T.astype(np.float64) + bias
    return {"predictions": logits.argmax(1), **arrays}


def edge(point: Point, asked: ConfigDict) -> str:
    """Of which hyper-parameters a point is at an end of the grid, where a better value may lie beyond; '' for none.

    No weight decay is weaker than 0.
    """
    at_end = {
        "learning rate": point.learning_rate in ends(asked.learning_rates),
        "weight decay": point.weight_decay in ends(asked.weight_decays) and point.weight_decay > 0,
    }
    return " and ".join(name for name, is_at_end in at_end.items() if is_at_end)


def ends(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def sizes(opened: OpenedSet, validation: Variant, tested: Int[np.ndarray, "image"]) -> dict[str, int]:
    held_out = 0 if opened.chosen.validation else len(validation)
    of_train = len(opened.sources[opened.chosen.train]) - held_out
    return {"train": of_train, "validation": len(validation), "test": len(tested), "classes": len(opened.class_names)}
