"""Fine-tuning: trains a whole model with a new linear head on a set, by the project's training loop.

The recipe is Ericsson et al.'s, "How Well Do Self-Supervised Models Transfer?", CVPR 2021 (finetune.py of
github.com/linusericsson/ssl-transfer): SGD with Nesterov momentum 0.9, a cosine to 0 by the step, random resized crops of
0.08 to 1 of the area and flips; each learning rate η with each weight decay λ of a grid. The optimizer's weight decay is
λ/η, so that a step at rate η shrinks the weights by λ, whatever the learning rate. The pair with the best validation
score (the first of equals) trains once more, on train + validation.

A folder has the work directory of a run for each pair, `lr=0.1,wd=1e-06/`, and `final/`. A scored run has a
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


def fine_tune(model: TransferModel, opened: OpenedTransferSet, folder: Path, config: TransferConfig) -> Measurement:
    """Fine-tunes a model on a set with one class per image, by the transfer config, with its runs in `folder`.

    Runs of an earlier call with the same arguments and weights are not repeated. The arrays are `predictions`, `labels` and
    `records` of the test images.

    Raises:
        UserError: a class has no training image, the weights cannot be trained, images cannot be read, or all runs diverge.
    """
    options, chosen = config.finetune, opened.chosen
    check_classes(np.eye(len(opened.class_names), dtype=bool)[opened.labels(chosen.train)], opened, "training")
    mesh = make_mesh(config.mesh)
    check_batch(mesh, options.batch_size, "finetune.batch_size")
    grid = [GridPoint(*pair) for pair in itertools.product(options.learning_rates, options.weight_decays)]
    base = run_config(model, chosen, config)
    validation = validation_images(opened, config.seed)
    scores = []
    for point in grid:
        run = at_point(base, point, chosen, whole=False)
        scores.append(score_of(run, folder / point.name, model, opened, validation, mesh))
    best = int(np.argmax(scores))
    if np.isneginf(scores[best]):
        raise UserError(
            f"all {len(grid)} runs of {model.name} on {chosen.name} diverged: lower finetune.learning_rates"
        )
    train(to_config(at_point(base, grid[best], chosen, whole=True)), folder / FINAL, overwrite=True)
    check_weights(model, folder / FINAL)
    test_images = all_images(opened.sources[chosen.test], opened.labels(chosen.test))
    arrays = predict(folder / FINAL, test_images, mesh, config.batch_size, config.data)
    held_out = 0 if chosen.validation else len(validation)
    numbers = {
        "score": 100 * opened.score(arrays["predictions"], arrays["labels"]),
        **grid[best]._asdict(),
        "edge": edge(grid[best], options),
        "validation_score": 100 * scores[best],
        "grid": [[*point, None if np.isneginf(score) else 100 * score] for point, score in zip(grid, scores)],
    }
    sizes = {"train": len(opened.sources[chosen.train]) - held_out, "validation": len(validation)}
    numbers["sizes"] = sizes | {"test": len(arrays["labels"]), "classes": len(opened.class_names)}
    return Measurement(numbers, arrays)


def score_of(
    config: TrainingConfig,
    workdir: Path,
    model: TransferModel,
    opened: OpenedTransferSet,
    validation: Variant,
    mesh: Mesh,
) -> float:
    """The validation score, in 0..1, of the run of `config` in `workdir`; -inf if it diverges."""
    if broadcast_from_first((workdir / SCORE).exists()):
        noted = read_json(workdir / SCORE)
    else:
        try:
            train(to_config(config), workdir, overwrite=True)
            check_weights(model, workdir)
            arrays = predict(workdir, validation, mesh, config.eval.batch_size, config.data)
            noted = {"score": opened.score(arrays["predictions"], arrays["labels"])}
        except Diverged as error:
            noted = {"score": None, "diverged": str(error)}
        if jax.process_index() == 0:
            write_json(workdir / SCORE, noted)
            epath.Path(workdir / "checkpoints").rmtree(missing_ok=True)
        shown = "diverged" if noted["score"] is None else f"{100 * noted['score']:.1f} on validation images"
        log_line(f"{model.name} on {opened.chosen.name}, {workdir.name}: {shown}")
    return -np.inf if noted["score"] is None else noted["score"]


def run_config(model: TransferModel, chosen: TransferSet, config: TransferConfig) -> TrainingConfig:
    """The training config of all runs on a set, without the images and the point of the grid."""
    initial, start = model.initial, model.open()
    size = config.image_size or start.preprocess.size
    run = base_config()
    run.update(
        seed=config.seed,
        total_steps=config.finetune.steps,
        batch_size=config.finetune.batch_size,
        eval=dict(sets=(), batch_size=config.batch_size),
        data=dict(vars(config.data), name=chosen.source.name, seed=config.seed, image_size=size, eval_resize=size),
        mesh=vars(config.mesh),
        model=dict(image=dict(output_dim=start.embed_dim)),
        image=dict(init=initial),
        head=dict(kind="linear"),
        optimizer=dict(sgd=dict(nesterov=True), schedule="cosine_steps"),
    )
    run.data.update(crop_scale=CROP_SCALE, flip=True)
    return typed(TrainingConfig(), run)


def at_point(base: TrainingConfig, point: GridPoint, chosen: TransferSet, whole: bool) -> TrainingConfig:
    """The config of a run at a point of the grid, on training images or, with `whole`, also validation images."""
    split = f"{chosen.train}+{chosen.validation}" if whole and chosen.validation else chosen.train
    held_out = 0.0 if whole or chosen.validation else HELD_OUT
    rate, decay = point.learning_rate, point.weight_decay / point.learning_rate
    return replace(
        base,
        data=replace(base.data, split=split, held_out=held_out),
        optimizer=replace(base.optimizer, learning_rate=rate, weight_decay=decay),
    )


def check_weights(model: TransferModel, workdir: Path) -> None:
    """Raises UserError if a run started from other weights than the model's, which has been trained further."""
    began = read_json(workdir / initialization.TOWERS)["visual"]["digest"]
    if model.run and began != model.weights:
        raise UserError(
            f"{model.name} has a newer checkpoint than {model.run.step}: run the command again for that one"
        )


def validation_images(opened: OpenedTransferSet, seed: int) -> Variant:
    """The validation split, or the images that `data.held_out` leaves out of the training images."""
    split = opened.chosen.validation or opened.chosen.train
    images = all_images(opened.sources[split], opened.labels(split))
    if opened.chosen.validation:
        return images
    _, held_out = seeded_split(images.labels, HELD_OUT, seed)
    return replace(images, records=held_out, labels=images.labels[held_out])


def predict(
    workdir: Path, images: Variant, mesh: Mesh, batch_size: int, reading: Reading
) -> dict[str, Int[np.ndarray, " image"]]:
    """`predictions` of the newest checkpoint of a run, `labels` and `records`, of the images that could be read."""
    opened = open_run(workdir, mesh=mesh)
    head = Linear(gather(opened.model.head[...]).T, gather(opened.model.bias[...]))
    graphdef, state = nnx.split(opened.model)
    encode = functools.partial(make_encode_images(graphdef, mesh, opened.preprocess), (state,))
    arrays = encode_images(encode, images, opened.preprocess, mesh, batch_size, reading)
    return {"predictions": logits_of(head, arrays.pop("features")).argmax(1), **arrays}


def edge(point: GridPoint, options: FineTuneOptions) -> str:
    """The hyper-parameters in which a point is at an end of the grid, so that a better value may lie beyond; '' for none.

    A weight decay of 0 does not count, since none is weaker.
    """
    grid = {"learning rate": options.learning_rates, "weight decay": options.weight_decays}
    at_end = [
        name for value, (name, values) in zip(point, grid.items()) if value and value in (min(values), max(values))
    ]
    return " and ".join(at_end)
