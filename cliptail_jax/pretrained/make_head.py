"""Files of class heads, which `cliptail make_head` writes and `head.init` reads."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of, load_array, read_json, save_array, write_json
from cliptail_jax.runs.console import log_line


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
