"""Features and class vectors of a run, without any of the evaluation's batching."""

import io
import shutil

import jax
import numpy as np
import PIL.Image

from cliptail_jax.concepts.templates import templates
from cliptail_jax.datasets.source import open_source
from cliptail_jax.files import read_lines
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.pretrained import open_model

CLASSES, EXAMPLES = 12, 24
NUMBERS = {
    *("step", "epoch", "top1", "top5", "head", "mid", "tail", "corr_acc", "corr_pred", "corr_acc_pred", "examples"),
    *("slope_acc", "slope_acc_left_out", "slope_pred", "slope_pred_left_out"),
    *("ece", "overconfidence_head", "overconfidence_mid", "overconfidence_tail"),
}
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
    """Image features, labels, and the class vectors, without any of the evaluation's batching."""
    model = open_model(str(workdir)).model
    source = open_source("glyphs", config.data.data_dir, "test")
    labels = source.metadata["label"].to_numpy()
    records = np.flatnonzero(labels < CLASSES)
    images = [np.array(PIL.Image.open(io.BytesIO(i))) for i in source.encoded_images(records)]
    features = jax.jit(lambda images: model.encode_image(Preprocess(images.shape[1]).normalize(images)))(
        np.stack(images)
    )
    if hasattr(model, "head"):
        return np.asarray(features), labels[records], np.asarray(model.head[...])
    tokenizer = Tokenizer.load(workdir / "tokenizer.json")
    encode_text = jax.jit(model.encode_text)
    head = []
    for name in source.class_names[:CLASSES]:
        texts = np.asarray(encode_text(tokenizer([t.format(name) for t in templates(config.eval.templates)])))
        head.append(unit(texts).mean(0))
    return np.asarray(features), labels[records], unit(np.array(head))


def cosines(features, head):
    """Of each image with each class."""
    return unit(features) @ unit(head).T


def unit(vectors):
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def count_confusion(labels, predicted, classes=CLASSES):
    confusion = np.zeros((classes, classes), int)
    np.add.at(confusion, (labels, predicted), 1)
    return confusion
