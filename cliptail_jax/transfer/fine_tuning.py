"""Fine-tuning: trains a whole model with a new linear head on a set, with the project's training loop.

The recipe is Ericsson et al.'s, "How Well Do Self-Supervised Models Transfer?", CVPR 2021 (finetune.py of
github.com/linusericsson/ssl-transfer): SGD with Nesterov momentum 0.9, a cosine schedule to 0 by step, flips and random
resized crops of 0.08 to 1 of the area; and a grid of learning rates η and weight decays λ. The optimizer's weight decay is
λ/η, so that a step at rate η shrinks the weights by λ, whatever the learning rate. The pair with the best validation
score, or the first of equal ones, trains once more on train + validation.

A folder has a run's work directory for each pair, such as `lr=0.1,wd=1e-06/`, and `final/`. A run with a score has
`score.json` and no checkpoints; `final/` keeps its checkpoints.
"""

import functools
import itertools
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from etils import epath
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Int

from cliptail_jax.config.fields import to_config, typed
from cliptail_jax.config.sections import Reading
from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.known_sources import TransferSet
from cliptail_jax.evaluation.counting import gather, make_encode_images
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of_json, read_json, write_json
from cliptail_jax.jobs.train import train
from cliptail_jax.objectives import TrainingConfig, base_config
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.results.transfers import TransferKey, TransferSettings, file_name
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.log import Diverged
from cliptail_jax.training import initialization
from cliptail_jax.transfer.configuration import FineTuneOptions, TransferConfig
from cliptail_jax.transfer.features import all_images, encode_images
from cliptail_jax.transfer.linear_probe import Linear
from cliptail_jax.transfer.methods import Measurement, check_classes, logits_of
from cliptail_jax.transfer.models import TransferModel
from cliptail_jax.transfer.sets import HELD_OUT, OpenedTransferSet

CROP_SCALE = (0.08, 1.0)
SCORE, FINAL = "score.json", "final"


class GridPoint(NamedTuple):
    """A point of the grid. The weight decay is λ, not yet divided by the learning rate."""

    learning_rate: float
    weight_decay: float

    @property
    def name(self) -> str:
        return f"lr={self.learning_rate!r},wd={self.weight_decay!r}"


def folder_of(workdir: Path, key: TransferKey, settings: TransferSettings) -> Path:
    """The folder of the runs of a result. Removes folders of other weights, data or settings."""
    folder = workdir / "fine_tuning" / slug(key["model"]) / f"{file_name(key['set'])}.{digest_of_json(settings)[:16]}"
    if jax.process_index() == 0 and folder.parent.exists():
        for other in folder.parent.iterdir():
            if other != folder and other.name.rpartition(".")[0] == file_name(key["set"]):
                epath.Path(other).rmtree()
    return folder


def fine_tune(model: TransferModel, opened_set: OpenedTransferSet, folder: Path, config: TransferConfig) -> Measurement:
    """Fine-tune a model on a set with one class per image, with the settings of the transfer config and runs in `folder`.

    Runs of an earlier call with the same arguments and weights are not repeated. The arrays are `predictions`, `labels` and
    `records` of the test images.

    Raises:
        UserError: a class has no training image, the weights cannot be trained, images cannot be read, or all runs diverge.
    """
    options, definition = config.finetune, opened_set.definition
    check_classes(
        np.eye(len(opened_set.class_names), dtype=bool)[opened_set.labels(definition.train)], opened_set, "training"
    )
    mesh = make_mesh(config.mesh)
    check_batch(mesh, options.batch_size, "finetune.batch_size")
    grid = [GridPoint(*pair) for pair in itertools.product(options.learning_rates, options.weight_decays)]
    base = run_config(model, definition, config)
    validation = validation_images(opened_set, config.seed)
    scores = []
    for point in grid:
        run = at_point(base, point, definition, with_validation=False)
        scores.append(score_of(run, folder / point.name, model, opened_set, validation, mesh))
    index = int(np.argmax(scores))
    if np.isneginf(scores[index]):
        raise UserError(
            f"all {len(grid)} runs of {model.name} on {definition.name} diverged: lower finetune.learning_rates"
        )
    train(to_config(at_point(base, grid[index], definition, with_validation=True)), folder / FINAL, overwrite=True)
    check_weights(model, folder / FINAL)
    test_images = all_images(opened_set.sources[definition.test], opened_set.labels(definition.test))
    arrays = predict(folder / FINAL, test_images, mesh, config.batch_size, config.data)
    held_out = 0 if definition.validation else len(validation)
    numbers = {
        "score": 100 * opened_set.score(arrays["predictions"], arrays["labels"]),
        **grid[index]._asdict(),
        "edge": edge(grid[index], options),
        "validation_score": 100 * scores[index],
        "grid": [[*point, None if np.isneginf(score) else 100 * score] for point, score in zip(grid, scores)],
    }
    sizes = {"train": len(opened_set.sources[definition.train]) - held_out, "validation": len(validation)}
    numbers["sizes"] = sizes | {"test": len(arrays["labels"]), "classes": len(opened_set.class_names)}
    return Measurement(numbers, arrays)


def score_of(
    config: TrainingConfig,
    workdir: Path,
    model: TransferModel,
    opened_set: OpenedTransferSet,
    validation: Variant,
    mesh: Mesh,
) -> float:
    """The validation score, in 0..1, of the run of `config` in `workdir`; -inf if it diverges."""
    if broadcast_from_first((workdir / SCORE).exists()):
        record = read_json(workdir / SCORE)
    else:
        try:
            train(to_config(config), workdir, overwrite=True)
            check_weights(model, workdir)
            arrays = predict(workdir, validation, mesh, config.eval.batch_size, config.data)
            record = {"score": opened_set.score(arrays["predictions"], arrays["labels"])}
        except Diverged as error:
            record = {"score": None, "diverged": str(error)}
        if jax.process_index() == 0:
            write_json(workdir / SCORE, record)
            epath.Path(workdir / "checkpoints").rmtree(missing_ok=True)
        text = "diverged" if record["score"] is None else f"{100 * record['score']:.1f} on validation images"
        log_line(f"{model.name} on {opened_set.definition.name}, {workdir.name}: {text}")
    return -np.inf if record["score"] is None else record["score"]


def run_config(model: TransferModel, definition: TransferSet, config: TransferConfig) -> TrainingConfig:
    """The training config that all runs on a set share, without the split and the point of the grid."""
    initial, start = model.initial, model.open()
    size = config.image_size or start.preprocess.size
    run = base_config()
    run.update(
        seed=config.seed,
        total_steps=config.finetune.steps,
        batch_size=config.finetune.batch_size,
        eval=dict(sets=(), batch_size=config.batch_size),
        data=dict(vars(config.data), name=definition.source.name, seed=config.seed, image_size=size, eval_resize=size),
        mesh=vars(config.mesh),
        model=dict(image=dict(output_dim=start.embed_dim)),
        image=dict(init=initial),
        head=dict(kind="linear"),
        optimizer=dict(sgd=dict(nesterov=True), schedule="cosine_steps"),
    )
    run.data.update(crop_scale=CROP_SCALE, flip=True)
    return typed(TrainingConfig(), run)


def at_point(base: TrainingConfig, point: GridPoint, definition: TransferSet, with_validation: bool) -> TrainingConfig:
    """The config of a run at a point of the grid, on training images and, if `with_validation`, on validation images."""
    split = (
        f"{definition.train}+{definition.validation}" if with_validation and definition.validation else definition.train
    )
    held_out = 0.0 if with_validation or definition.validation else HELD_OUT
    rate, decay = point.learning_rate, point.weight_decay / point.learning_rate
    return replace(
        base,
        data=replace(base.data, split=split, held_out=held_out),
        optimizer=replace(base.optimizer, learning_rate=rate, weight_decay=decay),
    )


def check_weights(model: TransferModel, workdir: Path) -> None:
    """Raise UserError if a run started from other weights than the model's, because the model was trained further."""
    digest = read_json(workdir / initialization.TOWERS)["visual"]["digest"]
    if model.run and digest != model.weights:
        raise UserError(
            f"{model.name} has a newer checkpoint than {model.run.step}: run the command again for that one"
        )


def validation_images(opened_set: OpenedTransferSet, seed: int) -> Variant:
    """The validation split, or the images that `data.held_out` leaves out of the training images."""
    split = opened_set.definition.validation or opened_set.definition.train
    images = all_images(opened_set.sources[split], opened_set.labels(split))
    if opened_set.definition.validation:
        return images
    _, held_out = seeded_split(images.labels, HELD_OUT, seed)
    return replace(images, records=held_out, labels=images.labels[held_out])


def predict(
    workdir: Path, images: Variant, mesh: Mesh, batch_size: int, reading: Reading
) -> dict[str, Int[np.ndarray, " image"]]:
    """`predictions` of a run's newest checkpoint, `labels` and `records` of the images that could be read."""
    model = open_run(workdir, mesh=mesh)
    head = Linear(gather(model.model.head[...]).T, gather(model.model.bias[...]))
    graphdef, state = nnx.split(model.model)
    encode = functools.partial(make_encode_images(graphdef, mesh, model.preprocess), (state,))
    arrays = encode_images(encode, images, model.preprocess, mesh, batch_size, reading)
    return {"predictions": logits_of(head, arrays.pop("features")).argmax(1), **arrays}


def edge(point: GridPoint, options: FineTuneOptions) -> str:
    """The hyper-parameters whose value is at an end of the grid, so that a better one may lie beyond; '' for none.

    A weight decay of 0 does not count, since there is no smaller one.
    """
    grid = {"learning rate": options.learning_rates, "weight decay": options.weight_decays}
    at_end = [
        name for value, (name, values) in zip(point, grid.items()) if value and value in (min(values), max(values))
    ]
    return " and ".join(at_end)
