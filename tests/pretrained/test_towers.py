"""Training with published towers: a tiny CLIP of our own, exported, and a tiny BERT."""

import json
import shutil

import jax
import numpy as np
import pytest
from cliptail_jax.pretrained.trained import restore_run
from flax import nnx
from test_text_encoder import write_encoder

from cliptail_jax import runs
from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate
from cliptail_jax.files import read_lines
from cliptail_jax.models.bert import BertText
from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE
from cliptail_jax.models.open_clip import named_encoder
from cliptail_jax.models.text_towers import bert_shape
from cliptail_jax.objectives import FIELDS, validate
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained import text_cache as frozen_text
from cliptail_jax.pretrained import towers
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import load
from cliptail_jax.pretrained.text_cache import FrozenText
from cliptail_jax.pretrained.text_embedder import load_text_embedder
from cliptail_jax.pretrained.towers import open_towers
from cliptail_jax.train import train
from cliptail_jax.training.initialization import FILE, TOWERS
from cliptail_jax.training.optimizer import make_optimizer
from cliptail_jax.training.initialization import init_state, load_towers
from configs import clip

NAMES = "digit zero one two three four five seven latin capital letter a c e h k cat dogs"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """A cache of each test's own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "cliptail_jax" / "text_states"


@pytest.fixture(scope="session")
def published(small_config, tmp_path_factory):
    """The folder of a CLIP with QuickGELU that one epoch has moved from where it was drawn."""
    folder = tmp_path_factory.mktemp("published")
    config = small_config(clip)
    config.model.image.update({"name": "vit", "layers": (1,), "heads": 2, "width": 16, "patch_size": 8})
    config.model.activation = "quick_gelu"
    config.total_epochs = 1
    train(config, folder / "run")
    export(folder / "run", folder / "model")
    return folder / "model"


@pytest.fixture(scope="session")
def bert(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert") / "encoder"
    write_encoder(folder)
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    words = NAMES.split()
    special = {token: i for token, i in tokenizer["model"]["vocab"].items() if token.startswith("[") and i < 10}
    tokenizer["model"]["vocab"] = special | {word: 10 + i for i, word in enumerate(words)}
    (folder / "tokenizer.json").write_text(json.dumps(tokenizer))
    return folder


@pytest.fixture
def config(clip_config, published):
    clip_config = clip_config.copy_and_resolve_references()
    clip_config.text.init = str(published)
    clip_config.total_epochs = 1
    return clip_config


@pytest.fixture
def bert_config(clip_config, bert):
    clip_config.text.init = str(bert)
    clip_config.text.freeze = True
    clip_config.model.text.context_length = 10
    clip_config.total_epochs = 1
    return clip_config


def start(config):
    """The first state of a run."""
    opened = open_towers(config)
    _, state, shardings = init_state(config, make_optimizer(config, 1), make_mesh(config.mesh), 12, towers=opened)
    return load_towers(state, opened, shardings)


def end(config, workdir):
    """The model of a finished run."""
    graphdef, state = restore_run(config, workdir, make_mesh(config.mesh), 12)
    return nnx.merge(graphdef, *state.parts())


def losses(workdir):
    return [line["train/loss"] for line in read_lines(workdir / "metrics.jsonl")]


def assert_equal(ours, theirs):
    jax.tree.map(np.testing.assert_array_equal, nnx.state(ours, nnx.Param), nnx.state(theirs, nnx.Param))


def test_a_text_tower_starts_as_published_and_the_rest_as_drawn(config, published):
    drawn = dict(nnx.to_flat_state(start_random(config).trainable))
    theirs = load(published).model
    flat = dict(nnx.to_flat_state(start(config).trainable))
    for path, variable in nnx.to_flat_state(nnx.state(theirs.text, nnx.Param)):
        np.testing.assert_array_equal(flat.pop(("text", *path))[...], variable[...])
    np.testing.assert_allclose(flat[("logit_scale",)][...], INITIAL_LOGIT_SCALE)
    for path, variable in flat.items():
        np.testing.assert_array_equal(variable[...], drawn[path][...])


def start_random(config):
    config = config.copy_and_resolve_references()
    config.text.init = "random"
    return init_state(config, make_optimizer(config, 1), make_mesh(config.mesh), 12)[1]


def test_an_image_tower_starts_as_published_on_a_split_mesh_too(clip_config, published):
    clip_config.image.init = str(published)
    clip_config.mesh.data, clip_config.mesh.fsdp = 4, 2
    state = start(clip_config)
    theirs = load(published).model.visual
    ours = {path[1:]: v for path, v in nnx.to_flat_state(state.trainable) if path[0] == "visual"}
    for path, variable in nnx.to_flat_state(nnx.state(theirs, nnx.Param)):
        np.testing.assert_array_equal(ours[path][...], variable[...])
    assert any(not v[...].sharding.is_fully_replicated for v in ours.values())


@pytest.fixture(scope="module")
def frozen_run(small_config, published, tmp_path_factory):
    """A run on the published text tower, frozen: its config and work directory."""
    config = small_config(clip)
    config.text.init, config.text.freeze, config.text.cache, config.total_epochs = str(published), True, False, 1
    workdir = tmp_path_factory.mktemp("frozen") / "run"
    train(config, workdir)
    return config, workdir


def test_a_frozen_text_tower_is_still_the_published_one_after_training(frozen_run, published):
    theirs, model = load(published), end(*frozen_run)
    assert_equal(model.text, theirs.model.text)
    tokens = theirs.tokenizer(["a photo of a cat", "seven"])
    np.testing.assert_allclose(model.encode_text(tokens), theirs.model.encode_text(tokens), rtol=1e-5, atol=1e-6)
    assert float(model.logit_scale[...]) != pytest.approx(INITIAL_LOGIT_SCALE, abs=1e-7)


def test_every_parameter_is_reported(frozen_run, published):
    rows = [line.split("\t") for line in (frozen_run[1] / FILE).read_text().splitlines()[1:]]
    origin = {row[0]: row[2] for row in rows}
    assert all((origin[name] == str(published)) == name.startswith("text.") for name in origin)
    assert origin["text.text_projection"] == str(published) and origin["logit_scale"] == "drawn"
    assert {row[3] for row in rows if row[0].startswith("text.")} == {"frozen"}


def test_a_run_with_a_published_tower_is_evaluated_and_embeds_texts(frozen_run, published):
    config, workdir = frozen_run
    in_training = runs.last_evaluation(workdir, "glyphs:test")["top1"]
    assert evaluate(config, workdir)["glyphs:test"]["top1"] == pytest.approx(in_training)
    texts = ["a cat", "a dog"]
    features = load_text_embedder(str(workdir)).raw(texts)
    np.testing.assert_allclose(features, load_text_embedder(str(published)).raw(texts), rtol=1e-5, atol=1e-6)


def test_a_parameter_that_does_not_fit_is_an_error_with_both_shapes_unless_allowed(config, tmp_path):
    config.model.image.output_dim = 24
    complaint = (
        r"text_projection has shape \[16, 16\], .* \[16, 24\]; set model.image.output_dim=16, or text.partial=True"
    )
    with pytest.raises(UserError, match=complaint):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    config.text.partial, config.text.freeze = True, True
    before = dict(nnx.to_flat_state(start(config).trainable))
    train(config, tmp_path / "run")
    after = end(config, tmp_path / "run")
    assert [path for path in before if path[0] == "text"] == [("text", "text_projection")]
    assert np.abs(after.text.text_projection[...] - before[("text", "text_projection")][...]).max() > 1e-5


def test_the_states_of_a_frozen_tower_are_computed_once_and_give_the_same_numbers(
    bert_config, tmp_path, monkeypatch, cache
):
    train(bert_config, tmp_path / "kept")
    assert len([path for path in cache.iterdir() if path.is_dir()]) == 1  # captions and prompts are the same texts here
    monkeypatch.setattr(frozen_text, "compute", None)  # not called again
    train(bert_config, tmp_path / "again")
    assert losses(tmp_path / "again") == losses(tmp_path / "kept")
    bert_config.text.cache = False
    train(bert_config, tmp_path / "anew")
    np.testing.assert_allclose(losses(tmp_path / "kept"), losses(tmp_path / "anew"), rtol=1e-4)
    kept, anew = (runs.last_evaluation(tmp_path / name, "glyphs:test") for name in ("kept", "anew"))
    assert kept["top1"] == pytest.approx(anew["top1"], abs=5)


def test_an_interrupted_computation_of_states_goes_on(bert_config, monkeypatch, cache):
    texts = [f"{i} cats" for i in range(20)]
    tower = open_towers(bert_config).text
    monkeypatch.setattr(frozen_text, "CHUNK", 8)
    whole = np.array(frozen_text.frozen_text(tower, bert_config, texts)(texts))
    (folder,) = (path for path in cache.iterdir() if path.is_dir())
    partial = folder.rename(folder.with_suffix(".partial"))
    (partial / frozen_text.DONE).write_text("16")
    states = np.lib.format.open_memmap(partial / frozen_text.STATES, "r+")
    states[16:] = 0  # what was not done
    first, seen = frozen_text.TextEmbedder.raw, []
    monkeypatch.setattr(frozen_text.TextEmbedder, "raw", lambda self, t: seen.extend(t) or first(self, t))
    np.testing.assert_allclose(frozen_text.frozen_text(tower, bert_config, texts)(texts), whole, rtol=1e-5, atol=1e-6)
    assert len(seen) == 4


def test_kept_states_are_those_of_the_tower_for_each_text(bert_config, bert):
    tower = open_towers(bert_config).text
    texts = ["a cat", "two dogs in the park", "a", "cat a"]
    kept = frozen_text.frozen_text(tower, bert_config, texts)
    model = nnx.merge(*nnx.split(nnx.jit(lambda: tower.build(nnx.Rngs(0)))()))
    filled = tower.fill(nnx.State({"text": nnx.state(model)}))["text"]
    nnx.update(model, filled)
    np.testing.assert_allclose(kept(texts[::-1]), model.state(tower.tokenizer(texts[::-1])), rtol=1e-5, atol=1e-6)


def test_other_captions_other_weights_and_another_dtype_have_states_of_their_own(bert_config, config):
    both = [open_towers(c).text for c in (bert_config, config)]
    texts = frozen_text.hashes_of(["a", "b"])
    keys = {frozen_text.key(tower, bert_config, texts) for tower in both}
    keys.add(frozen_text.key(both[0], bert_config, texts[:1]))
    bert_config.model.dtype = "bfloat16"
    keys.add(frozen_text.key(both[0], bert_config, texts))
    assert len(keys) == 4


@pytest.mark.parametrize("change", ["resample", "dropout", "cache", "freeze"])
def test_what_changes_from_step_to_step_is_not_kept(bert_config, change):
    tower = open_towers(bert_config).text
    assert frozen_text.is_kept(bert_config, tower)
    if change == "resample":
        bert_config.data.captions.resample = True
    elif change == "dropout":
        bert_config.text.dropout = 0.1
    else:
        bert_config.text[change] = False
    assert not frozen_text.is_kept(bert_config, tower)


def test_a_frozen_encoder_has_a_trained_mlp_behind_it(bert_config, tmp_path):
    before = dict(nnx.to_flat_state(start(bert_config).trainable))
    train(bert_config, tmp_path / "run")
    model = end(bert_config, tmp_path / "run")
    mine = {path[1:]: v for path, v in before.items() if path[0] == "text"}
    width, dim = model.text.transformer.embeddings.LayerNorm.scale.shape[0], bert_config.model.image.output_dim
    assert {p: v.shape for p, v in mine.items()} == {
        ("proj", "0", "kernel"): (width, (width + dim) // 2),
        ("proj", "2", "kernel"): ((width + dim) // 2, dim),
    }
    after = dict(nnx.to_flat_state(nnx.state(model.text, nnx.Param)))
    for path, variable in mine.items():
        assert np.abs(after[path][...] - variable[...]).max() > 1e-6


def test_dropout_changes_a_frozen_tower_from_step_to_step_reproducibly(bert_config, tmp_path):
    bert_config.text.cache = False
    bert_config.eval.sets = ()
    train(bert_config, tmp_path / "without")
    bert_config.text.dropout = 0.2
    for name in ("first", "second"):
        train(bert_config, tmp_path / name)
    assert losses(tmp_path / "first") == losses(tmp_path / "second")
    assert losses(tmp_path / "first")[0] != losses(tmp_path / "without")[0]
    bert_config.model.image.update({"name": "vit", "layers": (1,), "heads": 2, "width": 16, "patch_size": 8})
    bert_config.accumulate_steps = 2
    train(bert_config, tmp_path / "accumulated")
    assert np.isfinite(losses(tmp_path / "accumulated")).all()


def test_an_encoder_with_its_mlp_is_exported(bert_config, published, tmp_path):
    bert_config.image.init = str(published)
    train(bert_config, tmp_path / "run")
    export(tmp_path / "run", tmp_path / "exported")
    assert_equal(load(tmp_path / "exported").model, end(bert_config, tmp_path / "run"))


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"text.init": "nowhere"}, "no model 'nowhere'"),
        ({"text.init": "random", "text.dropout": 0.1}, "only BERT and RoBERTa towers"),
        ({"text.dropout": 0.1}, "only BERT and RoBERTa towers"),
        ({"text.dropout": 1.0}, "'text.dropout' is 1.0; it must be 0 or more and below 1"),
        ({"image.init": "nowhere"}, "no model 'nowhere'"),
    ],
)
def test_a_mistake_about_a_tower_is_named(config, tmp_path, changes, complaint):
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        train(config, tmp_path / "run")


def test_a_tower_without_tokenizer_or_with_other_pixels_is_refused(config, published, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    document = json.loads((published / "open_clip_config.json").read_text())
    document["preprocess_cfg"]["mean"] = [0.5, 0.5, 0.5]
    (copy / "open_clip_config.json").write_text(json.dumps(document))
    (copy / "open_clip_model.safetensors").symlink_to(published / "open_clip_model.safetensors")
    config.text.init = str(copy)
    with pytest.raises(UserError, match="without a tokenizer.json"):
        open_towers(config)
    config.text.init, config.image.init = "random", str(copy)
    with pytest.raises(UserError, match="pixel statistics"):
        open_towers(config)


def test_a_repository_is_an_encoder_where_it_has_no_configuration_of_open_clips(monkeypatch):
    repositories = {"a/clip": ["open_clip_config.json", "config.json"], "a/bert": ["config.json"]}

    def fetch(repository, files, revision):
        if files[0] not in repositories[repository]:
            raise UserError(f"no {files[0]}")

    monkeypatch.setattr(towers.hub, "fetch", fetch)
    assert not towers.is_encoder("hf-hub:a/clip") and towers.is_encoder("hf-hub:a/bert")


def test_roberta_base_gets_the_studys_mlp():
    shape = bert_shape(named_encoder("roberta-base"))
    model = nnx.eval_shape(lambda: BertText(shape, 1024, rngs=nnx.Rngs(0)))
    assert {path: v.shape for path, v in nnx.to_flat_state(nnx.state(model.proj))} == {
        ("0", "kernel"): (768, 896),
        ("2", "kernel"): (896, 1024),
    }


def test_weights_that_changed_since_the_run_began_are_noticed(frozen_run, published, tmp_path):
    config, workdir = frozen_run
    shutil.copytree(workdir, tmp_path / "run")
    noted = json.loads((tmp_path / "run" / TOWERS).read_text())
    assert noted["text"]["digest"] == load(published).digest
    noted["text"]["digest"] = "0" * 64
    (tmp_path / "run" / TOWERS).write_text(json.dumps(noted))
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    del settings["finished"]
    (tmp_path / "run" / "config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match="began with other weights"):
        train(config, tmp_path / "run")


def test_a_run_from_before_a_field_was_there_goes_on(frozen_run, tmp_path):
    config, workdir = frozen_run
    noted = json.loads((workdir / "config.json").read_text())
    del noted["config"]["image.freeze"], noted["config"]["text.dropout"]
    (tmp_path / "config.json").write_text(json.dumps(noted))
    assert runs.difference_to(tmp_path, config, FIELDS) == ""


def test_image_towers_are_held_to_the_rules_of_their_kind(config, published):
    config.image.init, config.text.init = str(published), "random"
    config.model.image.name, config.accumulate_steps = "basic_resnet", 2  # a ViT has no batch norm
    validate(config)
    open_towers(config)
    config.data.image_size = 36
    with pytest.raises(UserError, match="data.image_size: 36 is not divisible by 8"):
        open_towers(config)


def test_texts_that_are_not_kept_and_folders_that_cannot_be_written_are_named(bert_config, tmp_path, monkeypatch):
    tower = open_towers(bert_config).text
    kept = frozen_text.frozen_text(tower, bert_config, ["a cat"])
    with pytest.raises(KeyError, match="zzz"):
        kept(["a cat", "zzz"])
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(UserError, match="cannot be kept in .*text.cache=False"):
        frozen_text.frozen_text(tower, bert_config, ["a cat"])


def test_a_hub_name_may_pin_a_revision():
    assert towers.hub.split("hf-hub:a/b@main") == ("a/b", "main")
    assert towers.hub.split("hf-hub:a/b") == ("a/b", None)
    assert towers.hub.split("/tmp/a@b") == ("/tmp/a@b", None)


def test_frozen_text_travels_to_workers(bert_config):
    import pickle

    texts = ["a cat", "a dog"]
    kept = frozen_text.frozen_text(open_towers(bert_config).text, bert_config, texts)
    copy = pickle.loads(pickle.dumps(kept))
    assert isinstance(copy, FrozenText)
    np.testing.assert_array_equal(copy(texts), kept(texts))
