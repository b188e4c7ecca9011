import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cliptail_jax.config.command_line import flag_error, read_config, with_fields, without_config
from cliptail_jax.config.fields import flatten
from cliptail_jax.config.training import check_batch_norm
from cliptail_jax.datasets.known_sources import PRESETS
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import FIELDS, base_config, typed_config
from cliptail_jax.programs.command_line import with_flag_names
from configs import clip, dino, sup, zero_shot
from tests.forked_programs import run_forked

ROOT = Path(__file__).parents[2]
DINO = {"objective": "dino", "data.resize": "step"}


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_of_every_family_is_valid(preset):
    for family in (sup, clip, dino):
        typed_config(family.get_config(f"data={preset}"))


@pytest.mark.parametrize(
    "changes, complaint",
    [
        ({"vocabulary.sampling": "linaer"}, "'vocabulary.sampling' is 'linaer'; it must be one of 'uniform', 'linear', 'sqrt'"),
        ({"eval.sets": (1,)}, r"'eval.sets' is \(1,\); each of its elements must be of type str"),
        ({"model.image.layers": (1, 0, 1)}, "'model.image.layers' is .*every stage one block or more"),
        ({"batch_size": 0}, "'batch_size' is 0; it must be positive"),
        ({"checkpoint.keep": 1}, "'checkpoint.keep' is 1; it must be 2 or more"),
        ({"data.shift": -1}, "'data.shift' is -1; it must not be negative"),
        ({"data.fraction": 1.5}, "'data.fraction' is 1.5; it must be a share between 0 and 1"),
        ({"data.crop_scale": (0.9, 0.5)}, "'data.crop_scale' is .* a pair of shares"),
        ({"data.multi_crop.max_blur": 3.0}, "'data.multi_crop.max_blur' is 3.0; it must be between 0 and 2.0 pixels"),
        ({"data.shift": 224}, "data.shift=224 must be smaller than data.image_size=224"),
        ({"data.resize": "step", "data.shift": 4}, "data.shift is for images that are not cropped in the step"),
        ({"data.resize": "step", "data.canvas": 200}, "data.canvas=200 is smaller than data.image_size=224"),
        ({"data.eval_resize": 200}, "data.eval_resize=200 is smaller than data.image_size=224"),
        ({"data.classes.first": 3, "data.classes.random": 4}, "set one of data.classes.names, list, first, random and at_least"),
        ({"data.batch_classes": 2, "data.batch_composition": "distinct"}, "set data.batch_classes or data.batch_composition=.distinct., not both"),
        ({"data.n": 10, "data.fraction": 0.5}, "data.n or data.fraction, not both"),
        ({"data.profile.largest": 9}, "data.profile.largest and .order need a profile"),
        ({"data.match.n": 9}, "data.match.n and .assignment change the class frequencies of data.match.frequency: set it, or leave"),
        ({"data.removed.words": True}, "data.removed.words needs data.removed.classes"),
        ({"data.class_match.unmatched_fraction": 0.5}, "unmatched_fraction needs data.class_match.unmatched='keep'"),
        ({"data.profile.mirrored": True}, "mirrored reverses the order of a profile's classes: set data.profile.name"),
        ({"loss.count_in_batch": True}, "count_in_batch counts the classes of a sampled vocabulary: set vocabulary.size"),
        ({"objective": "contrastive", "eval.confidence": "sigmoid"}, "needs a logit bias, which objective='contrastive' does not"),
        ({"objective": "sigmoid", "contrastive.text_to_image": False}, "text_to_image is for objective='contrastive' and has no effect"),
        ({"data.captions.distractors": 0.1}, "class name in a template: set data.captions.template"),
        ({"data.labels.noise": 1.5}, "'data.labels.noise' is 1.5; it must be a share between 0 and 1"),
        ({"data.captions.distractors": -0.1}, "'data.captions.distractors' is -0.1; it must be a share between 0 and 1"),
        ({"data.captions.distractor_sampling": "sqrt"}, "is 'sqrt'; it must be one of 'uniform', 'frequency'"),
        ({"objective": "contrastive", "data.labels.noise": 0.1}, "which objective='contrastive' does not train on"),
        ({"data.captions.max_words": 2}, "max_words applies to text fields: name them in data.captions.words"),
        ({"vocabulary.group_size": 100}, "vocabulary.group_size=100 does not divide batch_size=256"),
        ({"accumulate_steps": 3}, "batch_size=256 is not divisible by accumulate_steps=3"),
        ({"head.kind": "linear", "head.init": "head.npy"}, "head.init has the class embeddings of a cosine head"),
        ({"objective": "contrastive", "vocabulary.size": 2}, "vocabulary.size is for objective='supervised' and has no effect"),
        ({"dino.hidden": 5}, "dino.hidden is for objective='dino'.*'supervised': leave it at 2048"),
        ({"objective": "sigmoid", "batch_size": 1}, "batch_size=1 has no other pair"),
        ({"objective": "dino", "vocabulary.size": 100_000}, "vocabulary.size=100000 is larger than dino.prototypes"),
        ({"objective": "dino", "data.shift": 4}, "data.shift is not supported with objective='dino'"),
        (DINO | {"accumulate_steps": 2}, "accumulate_steps is 1 with objective='dino'"),
        (DINO | {"batch_norm.group_size": 8}, "batch_norm.group_size is not supported with objective='dino': set it to 0"),
        (DINO | {"dino.teacher_momentum": 1.0}, "'dino.teacher_momentum' is 1.0; it must be 0 or more and below 1"),
        (DINO | {"optimizer.ema_decay": 0.5}, "the teacher is the moving average"),
        ({"optimizer.warmup_steps": 5, "optimizer.warmup_epochs": 1}, "or optimizer.warmup_epochs, not both"),
        ({"optimizer.final_learning_rate": 1e-5}, "final_learning_rate is for optimizer.schedule='cosine_steps', or a cooldown"),
        ({"optimizer.cooldown": 0.5}, "optimizer.cooldown is for a constant rate: set optimizer.schedule='constant'"),
        ({"data.multi_crop.local_scale": (0.5, 0.1)}, "'data.multi_crop.local_scale' is .* a pair of shares"),
        (DINO | {"data.multi_crop.local_size": 256}, "local_size=256 is larger than data.image_size=224"),
        ({"eval.logit_adjustment": float("nan")}, "'eval.logit_adjustment' is nan; it must be finite"),
        ({"eval.estimate_prior": True}, "only logit adjustment uses eval.estimate_prior: set eval.logit_adj"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_with_its_key(changes, complaint):
    config = base_config()
    config.update_from_flattened_dict(changes)
    with pytest.raises(UserError, match=complaint):
        typed_config(config)


def test_groups_that_share_batch_statistics_lie_within_a_micro_batch():
    with pytest.raises(UserError, match="batch_norm.group_size=100 does not divide batch_size=256"):
        check_batch_norm(256, 1, group_size=100)
    with pytest.raises(UserError, match="set batch_norm.group_size to 128 or a divisor"):
        check_batch_norm(256, 2, group_size=0)


def test_published_models_are_not_trained():
    with pytest.raises(UserError, match="'objective' is 'zero_shot'.* evaluated with cliptail evaluate"):
        typed_config(zero_shot.get_config())


def test_unknown_and_missing_keys_are_named():
    config = base_config().unlock()
    config.optimizer.learning_rte = 0.1
    similar = "unknown config key 'optimizer.learning_rte' .did you mean optimizer.learning_rate"
    with pytest.raises(UserError, match=similar):
        typed_config(config)
    config = base_config().unlock()
    config.data.class_match.vocabulary = "cub"
    with pytest.raises(
        UserError, match="'data.class_match.vocabulary' is now 'data.class_match.classes': use that name"
    ):
        typed_config(config)
    config = base_config().unlock()
    del config.optimizer.sgd["momentum"]
    with pytest.raises(UserError, match="'optimizer.sgd.momentum' is missing"):
        typed_config(config)


@pytest.mark.parametrize("value", ["many", True])
def test_a_value_of_another_type_is_named(value):
    config = base_config()
    with config.ignore_type():
        config.batch_size = value
    with pytest.raises(UserError, match=f"'batch_size' is {value!r}; it must be of type int"):
        typed_config(config)


def test_how_often_and_where_a_run_writes_is_incidental():
    incidental = {field.key for field in FIELDS if field.is_incidental}
    assert {"log_every_steps", "data.workers", "data.data_dir", "eval.every_epochs", "mesh.fsdp"} <= incidental
    assert not {"data.seed", "batch_size", "optimizer.learning_rate", "head.init", "text.dropout"} & incidental


@pytest.mark.parametrize(
    "arguments, complaint",
    [
        (["--config=configs/none.py"], "config file 'configs/none.py' does not exist"),
        (["--config=configs/sup.py:data=imagenette"], "unknown data preset 'imagenette' (did you mean imagenet64 or"),
        (["--config=configs/sup.py:dat=glyphs"], "unknown config argument 'dat'"),
        (["--config=configs/clip.py:data=glyphs,sets=a:val,b:val"], "'b:val' has no value; join several values of one"),
        (["--config=configs/sup.py:batch_size=many"], "batch_size is 'many'; it must be a whole number"),
        (["--config", "configs/sup.py", "--config.batch_sise=1"], "did you mean batch_size"),
        (["--config=configs/sup.py", "--config.optimzer.learning_rate=1"], "did you mean optimizer.learning_rate"),
        (["--config=configs/sup.py", "--config.optimizer.momentum=0.5"], "did you mean optimizer.sgd.momentum or"),
        (["--config=configs/sup.py", "--config.optimizer.b2=0.5"], "did you mean optimizer.lion.b2 or optimizer.ad"),
        (["--config=configs/sup.py", "--config.optimizer.eps=0.5"], "did you mean optimizer.adamw.eps?"),
        (["--config=configs/sup.py", "--config.optimizer.lr=0.1"], "did you mean optimizer.learning_rate?"),
        (["--config=configs/sup.py", "--config.lr=0.1"], "did you mean optimizer.learning_rate?"),
        (["--config=configs/sup.py", "--noconfig.data.flop"], "did you mean data.flip"),
    ],
)
def test_a_bad_command_line_is_explained(arguments, complaint, monkeypatch):
    monkeypatch.chdir(ROOT)
    config, fields, _ = without_config(arguments)
    with pytest.raises(UserError) as error:
        with_fields(read_config(config), fields)
    assert complaint in str(error.value)


READS_UNKNOWN_FIELD = r"reads an unknown field 'sise' \(did you mean size\?\)"
SETS_UNKNOWN_FIELD = (
    r"sets an unknown field 'sise' \(did you mean size\?\); there are size \(a loss of yours: .*/study/own.md\)"
)


@pytest.mark.parametrize(
    ("code", "complaint"),
    [
        ("1 / 0", "fails with ZeroDivisionError: division by zero"),
        ("CONFIG.sise", READS_UNKNOWN_FIELD),
        ("CONFIG['sise']", READS_UNKNOWN_FIELD),
        ("setattr(CONFIG, 'sise', 2)", SETS_UNKNOWN_FIELD),
        ("CONFIG.update(sise=2)", SETS_UNKNOWN_FIELD),
        ("CONFIG.__setitem__('sise', 2)", SETS_UNKNOWN_FIELD),
        ("{}['size']", "fails with KeyError: size"),
    ],
)
def test_a_config_file_that_fails_is_explained(code, complaint, tmp_path):
    text = f"from ml_collections import ConfigDict\nCONFIG = ConfigDict(dict(size=1)).lock()\ndef get_config():\n    return {code}\n"
    (tmp_path / "broken.py").write_text(text)
    with pytest.raises(UserError) as error:
        read_config(f"{tmp_path}/broken.py")
    assert re.fullmatch(f"config file '.*broken.py', line 4, {complaint}", str(error.value))
    assert "present" not in str(error.value)


def test_a_flag_of_another_type_is_explained():
    values = dict(flatten(base_config()))
    message = "flag --config.batch_size=many: invalid literal for int() with base 10: 'many'"
    assert str(flag_error(message, values)) == "config key 'batch_size' is 'many'; it must be of type int"
    assert str(flag_error("Unknown command line flag 'x'", values)) == "Unknown command line flag 'x'"


@pytest.mark.parametrize(
    "arguments, config, fields, other_arguments",
    [
        (["clip:n=3", "--workdir=x"], "clip:n=3", [], ["--workdir=x"]),
        (["--workdir", "x", "--config", "clip"], "clip", [], ["--workdir", "x"]),
        (["--workdir=x\n--config=clip"], "", [], ["--workdir=x\n--config=clip"]),
        (["--config=clip:data_dir=x\n--overwrite", "--seed=3"], "clip:data_dir=x\n--overwrite", [], ["--seed=3"]),
        (["clip", "--config.seed", "3", "-x"], "clip", ["--config.seed=3"], ["-x"]),
        (["clip", "--config.data.shift", "-3", "-x"], "clip", ["--config.data.shift=-3"], ["-x"]),
        (["clip", "--noconfig.data.flip", "--workdir=x"], "clip", ["--noconfig.data.flip"], ["--workdir=x"]),
    ],
)
def test_a_command_line_has_a_config_values_of_its_fields_and_other_arguments(
    arguments, config, fields, other_arguments
):
    assert without_config(arguments) == (config, fields, other_arguments)


@pytest.mark.program
def test_a_users_mistake_is_one_line_and_a_failing_exit_status(tmp_path):
    (tmp_path / "small_config.py").write_text(
        "from ml_collections import ConfigDict\nget_config = lambda: ConfigDict({'vocabulary': {'size': 3}})\n"
    )
    config = f"--config={tmp_path}/small_config.py"
    complaints = {
        (): "the config is missing, as in: cliptail train sup; --help lists configs",
        (config, "--config=sup"): f"two configs are given, {tmp_path}/small_config.py and sup: leave one out",
        (config,): "--workdir is missing: name",
        (config, "--workdir=README.md/run"): "README.md/run cannot be written: no file can be made",
        (config, "--workdr=runs"): "unrecognized arguments: --workdr=runs (did you mean --workdir?); cliptail train",
        (config, "--config.vocabulary.sise=3"): "unknown config key 'vocabulary.sise' (did you mean vocabulary.size",
    }
    commands = [["train", *arguments] for arguments in complaints]
    for outcome, complaint in zip(run_forked("cliptail_jax", commands), complaints.values(), strict=True):
        assert outcome.returncode == 2
        (line,) = outcome.stderr.splitlines()
        assert line.startswith(f"error: {complaint}")


PROGRAM = "from cliptail_jax.host.errors import command_line\n@command_line\ndef main(_):\n    {}\nmain([])"


@pytest.mark.program
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_program_whose_reader_is_gone_ends_quietly_unless_it_fails(unbuffered):
    def run(statement, unbuffered):
        reader, writer = os.pipe()
        os.close(reader)
        command, environment = [sys.executable, "-c", PROGRAM.format(statement)], {"PYTHONUNBUFFERED": unbuffered}
        streams = {"stdout": writer, "stderr": subprocess.PIPE, "text": True}
        process = subprocess.run(command, cwd=ROOT, env=os.environ | environment, **streams)
        os.close(writer)
        return process.returncode, process.stderr

    assert run("print(1)", unbuffered) == (1, "")
    assert "ZeroDivisionError" in run("print(1); 1 / 0", "")[1]


@pytest.mark.program
@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize("statement", ["print(1)", "print(1); import sys; sys.exit(0)"])
def test_a_program_whose_output_cannot_be_written_ends_with_one_line(statement, unbuffered):
    program = PROGRAM.format(statement).replace("main([])", "raise SystemExit(main([]))")
    with open("/dev/full", "w", encoding="utf-8") as device:
        streams = {"stdout": device, "stderr": subprocess.PIPE, "text": True}
        environment = os.environ | {"PYTHONUNBUFFERED": unbuffered}
        process = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=environment, **streams)
    (line,) = process.stderr.splitlines()
    assert process.returncode == 2 and line.startswith("error: ") and line.endswith("No space left on device")


def test_flags_may_have_hyphens_for_underscores_and_one_hyphen_before_them():
    arguments = [
        "my-study",
        "--max-pairs=8",
        "--until-decided",
        "-max-pairs=a-b",
        "--sbatch=--mem-per-cpu=1",
        "-config.runs.a-b.seed=1",
        "-h",
        "-12",
        "--",
        "--train-data",
    ]
    assert with_flag_names(arguments) == [
        "my-study", "--max_pairs=8", "--until_decided", "--max_pairs=a-b", "--sbatch=--mem-per-cpu=1",
        "--config.runs.a-b.seed=1", "-h", "-12", "--", "--train-data",
    ]  # fmt: skip
