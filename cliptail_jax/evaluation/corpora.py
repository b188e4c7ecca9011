"""Class frequencies of the published pre-training corpora, as the study counted them.

The files are github.com/CVMI-Lab/clip-beyond-tail's, metadata/freqs/class_frequency_CORPUS_SET.txt, where a name that
ends in `_ori` says that the classes are in label order and not sorted by frequency; they are joined by name, so either
will do.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Int

from cliptail_jax.concepts.frequency_tables import frequency_of
from cliptail_jax.errors import UserError, did_you_mean

CORPORA = ("cc12m", "yfcc15m", "laion400m", "laion2b", "metaclip_400m", "metaclip_fullcc")
# Sets of ImageNet's classes, whose frequencies are ImageNet's.
IMAGENETS = ("imagenet_v2", "imagenet100")


def class_frequency(
    spec: str, folder: str | Path, set_name: str, class_names: tuple[str, ...]
) -> Int[np.ndarray, "class"]:
    """The counts of `class_names` in the table at the path `spec`, or in the corpus of that name (see `CORPORA`).

    `folder` holds the published files, of which that for the evaluation set `set_name` is read. Raises UserError where
    there is neither such a file nor such a corpus, or the table lacks a class.
    """
    if spec in CORPORA:
        return corpus_frequency(spec, set_name, folder, class_names)
    if not Path(spec).is_file():
        raise UserError(f"no frequency table {spec}, and no corpus of that name{close_corpora(spec)}")
    return frequency_of(class_names, Path(spec))


def corpus_frequency(
    corpus: str, set_name: str, folder: str | Path, class_names: tuple[str, ...]
) -> Int[np.ndarray, "class"]:
    """The published counts of `class_names` in a corpus, from class_frequency_CORPUS_SET[_ori].txt in `folder`.

    Raises UserError for an unknown corpus, where the folder or the file is missing, or where it lacks a class.
    """
    if corpus not in CORPORA:
        raise UserError(f"unknown corpus '{corpus}'{close_corpora(corpus)}")
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"no folder {folder} of published class frequencies: fetch clip-beyond-tail's metadata/freqs")
    stem = f"class_frequency_{corpus}_{'imagenet' if set_name in IMAGENETS else set_name}"
    for file in (folder / f"{stem}_ori.txt", folder / f"{stem}.txt"):
        if file.is_file():
            return frequency_of(class_names, file)
    raise UserError(
        f"{folder} has no {stem}.txt or {stem}_ori.txt: count the set's classes in {corpus}'s captions with "
        "cliptail_jax.concepts.count, and give the table's path"
    )


def close_corpora(name: str) -> str:
    """What to choose instead of a name that is no corpus, to end an error with."""
    return f"{did_you_mean(name.lower(), CORPORA)}: there are {', '.join(CORPORA)}"
