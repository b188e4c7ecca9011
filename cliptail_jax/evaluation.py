"""From a model and an evaluation set to the numbers and files of one evaluation."""

import dataclasses
import functools
import hashlib
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, Shaped
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.class_head import head_for, join_keys
from cliptail_jax.configuration import base_config
from cliptail_jax.curation.templates import templates
from cliptail_jax.curation.variant import Variant, make_variant, random_classes
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.files import save_array, save_arrays
from cliptail_jax.frequency_tables import frequency_of, write_frequency
from cliptail_jax.input.images import MEAN, STD, normalize
from cliptail_jax.input.pipeline import Batch, ReadText, UnreadableImages, evaluation_batches, spread
from cliptail_jax.metrics import correlation, groups, per_class
from cliptail_jax.metrics.neural_collapse import NeuralCollapse, neural_collapse
from cliptail_jax.metrics.similarity import ClassSimilarities, Similarities
from cliptail_jax.models.classifier import linear_logits
from cliptail_jax.models.cosine import cosine_logits
from cliptail_jax.models.cosine import normalize as unit
from cliptail_jax.runs import append_line, evaluation_directory, last_evaluation
from cliptail_jax.sharding import batch_sharding, local_rows, replicated, to_devices
from cliptail_jax.state import TrainState
from cliptail_jax.text_embedder import cut_lengths
from cliptail_jax.zero_shot.prompts import (
    Prompts,
    descriptor_prompts,
    read_descriptors,
    template_prompts,
    waffle_prompts,
)
from cliptail_jax.zero_shot.sets import OpenedSet, open_set, prompt_names

GROUPS = ("head", "mid", "tail")
ClassGroups = tuple[np.ndarray, np.ndarray, np.ndarray]  # class ids of head, mid and tail
KEPT = ("features", "labels", "records", "head")  # the .npy files of `save_features`
Evaluate = Callable[..., dict[str, dict[str, Any]]]  # of a state, its epoch, and when to give up


class ClassHead(NamedTuple):
    """What tells the classes apart: by cosine, or with a bias as a linear layer on raw features."""

    embeddings: Float[Array, "class dim"]
    bias: Float[Array, "class"] | None = None


ClassHeads = Callable[[TrainState], dict[str, ClassHead]]  # by set


def make_evaluate(
    config: ConfigDict,
    workdir: Path,
    mesh: Mesh,
    graphdef: nnx.GraphDef,
    class_names: tuple[str, ...],
    frequency: Int[np.ndarray, "class"],
    read: ReadText | None,
    other_head: str = "",
) -> Evaluate:
    """A function that evaluates a state on all of `config.eval.sets`, writes their files, and returns their summaries.

    `frequency` is the training variant's, in the order of `class_names`, with which everything is correlated; `read` is
    for the prompts of a contrastive run what the text tower takes; `other_head` an .npy in place of a supervised run's.
    """
    if not config.eval.sets:
        return lambda *_: {}
    sets = {name: open_run_set(name, config, class_names) for name in config.eval.sets}
    columns = {name: columns_of(opened.variant.class_names, class_names) for name, opened in sets.items()}
    known = {name: None if rows is None else frequency[rows] for name, rows in columns.items()}
    class_groups = {
        name: head_mid_tail(config, opened.variant.class_names, known[name]) for name, opened in sets.items()
    }
    encode_text, evaluate_batch = make_steps(graphdef, mesh)
    if config.objective == "contrastive":
        class_heads = zero_shot_heads(config, sets, graphdef, mesh, encode_text, read)
    else:
        class_heads = supervised_heads(sets, columns, graphdef, other_head)
    evaluation_input = {
        name: evaluation_batches(opened.variant, config, local_rows(config.eval.batch_size))
        for name, opened in sets.items()
    }
    unreadable = {name: UnreadableImages(opened.variant, config.data.max_unreadable) for name, opened in sets.items()}

    def evaluate(
        state: TrainState, epoch: float, give_up: Callable[[], bool] = lambda: False
    ) -> dict[str, dict[str, Any]]:
        """Nothing is written and {} returned where `give_up` says so before the end."""
        results = {}
        for name, head in class_heads(state).items():
            variant = sets[name].variant
            batches = with_progress(evaluation_input[name](), variant, config)
            batches = itertools.takewhile(lambda _: not give_up(), batches)
            evaluate_one = functools.partial(evaluate_batch, bias=head.bias)
            measured = predict(
                evaluate_one, state.parts(), head.embeddings, batches, variant, unreadable[name], config.eval, mesh
            )
            if give_up():
                return {}
            check_any_read(measured.counts, name)
            settings = evaluation_settings(config) | ({"head": other_head} if other_head else {})
            summary = {"step": int(state.step), "epoch": epoch, "settings": settings}
            summary |= summarize(
                measured.counts, known[name], class_groups[name], measured.collapse, measured.similarities
            )
            results[name] = summary, measured
        for name, (summary, measured) in results.items():
            if jax.process_index() == 0:
                directory = evaluation_directory(workdir, name)
                names = sets[name].variant.class_names
                if names != class_names and known[name] is not None:
                    directory.mkdir(parents=True, exist_ok=True)
                    write_frequency(directory / "class_frequency.tsv", names, known[name])
                write_measured(directory, summary, measured, class_groups[name])
        return {name: summary for name, (summary, _) in results.items()}

    return evaluate


def evaluation_settings(config: ConfigDict) -> dict[str, Any]:
    """What an evaluation's numbers and files depend on besides the weights; of files it names, by their content."""
    keys = ("random_classes", "head_classes", "tail_classes", "neural_collapse", "similarity", "save_features")
    files = ("rank_by",)
    if config.objective != "supervised":
        keys += ("templates", "waffle", "waffle_kind", "waffle_seed")
        files += ("descriptors",)
    return {key: config.eval[key] for key in keys} | {key: file_digest(config.eval[key]) for key in files}


def file_digest(path: str) -> str:
    """What changes with the content of a file: 16 digits of its sha256; '' for the path ''. UserError for no file."""
    try:
        return hashlib.sha256(Path(path).read_bytes()).hexdigest()[:16] if path else ""
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None


def is_evaluated(workdir: Path, config: ConfigDict, step: int | None = None) -> bool:
    """Whether the run's last evaluation on each set was as the config wants it, and of this step if one is given."""
    wanted = {"settings": evaluation_settings(config)} | ({} if step is None else {"step": step})
    summaries = [last_evaluation(workdir, name) or {} for name in config.eval.sets]
    return all(summary | wanted == summary for summary in summaries)


def zero_shot_heads(
    config: ConfigDict,
    sets: Mapping[str, OpenedSet],
    graphdef: nnx.GraphDef,
    mesh: Mesh,
    encode_text: Callable,
    read: ReadText,
) -> ClassHeads:
    """The class embeddings of a contrastive run's state. Sets with the same prompts share them.

    Raises UserError where the run's context cuts the prompts of different classes to the same.
    """
    prompts = {name: set_prompts(opened, config.eval) for name, opened in sets.items()}
    texts = {of_set: read([prompt for of_class in of_set for prompt in of_class]) for of_set in set(prompts.values())}
    for name, opened in sets.items():
        check_told_apart(texts[prompts[name]], sizes(prompts[name]), opened.prompt_names, config.eval)

    def class_heads(state: TrainState) -> dict[str, ClassHead]:
        head_of = {}
        tower = nnx.merge(graphdef, *state.parts(), copy=True).text
        for of_set, text in texts.items():
            lengths = cut_lengths(tower, text)
            embeddings = embed(encode_text, state.parts(), text, lengths, config.eval.batch_size, mesh)
            head_of[of_set] = ClassHead(zero_shot_head(embeddings, sizes(of_set)))
        return {name: head_of[of_set] for name, of_set in prompts.items()}

    return class_heads


def supervised_heads(
    sets: Mapping[str, OpenedSet],
    columns: Mapping[str, Int[np.ndarray, "class"] | None],
    graphdef: nnx.GraphDef,
    other_head: str,
) -> ClassHeads:
    """The rows of a supervised run's head, or of that at the path `other_head`, that are the classes of each set.

    Raises UserError for a set with a class that the run has not, or a head that does not fit.
    """
    if other_head:
        heads = {
            name: head_for(other_head, opened.variant.class_names, opened.variant.source.class_names)
            for name, opened in sets.items()
        }
    else:
        for name, rows in columns.items():
            if rows is None:
                raise UserError(
                    f"eval.sets: '{name}' has classes that the run was not trained on, and a supervised run has no head "
                    "for them: name the set as 'name:split', for the training classes alone"
                )

    def class_heads(state: TrainState) -> dict[str, ClassHead]:
        model = nnx.merge(graphdef, *state.parts(), copy=True)
        own = gather(model.head[...])
        if not other_head:
            bias = gather(model.bias[...]) if hasattr(model, "bias") else None
            return {name: ClassHead(own[rows], None if bias is None else bias[rows]) for name, rows in columns.items()}
        for head in heads.values():
            if head.shape[1] != own.shape[1]:
                raise UserError(
                    f"head.init: '{other_head}' is {head.shape[1]} wide, but the run's features are {own.shape[1]} wide"
                )
        return {name: ClassHead(head) for name, head in heads.items()}

    return class_heads


def set_prompts(opened: OpenedSet, chosen: ConfigDict) -> Prompts:
    """What `config.eval` says of a set's classes: descriptors, random ones, or templates, '' being the set's own."""
    names = opened.prompt_names
    if chosen.descriptors:
        return descriptor_prompts(names, read_descriptors(chosen.descriptors, opened.variant.class_names, names))
    if chosen.waffle:
        return waffle_prompts(names, chosen.waffle, chosen.waffle_seed, chosen.waffle_kind)
    return template_prompts(names, templates(chosen.templates) if chosen.templates else opened.templates)


def sizes(prompts: Prompts) -> list[int]:
    """How many prompts each class has."""
    return [len(of_class) for of_class in prompts]


def check_told_apart(
    text: Shaped[np.ndarray, "prompt width"], sizes: Sequence[int], names: Sequence[str], chosen: ConfigDict
) -> None:
    """Raise a UserError where the context is so short that the prompts of different classes are the same.

    `sizes` are the numbers of prompts of each class, `names` what they call it, and `chosen` is `config.eval`.
    """
    of_classes = np.split(text, np.cumsum(sizes)[:-1])
    distinct, wanted = len({of_class.tobytes() for of_class in of_classes}), len(set(names))
    if distinct < wanted:
        context = f"the {text.shape[1]} tokens" if np.issubdtype(text.dtype, np.integer) else "the context"
        raise UserError(
            f"{told_prompts(chosen)}: cut to {context} that the text tower reads, the prompts of {wanted} classes are only "
            f"{distinct} different ones; use shorter prompts, or a tower with a longer context"
        )


def told_prompts(chosen: ConfigDict) -> str:
    """Which prompts `config.eval` chooses."""
    if chosen.descriptors:
        return f"eval.descriptors='{chosen.descriptors}'"
    if chosen.waffle:
        return f"eval.waffle={chosen.waffle}"
    return f"eval.templates='{chosen.templates}'" if chosen.templates else "the set's own templates"


def open_run_set(name: str, config: ConfigDict, class_names: tuple[str, ...]) -> OpenedSet:
    """The set of a run: that of a short name with all its classes, or 'name:split' with those of the run, or some of them."""
    if ":" not in name:
        return open_set(name, config.data.data_dir)
    if chosen := config.eval.random_classes:
        if chosen > len(class_names):
            raise UserError(f"eval.random_classes={chosen}, but the run has {len(class_names)} classes")
        class_names = tuple(class_names[c] for c in random_classes(len(class_names), chosen, config.data.seed))
    variant = evaluation_variant(name, config, class_names)
    return OpenedSet(name, variant, prompt_names(variant, ""), templates("photo"))


def evaluation_variant(name: str, config: ConfigDict, class_names: tuple[str, ...]) -> Variant:
    """All records of the set 'name:split' whose class is one of the training classes, under the training labels."""
    source_name, _, split = name.rpartition(":")
    names_file = config.data.class_names if source_name == config.data.name else ""
    source = open_source(source_name, config.data.data_dir, split, names_file)
    absent = [c for c in class_names if c not in source.class_names]
    if absent:
        raise UserError(f"eval.sets: '{name}' lacks {len(absent)} of the training classes, such as '{absent[0]}'")
    data = base_config().data  # all records, no captions
    data.classes.names = () if class_names == source.class_names else class_names
    return make_variant(source, data)


def columns_of(names: tuple[str, ...], class_names: tuple[str, ...]) -> Int[np.ndarray, "class"] | None:
    """Where a set's classes are among the run's; None where one is not. ImageNet's may have either of their names."""
    keys, run_keys = names, class_names
    if not set(names) <= set(class_names):
        keys, run_keys = join_keys(names), join_keys(class_names)
    column_of = {key: column for column, key in enumerate(run_keys)}
    return np.array([column_of[key] for key in keys]) if set(keys) <= column_of.keys() else None


def head_mid_tail(
    config: ConfigDict, class_names: tuple[str, ...], frequency: Int[np.ndarray, "class"] | None
) -> ClassGroups | None:
    """The classes that are head, mid and tail by `eval.rank_by` or else their frequency; None without either.

    `eval.rank_by` is a table, joined by name. Raises UserError where it does not fit the classes.
    """
    table = config.eval.rank_by
    ranking = frequency_of(class_names, Path(table)) if table else frequency
    if ranking is None:
        return None
    return groups.head_mid_tail(ranking, config.eval.head_classes or None, config.eval.tail_classes or None)


def make_steps(graphdef: nnx.GraphDef, mesh: Mesh, mean=MEAN, std=STD) -> tuple[Callable, Callable]:
    """The two jitted functions of evaluation: texts to features, and a batch of images to counts and features.

    `mean` and `std` are the pixel statistics that the model takes. Features are compared with class embeddings by cosine,
    or where a `bias` is given, the class embeddings are the weights of a linear head.
    """

    def encode_text(parts, text: Shaped[Array, "batch width"]) -> Float[Array, "batch dim"]:
        return unit(nnx.merge(graphdef, *parts, copy=True).encode_text(text))

    def evaluate_batch(
        parts, head: Float[Array, "class dim"], counts, batch, bias: Float[Array, "class"] | None = None
    ):
        model = nnx.merge(graphdef, *parts, copy=True)
        features = model.encode_image(normalize(batch["images"], mean, std))
        logits = cosine_logits(features, head, jnp.zeros(())) if bias is None else linear_logits(features, head, bias)
        labels, mask = batch["labels"], batch["mask"]
        new = {
            "confusion": per_class.count_confusion(labels, jnp.argmax(logits, -1), mask, len(head)),
            "top5": per_class.top_k_correct(logits, labels, mask, k=5),
        }
        return jax.tree.map(jnp.add, counts, new), features.astype(jnp.float32)

    whole = replicated(mesh)
    return (
        jax.jit(encode_text, out_shardings=whole),
        jax.jit(evaluate_batch, out_shardings=(whole, batch_sharding(mesh)), donate_argnums=2),
    )


def embed(
    encode_text: Callable,
    parts: tuple[nnx.State, ...],
    text: Shaped[np.ndarray, "text width"],
    lengths: Int[np.ndarray, "text"],
    batch_size: int,
    mesh: Mesh,
) -> Float[np.ndarray, "text dim"]:
    """Unit-length text features, in batches of texts that are cut to the same length: one shape for each."""
    rows = local_rows(batch_size)
    order, features = [], []
    for length in np.unique(lengths):
        of_length = np.flatnonzero(lengths == length)
        for start in range(0, len(of_length), batch_size):
            batch = of_length[start : start + batch_size]
            padded = np.resize(batch, batch_size)[rows]
            on_devices = to_devices(mesh, {"text": text[padded, :length]})["text"]
            order.append(batch)
            features.append(np.asarray(encode_text(parts, on_devices))[: len(batch)])
    return np.concatenate(features)[np.argsort(np.concatenate(order))]


def zero_shot_head(embeddings: Float[np.ndarray, "prompt dim"], sizes: Sequence[int]) -> Float[np.ndarray, "class dim"]:
    """Class embeddings: the mean of a class's unit-length prompt embeddings, at unit length (Radford et al., 2021).

    `sizes` are the numbers of prompts of each class, which stand one behind the other.
    """
    starts = np.cumsum([0, *sizes[:-1]])
    mean = np.add.reduceat(embeddings, starts) / np.array(sizes, np.float32)[:, None]
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)


def with_progress(batches: Iterable[Batch], variant: Variant, config: ConfigDict) -> Iterable[Batch]:
    """The batches of a pass over `variant`, with a progress bar."""
    steps = -(-len(variant) // config.eval.batch_size)
    return tqdm(batches, total=steps, desc=f"evaluating {variant.source.name}", disable=None, leave=False)


@dataclasses.dataclass
class Measured:
    """What a pass over a set has counted, and where it was asked for kept or computed.

    Attributes:
        asked: `config.eval`.
        counts: `confusion` [class, class] and `top5`.
        head: the class embeddings.
        kept: as `Kept.result`; None where nothing asked for it, or no image was read.
        similarities: None where they were not asked for.
    """

    asked: ConfigDict
    counts: Mapping[str, np.ndarray]
    head: Float[np.ndarray, "class dim"]
    kept: Mapping[str, np.ndarray] | None
    similarities: Similarities | None

    @functools.cached_property
    def collapse(self) -> NeuralCollapse | None:
        """Computed when it is first used: of an interrupted pass it is not."""
        if not self.asked.neural_collapse:
            return None
        return neural_collapse(self.kept["features"], self.kept["labels"], len(self.head), self.head)

    def saved(self) -> dict[str, np.ndarray]:
        """The arrays that are written as .npy."""
        return {**self.kept, "head": self.head} if self.asked.save_features else {}


class Kept:
    """The features, labels and records of all images so far, of batches that come in the order of `variant`."""

    def __init__(self, variant: Variant):
        self._variant = variant
        self._features, self._labels, self._records = [], [], []
        self._start = 0

    def add(
        self, features: Float[np.ndarray, "slot dim"], labels: Int[np.ndarray, "slot"], mask: Bool[np.ndarray, "slot"]
    ) -> None:
        end = min(self._start + len(mask), len(self._variant))
        rows = spread(np.arange(self._start, end), len(mask))[mask]
        self._start = end
        self._records.append(self._variant.records[rows])
        self._features.append(features[mask])
        self._labels.append(labels[mask])

    def result(self) -> dict[str, np.ndarray]:
        """Raw `features` [sample, dim], `labels` [sample] and `records` [sample], of one batch or more."""
        lists = {"features": self._features, "labels": self._labels, "records": self._records}
        return {name: np.concatenate(arrays) for name, arrays in lists.items()}


# What takes in the raw features [slot, dim], labels [slot] and mask [slot] of a batch.
Taker = Callable[[np.ndarray, np.ndarray, np.ndarray], None]


def predict(
    evaluate_batch: Callable,
    parts: tuple[nnx.State, ...],
    head: Float[np.ndarray, "class dim"],
    batches: Iterable[Batch],
    variant: Variant,
    unreadable: UnreadableImages,
    asked: ConfigDict,
    mesh: Mesh,
) -> Measured:
    """A pass over a set's batches; `asked` is `config.eval`."""
    kept = Kept(variant) if asked.neural_collapse or asked.save_features else None
    similarities = ClassSimilarities(head) if asked.similarity else None
    takers = [taker.add for taker in (kept, similarities) if taker]
    counts = count(evaluate_batch, parts, head, batches, unreadable, takers, mesh)
    return Measured(
        asked,
        counts,
        head,
        kept.result() if kept and counts["confusion"].any() else None,
        similarities.result() if similarities else None,
    )


def count(
    evaluate_batch: Callable,
    parts: tuple[nnx.State, ...],
    head: Float[np.ndarray, "class dim"],
    batches: Iterable[Batch],
    unreadable: UnreadableImages,
    takers: Sequence[Taker],
    mesh: Mesh,
) -> dict[str, np.ndarray]:
    """Counts over a whole set; `takers` get what a batch has given, in order."""
    classes = len(head)
    counts = {"confusion": np.zeros((classes, classes), np.int32), "top5": np.zeros((), np.int32)}
    counts, head = jax.device_put((counts, head), replicated(mesh))
    given = []  # one batch late, for the devices to work on the next meanwhile
    for batch in batches:
        unreadable.take_from(batch)
        on_devices = to_devices(mesh, batch)
        counts, features = evaluate_batch(parts, head, counts, on_devices)
        hand(given, takers)
        given = [features, on_devices["labels"], on_devices["mask"]] if takers else []
    hand(given, takers)
    unreadable.check()
    return {name: np.asarray(value, np.int64) for name, value in counts.items()}


def hand(given: Sequence[Array], takers: Sequence[Taker]) -> None:
    """Gives takers the whole arrays of a batch; nothing where there is none."""
    arrays = [gather(array) for array in given]
    for taker in takers if arrays else ():
        taker(*arrays)


def check_any_read(counts: Mapping[str, np.ndarray], name: str) -> None:
    """Raise UserError where a whole pass over the set `name` has counted no image: there is nothing to compute from."""
    if not counts["confusion"].any():
        raise UserError(f"no image of {name} could be read: prepare the set again")


def gather(array: Array | np.ndarray) -> np.ndarray:
    """The whole of a global array, of which this process may hold a part."""
    if isinstance(array, np.ndarray) or array.is_fully_addressable:
        return np.asarray(array)
    return multihost_utils.process_allgather(array, tiled=True)


def summarize(
    counts: Mapping[str, np.ndarray],
    frequency: Int[np.ndarray, "class"] | None,
    class_groups: ClassGroups | None,
    collapse: NeuralCollapse | None,
    similarities: Similarities | None = None,
) -> dict[str, Any]:
    """The numbers of one evaluation: accuracies in percent, correlations over classes with their 95 % intervals.

    Without a class frequency there is no correlation with it, and without `class_groups` no accuracy of head, mid and tail.
    """
    confusion = counts["confusion"]
    accuracy = per_class.per_class_accuracy(confusion)
    predictions = per_class.per_class_predictions(confusion).astype(float)
    examples = confusion.sum()
    summary = {"top1": 100 * per_class.accuracy(confusion), "top5": 100 * counts["top5"] / max(examples, 1)}
    for name, ids in zip(GROUPS, class_groups or ()):
        summary[name] = groups.group_accuracy(accuracy, ids)
    pairs = {
        "corr_acc": (frequency, accuracy),
        "corr_pred": (frequency, predictions),
        "corr_acc_pred": (predictions, accuracy),
    }
    for name, values in (collapse._asdict() if collapse else {}).items():
        if not np.all(np.isnan(values)):
            summary[name] = float(np.nanmean(values))
            pairs[f"corr_{name}"] = (frequency, values)
            pairs[f"corr_{name}_acc"] = (accuracy, values)
    for name, (x, y) in pairs.items():
        if x is not None:
            summary[name] = correlation.spearman(x, y)
            summary[f"{name}_interval"] = list(correlation.bootstrap_interval(x, y))
    for name, values in (similarities._asdict() if similarities else {}).items():
        summary[name] = float(np.nanmean(values)) if not np.all(np.isnan(values)) else float("nan")
    summary["examples"] = int(examples)
    return summary


def write_measured(
    directory: Path, summary: dict[str, Any], measured: Measured, class_groups: ClassGroups | None
) -> None:
    """The files of an evaluation on a set: as `write`, and where asked for what `KEPT` names, a row an image read.

    Where they are not asked for, those of an earlier evaluation go: they would not be of the other files' weights.
    """
    directory.mkdir(parents=True, exist_ok=True)
    saved = measured.saved()
    for name in KEPT:
        if name in saved:
            save_array(directory / f"{name}.npy", saved[name])
        else:
            (directory / f"{name}.npy").unlink(missing_ok=True)
    write(directory, summary, measured.counts, class_groups, measured.collapse, measured.similarities)


def write(
    directory: Path,
    summary: dict[str, Any],
    counts: Mapping[str, np.ndarray],
    class_groups: ClassGroups | None,
    collapse: NeuralCollapse | None,
    similarities: Similarities | None = None,
) -> None:
    """`latest.npz` is replaced, and then, as a sign that both are there, `summary.jsonl` gets a line more."""
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {
        "confusion": counts["confusion"],
        "per_class_accuracy": per_class.per_class_accuracy(counts["confusion"]),
        "per_class_predictions": per_class.per_class_predictions(counts["confusion"]),
        **dict(zip(GROUPS, class_groups or ())),
    }
    for computed in (collapse, similarities):
        arrays |= computed._asdict() if computed else {}
    save_arrays(directory / "latest.npz", **arrays)
    append_line(directory / "summary.jsonl", summary)
