"""Writes the description of a run's model, which `cliptail_jax.pretrained.model.open_run` reads."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from cliptail_jax.host.files import write_json
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.models.self_attention import AUTO
from cliptail_jax.runs.files import DESCRIPTION


def describe_run(
    workdir: Path,
    model: Mapping[str, Any],
    preprocess: Preprocess,
    dtype: str,
    tokenizer: Mapping[str, str],
    attention: str = AUTO,
) -> None:
    """Write the files that `open_run` needs besides the checkpoints.

    Args:
        model: the argument of `build_model`.
        preprocess: the preprocessing of the run's evaluation images.
        tokenizer: {} for the one in the work directory, {"merges": PATH} for CLIP's, or {"model": NAME} for the one of a
            trained text tower, which also needs the merges if it comes without one.
        attention: `AUTO` or `PLAIN`.
    """
    document = {"model": model, "preprocess": dataclasses.asdict(preprocess), "dtype": dtype, "tokenizer": tokenizer}
    document["attention"] = attention
    write_json(workdir / DESCRIPTION, document)
