"""Training that starts from towers of other runs, of published models and of text encoders."""

import copy
import json
import shutil

import jax
import numpy as np
import pytest
from flax import nnx
from safetensors.numpy import save_file

from cliptail_jax.config.training import TextTower
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import write_json
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.jobs.train import train
from cliptail_jax.models.cosine import INITIAL_LOGIT_SCALE
from cliptail_jax.models.text_towers import describe_text_tower
from cliptail_jax.objectives import typed_config
from cliptail_jax.parallel.sharding import make_mesh
from cliptail_jax.pretrained import model, open_model
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.pretrained.text_embedder import load_text_embedder
from cliptail_jax.pretrained.text_encoder import open_encoder
from cliptail_jax.pretrained.towers import Tower, open_image_tower, open_text_tower
from cliptail_jax.runs.evaluations import last_evaluation
from cliptail_jax.runs.manifests import manifest_of
from cliptail_jax.training.initialization import FILE, TOWERS, init_state, load_towers
from tests.pretrained.seeded_weights import draw_all
from tests.pretrained.tiny_models import CASES, assert_same, write_tokenizer
from tests.saved_state import losses, read_state, unfinish, without_last_step
from tests.synthetic import objective_of, sections

DEVICES = 8
IMAGE = {"output_dim": 16, "image_size": 32, "partial": False}
TEXT = {"output_dim": 16, "context_length": 10, "partial": False}


def first_states(config):
    """The state of a new run before and after it gets the weights of its towers."""
    objective = objective_of(config)
    _, state, shardings = init_state(
        objective, objective.make_optimizer(), make_mesh(sections(config).mesh), config.seed
    )
    return state, load_towers(state, objective.towers, shardings)


@pytest.mark.parametrize("name, fsdp, freeze", [("sup", 1, False), ("dino", 4, True)])
def test_a_tower_starts_with_what_evaluation_of_its_run_uses(sup_config, trained_run, name, fsdp, freeze):
    _, workdir = trained_run(name)
    sup_config.image.update({"init": str(workdir), "freeze": freeze})
    sup_config.mesh.fsdp, sup_config.head.kind = fsdp, "linear"
    _, state = first_states(sup_config)
    tower = open_model(str(workdir)).model.visual
    params = state.frozen if freeze else state.trainable
    for variables, kind in ((params, nnx.Param), (state.batch_stats, nnx.BatchStat)):
        jax.tree.map(np.testing.assert_array_equal, variables["visual"], nnx.state(tower, kind))
    kernel = params["visual"]["fc"]["kernel"][...]
    assert kernel.addressable_shards[0].data.size * fsdp == kernel.size


@pytest.mark.parametrize("name, part", [("sup", "trainable"), ("dino", "batch_stats")])
def test_where_a_run_has_averages_its_tower_is_averaged(trained_run, name, part):
    _, workdir = trained_run(name)
    state = read_state(workdir)
    averages = {path: v[...] for path, v in nnx.to_flat_state(nnx.state(open_run(workdir).model.visual))}
    last_values = {path[:-1]: v for path, v in jax.tree_util.tree_leaves_with_path(state[part]["visual"])}
    for keys, value in last_values.items():
        path = tuple(int(key.key) if key.key.isdigit() else key.key for key in keys)
        assert not np.array_equal(averages[path], value), path


def test_published_towers_start_as_published_and_the_rest_as_in_any_run(clip_config, published):
    clip_config.image.init = clip_config.text.init = str(published)
    clip_config.mesh.data, clip_config.mesh.fsdp = 4, 2
    initial, state = first_states(clip_config)
    theirs = load(published).model
    ours = dict(nnx.to_flat_state(state.trainable))
    assert any(not v[...].sharding.is_fully_replicated for v in ours.values())
    for path, variable in nnx.to_flat_state(nnx.state(theirs, nnx.Param)):
        if path[0] != "logit_scale":
            np.testing.assert_array_equal(ours.pop(path)[...], variable[...])
    assert ours.keys() == {("logit_scale",)}
    np.testing.assert_allclose(state.trainable["logit_scale"][...], INITIAL_LOGIT_SCALE)
    assert not np.array_equal(initial.trainable["visual"]["proj"][...], state.trainable["visual"]["proj"][...])


def test_towers_may_be_of_runs_of_published_models_and_of_runs_that_started_from_others(
    trained_run, linear_run, published, bert_run
):
    workdir = trained_run("clip")[1]
    for name in (workdir, published):
        ours = open_image_tower(str(name), **IMAGE).load(), open_text_tower(str(name), **TEXT).load()
        theirs = open_run(workdir).model
        for tower, expected in zip(ours, (theirs.visual, theirs.text), strict=True):
            assert_same(tower, expected)
    tower = open_image_tower(str(linear_run[1]), **IMAGE).load()
    assert_same(tower, open_run(linear_run[1]).model.visual)
    tower = open_text_tower(str(bert_run[1]), **TEXT)
    assert_same(tower.load(), open_run(bert_run[1]).model.text)
    np.testing.assert_array_equal(tower.tokenizer(["two cats"]), open_run(bert_run[1]).tokenizer(["two cats"]))


@pytest.mark.parametrize("name, width", [("transformer", 32), ("bert", 32), ("roberta-base", 768)])
def test_the_pooled_outputs_of_a_runs_text_tower_are_as_wide_as_the_tower(name, width):
    text = TextTower(name=name, width=32, heads=4)
    tower = Tower("text", "a run", None, describe_text_tower(text), output_dim=16, quick_gelu=False)
    assert tower.pooled_width == width


def test_a_run_resumes_with_the_same_numbers(linear_run, tmp_path):
    config, workdir = linear_run
    copy = without_last_step(shutil.copytree(workdir, tmp_path / "copy"))
    train(config, copy)
    assert losses(copy) == losses(workdir) and len(losses(copy)) == 3
    assert_same(open_run(workdir).model, open_run(copy).model)


def test_other_weights_than_those_a_run_began_with_are_an_error(linear_run, tmp_path):
    config, workdir = linear_run
    unfinish(shutil.copytree(workdir, tmp_path / "run"))
    noted = json.loads((tmp_path / "run" / TOWERS).read_text())
    assert noted["visual"]["digest"] == open_model(noted["visual"]["name"]).digest
    noted["visual"]["digest"] = "0" * 64
    write_json(tmp_path / "run" / TOWERS, noted)
    with pytest.raises(UserError, match="began with other weights of .* than there are now"):
        train(config, tmp_path / "run")


def test_another_checkpoint_has_another_digest(trained_run, tmp_path):
    workdir = trained_run("sup")[1]
    copy = without_last_step(shutil.copytree(workdir, tmp_path / "copy"))
    assert open_run(copy).step == 1 and open_run(workdir).step == 2
    assert open_run(copy).digest != open_run(workdir).digest


def test_a_checkpoint_that_training_removes_meanwhile_is_named(trained_run, tmp_path):
    copy = unfinish(shutil.copytree(trained_run("sup")[1], tmp_path / "copy"))
    opened = open_run(copy)
    shutil.rmtree(copy / "checkpoints" / "2")
    manifest_of(copy / "checkpoints" / "2").unlink()
    with pytest.raises(UserError, match="2 no longer exists: its run has a newer checkpoint"):
        _ = opened.model
    assert open_run(copy).step == 1


def test_every_parameter_is_reported(frozen_run, linear_run, published):
    def table(workdir):
        return [line.split("\t") for line in (workdir / FILE).read_text().splitlines()[1:]]

    for name, _, origin, fate in table(frozen_run[1]):
        assert origin == ("random" if name == "logit_scale" else str(published)), name
        assert (fate == "frozen") == name.startswith("text."), name
    config, workdir = linear_run
    for name, _, origin, _ in table(workdir):
        assert origin == ("random" if name in ("head", "bias") else config.image.init), name


def test_a_run_with_a_frozen_published_tower_is_evaluated_and_embeds_texts_as_that_does(frozen_run, published):
    config, workdir = frozen_run
    in_training = last_evaluation(workdir, "glyphs:test")["top1"]
    assert evaluate(config, workdir)["glyphs:test"]["top1"] == pytest.approx(in_training)
    theirs, ours = load(published), open_run(workdir)
    assert_same(ours.model.text, theirs.model.text)
    texts = ["a photo of a cat", "seven"]
    features = load_text_embedder(str(workdir)).raw(texts)
    np.testing.assert_allclose(features, theirs.model.encode_text(theirs.tokenizer(texts)), rtol=1e-4, atol=1e-5)
    assert float(ours.model.logit_scale[...]) != pytest.approx(INITIAL_LOGIT_SCALE, abs=1e-7)


def test_a_frozen_encoder_has_a_trained_mlp_behind_it(bert_run, bert, tmp_path):
    early_run = without_last_step(shutil.copytree(bert_run[1], tmp_path / "before"))
    text, early_text = (open_run(workdir).model.text for workdir in (bert_run[1], early_run))
    encoder = open_encoder(bert, context_length=10).model.text.transformer
    assert_same(text.transformer, encoder)
    width, dim = encoder.embeddings.LayerNorm.scale.shape[0], 16
    for name, shape in {"0": (width, (width + dim) // 2), "2": ((width + dim) // 2, dim)}.items():
        kernel, early_kernel = text.proj[name].kernel[...], early_text.proj[name].kernel[...]
        assert kernel.shape == shape and np.abs(kernel - early_kernel).max() > 1e-6


def test_parameters_that_weights_do_not_fill_are_an_error_with_both_shapes_or_trained(clip_config, published, tmp_path):
    clip_config.text.init, clip_config.model.image.output_dim = str(published), 24
    complaint = r"text_projection has shape \[16, 16\], .* \[16, 24\]; set model.image.output_dim=16, or text.partial"
    with pytest.raises(UserError, match=complaint):
        train(clip_config, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    clip_config.text.update({"partial": True, "freeze": True})
    _, state = first_states(clip_config)
    assert list(state.trainable["text"]) == ["text_projection"] and "text_projection" not in state.frozen["text"]


def test_an_image_tower_of_another_width_is_an_error_or_filled_in_part(trained_run):
    name, wider = str(trained_run("dino")[1]), IMAGE | {"output_dim": 24}
    with pytest.raises(UserError, match="does not fill the tower: .*set model.image.output_dim=16, or image.partial"):
        open_image_tower(name, **wider)
    tower = open_image_tower(name, **wider | {"partial": True})
    assert tower.missing_parameters.keys() == {("visual", "fc", "kernel"), ("visual", "fc", "bias")}


def test_dropout_changes_a_frozen_tower_in_micro_batches_too(bert_run, tmp_path):
    config = bert_run[0].copy_and_resolve_references()
    config.text.update({"cache": False, "dropout": 0.2})
    config.eval.sets, config.total_steps, config.accumulate_steps = (), 2, 2
    train(config, tmp_path / "run")
    assert losses(tmp_path / "run")[0] != pytest.approx(losses(bert_run[1])[0], rel=1e-4)


def test_towers_are_held_to_the_rules_of_their_kind(sup_config, trained_run, published):
    sup_config.image.init, sup_config.batch_norm.group_size = str(trained_run("dino")[1]), 5
    with pytest.raises(UserError, match="batch_norm.group_size=5 does not divide batch_size=16"):
        objective_of(sup_config)
    sup_config.image.init, sup_config.accumulate_steps = str(published), 2  # a ViT has no batch norm
    sup_config.batch_norm.group_size = 0
    typed_config(sup_config)
    objective_of(sup_config)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"text.init": "nowhere"}, "text.init: unknown model 'nowhere'"),
        ({"text.dropout": 0.1}, "only encoders such as BERT"),
        ({"text.dropout": 1.0}, "'text.dropout' is 1.0; it must be 0 or more and below 1"),
    ],
)
def test_a_mistake_about_a_tower_is_named(clip_config, published, tmp_path, changes, complaint):
    clip_config.text.init = str(published)
    clip_config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        train(clip_config, tmp_path / "run")


def test_models_that_cannot_give_a_tower_are_named(trained_run, published, tmp_path):
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("open_clip_config.json", "open_clip_model.safetensors"):
        (copy / name).symlink_to(published / name)
    with pytest.raises(UserError, match="text.init: .*copy comes without a tokenizer.json: .*text.tokenizer"):
        open_text_tower(str(copy), **TEXT)
    (copy / "tokenizer.json").write_text("{}")
    with pytest.raises(UserError, match="text.init: .*tokenizer.json is not a tokenizer.json"):
        open_text_tower(str(copy), **TEXT)
    with pytest.raises(UserError, match="text.init: .* has no text tower"):
        open_text_tower(str(trained_run("sup")[1]), **TEXT)
    run = shutil.copytree(trained_run("dino")[1], tmp_path / "run")
    shutil.rmtree(run / "checkpoints")
    with pytest.raises(UserError, match="image.init: there is no valid checkpoint in .*checkpoints: train until"):
        open_image_tower(str(run), **IMAGE)


def test_weights_with_another_activation_keep_it_as_a_text_tower(published, monkeypatch):
    opened, clip = [], load(published)
    monkeypatch.setattr(model, "open_published", lambda *name, **options: opened.append((name, options)) or clip)
    open_text_tower("RN50/cc12m", **TEXT)
    ((name, options),) = opened
    assert name == ("hf-hub:timm/resnet50_clip.cc12m",) and options["architecture"] == "RN50"


CONTEXT = 24
TOKENS = 500  # of the larger of the two tokenizers
TEXTS = ["A photo of two cats, sitting!", "a_photo of TWO cats sitting", "seven"]


def write_siglip(folder, kind):
    """The folder of a published 'siglip' or 'siglip2' with its tokenizer; its pixel statistics are CLIP's."""
    config, shapes = copy.deepcopy(CASES[kind]["config"]), dict(CASES[kind]["shapes"])
    text = config["text_cfg"]
    text |= {"vocab_size": TOKENS, "context_length": CONTEXT}
    text |= {"hf_tokenizer_name": "of the folder", "tokenizer_kwargs": {"clean": "canonicalize"}}
    shapes["text.token_embedding.weight"] = [TOKENS, text["width"]]
    shapes["text.positional_embedding"] = [CONTEXT, text["width"]]
    folder.mkdir()
    save_file(draw_all(shapes), folder / "open_clip_model.safetensors")
    (folder / "open_clip_config.json").write_text(json.dumps({"model_cfg": config}))
    write_tokenizer(folder, kind)
    return folder


def test_the_bias_is_said_to_be_dropped_in_a_softmax_whose_text_tower_stays_frozen(
    clip_config, tmp_path, monkeypatch, capsys
):
    siglip = write_siglip(tmp_path / "siglip2", "siglip2")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    clip_config.image.init = clip_config.text.init = str(siglip)
    clip_config.text.freeze, clip_config.model.image.output_dim, clip_config.total_steps = True, 32, 2
    clip_config.data.captions.template = "a+cname"
    train(clip_config, tmp_path / "run")
    assert capsys.readouterr().err.count(f"{siglip} is a SigLIP: its logit bias is dropped") == 1
    theirs, ours = load(siglip), open_run(tmp_path / "run")
    assert_same(ours.model.text, theirs.model.text)
    tokens = theirs.tokenizer(TEXTS)
    np.testing.assert_array_equal(ours.tokenizer(TEXTS), tokens)
    np.testing.assert_array_equal(tokens[0], tokens[1])  # canonical text
    assert not hasattr(ours.model, "logit_bias")
    export(tmp_path / "run", tmp_path / "out")
    saved_model = load(tmp_path / "out")
    assert_same(saved_model.model, ours.model)
    np.testing.assert_array_equal(saved_model.tokenizer(TEXTS), tokens)
