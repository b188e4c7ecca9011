"""Command lines of open_clip become the configs that they describe, or one line that states why not."""

import csv
import re
import shlex
from pathlib import Path

import pytest

from cliptail_jax.config.fields import flatten, plain
from cliptail_jax.config.files import load_config
from cliptail_jax.experiments import catalogue
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import typed_config
from cliptail_jax.open_clip.flags import flags, parse
from cliptail_jax.open_clip.study import STUDY_DATA
from cliptail_jax.open_clip.translate import config_file, translate
from tests.open_clip.commands import PUBLISHED

SCRIPTS = Path(__file__).parents[1] / "data/study_scripts.tsv"
TRAIN = "--train-data x.tar --model ViT-B-32"


def translated(command, devices=1):
    line = parse(shlex.split(command))
    return translate(line, line.processes or devices, tokenizer=None)


def fields(command, devices=1):
    return dict(flatten(translated(command, devices).config))


@pytest.mark.parametrize("place", PUBLISHED)
def test_published_commands_are_translated_or_refused_in_a_line(place):
    command, expected = PUBLISHED[place]
    if isinstance(expected, str):
        with pytest.raises(UserError, match=expected) as refused:
            translated(command)
        assert "\n" not in str(refused.value)
    else:
        values = fields(command)
        assert {key: values[key] for key in expected} == expected


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("--siglip", {"objective": "sigmoid"}),
        ("--precision fp32", {"model.dtype": "float32"}),
        ("--grad-clip-norm 1.0 --seed 3", {"optimizer.clip_norm": 1.0, "seed": 3}),
        ("--lr-scheduler const", {"optimizer.schedule": "constant", "optimizer.warmup_steps": 10000, "optimizer.cooldown": 0.0}),
        (
            "--lr-scheduler const-cooldown --epochs 8 --epochs-cooldown 2 --lr-cooldown-end 1e-5 --lr-cooldown-power 2",
            {"optimizer.cooldown": 0.25, "optimizer.final_learning_rate": 1e-5, "optimizer.cooldown_power": 2.0},
        ),
        ("--skip-scheduler", {"optimizer.schedule": "constant", "optimizer.warmup_steps": 0}),
        ("--force-quick-gelu --force-image-size 256 256", {"model.activation": "quick_gelu", "data.eval_resize": 256}),
        ("--force-context-length 32", {"model.text.context_length": 32}),
        ("--pretrained openai", {"image.init": "hf-hub:timm/vit_base_patch32_clip_224.openai"}),
        ("--pretrained datacomp_xl_s13b_b90k", {"text.init": "hf-hub:laion/CLIP-ViT-B-32-DataComp.XL-s13B-b90K"}),
        ("--pretrained laion2b_s34b_b79k --lock-image", {"image.init": "hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K", "image.freeze": True}),
        (
            "--lock-image --lock-image-unlocked-groups 12",
            {"image.freeze": False, "freeze": tuple(f"visual.{p}" for p in ("conv1", "class_embedding", "positional_embedding", "ln_pre", "transformer.resblocks.0"))},
        ),
        ("--lock-text --lock-text-unlocked-layers 13", {"freeze": ("text.token_embedding", "text.positional_embedding")}),
        ("--json-text-key long_caption", {"data.captions.words": ("long_caption",)}),
        ("--log-every-n-steps 7", {"log_every_steps": 7}),
        ("--model RN50 --batch-size 8 --accum-freq 2", {"batch_size": 16, "batch_norm.group_size": 8}),
        ("--model RN50 --batch-size 8 --accum-freq 2 --use-bn-sync", {"batch_size": 16, "batch_norm.group_size": 8}),
        ("--train-data cc12m_cls.tar --train-num-samples 6400 --workers 1 --epochs 1", {"data.name": "image_text/cc12m_cls", "total_steps": 100}),
        ("--train-data *.tar", {"data.name": "image_text/data"}),
        ("--train-data x.tar --val-data x.tar", {"data.name": "image_text/x", "eval.sets": ("image_text/x-val:val",)}),
        ("--model ViT-B-16-SigLIP --pretrained webli --siglip", {"image.init": "hf-hub:timm/ViT-B-16-SigLIP"}),
        (
            "--model ViT-B-16-SigLIP --siglip",
            {"objective": "sigmoid", "model.text.name": "ViT-B-16-SigLIP", "model.text.vocab_size": 32000, "model.text.context_length": 64},
        ),
        (
            "--image-mean 0.5 0.5 0.5 --image-std 0.5 --image-resize-mode squash",
            {"data.mean": (0.5,) * 3, "data.std": (0.5,) * 3, "data.eval_resize_mode": "squash"},
        ),
        ("--model MobileCLIP-S1", {"model.text.name": "MobileCLIP-S1", "model.text.vocab_size": 49408}),
        ("--model convnext_base --force-image-size 256", {"model.image.name": "convnext_base", "model.image.output_dim": 512}),
        ("--train-data x.csv --csv-caption-key text", {"data.captions.words": ("text",)}),
    ],
)  # fmt: skip
def test_flags_become_fields(flags, expected):
    values = fields(f"{TRAIN} {flags}")
    assert {key: values[key] for key in expected} == expected


@pytest.mark.parametrize(
    "command, complaint",
    [
        (f"{TRAIN} --batchsize 8", r"open_clip has no flag --batchsize \(did you mean --batch-size"),
        (f"{TRAIN} --lr fast", "--lr: invalid float value: 'fast'"),
        (f"{TRAIN} --lr", "--lr: expected one argument"),
        ("--train-data a.tar b.tar", "'b.tar' belongs to no flag: quote values"),
        ("--train-data folder", "folder is neither a table nor shards: add --dataset-type"),
        ("--train-data x --dataset-type synthetic", "--dataset-type synthetic is not supported"),
        ("--train-data s3://b/x.tar", "data are read from files"),
        ("--train-data x.csv --csv-separator ;", "--csv-separator ';' is not supported"),
        (f"{TRAIN} --hf-tokenizer-name bert", "--hf-tokenizer-name is a flag of another version of open_clip"),
        (f"{TRAIN} --model ViT-B-33", r"--model ViT-B-33 is unknown here \(did you mean ViT-B-3"),
        (f"{TRAIN} --model hf-hub:a/b", "names weights: give the architecture's name, and the weights as --pretrained hf-hub"),
        (f"{TRAIN} --pretrained laion2b_e61", r"no tag of ViT-B-32 \(did you mean laion2b_e16"),
        (f"{TRAIN} --pretrained a/b.pt", "is a PyTorch checkpoint.* scripts/convert_pytorch_weights.py"),
        (f"{TRAIN} --precision fp16", "--precision fp16 is not supported: it is one of fp32, amp_bf16"),
        (f"{TRAIN} --opt timm/lion", "--opt timm/lion is not supported: it is adamw here"),
        (f"{TRAIN} --lr-scheduler linear", "--lr-scheduler linear is not supported: it is one of cosine, const"),
        (f"{TRAIN} --lr-scheduler const-cooldown", "needs --epochs-cooldown"),
        (f"{TRAIN} --force-image-size 224 336", "--force-image-size 224 336: images are square"),
        (f"{TRAIN} --force-image-size 225", "225 is not divisible by 32"),
        (f"{TRAIN} --lock-text --lock-text-unlocked-layers 15", "is 15; the tower has 14 groups"),
        (f"{TRAIN} --model RN50 --lock-image", "add --lock-image-freeze-bn-stats"),
        (f"{TRAIN} --batch-size 1", "batch_size=1 has no other pair"),
        (f"{TRAIN} --epochs 0", "--epochs: '0' is not a whole number above 0"),
        (f"{TRAIN} --batch-size 0 --train-num-samples 9", "--batch-size: '0' is not a whole number above 0"),
        (f"{TRAIN} --accum-freq 0 --train-num-samples 9", "--accum-freq: '0' is not a whole number above 0"),
        (f"{TRAIN} --accum-freq 1.5", "--accum-freq: '1.5' is not a whole number above 0"),
        (f"{TRAIN} --image-mean 0.5 0.5", r"'data.mean' is \(0.5, 0.5\); it must be three numbers from 0 to 1"),
        (f"{TRAIN} --image-std 0", r"'data.std' is \(0.0, 0.0, 0.0\); it must be three numbers above 0"),
        (f"{TRAIN} --image-resize-mode crop", "'data.eval_resize_mode' is 'crop'; it must be one of"),
        (f"{TRAIN} --text-key caption", "--text-key caption is not supported: it is txt here"),
        (f"{TRAIN} --wd-exclude *bias", "--wd-exclude is not supported"),
        (f"{TRAIN} --use-naflex", "--use-naflex is not supported"),
        (f"{TRAIN} --logs none", "--logs is the folder of the run's directory"),
        (f"{TRAIN} --train-num-samples 10 --batch-size 4 --accum-freq 8", "--train-num-samples 10 is too small: a step has 4 x 1 x 8"),
        (f"{TRAIN} --train-num-samples -5", "--train-num-samples: '-5' is not a whole number above 0"),
        (f"{TRAIN} --pretrained openai --force-context-length 32", "the weights are for 77 tokens"),
    ],
)  # fmt: skip
def test_what_is_not_supported_is_one_line(command, complaint):
    with pytest.raises(UserError, match=complaint):
        translated(command)


def test_flags_without_effect_are_noted_together():
    notes = translated(f"{TRAIN} --local-loss --torchcompile --gather-with-grad --report-to wandb", devices=4).notes
    assert sum("global batch's loss" in note for note in notes) == 2
    assert "batch_size=256: 64 x 4 devices" in notes and sum("--torchcompile" in note for note in notes) == 1
    assert {flag.kind for flag in flags().values()} == {"used", "noted", "refused", "fork", "older"}


@pytest.mark.parametrize(
    "flags, expected",
    [
        ("--model convnext_base_w", "--model: open_clip drops blocks of its image tower at random (0.1)"),
        ("--grad-clip-norm 1", "without --gather-with-grad, open_clip's are 1/4 of them"),
        ("--model ViT-B-16-SigLIP --pretrained webli --siglip", "the logit scale starts at 10, with a bias of -10"),
        (
            "--model ViT-B-16-SigLIP",
            "published weights have --image-mean 0.5 0.5 0.5 --image-std 0.5 0.5 0.5 --image-resize-mode squash",
        ),
        ("--pretrained openai --force-quick-gelu", "a tower with weights has the activation"),
    ],
)
def test_what_differs_from_open_clip_is_noted(flags, expected):
    assert any(expected in note for note in translated(f"{TRAIN} {flags}", devices=4).notes)


def test_tables_of_the_study_are_evaluated_on_pairs_of_ones_own():
    translation = translated(f"--train-data {next(iter(STUDY_DATA))}.csv --val-data v.csv --model RN50")
    assert [eval_set.name for eval_set in translation.sets] == ["image_text/v"]
    assert translation.config.eval.sets == ("image_text/v:val",)


def test_the_page_has_every_flag():
    page = (Path(__file__).parents[2] / "configs/open_clip.md").read_text(encoding="utf-8")
    assert not [name for name in flags() if f"`{name}`" not in page]


def test_the_config_file_has_the_config_and_its_command(tmp_path):
    command = f"{TRAIN} --csv-separator '\\t' --aug-cfg scale='(0.4, 1.0)' --siglip"
    translation = translated(command)
    file = tmp_path / "run.py"
    file.write_text(config_file(translation, command))
    loaded = load_config(str(file))
    typed_config(loaded)
    assert plain(loaded) == plain(translation.config) and file.read_text().count("config.") < 30
    assert command in load_docstring(file)


def load_docstring(file):
    namespace = {}
    exec(file.read_text(), namespace)  # noqa: S102
    return namespace["__doc__"]


def test_sets_are_named_after_their_paths_and_joined_sources_are_braces():
    translation = translated("--train-data /a/x-{00..12}.tar::b/{0..3}.tar --val-data v.tsv --imagenet-val /i/val/")
    assert [eval_set.name for eval_set in translation.sets] == [
        "image_text/a-x-00-12-tar-b-0-3",
        "image_text/v",
        "image_folder/i-val",
    ]
    assert translation.sets[0].options == {"train": "{/a/x-{00..12}.tar,b/{0..3}.tar}", "caption_columns": "caption"}
    images = {"image_column": "filepath", "images": "."}
    assert translation.sets[1].options == {"val": "v.tsv", "caption_columns": "title"} | images
    assert translation.workdir == "./logs/model_RN50-lr_0.0005-b_64-j_4-p_amp_bf16"


# The flags that all 94 scripts of the study share, and those of a text tower or of an evaluation (names and files apart).
COMMON = (
    "torchrun --nproc_per_node 4 --master_port=$MASTER_PORT -m training.main --dataset-type csv --csv-img-key filepath "
    "--csv-caption-key caption --csv-separator '\\t' --batch-size 256 --lr 0.001 --warmup 500 --epochs 32 --save-frequency 8 "
    "--zeroshot-frequency 1 --precision amp --use-bn-sync --workers 8 --imb_metrics --nc_metrics --logs ./logs --name run"
)
LOCKED = "--lock-text --lock-text-unlocked-layers 0 --lock-text-freeze-layer-norm"
TEXT = {
    "random": "--model RN50",
    "init": "--model RN50 --pretrained openai --partial-load text",
    "frozen": f"--model RN50 --pretrained openai --partial-load text {LOCKED}",
    "roberta": f"--model roberta-RN50 {LOCKED}",
}
EVALUATION = {
    "imagenet": "--imagenet-val ../datasets/imagenet/val/ --imagenet-v2 ../datasets/imagenetv2/",
    "imagenet100": "--num-classes 100 --imagenet-100 ../datasets/imagenet100/val/ --imagenet100-index-file imagenet100_idxs.txt",
}
# Why a field of a script differs from that of its run in `cliptail study --list`: its two values, and the reason.
EXPLAINED = {
    "model.dtype": "--precision amp is float16 with a scaled loss, for which bfloat16 stands; the runs of the list have float32",
    "data.workers": "--workers 8 is for speed; the list leaves it to --config.data.workers",
    "eval.sets": "the list evaluates on all sets of the data, also on ImageNet-100, in one run",
}


def read_scripts():
    with SCRIPTS.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t"))


def test_the_studys_scripts_are_the_runs_of_the_list():
    """94 scripts train 84 names of the list, with the same values of every field but those of `EXPLAINED`."""
    runs = {run.name: run.config for run in catalogue.PAPER_RUNS}
    scripts = read_scripts()
    assert len(scripts) == 94 and {script["table"] for script in scripts} == {*STUDY_DATA}
    for script in scripts:
        command = f"{COMMON} {TEXT[script['text']]} {EVALUATION[script['evaluation']]}"
        ours = plain(translated(f"{command} --train-data ../datasets/{script['table']}.tsv").config)
        listed = plain(load_config(runs[script["run"]]))
        differing = {key for key in listed if ours[key] != listed[key]}
        assert {"model.dtype", "data.workers"} <= differing <= EXPLAINED.keys(), script["script"]
        assert set(ours["eval.sets"]) <= set(listed["eval.sets"])


def test_every_run_of_clip_in_the_list_has_a_script():
    """But for those of figures alone."""
    names = {script["run"] for script in read_scripts()}
    missing_names = [run.name for run in catalogue.RUNS if run.method == "clip" and run.name not in names]
    assert not missing_names and all(re.match("[a-z_]+/run_openclip_", script["script"]) for script in read_scripts())
