import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file
from tiny_models import write_model

from cliptail_jax.errors import UserError
from cliptail_jax.models.classifier import Classifier
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.save import save

# The others' towers are those of one of these, or their names and layouts are in tests/pretrained/test_parity.py.
KINDS = ("resnet", "coca", "eva02", "vitamin", "fastvit", "swin", "roberta-mean")


@pytest.mark.parametrize("name", KINDS)
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


def test_a_siglip_keeps_its_scale_and_bias_and_is_named_for_the_size_of_its_images(tmp_path):
    source = write_model(tmp_path / "published", "siglip")
    published = load_file(source / "open_clip_model.safetensors")
    pretrained = load(source).at_size(40)
    save(pretrained.model, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    again = load(tmp_path / "ours")
    assert again.config["vision_cfg"] == pretrained.config["vision_cfg"] | {"timm_model_name": "siglip_parity_40"}
    assert (again.config["init_logit_bias"], again.preprocess.size) == (-10, 40)
    for name in ("logit_scale", "logit_bias"):
        assert getattr(again.model, name)[...] == published[name]
    other = load(source).at_size(48)
    with pytest.raises(UserError, match="open_clip has siglip_parity_32 for images of 32, 40 pixels, not 48"):
        save(other.model, tmp_path / "other", other.config, other.preprocess)
    assert not (tmp_path / "other").exists()


def test_a_classifier_comes_back_with_its_head(tmp_path):
    pretrained = load(write_model(tmp_path / "published", "vit"))
    head = np.random.default_rng(0).normal(size=(7, 16)).astype(np.float32)
    classifier = Classifier(pretrained.model.visual, head)
    save(classifier, tmp_path / "ours", pretrained.config, pretrained.preprocess)
    again = load(tmp_path / "ours").model
    assert isinstance(again, Classifier)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(again), nnx.state(classifier))
