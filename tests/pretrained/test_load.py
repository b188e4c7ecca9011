import hashlib
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from flax import nnx
from ml_collections import ConfigDict
from safetensors.numpy import load_file, save_file
from tiny_models import CASES, write_model

from cliptail_jax.errors import UserError
from cliptail_jax.models.build import abstract_model
from cliptail_jax.models.open_clip import named_architecture, named_encoder
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained.published_clip import load, open_published
from tests.hub_cache import COMMIT, put_in_cache

DATA = Path(__file__).parents[1] / "data"
WEIGHTS = "open_clip_model.safetensors"
CONFIG = "open_clip_config.json"


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("published"), "vit")


@pytest.fixture
def folder(published, tmp_path):
    """A copy that a test may spoil."""
    return shutil.copytree(published, tmp_path / "model")


def change_tensors(folder, change):
    tensors = load_file(folder / WEIGHTS)
    change(tensors)
    save_file(tensors, folder / WEIGHTS)


def change_config(folder, section, **changes):
    document = json.loads((folder / CONFIG).read_text())
    config = document["model_cfg"]
    (config[section] if section else config).update(changes)
    (folder / CONFIG).write_text(json.dumps(document))


def assert_equal_states(model, other):
    jax.tree.map(np.testing.assert_array_equal, nnx.state(model), nnx.state(other))


def message(action) -> str:
    with pytest.raises(UserError) as error:
        action()
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_folder_its_configuration_and_its_weights_name_the_same_model(published):
    first, *others = [load(published / file) for file in ("", CONFIG, WEIGHTS)]
    digest = hashlib.sha256((published / WEIGHTS).read_bytes()).hexdigest()
    assert first.digest == digest and first.config["embed_dim"] == 16
    for other in others:
        assert_equal_states(other.model, first.model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_named(value, folder):
    name = "visual.proj"
    change_tensors(folder, lambda tensors: tensors[name].__setitem__((0, 0), value))
    assert f"the tensor {name} has NaN or infinite values" in message(lambda: load(folder))


@pytest.mark.parametrize("kind", [np.float16, ml_dtypes.bfloat16])
def test_half_precision_weights_become_float32(folder, kind):
    full = load(folder).model
    change_tensors(folder, lambda t: t.update({key: value.astype(kind) for key, value in t.items()}))
    half = load(folder).model
    as_kind = jax.tree.map(lambda x: jnp.asarray(np.asarray(x).astype(kind), jnp.float32), nnx.state(full))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(half), as_kind)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half))} == {jnp.dtype("float32")}


def test_parameters_are_laid_out_on_the_mesh(published):
    mesh = make_mesh(ConfigDict({"data": 2, "fsdp": 4}))
    model = load(published, mesh=mesh).model
    kernel = model.visual.transformer.resblocks[0].mlp.c_fc.kernel[...]
    assert kernel.shape == (32, 128)
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(32, 32)}
    assert_equal_states(model, load(published).model)


def test_a_scale_stored_as_an_array_of_one_is_a_number(folder):
    change_tensors(folder, lambda t: t.update(logit_scale=t["logit_scale"].reshape(1)))
    assert load(folder).model.logit_scale.shape == ()


def test_the_first_tensor_of_another_shape_is_named_with_both_shapes(folder):
    change_tensors(folder, lambda t: t.update({"visual.proj": np.zeros((32, 8), np.float16)}))
    assert "visual.proj has shape [32, 8], but the architecture needs [32, 16]" in message(lambda: load(folder))


def test_weights_of_another_architecture_are_refused(published):
    found = message(lambda: load(published, architecture="ViT-B-32"))
    assert "ln_final.bias has shape [32], but the architecture needs [512]; these are not the weights of this" in found


@pytest.mark.parametrize(
    "weights, config, expected",
    [
        ("vit", "resnet", "visual.conv1.weight has shape [32, 3, 8, 8], but the architecture needs [4, 3, 3, 3]"),
        ("coca", "vit", "text.positional_embedding has shape [11, 32], but the architecture needs [10, 32]"),
        ("clipa", "vit", "no tensor visual.ln_pre.bias, which the architecture has with shape [32]"),
        ("vit", "clipa", "has a tensor visual.ln_pre.bias of shape [32], which the architecture does not have"),
        (
            "roberta-mean",
            "vit",
            "no tensor text.ln_final.bias, which the architecture has with shape [32], but has a tensor ",
        ),
    ],
)
def test_weights_of_another_family_are_refused_by_their_first_tensor(weights, config, expected, tmp_path):
    folder = write_model(tmp_path / "model", config)
    other = write_model(tmp_path / "other", weights)
    shutil.copy(other / WEIGHTS, folder / WEIGHTS)
    assert expected in message(lambda: load(folder))


def test_a_missing_tensor_is_named(folder):
    change_tensors(folder, lambda t: t.pop("ln_final.bias"))
    found = message(lambda: load(folder))
    assert "no tensor ln_final.bias, which the architecture has with shape [32]; these are not the weights of" in found


def test_a_tensor_too_many_is_named(folder):
    change_tensors(folder, lambda t: t.update({"visual.extra": np.zeros(3, np.float16)}))
    found = message(lambda: load(folder))
    assert (
        "a tensor visual.extra of shape [3], which the architecture does not have; these are not the weights of"
        in found
    )


def test_integer_weights_are_refused(folder):
    change_tensors(folder, lambda t: t.update({"visual.proj": np.zeros((32, 16), np.int8)}))
    assert message(lambda: load(folder)).endswith("visual.proj is I8; weights are one of F64, F32, F16, BF16")


@pytest.mark.parametrize("spoil", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b[:8] + b"?" + b[9:]])
def test_truncated_or_corrupted_weights_are_refused(folder, spoil):
    path = folder / WEIGHTS
    path.write_bytes(spoil(path.read_bytes()))
    assert f"{path} is not a complete safetensors file" in message(lambda: load(folder))


@pytest.mark.parametrize(
    "section, change, expected",
    [
        ("", {"init_logit_bias": "-10"}, 'init_logit_bias="-10"; it takes a number or null'),
        ("", {"init_logit_bias": -10}, "logit_bias"),
        ("", {"loss": "siglip"}, "'loss', which is not supported"),
        ("vision_cfg", {"qk_norm": True}, "vision_cfg.qk_norm=true"),
        ("vision_cfg", {"pool_type": "map"}, 'vision_cfg.pool_type="map", which is not supported; "tok", "avg" are'),
        ("vision_cfg", {"image_size": [32, 64]}, "only square images"),
        ("vision_cfg", {"timm_model_name": "vit_base"}, "timm_model_name='vit_base', which is not supported"),
        (
            "vision_cfg",
            {"timm_model_name": "eva02_base_patch16_clip_225"},
            "is not supported (did you mean eva02_base_patch16_clip_224",
        ),
        (
            "vision_cfg",
            {"timm_model_name": "convnext_tiny", "timm_pool": "map"},
            'timm_pool="map", which is not supported',
        ),
        (
            "vision_cfg",
            {"timm_model_name": "swin_base_patch4_window7_224"},
            "data.image_size: swin_base_patch4_window7_224 takes images of 224 pixels only, not 32",
        ),
        ("vision_cfg", {"timm_model_name": "fastvit_mci1"}, 'timm_proj="linear", which is not supported; null are'),
        ("text_cfg", {"proj_type": "none"}, "text_cfg.proj_type"),
        ("text_cfg", {"norm_kwargs": {"elementwise": 1}}, "text_cfg.norm_kwargs"),
        ("text_cfg", {"hf_model_name": "roberta-base", "hf_pooler_type": "max_pooler"}, "hf_pooler_type"),
    ],
)
def test_an_unsupported_configuration_is_refused_by_its_key(folder, section, change, expected):
    change_config(folder, section, **change)
    assert expected in message(lambda: load(folder))


def test_an_encoder_of_another_kind_is_refused_by_the_key(tmp_path):
    folder = write_model(tmp_path, "bert-pooler")
    (folder / "config.json").write_text(json.dumps({**CASES["bert-pooler"]["encoder"], "hidden_act": "relu"}))
    assert 'hidden_act="relu"' in message(lambda: load(folder))


def test_what_is_not_there_is_named(folder, tmp_path):
    assert "no model 'RN999'" in message(lambda: load("RN999"))
    assert "unknown architecture 'RN999': it is a name in " in message(lambda: load(folder, architecture="RN999"))
    (folder / CONFIG).write_text("{")
    assert "is not a JSON file" in message(lambda: load(folder))
    (folder / CONFIG).write_text("[]")
    assert "does not contain a JSON object" in message(lambda: load(folder))
    (folder / CONFIG).write_text("{}")
    assert "is not a configuration of open_clip" in message(lambda: load(folder))
    (folder / CONFIG).unlink()
    assert "or give an architecture" in message(lambda: load(folder))
    (folder / WEIGHTS).unlink()
    assert "has no weights" in message(lambda: load(folder))


def test_clips_merges_are_given_by_path(published):
    tokenizer = load(published, merges=DATA / "clip_merges_subset.txt").tokenizer
    assert tokenizer(["a photo"]).shape == (1, 10)


def test_clips_merges_do_not_serve_another_tokenizers_model(folder):
    change_config(folder, "text_cfg", hf_tokenizer_name="roberta-base")
    found = message(lambda: load(folder, merges=DATA / "clip_merges_subset.txt"))
    assert "has the tokenizer of roberta-base" in found


def test_the_tokenizer_beside_the_weights_counts(folder):
    shutil.copy(DATA / "tokenizer_bert.json", folder / "tokenizer.json")
    change_config(folder, "text_cfg", hf_tokenizer_name="bert-base-uncased", vocab_size=50)
    assert "tokens, but the model's vocabulary has 50" in message(lambda: load(folder))


@pytest.mark.parametrize(
    "model, tokenizer, changes, expected",
    [
        ("vit", "bert", {}, "is not CLIP's tokenizer, which the model's text tower needs"),
        (
            "roberta-mean",
            "bert",
            {},
            "of another text encoder: its pad_token_id is 0, that of the encoder's config.json 1",
        ),
        (
            "bert-pooler",
            "roberta",
            {},
            "of another text encoder: its pad_token_id is 1, that of the encoder's config.json 0",
        ),
        ("roberta-mean", "xlm", {"eos_token_id": 5}, "its eos_token_id is 2, that of the encoder's config.json 5"),
        ("bert-pooler", "bert", {"vocab_size": 50}, "tokens, but the model's vocabulary has 50"),
    ],
)
def test_the_tokenizer_of_another_family_is_refused(model, tokenizer, changes, expected, tmp_path):
    folder = write_model(tmp_path, model)
    shutil.copy(DATA / f"tokenizer_{tokenizer}.json", folder / "tokenizer.json")
    if encoder := CASES[model]["encoder"]:
        (folder / "config.json").write_text(json.dumps({**encoder, "vocab_size": 1000, **changes}))
    else:
        change_config(folder, "text_cfg", vocab_size=1000)
    assert expected in message(lambda: open_published(folder).tokenizer)


@pytest.mark.parametrize(
    "name, expected",
    [
        ("timm/ViT-B-16-SigLIP", "is not the tokenizer that the model needs, timm/ViT-B-16-SigLIP: it is WordPiece"),
        ("tokenizer.json", "is not CLIP's tokenizer"),  # as exported runs have it
    ],
)
def test_the_tokenizer_that_the_configuration_names_is_needed(name, expected, folder):
    shutil.copy(DATA / "tokenizer_bert.json", folder / "tokenizer.json")
    change_config(folder, "text_cfg", hf_tokenizer_name=name, vocab_size=1000)
    assert expected in message(lambda: open_published(folder).tokenizer)


def test_a_missing_tokenizer_is_an_error_when_it_is_used(published):
    assert "comes without a tokenizer.json" in message(lambda: load(published).tokenizer)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A cache of the Hub without network."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra `pretrained`")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


@pytest.mark.parametrize("revision", [None, COMMIT])
def test_a_cached_repository_loads_without_network(hub, published, revision):
    put_in_cache(hub, published, "owner/name")
    pretrained = load("hf-hub:owner/name", revision=revision)
    assert pretrained.revision == COMMIT
    assert_equal_states(pretrained.model, load(published).model)


def test_without_network_and_cache_the_repository_is_named(hub):
    found = message(lambda: load("hf-hub:owner/name", revision="v1"))
    assert "hf-hub:owner/name at revision v1: open_clip_config.json is not in the cache" in found


def test_a_corrupt_file_in_the_cache_is_an_error(hub, published):
    root = put_in_cache(hub, published, "owner/name")
    blob = (root / "snapshots" / COMMIT / WEIGHTS).resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    assert "is corrupt" in message(lambda: load("hf-hub:owner/name"))


# Parameters that open_clip 3.3 counts.
PARAMETERS = {
    "RN101": 119_688_033,
    "roberta-ViT-B-32": 212_723_457,
    "mt5-base-ViT-B-32": 365_708_673,
    "nllb-clip-base": 501_885_185,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_named_architectures_have_the_published_number_of_parameters(name):
    config = named_architecture(name)
    encoder = named_encoder(config["text_cfg"].get("hf_model_name", ""))
    model = abstract_model({"model_cfg": config, "encoder": encoder})
    assert sum(leaf.size for leaf in jax.tree.leaves(nnx.state(model, nnx.Param))) == PARAMETERS[name]
