import collections
import functools
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
from safetensors.numpy import load_file, save_file

from cliptail_jax.config.sections import MeshAxes
from cliptail_jax.host.errors import UserError
from cliptail_jax.input.preprocess import CLIP_MEAN, CLIP_STD, Preprocess, read_preprocess
from cliptail_jax.models.open_clip import architecture_names, image_size, named_architecture
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained.model import open_model
from cliptail_jax.pretrained.published import (
    CORPORA,
    LISTS,
    NOT_IN_FIGURES,
    family_and_size,
    listed_models,
    published_models,
)
from cliptail_jax.pretrained.published_clip import load, open_published
from tests.hub_cache import COMMIT, put_in_cache
from tests.pretrained.tiny_models import CASES, assert_same, write_model

DEVICES = 8
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


def change_config(folder, *sections, **changes):
    document = json.loads((folder / CONFIG).read_text())
    functools.reduce(dict.__getitem__, sections, document).update(changes)
    (folder / CONFIG).write_text(json.dumps(document))


def message(action) -> str:
    with pytest.raises(UserError) as error:
        action()
    assert "\n" not in str(error.value) and len(str(error.value)) < 500
    return str(error.value)


def test_a_folder_its_configuration_and_its_weights_name_the_same_model(published):
    first, *others = [load(published / file) for file in ("", CONFIG, WEIGHTS)]
    digest = hashlib.sha256((published / WEIGHTS).read_bytes()).hexdigest()
    assert first.digest == digest and first.config["embed_dim"] == 16
    for other in others:
        assert_same(other.model, first.model)


def test_bfloat16_weights_become_float32(folder):
    kind = ml_dtypes.bfloat16
    full = load(folder).model
    change_tensors(folder, lambda t: t.update({key: value.astype(kind) for key, value in t.items()}))
    half = load(folder).model
    as_kind = jax.tree.map(lambda x: jnp.asarray(np.asarray(x).astype(kind), jnp.float32), nnx.state(full))
    jax.tree.map(np.testing.assert_array_equal, nnx.state(half), as_kind)
    assert {leaf.dtype for leaf in jax.tree.leaves(nnx.state(half))} == {jnp.dtype("float32")}


def test_parameters_are_laid_out_on_the_mesh(published):
    mesh = make_mesh(MeshAxes(data=2, fsdp=4))
    model = load(published, mesh=mesh).model
    kernel = model.visual.transformer.resblocks[0].mlp.c_fc.kernel[...]
    assert kernel.shape == (32, 128)
    assert {shard.data.shape for shard in kernel.addressable_shards} == {(32, 32)}
    assert_same(model, load(published).model)


def tensor(name, value):
    """Puts a tensor in place of that of the file; None removes it."""
    return lambda folder: change_tensors(folder, lambda t: t.pop(name) if value is None else t.update({name: value}))


def config(*sections, **changes):
    return lambda folder: change_config(folder, *sections, **changes)


def model(section, **changes):
    return config("model_cfg", section, **changes)


def weights_of(name):
    """The weights of another family."""
    return lambda folder: shutil.copy(write_model(folder.parent / "other", name) / WEIGHTS, folder / WEIGHTS)


def content(file, change):
    """Changes the bytes of a file; None removes it."""

    def spoil(folder):
        content = change((folder / file).read_bytes())
        (folder / file).unlink() if content is None else (folder / file).write_bytes(content)

    return spoil


def timm(name):
    return model("vision_cfg", timm_model_name=name)


EXTRA = ", which the architecture does not have; these are not the weights of this configuration"
MISSING = ", which the architecture has with shape [32]"
NOT_WHOLE = "is not a complete safetensors file"
SPOILED = [
    (tensor("visual.proj", np.full((32, 16), np.nan, np.float16)), "the tensor visual.proj has NaN or infinite values"),
    (
        tensor("visual.proj", np.zeros((32, 8), np.float16)),
        "visual.proj has shape [32, 8], but the architecture needs [32, 16]; these are not the weights of this",
    ),
    (tensor("visual.proj", np.zeros((32, 16), np.int8)), "visual.proj is I8; weights are one of F64, F32, F16, BF16"),
    (tensor("visual.extra", np.zeros(3, np.float16)), f"a tensor visual.extra of shape [3]{EXTRA}"),
    (tensor("ln_final.bias", None), f"no tensor ln_final.bias{MISSING}; these are not the weights of"),
    (weights_of("roberta-mean"), f"no tensor text.ln_final.bias{MISSING}, but has a tensor "),
    (content(WEIGHTS, lambda b: b[: len(b) // 2]), NOT_WHOLE),
    (content(WEIGHTS, lambda _: None), "has no weights"),
    (content(CONFIG, lambda _: None), "or give an architecture"),
    (content(CONFIG, lambda _: b"{"), "open_clip_config.json is damaged (Expecting"),
    (content(CONFIG, lambda _: b"[]"), "open_clip_config.json is damaged (Expected `object`, got `array`)"),
    (content(CONFIG, lambda _: b"{}"), "is not a configuration of open_clip"),
    (content(CONFIG, lambda _: b"[" * 200_000), "open_clip_config.json is damaged (maximum recursion depth"),
    (config("model_cfg", loss="siglip"), "'loss', which is not supported"),
    (model("vision_cfg", pool_type="map"), 'pool_type="map", which is not supported; "tok", "avg" are'),
    (model("vision_cfg", image_size=[32, 64]), "only square images"),
    (timm("eva02_base_patch16_clip_225"), "is not supported (did you mean eva02_base_patch16_clip_224"),
    (model("text_cfg", norm_kwargs={"elementwise": 1}), "text_cfg.norm_kwargs"),
    (config("preprocess_cfg", mean="abc"), 'preprocess_cfg.mean="abc"; it takes a number, or three'),
    (config(model_cfg=None), "open_clip_config.json is damaged (Expected `object`, got `null`"),
    (
        model("vision_cfg", image_size=1_000_000),
        "vision_cfg.image_size=1000000; it takes a number of pixels from 1 to 4096",
    ),
    (model("vision_cfg", image_size=[32] * 1000), "vision_cfg.image_size=[32, 32, "),
    (model("vision_cfg", head_width=1000), "the model's configuration: 0 heads do not divide 32"),
    (model("vision_cfg", **{"a\nb": 1}), r"has 'vision_cfg.a\nb', which is not supported"),
]


@pytest.mark.parametrize("spoil, expected", SPOILED)
def test_weights_or_settings_that_do_not_fit_are_named_in_one_line(spoil, expected, folder):
    spoil(folder)
    assert expected in message(lambda: load(folder))


def test_weights_of_another_architecture_and_unknown_names_are_errors(published):
    complaint = "ln_final.bias has shape [32], but the architecture needs [512]; these are not the weights of this"
    assert complaint in message(lambda: load(published, architecture="ViT-B-32"))
    assert "no model 'RN999'" in message(lambda: load("RN999"))
    assert "a model is the name of one or a folder, not None" in message(lambda: open_model(None))
    assert f"unknown model '{'x' * 100}': give a name" in message(lambda: open_model("x" * 5000))


def test_clips_merges_are_for_a_model_that_comes_without_its_tokenizer(folder):
    merges = DATA / "clip_merges_subset.txt"
    assert load(folder, merges=merges).tokenizer(["a photo"]).shape == (1, 10)
    assert "comes without a tokenizer.json" in message(lambda: load(folder).tokenizer)
    change_config(folder, "model_cfg", "text_cfg", hf_tokenizer_name="roberta-base")
    assert "comes without a tokenizer.json" in message(lambda: load(folder, merges=merges).tokenizer)


OTHER_ENCODER = "of another text encoder: its {} is {}, that of the encoder's config.json {}"


@pytest.mark.parametrize(
    "model, tokenizer, changes, expected",
    [
        ("vit", "bert", {}, "is not CLIP's tokenizer, which the model's text tower needs"),
        ("vit", "bert", {"hf_tokenizer_name": "bert-base-uncased", "vocab_size": 50}, "the model's vocabulary has 50"),
        ("roberta-mean", "bert", {}, OTHER_ENCODER.format("pad_token_id", 0, 1)),
        ("roberta-mean", "xlm", {"eos_token_id": 5}, OTHER_ENCODER.format("eos_token_id", 2, 5)),
    ],
)
def test_the_tokenizer_of_another_family_is_refused(model, tokenizer, changes, expected, tmp_path):
    folder = write_model(tmp_path, model)
    shutil.copy(DATA / f"tokenizer_{tokenizer}.json", folder / "tokenizer.json")
    if encoder := CASES[model]["encoder"]:
        (folder / "config.json").write_text(json.dumps({**encoder, "vocab_size": 1000, **changes}))
    else:
        change_config(folder, "model_cfg", "text_cfg", **{"vocab_size": 1000} | changes)
    assert expected in message(lambda: open_published(folder).tokenizer)


@pytest.fixture
def hub(monkeypatch, tmp_path):
    """A cache of the Hub without network."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra `pretrained`")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return tmp_path


def test_a_cached_repository_loads_without_network_and_a_corrupt_file_in_it_is_an_error(hub, published):
    text = message(lambda: load("hf-hub:owner/name@v1"))
    assert "hf-hub:owner/name at revision v1: open_clip_config.json is not in the cache" in text
    root = put_in_cache(hub, published, "owner/name")
    for name in ("hf-hub:owner/name", f"hf-hub:owner/name@{COMMIT}"):
        pretrained = load(name)
        assert pretrained.weights.revision == COMMIT
        assert_same(pretrained.model, load(published).model)
    blob = (root / "snapshots" / COMMIT / WEIGHTS).resolve()
    content = bytearray(blob.read_bytes())
    content[-1] ^= 1
    blob.write_bytes(content)
    assert "is corrupt" in message(lambda: load("hf-hub:owner/name"))


def test_each_model_is_one_row_with_an_architecture_of_open_clips():
    models = published_models()
    assert len({model.name for model in models}) == len(models)
    for model in models:
        name = model.name.split("/")[0]
        assert name in architecture_names() and model.repository.startswith("hf-hub:")
        assert model.image_size == image_size(named_architecture(name)["vision_cfg"])
        assert model.corpus is None or model.corpus in CORPORA and "study" in model.lists
        assert set(model.lists) <= set(LISTS) and 60e6 < model.parameters < 6e9
        assert read_preprocess(model.preprocess, model.image_size).size == model.image_size


def test_the_study_has_49_models_of_six_corpora():
    models = listed_models("study")
    corpora = {"cc12m": 2, "yfcc15m": 4, "laion400m": 12, "laion2b": 24, "metaclip_400m": 3, "metaclip_fullcc": 4}
    assert list(collections.Counter(model.corpus for model in models).items()) == list(corpora.items())
    assert [model.name for model in models if model.name.startswith("EVA")] == list(NOT_IN_FIGURES)
    times = collections.Counter(model.repository for model in models)
    assert len(times) == 44  # those that are there twice are there with both activations
    pairs = [model for model in models if model.architecture]
    assert {model.repository for model in pairs} == {repository for repository, count in times.items() if count == 2}
    for model in pairs:
        assert model.name.startswith(f"{model.architecture}/")
        assert not named_architecture(model.architecture).get("quick_gelu")


def test_today_has_one_model_of_each_family_and_size():
    models = listed_models("today")
    assert len({model.repository for model in models}) == len(models) == 61
    families = collections.Counter(family_and_size(model.name) for model in models)
    assert set(families.values()) == {1}
    assert {family_and_size(model.name) for model in listed_models("study")} <= families.keys()
    for model in models:
        corpora = [corpus for corpus in CORPORA if f"/{corpus}_" in f"{model.name}_"]
        assert corpora == [corpus for corpus in [model.corpus] if corpus], model.name


HALVES, CLIPS = ((0.5,) * 3, (0.5,) * 3), (CLIP_MEAN, CLIP_STD)
IMAGENETS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    "name, statistics, interpolation, resize_mode",
    [
        ("ViT-L-14", CLIPS, "bicubic", "shortest"),  # of its first weights, not those of laion2b
        ("ViT-M-16", CLIPS, "bicubic", "shortest"),  # without published weights
        ("nllb-clip-base-siglip", HALVES, "bicubic", "squash"),
        ("ViT-L-14-CLIPA", IMAGENETS, "bilinear", "squash"),
        ("MobileCLIP-S1", ((0.0,) * 3, (1.0,) * 3), "bilinear", "shortest"),
    ],
)
def test_an_architecture_has_the_preprocessing_of_its_published_weights(
    name, statistics, interpolation, resize_mode, published
):
    side = image_size(named_architecture(name)["vision_cfg"])
    preprocess = open_published(published, architecture=name).preprocess
    assert preprocess == Preprocess(side, *statistics, interpolation, resize_mode)


def test_a_model_is_not_opened_for_images_that_are_too_large(published):
    with pytest.raises(UserError, match="image_size: 1000000 is not a number of pixels from 1 to 4096"):
        open_published(published).at_size(1_000_000)
