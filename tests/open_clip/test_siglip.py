"""A SigLIP that trains from random weights by its own command, with its own tokenizer."""

import json

import numpy as np
import pytest

from cliptail_jax.input.huggingface_tokenizer import load_tokenizer
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models import open_clip
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.runs import console
from tests.commands import command
from tests.datasets.raw_data import jpeg, write_shard
from tests.pretrained.tiny_models import CASES, assert_same, write_tokenizer

HALF = (0.5, 0.5, 0.5)
TEXTS = ["A photo of two cats, sitting!", "seven"]
FLAGS = (
    "--train-data 0.tar --model SigLIP-tiny --siglip --train-num-samples 8 --batch-size 4 --workers 1 --epochs 1 --warmup 1 "
    "--lr 1e-3 --log-every-n-steps 1 --precision fp32 --image-mean 0.5 0.5 0.5 --image-std 0.5 0.5 0.5 "
    "--image-resize-mode squash --name run"
)


@pytest.fixture
def architecture(monkeypatch, tiny_members):
    """open_clip's configuration of a tiny SigLIP, which is known by the name SigLIP-tiny."""
    tiny = json.loads(json.dumps(CASES["siglip"]["config"]))
    text = {
        "vocab_size": 200,
        "hf_tokenizer_name": "timm/ViT-B-16-SigLIP",
        "tokenizer_kwargs": {"clean": "canonicalize"},
    }
    tiny["text_cfg"] |= text
    monkeypatch.setitem(open_clip._read_table("architectures.json"), "SigLIP-tiny", tiny)
    return tiny


def test_a_siglip_trains_from_random_weights(architecture, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(console, "_copy", None)
    write_shard(
        tmp_path / "0.tar", [{"key": str(i), "image": jpeg(i, (40, 20)), "caption": f"cat {i}"} for i in range(8)]
    )
    tokenizer = write_tokenizer(tmp_path, "siglip")
    options = ["--gpus=1", "--data_dir=data", f"--tokenizer={tokenizer}"]
    assert command("open_clip")([*options, "--", *FLAGS.split()]) == 0

    first = json.loads((tmp_path / "logs/run/metrics.jsonl").read_text().splitlines()[0])
    np.testing.assert_allclose((first["train/logit_scale"], first["train/logit_bias"]), (10, -10), rtol=0.01)
    run = open_run(tmp_path / "logs/run")
    assert run.config["text_cfg"] == architecture["text_cfg"]
    assert run.config["vision_cfg"]["timm_pool"] == "map"
    assert run.preprocess == Preprocess(32, HALF, HALF, "bicubic", "squash", 32)
    tokens = load_tokenizer(tokenizer, architecture["text_cfg"])(TEXTS)
    np.testing.assert_array_equal(run.tokenizer(TEXTS), tokens)

    export(tmp_path / "logs/run", tmp_path / "out")
    exported = load(tmp_path / "out")
    assert_same(exported.model, run.model)
    np.testing.assert_array_equal(exported.tokenizer(TEXTS), tokens)
