"""Zero-shot evaluation of published CLIPs, and the correlation of their accuracies with class frequency.

For one model, `--workdir` is a run directory. For several models, it contains a run directory for each, table.md and,
if there are correlations, models.tsv, the sheet of the figures that compare corpora. A model that cannot
be loaded, or cannot embed the prompts, is reported and skipped. A set that cannot be read ends the command. The same
command resumes an interrupted evaluation.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from flax import nnx
from jax.sharding import Mesh

from cliptail_jax.config.fields import plain
from cliptail_jax.config.sections import Evaluation, Reading, evaluation_pixels
from cliptail_jax.config.zero_shot import MODE, PublishedEvaluation, ZeroShot
from cliptail_jax.datasets.build import draw_missing
from cliptail_jax.evaluation.corpora import class_frequency
from cliptail_jax.evaluation.evaluator import Evaluator
from cliptail_jax.evaluation.labelled import LabelledTask
from cliptail_jax.evaluation.pairs import open_pairs
from cliptail_jax.evaluation.prompts import set_prompts
from cliptail_jax.evaluation.results import evaluation_settings, file_digest, recorded_settings
from cliptail_jax.evaluation.retrieval import RetrievalTask
from cliptail_jax.evaluation.sets import open_set, with_class_names
from cliptail_jax.evaluation.skipping import Skipped, on_all_processes
from cliptail_jax.evaluation.tasks import Task, evaluate_tasks, make_texts
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of_json
from cliptail_jax.models.build import DTYPES
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.hub import directories
from cliptail_jax.pretrained.model import ModelName, find_model
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published import CORPORA
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.directory import foreign_file, prepare_directory
from cliptail_jax.runs.evaluations import ARRAYS, check_directories, evaluation_directory, read_summaries
from cliptail_jax.runs.files import read_config

TRAINED_ON = "published"  # eval.class_frequency: each model's own corpus
NEW_SETTINGS = ("shards", "model")  # settings that evaluations of earlier versions lack
Summaries = list[dict[str, Any]]  # of evaluations, with the `model` and `set`


class PublishedResults(NamedTuple):
    """The evaluations of published models.

    Attributes:
        models: those that were found.
        summaries: of their evaluations, in order.
        reasons: the reason for each model that was left out, by name.
    """

    models: list[ModelName]
    summaries: Summaries
    reasons: dict[str, str]


def evaluate_published(config: ZeroShot, workdir: Path, failures: Mapping[str, str] = {}) -> PublishedResults:
    """Evaluate each of `config.eval.models` on each of `config.eval.sets`.

    Each class frequency of `config.eval.class_frequency` has its own line, from the same pass over the images. Models in
    `failures`, with the reason why they could not be evaluated elsewhere, are skipped.

    Raises UserError before any model is loaded if sets, prompts or frequencies are missing or do not fit, and when a set's
    images cannot be read.
    """
    options = config.eval
    mesh = make_mesh(config.mesh)
    check_batch(mesh, options.batch_size, "eval.batch_size")
    names = list(dict.fromkeys(options.models))
    reasons = {}

    def skip(name: str, reason: str) -> None:
        reasons[name] = reason
        if len(names) > 1:  # else the error at the end has the reason
            log_line(f"skipped {name}: {reason}")

    models = []
    for name in names:
        try:
            models.append(find_model(name))
        except UserError as error:
            skip(name, str(error))
    directory_of = model_directories(names, workdir)
    check_free(directory_of, workdir)
    check_directories(options.sets)
    other_settings = {key: value for key, value in evaluation_pixels(config.data).items() if value}
    if config.text.tokenizer:
        other_settings["tokenizer"] = file_digest(config.text.tokenizer)
    draw_missing(options.sets, config.data.data_dir)
    settings = evaluation_settings(options, uses_prompts=True) | {"dtype": config.model.dtype, **other_settings}
    sets = {name: open_tasks(name, config.data.data_dir, options, settings) for name in dict.fromkeys(options.sets)}
    check_frequencies(models, options.class_frequency)
    tasks = {model.name: {name: make_tasks(model) for name, make_tasks in sets.items()} for model in models}
    for number, model in enumerate(models, 1):
        directory, model_tasks = directory_of[model.name], tasks[model.name]
        unfinished_tasks = [
            task
            for set_tasks in model_tasks.values()
            if not broadcast_from_first(is_done(directory, set_tasks, model))
            for task in set_tasks
        ]
        if not unfinished_tasks:
            log_line(f"{model.name} is already evaluated")
            continue
        if model.name in failures:
            skip(model.name, failures[model.name])
            continue
        log_line(f"{model.name} ({number} of {len(models)})")
        try:
            clip = on_all_processes(lambda: load_clip(model, config.text.tokenizer, config.model.dtype, mesh))
            evaluate_model(clip, unfinished_tasks, directory, plain(config), options, config.data, mesh)
        except Skipped as error:
            skip(model.name, str(error).removeprefix(f"{model.source}: "))
    summaries = [
        {**summary, "model": model.name, "set": name}
        for model in models
        for name, set_tasks in tasks[model.name].items()
        if is_done(directory_of[model.name], set_tasks, model)
        for summary in read_summaries(directory_of[model.name], name)[-len(set_tasks) :]
    ]
    return PublishedResults(models, summaries, reasons)


def model_directories(names: Sequence[str], workdir: Path) -> dict[str, Path]:
    """The run directory of each model's evaluations: `workdir` itself for a single one."""
    return directories(names, workdir) if len(set(names)) > 1 else dict.fromkeys(names, workdir)


def check_free(directory_of: Mapping[str, Path], workdir: Path) -> None:
    """Raise UserError if a model's directory, or `workdir`, contains anything else than evaluations."""
    for directory, name in ({workdir: None} | {directory: name for name, directory in directory_of.items()}).items():
        old_config = read_config(directory)
        if old_config is None:
            if name is not None and (other := foreign_file(directory)):
                raise UserError(f"{directory} contains {other}, but no evaluation: give another --workdir")
            continue
        if old_config.get("objective") != MODE:
            raise UserError(f"{directory} contains a training run: give another --workdir")
        if name is not None and (old_names := old_config.get("eval.models", [])) != [name]:
            raise UserError(
                f"{directory} contains the evaluation of {', '.join(old_names)}, not of {name}: give another --workdir"
            )


def check_frequencies(models: Sequence[ModelName], tables: str) -> None:
    """Raise UserError if `tables` (eval.class_frequency) has only unknown corpora of the models."""
    if models and tables == TRAINED_ON and not any(model.corpus for model in models):
        raise UserError(
            f"eval.class_frequency='{TRAINED_ON}', but the corpus that {models[0].name} was trained on is not known: give "
            f"a table or one of {', '.join(CORPORA)}"
        )


def frequency_names(tables: str, model: ModelName) -> list[str]:
    """The tables and corpora in `tables` (eval.class_frequency) for a model; [''] for none."""
    names = [model.corpus if name == TRAINED_ON else name for name in tables.split("+")]
    return list(dict.fromkeys(filter(None, names))) or [""]


def open_tasks(
    name: str, data_dir: str, options: PublishedEvaluation, settings: Mapping[str, Any]
) -> Callable[[ModelName], list[Task]]:
    """Open a set, and return the function from a model to its tasks: one per class frequency, or a single retrieval.

    `settings`, with those of the data and the model, identify a finished evaluation.
    """
    if pairs := open_pairs(name, data_dir, options.captions):
        pair_settings = {**settings, "data": pairs.fingerprint(), "shards": pairs.images.source.shards[:16]}
        return lambda model: [RetrievalTask(pairs, {**pair_settings, **model_settings(model), "class_frequency": ""})]
    eval_set = with_class_names(open_set(name, data_dir), options.class_names)
    prompts = digest_of_json(set_prompts(eval_set, options.templates))[:16]
    set_settings = {**settings, "data": eval_set.variant.fingerprint(), "shards": eval_set.variant.source.shards[:16]}

    def task_of(model: ModelName, frequency_name: str) -> Task:
        frequency, digest = None, ""
        if frequency_name:
            frequency = class_frequency(frequency_name, options.frequency_dir, name, eval_set.variant.class_names)
            digest = digest_of_json(frequency.tolist())[:16]
        task_settings = {**set_settings, **model_settings(model), "prompts": prompts}
        task_settings |= {"class_frequency": frequency_name, "frequency": digest}
        return LabelledTask(
            eval_set, task_settings, frequency, frequency is not None, options, "give eval.class_frequency"
        )

    return lambda model: [task_of(model, key) for key in frequency_names(options.class_frequency, model)]


def model_settings(model: ModelName) -> dict[str, str]:
    """The setting that identifies a model's configuration and tokenizer, if it is a folder."""
    return {"model": model.settings_digest[:16]} if model.settings_digest else {}


def is_done(directory: Path, tasks: Sequence[Task], model: ModelName) -> bool:
    """Whether the last evaluations in `directory` have the settings of a set's `tasks`, and the model's current weights."""
    last = read_summaries(directory, name := tasks[0].eval_set.name)[-len(tasks) :]
    if len(last) < len(tasks) or not (evaluation_directory(directory, name) / ARRAYS).exists():
        return False
    for summary, task in zip(last, tasks):
        old_settings = recorded_settings(summary)
        if old_settings != {
            key: value for key, value in task.settings.items() if key in old_settings or key not in NEW_SETTINGS
        }:
            return False
    try:
        return model.digest is None or all(summary.get("weights") == model.digest for summary in last)
    except UserError:  # loading the model raises it, too
        return False


def evaluate_model(
    clip: OpenedModel,
    tasks: Sequence[Task],
    directory: Path,
    values: Mapping[str, Any],
    options: Evaluation,
    reading: Reading,
    mesh: Mesh,
) -> None:
    """Evaluate a model on each set, and write the results of each set before the next.

    `values` is the config as config.json has it.

    Raises:
        Skipped: the model cannot embed the prompts.
        UserError: a set's images cannot be read.
    """
    graphdef, state = nnx.split(clip.model)
    make = on_all_processes(lambda: make_texts(tasks, options, graphdef, mesh, clip.tokenizer))
    texts = on_all_processes(lambda: make((state,)))
    del clip.model.text  # images do not need it
    graphdef, state = nnx.split(clip.model)
    if jax.process_index() == 0:
        prepare_directory(directory, {**values, "eval.models": [clip.name]}, replace=False)
    evaluator = Evaluator(graphdef, mesh, clip.preprocess, options, reading)
    header = {"step": 0, "epoch": 0.0, "model": clip.name, "weights": clip.digest}
    for task, result in evaluate_tasks(evaluator, (state,), tasks, texts):
        task.write(directory, header, result)


def load_clip(model: ModelName, merges: str, dtype: str, mesh: Mesh) -> OpenedModel:
    """The model, laid out on the mesh. Raises UserError if it is not supported or has no text tower.

    `merges` is CLIP's merges file, for a model without a tokenizer.
    """
    clip = model.open(merges=merges, dtype=DTYPES[dtype], mesh=mesh)
    clip = dataclasses.replace(clip, name=model.name)
    if not clip.has_text:
        raise UserError(f"{model.name} has no text tower: zero-shot evaluation needs one")
    _ = clip.model
    return clip
