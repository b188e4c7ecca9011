"""Published CLIPs as zero-shot classifiers of labelled sets, and how their accuracies go with class frequency.

One model's `--workdir` is laid out as a run's; of several, each has a directory there, beside table.md and table.tsv. A
model that cannot be loaded, or embed the prompts, is reported and left out; a set that cannot be read stops the command.
What is finished is not repeated: the same command goes on.
"""

import dataclasses
import math
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
from cliptail_jax.config.zero_shot import validate
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.corpora import CORPORA, class_frequency
from cliptail_jax.evaluation.evaluator import Evaluator, Task, write_evaluation
from cliptail_jax.evaluation.heads import set_prompts, zero_shot_heads
from cliptail_jax.evaluation.prompts import Prompts
from cliptail_jax.evaluation.results import GROUPS, evaluation_settings, head_mid_tail
from cliptail_jax.evaluation.sets import OpenedSet, open_set
from cliptail_jax.files import digest_of_json, write_text
from cliptail_jax.input.tokenizer import load_clip_tokenizer
from cliptail_jax.models.build import DTYPES
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import check_batch, make_mesh
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import ModelName, OpenedModel, TextTokenizer, find_model
from cliptail_jax.runs import last_evaluation
from cliptail_jax.runs.log import say

TRAINED_ON = "published"  # eval.class_frequency: each model's own corpus
REASON = 512  # bytes of why a model is left out that processes tell each other
COLUMNS = ("top1", "top5", *GROUPS)
CORRELATIONS = ("corr_acc", "corr_pred")
Summaries = dict[tuple[str, str], dict[str, Any]]  # by model and set


class Skipped(Exception):
    """Why a model is left out, in a line."""


@dataclasses.dataclass(frozen=True)
class PublishedTask:
    """A set to evaluate a published model on, with the prompts of its classes and the name of a frequency table or ''."""

    task: Task
    prompts: Prompts
    frequency_name: str


def evaluate_published(config: ConfigDict, workdir: Path) -> Summaries:
    """Evaluates each of `config.eval.models` on each of `config.eval.sets`, and writes and prints the table.

    Raises UserError, before any model is loaded, where sets, prompts or frequencies are not there or do not fit; where a
    set's images cannot be read; and at the end where models were skipped.
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
    tasks = {
        model.name: {name: make_task(model, opened[name], prompts[name], config) for name in opened} for model in models
    }

    for number, model in enumerate(models, 1):
        directory = directories[model.name]
        waiting = {
            name: t.task for name, t in tasks[model.name].items() if not agreed(is_done(directory, name, t.task, model))
        }
        if not waiting:
            say(f"{model.name} is already evaluated")
            continue
        say(f"{model.name} ({number} of {len(models)})")
        try:
            evaluate_model(model, waiting, directory, mesh, config)
        except Skipped as error:
            skipped[model.name] = str(error).removeprefix(f"{model.source}: ")
            say(f"skipped {model.name}: {skipped[model.name]}")
    summaries = {
        (model.name, name): last_evaluation(directories[model.name], name)
        for model in models
        for name, task in tasks[model.name].items()
        if is_done(directories[model.name], name, task.task, model)
    }
    report(summaries, tasks, workdir, len(names) > 1)
    if skipped:
        reason = f": {skipped[names[0]]}" if len(names) == 1 else ""
        raise UserError(f"{len(skipped)} of {len(names)} models skipped ({', '.join(skipped)}){reason}")
    return summaries


def find_models(names: Sequence[str]) -> tuple[list[ModelName], dict[str, str]]:
    """The models of these names; and of each name that is none, why it will be skipped."""
    models, skipped = [], {}
    for name in names:
        try:
            models.append(find_model(name))
        except UserError as error:
            skipped[name] = str(error)
            say(f"skipped {name}: {error}")
    return models, skipped


def make_task(model: ModelName, opened: OpenedSet, prompts: Prompts, config: ConfigDict) -> PublishedTask:
    """What is to be done, and by what settings it is known when it has been done."""
    names = opened.variant.class_names
    frequency_name = config.eval.class_frequency
    if frequency_name == TRAINED_ON:
        if model.corpus is None:
            raise UserError(
                f"eval.class_frequency='{TRAINED_ON}', but what {model.name} was trained on is not known: give a table or "
                f"one of {', '.join(CORPORA)}"
            )
        frequency_name = model.corpus
    if frequency_name in CORPORA and not config.eval.frequency_dir:
        raise UserError(
            f"the counts of {frequency_name} are the study's: set eval.frequency_dir to a folder with clip-beyond-tail's "
            "metadata/freqs"
        )
    frequency = None
    if frequency_name:
        frequency = class_frequency(frequency_name, config.eval.frequency_dir, opened.name, names)
    settings = evaluation_settings(config.eval, uses_prompts=True) | {
        "data": opened.variant.fingerprint(),
        "prompts": digest(prompts),
        "class_frequency": frequency_name,
        "frequency": digest(frequency.tolist()) if frequency_name else "",
        "dtype": config.model.dtype,
    }
    class_groups = head_mid_tail(config.eval, names, frequency)
    task = Task(opened, frequency, class_groups, settings, writes_frequency=frequency is not None)
    return PublishedTask(task, prompts, frequency_name)


def digest(value: Any) -> str:
    return digest_of_json(value)[:16]


def check_free(directories: Mapping[str, Path], workdir: Path) -> None:
    """Raises UserError where two models have one directory, or that of a model, or of all, holds something else."""
    name_of = {}
    for name, directory in directories.items():
        if directory in name_of:
            raise UserError(
                f"{name_of[directory]} and {name} would both be written to {directory}: give each a --workdir of its own"
            )
        name_of[directory] = name
    for directory, name in ({workdir: None} | name_of).items():
        held = runs.read_config(directory)
        if held is None:
            continue
        if held["objective"] != "zero_shot":
            raise UserError(f"{directory} holds a run that was trained: choose another --workdir")
        if name is not None and held["eval.models"] != [name]:
            raise UserError(
                f"{directory} holds the evaluation of {held['eval.models'][0]}, not of {name}: choose another --workdir"
            )


def is_done(directory: Path, set_name: str, task: Task, model: ModelName) -> bool:
    """Whether the model in `directory` was last evaluated on the set as the task wants it, with the weights it now has."""
    last = last_evaluation(directory, set_name)
    if last is None or last["settings"] != task.settings:
        return False
    try:
        return model.digest in (None, last["weights"])
    except UserError:  # loading will tell
        return False


def evaluate_model(
    model: ModelName, tasks: Mapping[str, Task], directory: Path, mesh: Mesh, config: ConfigDict
) -> None:
    """Loads a model, and evaluates it on each set and writes that before the next.

    Raises Skipped where that model cannot be loaded or embed the prompts, and UserError where a set's images cannot be
    read.
    """
    opened = on_all_processes(lambda: load_clip(model, mesh, config))
    sets = {name: task.opened for name, task in tasks.items()}
    graphdef, state = nnx.split(opened.model)
    heads = on_all_processes(
        lambda: zero_shot_heads(sets, config.eval, graphdef, mesh, tokenizer_of(opened, config))((state,))
    )
    # Images need no text tower: its memory is given back.
    del opened.model.text
    graphdef, state = nnx.split(opened.model)
    if jax.process_index() == 0:
        own = config.copy_and_resolve_references()
        own.eval.models = (model.name,)
        runs.make_room(directory, own, replace=False)
    data = config.data
    evaluator = Evaluator(
        graphdef,
        mesh,
        opened.preprocess,
        config.eval,
        workers=data.workers,
        cache=False,
        max_unreadable=data.max_unreadable,
    )
    about = {"step": 0, "epoch": 0.0, "model": model.name, "weights": opened.digest}
    for name, task in tasks.items():
        write_evaluation(directory, task, about, evaluator.measure((state,), heads[name], task.opened))


def on_all_processes(action: Callable[[], Any]) -> Any:
    """What `action` gives. Raises Skipped in every process where it fails in any: none is left waiting for another.

    All exceptions count: files of others may be wrong in any way, and the next model's are not these.
    """
    given, reason = None, ""
    try:
        given = action()
    except UserError as error:
        reason = str(error)
    except Exception as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
    if reason := first_reason(reason):
        raise Skipped(reason)
    return given


def first_reason(reason: str) -> str:
    """The first process's that has one, in every process; '' where none has."""
    if jax.process_count() == 1:
        return reason
    encoded = np.frombuffer(reason.encode()[:REASON].ljust(REASON), np.uint8)
    of_all = multihost_utils.process_allgather(encoded)
    return next((text for row in of_all if (text := row.tobytes().decode(errors="ignore").strip())), "")


def load_clip(model: ModelName, mesh: Mesh, config: ConfigDict) -> OpenedModel:
    """The model, laid out on the mesh. Raises UserError for one that is not supported or has no text tower."""
    opened = model.open(dtype=DTYPES[config.model.dtype], mesh=mesh)
    if not opened.has_text:
        raise UserError(f"{model.name} has no text tower: zero-shot evaluation needs one")
    opened.model
    return opened


def tokenizer_of(opened: OpenedModel, config: ConfigDict) -> TextTokenizer:
    """The model's tokenizer, or CLIP's by the merges `text.tokenizer` where it comes without. Raises UserError without both."""
    try:
        return opened.tokenizer
    except UserError:
        context = opened.config["text_cfg"].get("context_length", 77)
        if opened.config["text_cfg"].get("hf_tokenizer_name"):
            raise
        if config.text.tokenizer:
            return load_clip_tokenizer(config.text.tokenizer, context)
        raise UserError(
            f"{opened.name} comes without a tokenizer.json: put it beside the weights, or set text.tokenizer to CLIP's "
            "bpe_simple_vocab_16e6.txt.gz"
        ) from None


def report(
    summaries: Summaries, tasks: Mapping[str, Mapping[str, PublishedTask]], workdir: Path, several: bool
) -> None:
    """Prints the table, and of several models writes it: table.md for people, table.tsv for programs."""
    if jax.process_index() or not summaries:
        return
    corpora = {(model, name): tasks[model][name].frequency_name for model, name in summaries}
    text = markdown(summaries, corpora)
    print(text, end="")
    if several:
        write_text(workdir / "table.md", text)
        write_text(workdir / "table.tsv", tsv(summaries, corpora))


def markdown(summaries: Summaries, corpora: Mapping[tuple[str, str], str]) -> str:
    """A row per model and set; '–' where there is no number."""
    header = ["model", "set", "top-1 %", "top-5 %", "head", "mid", "tail", "corr_acc [95 %]", "corr_pred [95 %]"]
    rows = [[*header, "class frequency"]]
    for (model, name), summary in summaries.items():
        numbers = [shown(summary.get(key), ".1f") for key in COLUMNS]
        for key in CORRELATIONS:
            low, high = summary.get(f"{key}_interval", (None, None))
            value = shown(summary.get(key), ".2f")
            numbers.append(value if value == "–" else f"{value} [{shown(low, '.2f')}, {shown(high, '.2f')}]")
        rows.append([model, name, *numbers, corpora[model, name] or "–"])
    rows.insert(1, ["---"] * len(rows[0]))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return "".join(f"| {' | '.join(map(str.ljust, row, widths))} |\n" for row in rows)


def shown(value: float | None, digits: str) -> str:
    return "–" if value is None or math.isnan(value) else format(value, digits)


def tsv(summaries: Summaries, corpora: Mapping[tuple[str, str], str]) -> str:
    """The same with all digits, and the bounds of intervals in columns of their own; empty where there is no number."""
    ends = [f"{key}{end}" for key in CORRELATIONS for end in ("", "_low", "_high")]
    lines = ["\t".join(["model", "set", *COLUMNS, *ends, "class_frequency"])]
    for (model, name), summary in summaries.items():
        values = [summary.get(key) for key in COLUMNS]
        for key in CORRELATIONS:
            values += [summary.get(key), *summary.get(f"{key}_interval", (None, None))]
        cells = ["" if value is None else repr(value) for value in values]
        lines.append("\t".join([model, name, *cells, corpora[model, name]]))
    return "\n".join(lines) + "\n"
