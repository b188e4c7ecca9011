"""From a training state and an evaluation set to the numbers and files of one evaluation."""

import itertools
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from jaxtyping import Array, Float, Int
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.configuration import base_config
from cliptail_jax.curation.templates import templates
from cliptail_jax.curation.variant import Variant, make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.frequency_tables import frequency_of
from cliptail_jax.input.images import normalize
from cliptail_jax.input.pipeline import UnreadableImages, evaluation_batches
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.metrics import correlation, groups, per_class
from cliptail_jax.metrics.neural_collapse import NeuralCollapse, neural_collapse
from cliptail_jax.models.cosine import cosine_logits
from cliptail_jax.models.cosine import normalize as unit
from cliptail_jax.runs import append_line, evaluation_directory, last_evaluation
from cliptail_jax.sharding import batch_sharding, local_rows, replicated, to_devices
from cliptail_jax.state import TrainState

PARTS = ("head", "mid", "tail")
Evaluate = Callable[..., dict[str, dict[str, Any]]]  # of a state, its epoch, and when to give up


def make_evaluate(
    config: ConfigDict,
    workdir: Path,
    mesh: Mesh,
    graphdef: nnx.GraphDef,
    class_names: tuple[str, ...],
    frequency: Int[np.ndarray, "class"],
    tokenizer: Tokenizer | None,
) -> Evaluate:
    """A function that evaluates a state on all of `config.eval.sets`, writes their files, and returns their summaries.

    `frequency` is the training variant's, in the order of `class_names`, with which everything is correlated.
    """
    variants = {name: evaluation_variant(name, config, class_names) for name in config.eval.sets}
    ranking = ranking_frequency(config.eval.rank_by, class_names, frequency)
    parts = groups.head_mid_tail(ranking, config.eval.head_classes or None, config.eval.tail_classes or None)
    tokens = None
    if config.objective == "contrastive":
        prompts = [template.format(name) for name in class_names for template in templates(config.eval.templates)]
        tokens = tokenizer(prompts)
        check_told_apart(tokens, class_names, config)
    encode_text, evaluate_batch = make_steps(graphdef, mesh, len(class_names))
    evaluation_input = {
        name: evaluation_batches(v, config, local_rows(config.eval.batch_size)) for name, v in variants.items()
    }
    unreadable = {name: UnreadableImages(v, config.data.max_unreadable) for name, v in variants.items()}

    def class_head(state: TrainState) -> Float[Array, "class dim"]:
        if tokens is None:
            return nnx.merge(graphdef, *state.parts(), copy=True).head[...]
        embeddings = embed(encode_text, state, tokens, config.eval.batch_size, mesh)
        return zero_shot_head(embeddings, len(class_names))

    def evaluate(
        state: TrainState, epoch: float, give_up: Callable[[], bool] = lambda: False
    ) -> dict[str, dict[str, Any]]:
        """Nothing is written and {} returned where `give_up` says so before the end."""
        head, results = class_head(state), {}
        for name, variant in variants.items():
            shown = f"evaluating {variant.source.name}"
            steps = -(-len(variant) // config.eval.batch_size)
            batches = tqdm(evaluation_input[name](), total=steps, desc=shown, disable=None, leave=False)
            batches = itertools.takewhile(lambda _: not give_up(), batches)
            counts, features, labels = predict(
                evaluate_batch, state, head, batches, unreadable[name], config.eval.neural_collapse, mesh
            )
            if give_up():
                return {}
            collapse = None
            if config.eval.neural_collapse:
                collapse = neural_collapse(features, labels, len(class_names), _gather(head))
            summary = {"step": int(state.step), "epoch": epoch, "settings": evaluation_settings(config)}
            results[name] = summary | summarize(counts, frequency, parts, collapse), counts, collapse
        for name, (summary, counts, collapse) in results.items():
            if jax.process_index() == 0:
                write(evaluation_directory(workdir, name), summary, counts, parts, collapse)
        return {name: summary for name, (summary, _, _) in results.items()}

    return evaluate


def evaluation_settings(config: ConfigDict) -> dict[str, Any]:
    """What an evaluation's numbers depend on besides the weights."""
    settings = {key: config.eval[key] for key in ("rank_by", "head_classes", "tail_classes", "neural_collapse")}
    return settings | ({"templates": config.eval.templates} if config.objective == "contrastive" else {})


def is_evaluated(workdir: Path, config: ConfigDict, step: int | None = None) -> bool:
    """Whether the run's last evaluation on each set was as the config wants it, and of this step if one is given."""
    wanted = {"settings": evaluation_settings(config)} | ({} if step is None else {"step": step})
    summaries = [last_evaluation(workdir, name) or {} for name in config.eval.sets]
    return all(summary | wanted == summary for summary in summaries)


def check_told_apart(
    tokens: Int[np.ndarray, "class*template context"], class_names: tuple[str, ...], config: ConfigDict
) -> None:
    """Raise a UserError where the context is so short that the prompts of different classes are the same."""
    distinct = len(np.unique(tokens.reshape(len(class_names), -1), axis=0))
    if distinct < len(set(class_names)):
        raise UserError(
            f"eval.templates='{config.eval.templates}': cut to model.text.context_length={config.model.text.context_length} "
            f"tokens, the prompts of {len(set(class_names))} classes are only {distinct} different ones; use a set of "
            "shorter templates, or train with a longer context"
        )


def evaluation_variant(name: str, config: ConfigDict, class_names: tuple[str, ...]) -> Variant:
    """All records of the set 'name:split' whose class is one of the training classes, under the training labels."""
    source_name, colon, split = name.rpartition(":")
    if not colon:
        raise UserError(f"eval.sets has '{name}'; a set is named as 'name:split', such as 'cifar100:test'")
    names_file = config.data.class_names if source_name == config.data.name else ""
    source = open_source(source_name, config.data.data_dir, split, names_file)
    absent = [c for c in class_names if c not in source.class_names]
    if absent:
        raise UserError(f"eval.sets: '{name}' lacks {len(absent)} of the training classes, such as '{absent[0]}'")
    data = base_config().data  # all records, no captions
    data.classes.names = () if class_names == source.class_names else class_names
    return make_variant(source, data)


def ranking_frequency(
    table: str, class_names: tuple[str, ...], frequency: Int[np.ndarray, "class"]
) -> Int[np.ndarray, "class"]:
    """The counts by which classes are head, mid or tail: the table's, joined by name, or else the training variant's."""
    return frequency_of(class_names, Path(table)) if table else frequency


def make_steps(graphdef: nnx.GraphDef, mesh: Mesh, num_classes: int) -> tuple[Callable, Callable]:
    """The two jitted functions of evaluation: texts to features, and a batch of images to counts and features."""

    def encode_text(parts, tokens: Int[Array, "batch context"]) -> Float[Array, "batch dim"]:
        return unit(nnx.merge(graphdef, *parts, copy=True).encode_text(tokens))

    def evaluate_batch(parts, head: Float[Array, "class dim"], counts, batch):
        model = nnx.merge(graphdef, *parts, copy=True)
        features = model.encode_image(normalize(batch["images"]))
        logits = cosine_logits(features, head, jnp.zeros(()))
        labels, mask = batch["labels"], batch["mask"]
        new = {
            "confusion": per_class.count_confusion(labels, jnp.argmax(logits, -1), mask, num_classes),
            "top5": per_class.top_k_correct(logits, labels, mask, k=5),
        }
        return jax.tree.map(jnp.add, counts, new), features.astype(jnp.float32)

    whole = replicated(mesh)
    return (
        jax.jit(encode_text, out_shardings=whole),
        jax.jit(evaluate_batch, out_shardings=(whole, batch_sharding(mesh)), donate_argnums=2),
    )


def embed(
    encode_text: Callable, state: TrainState, tokens: Int[np.ndarray, "text context"], batch_size: int, mesh: Mesh
) -> Float[np.ndarray, "text dim"]:
    """Unit-length text features, in batches of one shape."""
    features = []
    rows = local_rows(batch_size)
    for start in range(0, len(tokens), batch_size):
        batch = tokens[start : start + batch_size]
        padded = np.pad(batch, ((0, batch_size - len(batch)), (0, 0)))
        on_devices = to_devices(mesh, {"tokens": padded[rows]})["tokens"]
        features.append(np.asarray(encode_text(state.parts(), on_devices))[: len(batch)])
    return np.concatenate(features)


def zero_shot_head(
    embeddings: Float[np.ndarray, "class*template dim"], num_classes: int
) -> Float[np.ndarray, "class dim"]:
    """Class embeddings: the mean of a class's unit-length template embeddings, at unit length (Radford et al., 2021)."""
    mean = embeddings.reshape(num_classes, -1, embeddings.shape[-1]).mean(1)
    return mean / np.maximum(np.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)


def predict(
    evaluate_batch: Callable,
    state: TrainState,
    head: Float[Array, "class dim"],
    batches: Iterable[dict[str, np.ndarray]],
    unreadable: UnreadableImages,
    with_features: bool,
    mesh: Mesh,
) -> tuple[dict[str, np.ndarray], Float[np.ndarray, "sample dim"] | None, Int[np.ndarray, "sample"] | None]:
    """Counts over a whole set, and where they are asked for each sample's features and label (-1: padding)."""
    classes = len(head)
    counts = {"confusion": np.zeros((classes, classes), np.int32), "top5": np.zeros((), np.int32)}
    counts = jax.device_put(counts, replicated(mesh))
    features, labels = [], []
    for batch in batches:
        unreadable.take_from(batch)
        on_devices = to_devices(mesh, batch)
        counts, of_batch = evaluate_batch(state.parts(), head, counts, on_devices)
        if with_features:
            of_batch, label, mask = (_gather(x) for x in (of_batch, on_devices["labels"], on_devices["mask"]))
            features.append(of_batch)
            labels.append(np.where(mask, label, -1))
    unreadable.check()
    counts = {name: np.asarray(count, np.int64) for name, count in counts.items()}
    if not features:
        return counts, None, None
    return counts, np.concatenate(features), np.concatenate(labels)


def _gather(array: Array | np.ndarray) -> np.ndarray:
    """The whole of a global array, of which this process may hold a part."""
    if isinstance(array, np.ndarray) or array.is_fully_addressable:
        return np.asarray(array)
    return multihost_utils.process_allgather(array, tiled=True)


def summarize(
    counts: Mapping[str, np.ndarray],
    frequency: Int[np.ndarray, "class"],
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    collapse: NeuralCollapse | None,
) -> dict[str, Any]:
    """The numbers of one evaluation: accuracies in percent, correlations over classes with their 95 % intervals."""
    confusion = counts["confusion"]
    accuracy = per_class.per_class_accuracy(confusion)
    predictions = per_class.per_class_predictions(confusion).astype(float)
    examples = confusion.sum()
    summary = {"top1": 100 * per_class.accuracy(confusion), "top5": 100 * counts["top5"] / max(examples, 1)}
    for name, ids in zip(PARTS, parts):
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
        summary[name] = correlation.spearman(x, y)
        summary[f"{name}_interval"] = list(correlation.bootstrap_interval(x, y))
    summary["examples"] = int(examples)
    return summary


def write(
    directory: Path,
    summary: dict[str, Any],
    counts: Mapping[str, np.ndarray],
    parts: tuple[np.ndarray, np.ndarray, np.ndarray],
    collapse: NeuralCollapse | None,
) -> None:
    """`latest.npz` is replaced, and then, as a sign that both are there, `summary.jsonl` gets a line more."""
    directory.mkdir(parents=True, exist_ok=True)
    arrays = {
        "confusion": counts["confusion"],
        "per_class_accuracy": per_class.per_class_accuracy(counts["confusion"]),
        "per_class_predictions": per_class.per_class_predictions(counts["confusion"]),
        **dict(zip(PARTS, parts)),
    }
    partial = directory / "latest.partial.npz"
    np.savez(partial, **arrays, **(collapse._asdict() if collapse else {}))
    partial.rename(directory / "latest.npz")
    append_line(directory / "summary.jsonl", summary)
