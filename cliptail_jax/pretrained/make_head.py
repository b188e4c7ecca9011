"""Makes class heads with a text tower, and writes their files, which `head.init` reads."""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from cliptail_jax.concepts.class_lists import Concept, listed_names, load_class_list
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, load_array, read_json, save_array, write_json
from cliptail_jax.host.outputs import check_output
from cliptail_jax.runs.console import log_line


def make_head_command(options: argparse.Namespace) -> None:
    """Make the head that the flags of `cliptail make_head` describe, write its files, and print its size."""
    if options.output.suffix != ".npy":
        raise UserError(f"--output is {options.output}: give an .npy file")
    for path in (options.output, options.output.with_suffix(".json")):
        check_output(path, is_head, [options.classes, options.model], options.overwrite)
    concepts = (
        load_class_list(options.classes)  # needs WordNet for ImageNet's
        if options.synonyms
        else [Concept(name) for name in listed_names(options.classes)]
    )
    from cliptail_jax.pretrained.text_embedder import class_head, load_text_embedder  # slow to import

    embedder = load_text_embedder(options.model)
    averaging = {
        "synonyms": options.synonyms,
        "average_unit": options.average == "unit",
        "unit_norm": options.norm == "unit",
    }
    head = class_head(embedder, concepts, options.template, **averaging)
    check_rows(head, [concept.name for concept in concepts], options.model)
    description = {
        "classes": [concept.name for concept in concepts],
        "template": options.template,
        "model": options.model,
        "weights": embedder.weights_digest,
    }
    write_head(options.output, head, description | averaging)
    norm = np.linalg.norm(head, axis=1).mean()
    print(f"{options.output}: {head.shape[0]} classes, {head.shape[1]} wide, norms {norm:.2f}")


def write_head(path: Path, head: Float[np.ndarray, "classes dim"], description: dict[str, Any]) -> None:
    """Write the array to `path`, an .npy, and `description` with its digest to the .json of the same name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The description is first, since an array without one counts as somebody else's.
    write_json(path.with_suffix(".json"), description | {"digest": digest_of([head.tobytes()])})
    save_array(path, head)


def is_head(path: Path) -> bool:
    """Whether a file is a head, or the description of one."""
    description = read_json(path.with_suffix(".json"))
    is_array = path.suffix == ".json" or digest_of([load_array(path).tobytes()]) == description["digest"]
    return is_array and {"classes", "template", "weights", "digest"} <= description.keys()


def check_rows(head: Float[np.ndarray, "classes dim"], names: Sequence[str], model: str) -> None:
    """Raise UserError if rows are not finite. Classes with the same row are noted."""
    if not np.isfinite(head).all():
        raise UserError(f"{model} has embeddings with NaN or infinite values: check its weights")
    first = {row.tobytes(): name for name, row in reversed([*zip(names, head)])}
    if duplicates := [(first[row.tobytes()], name) for name, row in zip(names, head) if first[row.tobytes()] != name]:
        log_line(
            f"note: {len(duplicates)} classes have the embedding of another, such as '{duplicates[0][1]}' and "
            f"'{duplicates[0][0]}': the model reads only the beginning of a prompt, and may ignore case"
        )
