"""What trained models and their features are worth on other sets: from a config to a table of models × sets.

A work directory has

    report.md                            the tables, for people
    results.jsonl                        a line for each finished cell; of lines of the same cell the last counts
    predictions/MODEL/SET-METHOD.npz     of a probe or fine-tuning the `predictions` and `labels` of the test images that could be read, and
                                         their places in the split (`records`); of VOC `scores` [image, class] in place of
                                         predictions; of few-shot the `accuracies` of the episodes, in 0..1
    features/                            as `cliptail_jax.transfer.features` says
    fine_tuning/MODEL/SET.KEY/           as `cliptail_jax.transfer.fine_tuning` says; the key stands for weights, data and
                                         settings, and where one of them changes the runs of the others go

What is finished is not repeated, as long as weights, data and settings stay: the same command goes on.
"""

import json
import re
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from etils import epath
from ml_collections import ConfigDict

from cliptail_jax import runs
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.published import Skipped, slug
from cliptail_jax.files import append_line, digest_of_json, load_arrays, read_lines, write_text
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.runs.log import say
from cliptail_jax.transfer import cells
from cliptail_jax.transfer.configuration import validate
from cliptail_jax.transfer.features import FeatureExtractor, split_fingerprint, write_arrays
from cliptail_jax.transfer.models import TransferModel, open_transfer_model
from cliptail_jax.transfer.report import markdown
from cliptail_jax.transfer.sets import OpenedSet, open_set

Result = dict[str, Any]
Failures = dict[str, str]  # why, by what


class TransferFailed(UserError):
    """What failed, and the results of what did not."""

    def __init__(self, failures: Failures, results: list[Result]):
        super().__init__(f"{len(failures)} of the models, sets and cells failed: {'; '.join(failures)}")
        self.failures, self.results = failures, results


def transfer(config: ConfigDict, workdir: Path) -> list[Result]:
    """The results of all cells, in the order of models, sets and methods; they and their tables are written, too.

    Raises UserError for a config that makes no sense, before anything is computed, and at the end TransferFailed where
    something failed.
    """
    validate(config)
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.batch_size, "batch_size")
    if runs.read_config(workdir) is not None:
        raise UserError(f"{workdir} holds a run or an evaluation: choose another --workdir")
    check_directories(config.models)
    failures: Failures = {}
    models = opened_ones(open_transfer_model, config.models, failures)
    sets = opened_ones(lambda name: open_set(name, config.data.data_dir), config.sets, failures)
    results = []
    for model in models:
        extractor = FeatureExtractor(model, mesh, config, workdir)
        for opened in sets:
            results += cells_of(model, opened, extractor, config, workdir, failures)
    if jax.process_index() == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        text = markdown(results, [opened.chosen for opened in sets], failures)
        write_text(workdir / "report.md", text)
        print(f"{text}\nThis report: {workdir}/report.md")
    if failures:
        raise TransferFailed(failures, results)
    return results


def check_directories(names: Sequence[str]) -> None:
    """Raises UserError where two models would have one directory."""
    name_of = {}
    for name in dict.fromkeys(names):
        if (other := name_of.setdefault(slug(name), name)) != name:
            raise UserError(
                f"{other} and {name} would share the directory {slug(name)}: give each a --workdir of its own"
            )


def opened_ones(open_one: Callable[[str], Any], names: Sequence[str], failures: Failures) -> list[Any]:
    """What the names stand for; of those that stand for nothing the reason is noted."""
    opened = []
    for name in dict.fromkeys(names):
        try:
            opened.append(open_one(name))
        except UserError as error:
            note(failures, name, str(error))
    return opened


def note(failures: Failures, what: str, why: str) -> None:
    failures[what] = why
    say(f"error: {what}: {why}")


def cells_of(
    model: TransferModel,
    opened: OpenedSet,
    extractor: FeatureExtractor,
    config: ConfigDict,
    workdir: Path,
    failures: Failures,
) -> list[Result]:
    """The cells of one model and one set, by method; those that are not finished are computed.

    Whatever breaks in one cell is noted, and the others go on. A model that could not be loaded is not tried again.
    """
    results = []
    for method in dict.fromkeys(config.methods):
        if not cells.applies(method, opened.chosen):
            continue
        cell = {"model": model.name, "set": opened.chosen.name, "method": method}
        asked = {"weights": model.weights, "image_size": config.image_size}
        asked["data"] = {split: split_fingerprint(source) for split, source in opened.sources.items()}
        asked |= cells.settings(method, config)
        path = predictions_path(workdir, cell)
        done = last_result(workdir, cell | {"settings": asked}) if settings_of(path) == asked else None
        if not agreed(done is not None):
            if model.name in failures:
                continue
            try:
                done = compute(cell | {"settings": asked}, model, opened, extractor, config, workdir)
            except UserError as error:
                note(failures, name_of(cell), str(error))
                continue
            except Skipped as error:
                note(failures, model.name, str(error))
                continue
            except Exception as error:
                note(failures, name_of(cell), f"{type(error).__name__}: {error}".splitlines()[0])
                traceback.print_exc()
                continue
            if jax.process_index() == 0:
                append_line(workdir / "results.jsonl", done)
            say(f"{name_of(cell)}: {done['score']:.1f}")
        results.append(done)
    return results


def compute(
    cell: Result,
    model: TransferModel,
    opened: OpenedSet,
    extractor: FeatureExtractor,
    config: ConfigDict,
    workdir: Path,
) -> Result:
    """A cell's result. Its arrays are written, too."""
    if cell["method"] == "finetune":
        started = time.perf_counter()
        measured = cells.finetune(model, opened, config, fine_tuning_folder(workdir, cell))
        seconds = {"seconds": time.perf_counter() - started}
    else:
        splits = {split: extractor(opened, split) for split in opened.chosen.splits}
        started = time.perf_counter()
        measured = cells.measure(cell["method"], opened, splits, config)
        seconds = {
            "seconds": time.perf_counter() - started,
            "feature_seconds": sum(float(of_split.seconds) for of_split in splits.values()),
        }
    if jax.process_index() == 0:
        told = np.array(json.dumps(cell["settings"]))
        write_arrays(predictions_path(workdir, cell), {**measured.arrays, "settings": told})
    return cell | {"metric": cells.metric(cell["method"], opened)} | measured.numbers | seconds


def settings_of(path: Path) -> dict[str, Any] | None:
    """Of which settings the arrays of a cell are; None where there are none."""
    return json.loads(str(load_arrays(path)["settings"])) if path.exists() else None


def name_of(cell: Mapping[str, Any]) -> str:
    return f"{cell['model']} on {cell['set']} by {cell['method']}"


def predictions_path(workdir: Path, cell: Mapping[str, Any]) -> Path:
    """Where the arrays of a cell are."""
    return workdir / "predictions" / slug(cell["model"]) / f"{file_name(cell['set'])}-{cell['method']}.npz"


def fine_tuning_folder(workdir: Path, cell: Mapping[str, Any]) -> Path:
    """Where the runs of a cell are. Those of other weights, data or settings are removed."""
    key = digest_of_json(cell["settings"])[:16]
    folder = workdir / "fine_tuning" / slug(cell["model"]) / f"{file_name(cell['set'])}.{key}"
    if jax.process_index() == 0 and folder.parent.exists():
        for other in folder.parent.iterdir():
            if other != folder and other.name.rpartition(".")[0] == file_name(cell["set"]):
                epath.Path(other).rmtree()
    return folder


def file_name(of_set: str) -> str:
    return re.sub(r"[^\w.-]+", "_", of_set)


def last_result(workdir: Path, wanted: Mapping[str, Any]) -> Result | None:
    """The last line of a cell in results.jsonl, if it is of the wanted settings."""
    cell = {key: wanted[key] for key in ("model", "set", "method")}
    lines = [line for line in read_lines(workdir / "results.jsonl") if line | cell == line]
    return lines[-1] if lines and lines[-1]["settings"] == wanted["settings"] else None
