"""Zero-shot evaluation of published CLIPs, and the correlation of their accuracies with class frequency.

The `--workdir` of one model is a run directory; that of several models has one for each, and table.md and table.tsv, and
models.tsv if there are correlations: the sheet of the figures that compare corpora. A model that cannot be loaded, or
cannot embed the prompts, is reported and skipped; a set that cannot be read ends the command. Finished evaluations are not
repeated, so that the same command resumes an interrupted one.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from ml_collections import ConfigDict

from cliptail_jax import runs
from cliptail_jax.config.fields import plain
from cliptail_jax.config.sections import evaluation_pixels
from cliptail_jax.config.zero_shot import MODE, validate
from cliptail_jax.errors import UserError, reason_of
from cliptail_jax.evaluation.adjustment import check_adjustment
from cliptail_jax.evaluation.corpora import CORPORA, class_frequency
from cliptail_jax.evaluation.evaluator import Evaluator, Task, write_evaluation
from cliptail_jax.evaluation.heads import set_prompts, zero_shot_heads
from cliptail_jax.evaluation.prompts import Prompts
from cliptail_jax.evaluation.results import GROUPS, evaluation_settings, head_mid_tail
from cliptail_jax.evaluation.sets import OpenedSet, open_set
from cliptail_jax.files import digest_of_json, write_text
from cliptail_jax.input.tokenizer import load_clip_tokenizer
from cliptail_jax.models.build import DTYPES
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import ModelName, find_model
from cliptail_jax.pretrained.opened_model import OpenedModel
from cliptail_jax.pretrained.published import NOT_IN_FIGURES, family_and_size
from cliptail_jax.pretrained.tokenizers import TextTokenizer
from cliptail_jax.runs import last_evaluations
from cliptail_jax.runs.console import log_line
from cliptail_jax.runs.tables import UNDEFINED, format_interval, format_number, markdown_table, pad_columns

TRAINED_ON = "published"  # eval.class_frequency: each model's own corpus
REASON = 512  # bytes of the reason for skipping a model, which processes exchange
NAMED = 5  # skipped models, in the last line
COLUMNS = ("top1", "top5", *GROUPS)
CORRELATIONS = {"corr_acc": ".2f", "corr_pred": ".2f", "slope_acc": ".1f", "slope_pred": ".2f"}  # with formats
Summaries = list[dict[str, Any]]  # of evaluations, with the `model` and `set`


class Skipped(Exception):
    """Raised to skip a model; the message is the reason, in one line."""


def evaluate_published(config: ConfigDict, workdir: Path) -> Summaries:
    """Evaluate each of `config.eval.models` on each of `config.eval.sets`, and write and print the table.

    Each class frequency of `config.eval.class_frequency` has a line of its own, from the same pass over the images.

    Raises UserError before any model is loaded if sets, prompts or frequencies are missing or do not fit; when a set's
    images cannot be read; and at the end if models were skipped.
    """
    validate(config)
    mesh = make_mesh(config.mesh)
    check_batch(mesh, config.eval.batch_size, "eval.batch_size")
    names = list(dict.fromkeys(config.eval.models))
    directories = {name: workdir / slug(name) if len(names) > 1 else workdir for name in names}
    models, skipped = find_models(names)
    check_free(directories, workdir)
    opened = {name: open_set(name, config.data.data_dir) for name in dict.fromkeys(config.eval.sets)}
    prompts = {name: set_prompts(of_name, config.eval) for name, of_name in opened.items()}
    check_repeated(config.eval.class_frequency)
    check_corpora(models, config.eval.class_frequency)
    tasks = {
        model.name: {
            name: tuple(
                make_task(frequency, opened[name], prompts[name], config.eval, config.data, config.model.dtype)
                for frequency in frequency_names(model, config.eval.class_frequency)
            )
            for name in opened
        }
        for model in models
    }

    values = plain(config)
    for number, model in enumerate(models, 1):
        directory = directories[model.name]
        waiting = {
            name: of_set
            for name, of_set in tasks[model.name].items()
            if not broadcast_from_first(is_done(directory, of_set, model))
        }
        if not waiting:
            log_line(f"{model.name} is already evaluated")
            continue
        log_line(f"{model.name} ({number} of {len(models)})")
        try:
            load = functools.partial(load_clip, model, mesh, config.model.dtype)
            evaluate_model(  # no name is given to the model here: it would still be in memory with the next one
                on_all_processes(load),
                waiting,
                directory,
                mesh,
                config.eval,
                config.data,
                config.text.tokenizer,
                values,
            )
        except Skipped as error:
            skipped[model.name] = str(error).removeprefix(f"{model.source}: ")
            if len(names) > 1:  # else the error at the end says so
                log_line(f"skipped {model.name}: {skipped[model.name]}")
    summaries = [
        {**summary, "model": model.name, "set": name}
        for model in models
        for name, of_set in tasks[model.name].items()
        if is_done(directories[model.name], of_set, model)
        for summary in last_evaluations(directories[model.name], name, len(of_set))
    ]
    report(summaries, workdir, len(names) > 1)
    if len(names) > 1 and jax.process_index() == 0:
        write_sheet(models, summaries, workdir)
    if skipped:
        reason = f": {skipped[names[0]]}" if len(names) == 1 else ""
        first, more = ", ".join(list(skipped)[:NAMED]), len(skipped) - NAMED
        first += f" and {more} more" if more > 0 else ""
        raise UserError(f"{len(skipped)} of {len(names)} models skipped ({first}){reason}")
    return summaries


def find_models(names: Sequence[str]) -> tuple[list[ModelName], dict[str, str]]:
    """The models with these names; and for each name without a model, the reason to skip it."""
    models, skipped = [], {}
    for name in names:
        try:
            models.append(find_model(name))
        except UserError as error:
            skipped[name] = str(error)
            if len(names) > 1:  # else the error at the end says so
                log_line(f"skipped {name}: {error}")
    return models, skipped


def check_repeated(tables: str) -> None:
    """Raise UserError if `tables`, eval.class_frequency, has a corpus or file twice."""
    seen = {}
    for name in filter(None, tables.split("+")):
        path = Path(name).resolve()
        if path in seen:
            raise UserError(f"eval.class_frequency has {seen[path]} twice (as {name}): leave one out")
        seen[path] = name


def check_corpora(models: Sequence[ModelName], tables: str) -> None:
    """Raise UserError if `tables`, eval.class_frequency, asks for the models' own corpora alone, and none is known."""
    if models and tables == TRAINED_ON and not any(model.corpus for model in models):
        raise UserError(
            f"eval.class_frequency='{TRAINED_ON}', but the corpus that {models[0].name} was trained on is not known: give "
            f"a table or one of {', '.join(CORPORA)}"
        )


def frequency_names(model: ModelName, tables: str) -> list[str]:
    """The tables and corpora in eval.class_frequency, separated by '+', for a model; [''] if there is none."""
    named = [model.corpus if name == TRAINED_ON else name for name in tables.split("+")]
    return list(dict.fromkeys(filter(None, named))) or [""]


def make_task(
    frequency_name: str, opened: OpenedSet, prompts: Prompts, options: ConfigDict, reading: ConfigDict, dtype: str
) -> Task:
    """An evaluation on a set, with the settings by which a finished one is recognized.

    `frequency_name` is a table or a corpus, or '' for none. `options` is `config.eval`, `reading` is `config.data`, and
    `dtype` is what the model computes in.
    """
    names = opened.variant.class_names
    if frequency_name in CORPORA and not options.frequency_dir:
        raise UserError(
            f"the class frequencies of {frequency_name} are published by the study: set eval.frequency_dir to its folder "
            "metadata/freqs (github.com/CVMI-Lab/clip-beyond-tail)"
        )
    frequency = None
    if frequency_name:
        frequency = class_frequency(frequency_name, options.frequency_dir, opened.name, names)
    check_adjustment(options, opened.name, frequency, "give eval.class_frequency")
    settings = evaluation_settings(options, uses_prompts=True) | {
        "data": opened.variant.fingerprint(),
        "prompts": digest_of_json(prompts)[:16],
        "class_frequency": frequency_name,
        "frequency": digest_of_json(frequency.tolist())[:16] if frequency_name else "",
        "dtype": dtype,
        **{name: is_set for name, is_set in evaluation_pixels(reading).items() if is_set},
    }
    class_groups = head_mid_tail(options, names, frequency)
    return Task(opened, frequency, class_groups, settings, writes_frequency=frequency is not None)


def check_free(directories: Mapping[str, Path], workdir: Path) -> None:
    """Raise UserError if two models have the same directory, or a model's, or that of all, holds something else."""
    name_of = {}
    for name, directory in directories.items():
        if directory in name_of:
            raise UserError(
                f"{name_of[directory]} and {name} would both be written to {directory}: give each its own --workdir"
            )
        name_of[directory] = name
    for directory, name in ({workdir: None} | name_of).items():
        existing = runs.read_config(directory)
        if existing is None:
            continue
        if existing["objective"] != MODE:
            raise UserError(f"{directory} holds a training run: give another --workdir")
        if name is not None and existing["eval.models"] != [name]:
            raise UserError(
                f"{directory} holds the evaluation of {existing['eval.models'][0]}, not of {name}: give another --workdir"
            )


def is_done(directory: Path, tasks: Sequence[Task], model: ModelName) -> bool:
    """Whether the last evaluations in `directory` have the settings of a set's `tasks`, and the model's current weights."""
    last = last_evaluations(directory, tasks[0].opened.name, len(tasks))
    if [summary["settings"] for summary in last] != [task.settings for task in tasks]:
        return False
    try:
        return model.digest is None or all(summary["weights"] == model.digest for summary in last)
    except UserError:  # which loading the model raises, too
        return False


def evaluate_model(
    opened: OpenedModel,
    tasks: Mapping[str, Sequence[Task]],
    directory: Path,
    mesh: Mesh,
    options: ConfigDict,
    data: ConfigDict,
    merges: str,
    values: Mapping[str, Any],
) -> None:
    """Evaluate a model on each set, and write the results of each set before the next.

    Args:
        tasks: those of each set, which differ in their class frequencies.
        options: `config.eval`.
        data: `config.data`.
        merges: CLIP's merges file, for a model without a tokenizer.
        values: the config as config.json has it.

    Raises:
        Skipped: the model cannot embed the prompts.
        UserError: a set's images cannot be read.
    """
    sets = {name: of_set[0].opened for name, of_set in tasks.items()}
    graphdef, state = nnx.split(opened.model)
    class_heads = on_all_processes(lambda: zero_shot_heads(sets, options, graphdef, mesh, tokenizer_of(opened, merges)))
    heads = on_all_processes(lambda: class_heads((state,)))
    del opened.model.text  # images do not need it
    graphdef, state = nnx.split(opened.model)
    if jax.process_index() == 0:
        runs.prepare_directory(directory, {**values, "eval.models": [opened.name]}, replace=False)
    evaluator = Evaluator(graphdef, mesh, opened.preprocess, options, data)
    about = {"step": 0, "epoch": 0.0, "model": opened.name, "weights": opened.digest}
    adjusted = options.logit_adjustment and not options.estimate_prior  # by each class frequency
    for name, of_set in tasks.items():
        measured = None
        for task in of_set:
            if measured is None or adjusted:
                measured = evaluator.measure((state,), heads[name], task)
            write_evaluation(directory, task, about, measured)


def on_all_processes(action: Callable[[], Any]) -> Any:
    """The result of `action`. If it fails in any process, all raise Skipped, so that none waits for another.

    This applies to any exception: downloaded files may be corrupt in any way, and the next model has other files.
    """
    result, reason = None, ""
    try:
        result = action()
    except Exception as error:
        reason = reason_of(error)
    if reason := first_reason(reason):
        raise Skipped(reason)
    return result


def first_reason(reason: str) -> str:
    """The reason of the first process that has one, in every process; '' if none has."""
    if jax.process_count() == 1:
        return reason
    encoded = np.frombuffer(reason.encode()[:REASON].ljust(REASON), np.uint8)
    of_all = multihost_utils.process_allgather(encoded)
    return next((text for row in of_all if (text := row.tobytes().decode(errors="ignore").strip())), "")


def load_clip(model: ModelName, mesh: Mesh, dtype: str) -> OpenedModel:
    """The model, laid out on the mesh. Raises UserError if it is not supported or has no text tower."""
    opened = dataclasses.replace(model.open(dtype=DTYPES[dtype], mesh=mesh), name=model.name)
    if not opened.has_text:
        raise UserError(f"{model.name} has no text tower: zero-shot evaluation needs one")
    _ = opened.model
    return opened


def tokenizer_of(opened: OpenedModel, merges: str) -> TextTokenizer:
    """The model's tokenizer, or CLIP's from the file `merges`. Raises UserError if there is neither."""
    text_cfg = opened.config["text_cfg"]
    if opened.has_tokenizer or text_cfg.get("hf_tokenizer_name"):
        return opened.tokenizer
    if merges:
        return load_clip_tokenizer(merges, text_cfg.get("context_length", 77))
    raise UserError(
        f"{opened.name} comes without a tokenizer.json: put it in the folder of the weights, or set text.tokenizer to "
        "CLIP's bpe_simple_vocab_16e6.txt.gz"
    )


def report(summaries: Summaries, workdir: Path, several: bool) -> None:
    """Print the table, and for several models write it, to table.md for people and to table.tsv for programs."""
    if jax.process_index() or not summaries:
        return
    text = markdown(summaries)
    print(text, end="")
    if several:
        write_text(workdir / "table.md", text)
        write_text(workdir / "table.tsv", tsv(summaries))


def markdown(summaries: Summaries) -> str:
    """A row per model, set and class frequency, with '–' for undefined numbers."""
    header = ["model", "set", "top-1 %", "top-5 %", "head", "mid", "tail", *(f"{key} [95 %]" for key in CORRELATIONS)]
    rows = [[*header, "class frequency"]]
    for summary in summaries:
        numbers = [format_number(summary.get(key), ".1f") for key in COLUMNS]
        numbers += [
            format_interval(summary.get(key), interval(summary, key), form) for key, form in CORRELATIONS.items()
        ]
        rows.append([summary["model"], summary["set"], *numbers, summary["settings"]["class_frequency"] or UNDEFINED])
    return "\n".join(markdown_table(pad_columns(rows))) + "\n"


def tsv(summaries: Summaries) -> str:
    """The same with all digits, the bounds of intervals in columns of their own, and '' for undefined numbers."""
    columns = [f"{key}{part}" for key in CORRELATIONS for part in ("", "_low", "_high")]
    lines = ["\t".join(["model", "set", *COLUMNS, *columns, "class_frequency"])]
    for summary in summaries:
        values = [summary.get(key) for key in COLUMNS]
        for key in CORRELATIONS:
            values += [summary.get(key), *interval(summary, key)]
        cells = ["" if value is None else repr(value) for value in values]
        lines.append("\t".join([summary["model"], summary["set"], *cells, summary["settings"]["class_frequency"]]))
    return "\n".join(lines) + "\n"


def write_sheet(models: Sequence[ModelName], summaries: Summaries, workdir: Path) -> None:
    """Write models.tsv, the sheet of `figures corpora` and `fine_grained`, of the models that have correlations.

    Those that the study's figures leave out are comments. Nothing is written if there is no model.
    """
    lines = []
    for model in models:
        sets = [s["set"] for s in summaries if s["model"] == model.name and "corr_acc" in s]
        if model.corpus and sets:
            cells = slug(model.name), "+".join(dict.fromkeys(sets)), "CLIP", model.corpus, family_and_size(model.name)
            lines.append(("# " if model.name in NOT_IN_FIGURES else "") + "\t".join(cells))
    if lines:
        write_text(workdir / "models.tsv", "\n".join(["run\tset\tkind\tcorpus\tbackbone", *lines]) + "\n")


def interval(summary: Mapping[str, Any], key: str) -> Sequence[float | None]:
    """The bounds of a number's 95 % interval."""
    return summary.get(f"{key}_interval", (None, None))
