"""Features and class vectors of a run or a published model, without any of the evaluation's batching."""

import functools
import io
import shutil

import jax
import numpy as np
import PIL.Image

from cliptail_jax.concepts.templates import templates
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.files import read_lines
from cliptail_jax.metrics.calibration import BINS
from cliptail_jax.pretrained import open_model

CLASSES, EXAMPLES = 12, 24
SLOPES = ("odds_acc", "slope_acc", "slope_pred")
CORRELATIONS = ("corr_acc", "corr_pred", "corr_acc_pred")
NUMBERS = {"step", "epoch", "examples", "top1", "top5", "mean_per_class", "head", "mid", "tail", "f50", "ece"}
NUMBERS |= {*SLOPES, *(f"{slope}_left_out" for slope in SLOPES), *CORRELATIONS}
NUMBERS |= {f"overconfidence_{group}" for group in ("head", "mid", "tail")}
INTERVALS = {f"{name}_interval" for name in ("mean_per_class", "f50", *SLOPES, *CORRELATIONS)}
CALIBRATION = {"calibration_examples", "calibration_confidence", "calibration_correct"}
ARRAYS = {"confusion", "per_class_accuracy", "per_class_predictions", "head", "mid", "tail", "predicted"} | CALIBRATION


def evaluation_files(workdir):
    """The lines and the arrays of the run's one evaluation set."""
    directory = workdir / "eval" / "glyphs_test"
    lines = list(read_lines(directory / "summary.jsonl"))
    return lines, dict(np.load(directory / "latest.npz"))


def copied(run, directory):
    config, workdir = run
    return config.copy_and_resolve_references(), shutil.copytree(workdir, directory / "run")


def plain_features(config, workdir):
    """Image features and labels of the run's evaluation set, and its class vectors."""
    return plain_evaluation(str(workdir), config.data.data_dir, config.eval.templates, CLASSES)


@functools.cache
def plain_evaluation(name, data_dir, template_set, classes):
    """The same in float64 of any model, by its own parts, on the glyphs of the first classes."""
    opened, source = open_model(name), open_source("glyphs", data_dir, "test")
    model, labels = opened.model, source.metadata["label"].to_numpy()
    records = np.flatnonzero(labels < classes)
    images = [np.array(PIL.Image.open(io.BytesIO(i)).convert("RGB")) for i in source.encoded_images(records)]
    features = jax.jit(model.encode_image)(np.stack([opened.preprocess(image) for image in images]))
    if hasattr(model, "head"):
        return np.asarray(features, np.float64), labels[records], np.asarray(model.head[...], np.float64)
    encode_text, head = jax.jit(model.encode_text), []
    for name in source.class_names[:classes]:
        prompts = [template.replace("{}", name) for template in templates(template_set)]
        head.append(unit(np.asarray(encode_text(opened.tokenizer(prompts)), np.float64)).mean(0))
    return np.asarray(features, np.float64), labels[records], unit(np.array(head))


def cosines(features, head):
    """Of each image with each class."""
    return unit(features) @ unit(head).T


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def count_confusion(labels, predicted, classes=CLASSES):
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return confusion


def softmax(logits):
    powers = np.exp(logits - logits.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def error_by_a_loop(probabilities, labels):
    """Σ_b n_b / n |accuracy − confidence|, bin by bin."""
    total = 0.0
    for number in range(BINS):
        inside = [
            (p.max(), p.argmax() == label)
            for p, label in zip(probabilities, labels)
            if number / BINS < p.max() <= (number + 1) / BINS
        ]
        if inside:
            confidence, accuracy = np.mean(inside, axis=0)
            total += len(inside) / len(labels) * abs(accuracy - confidence)
    return total
