"""Runs a transfer, from its config to the results of all models on all sets.

A work directory has

    report.md, report.html               the tables, for people
    results.jsonl, predictions/          see `cliptail_jax.results.transfers`
    features/                            see `cliptail_jax.transfer.features`
    fine_tuning/MODEL/SET.KEY/           see `cliptail_jax.transfer.fine_tuning`; the key is a digest of weights, data and
                                         settings; when one of these changes, new runs replace the old ones

The same command continues: finished results are not computed again unless weights, data or settings change.
"""

import json
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from cliptail_jax.config.fields import plain
from cliptail_jax.config.sections import evaluation_pixels
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.evaluation.skipping import Skipped
from cliptail_jax.host.errors import Failures, UserError, reason_of
from cliptail_jax.host.files import append_line, load_arrays, read_lines, save_arrays, write_text
from cliptail_jax.host.outputs import check_directory
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.hub import directories
from cliptail_jax.results.transfers import (
    FILE,
    Transfer,
    TransferKey,
    TransferSettings,
    predictions_path,
    read_transfers,
)
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.files import read_config
from cliptail_jax.runs.provenance import provenance
from cliptail_jax.transfer import fine_tuning, methods
from cliptail_jax.transfer.configuration import FewShotOptions, FineTuneOptions, TransferConfig
from cliptail_jax.transfer.features import FeatureExtractor, split_fingerprint
from cliptail_jax.transfer.linear_probe import WEIGHT_DECAYS
from cliptail_jax.transfer.models import open_transfer_model
from cliptail_jax.transfer.sets import HELD_OUT, OpenedTransferSet, TransferSet, open_transfer_set


class TransferFailed(UserError):
    """Raised when parts of a transfer have failed. It has the results of the other parts."""

    def __init__(self, failures: Failures, results: list[Transfer]):
        super().__init__(failures, results)
        self.failures, self.results = failures, results

    def __str__(self) -> str:
        return f"{len(self.failures)} of the models, sets and results failed: {'; '.join(self.failures)}"


def transfer(config: TransferConfig, workdir: Path, failures: Mapping[str, str] = {}) -> list[Transfer]:
    """Compute and write all results, in the order of models, sets and methods.

    `failures` has the reasons why models failed in other processes, by model: only their finished results are read.

    Raises:
        UserError: there are no models, or `workdir` contains other results. Then nothing has been computed.
        TransferFailed: a part has failed, which is raised at the end.
    """
    if not config.models:
        raise UserError("models is empty: name work directories of runs or published models, such as \"('runs/sup',)\"")
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.batch_size, "batch_size")
    if read_config(workdir) is not None:
        raise UserError(f"{workdir} contains a run or an evaluation: choose another --workdir")
    check_directory(workdir, ("report.md", "report.html"), (FILE,))
    directories(config.models, workdir)  # raises UserError if two models would share a directory
    failures = dict(failures)
    models = open_all(open_transfer_model, config.models, failures)
    draw_missing(config.sets, config.data.data_dir)
    sets = open_all(lambda name: open_transfer_set(name, config.data.data_dir), config.sets, failures)
    settings = method_settings(config.seed, config.few_shot, config.finetune)
    results = []
    for model in models:
        extract = FeatureExtractor(model, mesh, workdir, config.image_size, config.batch_size, config.data)
        for opened_set in sets:
            for method in dict.fromkeys(config.methods):
                if applies(method, opened_set.definition):
                    results.append(result_of(method, opened_set, extract, settings[method], config, workdir, failures))
    results = [result for result in results if result]
    if jax.process_index() == 0:
        workdir.mkdir(parents=True, exist_ok=True)
        if not (workdir / FILE).exists():  # all parts have failed
            write_text(workdir / FILE, "")
    if failures:
        raise TransferFailed(failures, results)
    return results


def add_results(workdir: Path, model_workdir: Path) -> None:
    """Add the results of one model's transfer, in the directory `model_workdir`, to those in `workdir`."""
    lines = read_lines(workdir / FILE)
    for result in read_transfers(model_workdir):
        if result not in lines:
            path = predictions_path(workdir, result)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(predictions_path(model_workdir, result).read_bytes())
            append_line(workdir / FILE, result)


def open_all(open_one: Callable[[str], Any], names: Sequence[str], failures: Failures) -> list[Any]:
    """Open the models or sets of these names, and add those that cannot be opened to `failures`."""
    items = []
    for name in dict.fromkeys(names):
        try:
            items.append(open_one(name))
        except UserError as error:
            add_failure(failures, name, str(error))
    return items


def add_failure(failures: Failures, part: str, reason: str) -> None:
    failures[part] = reason
    log_line(f"error: {part}: {reason}")


def applies(method: str, definition: TransferSet) -> bool:
    """Whether a method applies to a set."""
    if method == "few_shot":
        return definition.few_shot
    return method == "probe" or not definition.has_objects


def result_of(
    method: str,
    opened_set: OpenedTransferSet,
    extract: FeatureExtractor,
    method_options: TransferSettings,
    config: TransferConfig,
    workdir: Path,
    failures: Failures,
) -> Transfer | None:
    """The result of the extractor's model on a set by a method, which is computed unless it is finished.

    `method_options` are the method's settings. Returns None after an error, which is added to `failures`. A model that
    does not load is tried once.
    """
    model = extract.model
    key = {"model": model.name, "set": opened_set.definition.name, "method": method}
    pixels = [name for name, is_on in evaluation_pixels(config.data).items() if is_on]
    settings = {
        "weights": model.weights,
        "image_size": extract.image_size,
        **({"pixels": pixels} if pixels else {}),
        "data": {split: split_fingerprint(source) for split, source in opened_set.sources.items()},
        **method_options,
    }
    result = finished_result(workdir, key, settings)
    if broadcast_from_first(result is not None):
        return result
    if model.name in failures:
        return None
    try:
        result = compute(key, settings, opened_set, extract, config, workdir)
    except UserError as error:
        return add_failure(failures, name_of(key), str(error))
    except Skipped as error:
        return add_failure(failures, model.name, str(error))
    except Exception as error:
        traceback.print_exc()
        return add_failure(failures, name_of(key), reason_of(error))
    if jax.process_index() == 0:
        append_line(workdir / FILE, result)
    log_line(f"{name_of(key)}: {result['score']:.1f}")
    return result


def name_of(key: TransferKey) -> str:
    return f"{key['model']} on {key['set']} by {key['method']}"


def finished_result(workdir: Path, key: TransferKey, settings: TransferSettings) -> Transfer | None:
    """The last line of a key in results.jsonl if it and the arrays have these settings, else None."""
    path = predictions_path(workdir, key)
    try:
        if not path.exists() or json.loads(str(load_arrays(path)["settings"])) != settings:
            return None
    except (UserError, KeyError, ValueError) as error:
        log_line(f"note: {path} is damaged ({error}); its result is computed again")
        return None
    lines = [line for line in read_lines(workdir / FILE) if line | key == line]
    return lines[-1] if lines and lines[-1]["settings"] == settings else None


def method_settings(seed: int, few_shot: FewShotOptions, finetune: FineTuneOptions) -> dict[str, TransferSettings]:
    """The settings of each method besides model and set, in JSON's types. Their order affects the digest in folder names."""
    return {
        "probe": {"seed": seed, "weight_decays": len(WEIGHT_DECAYS), "held_out": HELD_OUT},
        "few_shot": {"seed": seed, **dict(sorted(plain(few_shot).items()))},
        "finetune": {"seed": seed, "held_out": HELD_OUT, **dict(sorted(plain(finetune).items()))},
    }


def compute(
    key: TransferKey,
    settings: TransferSettings,
    opened_set: OpenedTransferSet,
    extract: FeatureExtractor,
    config: TransferConfig,
    workdir: Path,
) -> Transfer:
    """Compute a model's result on a set, write its arrays, and return it with the seconds that it took."""
    method, start, seconds = key["method"], time.perf_counter(), {}
    if method == "finetune":
        folder = fine_tuning.folder_of(workdir, key, settings)
        measurement = fine_tuning.fine_tune(extract.model, opened_set, folder, config)
    else:
        splits = {split: extract(opened_set, split) for split in opened_set.definition.splits}
        seconds["feature_seconds"] = sum(float(features.seconds) for features in splits.values())
        start = time.perf_counter()
        if method == "probe":
            measurement = methods.probe(opened_set, splits, config.seed)
        else:
            measurement = methods.few_shot(opened_set, splits, config.few_shot, config.seed)
    seconds["seconds"] = time.perf_counter() - start
    if jax.process_index() == 0:
        path = predictions_path(workdir, key)
        path.parent.mkdir(parents=True, exist_ok=True)
        save_arrays(path, **measurement.arrays, settings=np.array(json.dumps(settings)))
    metric = "accuracy" if method == "few_shot" else opened_set.definition.metric
    return {**key, "settings": settings, "metric": metric, **measurement.numbers, **seconds, "origin": provenance()}
