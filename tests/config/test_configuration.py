import subprocess
import sys
from pathlib import Path

import pytest

from cliptail_jax.config.program import explain
from cliptail_jax.config.training import as_config, base_config, check_batch_norm, plain, validate, what_trains
from cliptail_jax.errors import UserError
from configs import clip, common, dino, sup

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("family", [sup, clip, dino])
@pytest.mark.parametrize("preset", common.PRESETS)
def test_every_preset_of_every_family_is_valid(family, preset):
    config = family.get_config(f"data={preset}")
    validate(config)
    assert preset.removesuffix("_cls").removesuffix("_lt") == config.data.name.removeprefix("image_text/")


def test_rate_and_groups_follow_the_batch_size_given_to_the_config():
    config = sup.get_config("data=imagenet2012,batch_size=1024")
    assert (config.batch_size, config.optimizer.learning_rate) == (1024, 0.4)
    assert config.batch_norm.group_size == config.vocabulary.group_size == 256


@pytest.mark.parametrize(
    "key, value, complaint",
    [
        (
            "vocabulary.sampling",
            "linaer",
            "'vocabulary.sampling' is 'linaer'; it is one of 'uniform', 'linear', 'sqrt'",
        ),
        ("model.activation", "relu", "'model.activation' is 'relu'; it is one of 'gelu', 'quick_gelu'"),
        ("model.dtype", "float16", "'model.dtype' is 'float16'; it is one of 'float32', 'bfloat16'"),
        ("eval.templates", "openai8", "'eval.templates' is 'openai8'; it is one of .*'openai80'"),
        ("data.captions.template", "name", "'data.captions.template' is 'name'; it is one of .*'a[+]cname'"),
        ("eval.sets", (1,), r"'eval.sets' is \(1,\); each of its elements is a str"),
        ("model.image.layers", (1, 0, 1), "'model.image.layers' is .*every stage has a block"),
        ("batch_size", 0, "'batch_size' is 0; it must be positive"),
        ("data.shift", 224, "data.shift=224 must be smaller than data.image_size=224"),
        ("checkpoint.keep", 1, "checkpoint.keep=1; it is 2 or more"),
        ("model.image.heads", 0, "'model.image.heads' is 0; it must be positive"),
        ("data.shift", -1, "'data.shift' is -1; it must not be negative"),
        ("data.fraction", 1.5, "'data.fraction' is 1.5; it is a share between 0 and 1"),
        ("vocabulary.group_size", 100, "vocabulary.group_size=100 does not divide batch_size=256"),
        ("head.kind", "affine", "'head.kind' is 'affine'; it is one of 'cosine', 'linear'"),
        ("data.held_out", 1.5, "'data.held_out' is 1.5; it is a share between 0 and 1"),
        ("accumulate_steps", 3, "batch_size=256 is not divisible by accumulate_steps=3"),
        ("data.crop_scale", (0.9, 0.5), "'data.crop_scale'|data.crop_scale is"),
        ("data.eval_resize", 200, "data.eval_resize=200 is smaller than data.image_size=224"),
        (
            "data.classes",
            dict(names=(), vocabulary="", first=3, random=4),
            "takes one of names, vocabulary, first and random",
        ),
    ],
)
def test_a_wrong_value_is_named_with_its_key(key, value, complaint):
    config = base_config()
    config.update_from_flattened_dict({key: value}) if not isinstance(value, dict) else config.data.classes.update(
        value
    )
    with pytest.raises(UserError, match=complaint):
        validate(config)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"optimizer.name": "adamw", "optimizer.nesterov": True}, "optimizer.nesterov is for optimizer.name='sgd'"),
        ({"head.kind": "linear", "head.init": "head.npy"}, "head.init has the class embeddings of a cosine head"),
    ],
)
def test_fields_that_exclude_each_other_are_named(changes, complaint):
    config = base_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        validate(config)


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"batch_norm.group_size": 100}, "batch_norm.group_size=100 does not divide batch_size=256"),
        ({"accumulate_steps": 2}, "set batch_norm.group_size to 128 or a divisor"),
    ],
)
def test_groups_that_share_batch_statistics_lie_within_a_micro_batch(changes, complaint):
    config = base_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        check_batch_norm(config)


def test_a_config_comes_back_from_what_a_run_notes_of_it():
    config = sup.get_config("data=cifar100_lt")
    assert as_config(plain(config)).to_dict() == config.to_dict()


def test_n_and_fraction_exclude_each_other():
    config = base_config()
    config.data.n, config.data.fraction = 10, 0.5
    with pytest.raises(UserError, match="data.n or data.fraction"):
        validate(config)


def test_an_unknown_key_is_named_with_the_one_that_was_meant():
    config = base_config().unlock()
    config.optimizer.learning_rte = 0.1
    with pytest.raises(
        UserError, match="unknown config key 'optimizer.learning_rte'; did you mean 'optimizer.learning_rate'"
    ):
        validate(config)


def test_a_missing_key_is_named():
    config = base_config().unlock()
    del config.vocabulary["size"]
    with pytest.raises(UserError, match="'vocabulary.size' is missing"):
        validate(config)


def test_a_value_of_another_type_is_named():
    config = base_config().unlock()
    config.ignore_type = None
    del config["ignore_type"]
    config = config.copy_and_resolve_references()
    with config.ignore_type():
        config.batch_size = "many"
    with pytest.raises(UserError, match="'batch_size' is 'many'; its type is int, as of 256"):
        validate(config)


def test_what_trains_leaves_out_where_and_how_often():
    first, second = sup.get_config(), sup.get_config()
    second.log_every_steps, second.data.workers, second.data.data_dir, second.eval.every_epochs = 7, 3, "/else", 2
    assert what_trains(plain(first)) == what_trains(plain(second))
    second.data.seed = 1
    assert what_trains(plain(first)) != what_trains(plain(second))


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--config=configs/none.py"], "config file 'configs/none.py' does not exist"),
        (["--config=configs/sup.py:data=imagenette"], "unknown data preset 'imagenette'; choose one of glyphs"),
        (["--config=configs/sup.py:dat=glyphs"], "unknown config argument 'dat'"),
        (["--config=configs/sup.py:batch_size=many"], "batch_size is 'many'; it is a whole number"),
        (["--config", "configs/sup.py", "--config.batch_sise=1"], "did you mean 'batch_size'"),
        (["--config=configs/sup.py", "--config.optimzer.learning_rate=1"], "did you mean 'optimizer.learning_rate'"),
        (["--config=configs/sup.py", "--config.batch_size=many"], "'batch_size' is 'many'; its type is int"),
    ],
)
def test_a_bad_command_line_is_explained(arguments, complaint, monkeypatch):
    monkeypatch.chdir(ROOT)
    assert complaint in str(explain(ValueError("as absl puts it"), ["train", *arguments]))


def test_a_users_mistake_is_one_line_and_a_failing_exit_status(tmp_path):
    command = [sys.executable, "-m", "cliptail_jax.train", "--config=configs/sup.py", f"--workdir={tmp_path}"]
    result = subprocess.run([*command, "--config.vocabulary.sise=3"], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.strip().splitlines()[-1] == (
        "error: unknown config key 'vocabulary.sise'; did you mean 'vocabulary.size'?"
    )
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        ([], "--config is missing: give a config file, as --config="),
        (["--config=configs/sup.py"], "--workdir is missing: name"),
    ],
)
def test_a_missing_flag_is_one_line(arguments, complaint):
    command = [sys.executable, "-m", "cliptail_jax.train", *arguments]
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {complaint}")
