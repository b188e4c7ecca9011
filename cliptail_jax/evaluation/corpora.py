"""Class frequencies of pre-training corpora, as counted and published by the paper.

The files are metadata/freqs/class_frequency_CORPUS_SET.txt in github.com/CVMI-Lab/clip-beyond-tail. In those whose names
end in `_ori`, classes are in label order instead of sorted by frequency. Both can be used, since classes are joined by
name.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from cliptail_jax.datasets.known_sources import EVALUATION_SETS
from cliptail_jax.formats.frequency_tables import frequency_of
from cliptail_jax.host.errors import UserError, did_you_mean
from cliptail_jax.pretrained.published import CORPORA


def class_frequency(
    spec: str, folder: str | Path, set_name: str, class_names: tuple[str, ...]
) -> Int[np.ndarray, " class"]:
    """The counts of `class_names` in a frequency table or a published corpus.

    Args:
        spec: the path of a table, or one of `CORPORA`.
        folder: the folder of the published files, class_frequency_CORPUS_SET[_ori].txt.
        set_name: the evaluation set that has these classes.

    Raises:
        UserError: There is no such table, corpus, folder or file, or it lacks a class.
    """
    if spec not in CORPORA:
        if not Path(spec).is_file():
            hint = did_you_mean(spec.lower(), CORPORA)
            raise UserError(
                f"no frequency table {spec}, and no corpus with this name{hint}: there are {', '.join(CORPORA)}"
            )
        return frequency_of(class_names, Path(spec))
    if not folder or not (folder := Path(folder)).is_dir():
        raise UserError(
            f"no folder '{folder}' of published class frequencies: set eval.frequency_dir to the folder metadata/freqs of "
            "github.com/CVMI-Lab/clip-beyond-tail"
        )
    known_set = EVALUATION_SETS.get(set_name)
    stem = f"class_frequency_{spec}_{known_set and known_set.counted_as or set_name}"
    for file in (folder / f"{stem}_ori.txt", folder / f"{stem}.txt"):
        if file.is_file():
            return frequency_of(class_names, file)
    raise UserError(
        f"{folder} has no {stem}.txt or {stem}_ori.txt: count the set's classes in {spec}'s captions with "
        "cliptail_jax.concepts.count, and give the table's path"
    )
