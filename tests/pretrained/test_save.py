import os

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file
from tiny_models import write_model

from cliptail_jax.models.classifier import Classifier
from cliptail_jax.pretrained.model import load
from cliptail_jax.pretrained.save import save


@pytest.mark.parametrize("name", ["resnet", "coca", "roberta-mean", "mt5-mean", "nllb-first-token"])
def test_weights_come_back_bit_for_bit(name, tmp_path):
    source = write_model(tmp_path / "published", name)
    pretrained = load(source)
    save(pretrained.model, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    published = load_file(source / "open_clip_model.safetensors")
    ours = load_file(tmp_path / "ours" / "open_clip_model.safetensors")
    assert {k for k in published if not k.startswith("text_decoder.") and "num_batches" not in k} == set(ours)
    for key, value in ours.items():
        np.testing.assert_array_equal(value, published[key], err_msg=key)
        assert value.shape == published[key].shape
    again = load(tmp_path / "ours")
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again.model), nnx.state(pretrained.model))


def test_files_have_the_mode_that_the_umask_gives(tmp_path):
    pretrained = load(write_model(tmp_path / "published", "vit"))
    before = os.umask(0o027)
    try:
        save(pretrained.model, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    finally:
        os.umask(before)
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "ours").iterdir()} == {0o640}


def test_a_classifier_comes_back_with_its_head(tmp_path):
    pretrained = load(write_model(tmp_path / "published", "vit"))
    head = np.random.default_rng(0).normal(size=(7, 16)).astype(np.float32)
    classifier = Classifier(pretrained.model.visual, head)
    save(classifier, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    again = load(tmp_path / "ours").model
    assert isinstance(again, Classifier)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again), nnx.state(classifier))
