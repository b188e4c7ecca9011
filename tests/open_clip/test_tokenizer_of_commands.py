"""The tokenizer of a text tower that starts from random weights: given, found, trained, or missing."""

import gzip
import importlib
import shlex
from pathlib import Path

import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.input.tokenizer import load_clip_tokenizer
from cliptail_jax.open_clip.flags import parse
from cliptail_jax.open_clip.tokenizer import CLIPS, MERGES
from cliptail_jax.open_clip.translate import translate
from tests.hub_cache import put_in_cache
from tests.pretrained.tiny_models import write_tokenizer

SUBSET = Path(__file__).parents[1] / "data/clip_merges_subset.txt"
SIGLIPS = "timm/ViT-B-16-SigLIP"


@pytest.fixture
def nothing(tmp_path, monkeypatch):
    """A folder beside which there are neither the package open_clip nor the Hub, whose cache is empty."""
    constants = pytest.importorskip("huggingface_hub.constants", reason="needs the extra `pretrained`")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "open_clip" else find_spec(name))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def merges_in(folder):
    """CLIP's file, with few of its merges."""
    folder.mkdir(exist_ok=True)
    with gzip.open(folder / MERGES, "wt", encoding="utf-8") as file:
        file.write(SUBSET.read_text(encoding="utf-8"))
    return folder / MERGES


def definition_in(folder, kind):
    """The tokenizer.json of CLIP, with few of its merges, or of a SigLIP."""
    folder.mkdir()
    if kind == "siglip":
        return write_tokenizer(folder, kind)
    (folder / "tokenizer.json").write_text(load_clip_tokenizer(SUBSET).to_json(), encoding="utf-8")
    return folder / "tokenizer.json"


def translated(flags, tokenizer=""):
    return translate(parse(shlex.split(f"--train-data x.tar {flags}")), 1, tokenizer=tokenizer)


def chosen(flags, tokenizer=""):
    return translated(flags, tokenizer).config.text.tokenizer


def test_clips_tokenizer_is_that_of_the_package_open_clip_which_is_not_imported(tmp_path, monkeypatch):
    merges = merges_in(tmp_path / "open_clip")
    (tmp_path / "open_clip/__init__.py").write_text("raise RuntimeError")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert chosen("--model RN50") == str(merges)


@pytest.mark.parametrize(
    "model, kind, repository", [("RN50", "clip", CLIPS), ("ViT-B-16-SigLIP --siglip", "siglip", SIGLIPS)]
)
def test_a_models_own_tokenizer_is_read_from_the_hubs_cache(model, kind, repository, nothing):
    source = definition_in(nothing / "source", kind)
    root = put_in_cache(nothing / "cache", source.parent, repository)
    assert Path(chosen(f"--model {model}")).resolve().is_relative_to(root)


@pytest.mark.parametrize("flags", ["--model RN50", "--model ViT-B-32"])
def test_a_given_file_has_its_whole_path_in_the_config(flags, nothing):
    for file in (merges_in(nothing / "a"), definition_in(nothing / "b", "clip")):
        assert chosen(flags, str(file.relative_to(nothing))) == str(file)


def test_a_trained_tokenizer_is_noted():
    translation = translated("--model RN50", "trained")
    assert translation.config.text.tokenizer == "" and any("--tokenizer=trained" in note for note in translation.notes)


def test_weights_have_their_own_tokenizer_and_a_file_is_for_those_without_one(nothing):
    assert chosen("--model ViT-B-32 --pretrained openai") == ""
    assert chosen("--model ViT-B-32 --pretrained openai", "a.gz") == str(nothing / "a.gz")


@pytest.mark.parametrize(
    "flags, tokenizer, complaint",
    [
        ("--model RN50", "", f"CLIP's tokenizer: .*give {MERGES} by --tokenizer=FILE before --, or .*--tokenizer=trained"),
        ("--model MobileCLIP-S1", "", f"CLIP's tokenizer: .*give {MERGES} by --tokenizer=FILE before --$"),
        ("--model ViT-B-16-SigLIP", "", f"needs the tokenizer of {SIGLIPS}, .* its tokenizer.json by --tokenizer=FILE before --"),
        ("--model ViT-B-16-SigLIP", "trained", "--model ViT-B-16-SigLIP needs its own tokenizer"),
        ("--model ViT-B-16-SigLIP", MERGES, f"{MERGES} is not a tokenizer.json, which"),
        ("--model ViT-B-16-SigLIP", "absent.json", "there is no tokenizer .*absent.json"),
        ("--model RN50", "absent.gz", "no tokenizer merges at .*absent.gz"),
        ("--model RN50", "siglip/tokenizer.json", "siglip/tokenizer.json is not CLIP's tokenizer"),
        ("--model ViT-B-32 --pretrained openai", "trained", "the text tower has weights, and their tokenizer"),
    ],
)  # fmt: skip
def test_a_missing_or_unsuitable_tokenizer_is_one_line(flags, tokenizer, complaint, nothing):
    merges_in(nothing)
    definition_in(nothing / "siglip", "siglip")
    with pytest.raises(UserError, match=complaint) as refused:
        translated(flags, tokenizer)
    assert "\n" not in str(refused.value)
