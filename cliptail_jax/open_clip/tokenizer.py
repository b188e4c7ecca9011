"""Finds the tokenizer of a text tower that starts from random weights: that of its model, as in open_clip."""

import contextlib
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptail_jax.host.errors import UserError
from cliptail_jax.open_clip.flags import TRAINED
from cliptail_jax.pretrained.source import fetch_tokenizer
from cliptail_jax.pretrained.tokenizers import read_tokenizer, takes_trained

MERGES = "bpe_simple_vocab_16e6.txt.gz"  # a file of the package open_clip
CLIPS = "openai/clip-vit-base-patch32"  # a repository of the Hub with CLIP's tokenizer.json


def tokenizer_file(option: str, model: str, text_cfg: Mapping[str, Any]) -> str:
    """The `text.tokenizer` of a config: the path of a file, or '' to train a tokenizer on the captions.

    Args:
        option: the file, 'trained', or '' to look for the model's tokenizer.
        model: open_clip's name of the model, for messages.
        text_cfg: the model's `text_cfg`.

    Raises:
        UserError: The file is missing, cannot be read or has the tokenizer of another model; or 'trained' is given for a
            model that needs its own tokenizer.
    """
    if option != TRAINED:
        path = os.path.abspath(option or own_tokenizer(model, text_cfg))
        read_tokenizer(path, text_cfg)
        return path
    if not takes_trained(text_cfg):
        raise UserError(
            f"--tokenizer={TRAINED}: the text tower of --model {model} needs its own tokenizer: leave the option out, or give "
            "the file"
        )
    return ""


def own_tokenizer(model: str, text_cfg: Mapping[str, Any]) -> Path:
    """The file of a model's tokenizer: CLIP's in the package open_clip, or one from the Hub or its cache.

    Raises UserError if there is none; the message states how to give one.
    """
    repository = text_cfg.get("hf_tokenizer_name")
    package = None if repository else importlib.util.find_spec("open_clip")  # this does not import it
    for folder in package.submodule_search_locations or () if package else ():
        if (merges := Path(folder) / MERGES).is_file():
            return merges
    with contextlib.suppress(UserError):
        return fetch_tokenizer(repository or CLIPS, None)
    if repository:
        raise UserError(
            f"--model {model} needs the tokenizer of {repository}, which cannot be fetched from the Hugging Face Hub: give its "
            "tokenizer.json by --tokenizer=FILE before --"
        )
    alternative = f", or train one on the captions by --tokenizer={TRAINED}" if takes_trained(text_cfg) else ""
    raise UserError(
        f"--model {model} needs CLIP's tokenizer: the package open_clip is not installed, and the Hugging Face Hub cannot be "
        f"reached: give {MERGES} by --tokenizer=FILE before --{alternative}"
    )
