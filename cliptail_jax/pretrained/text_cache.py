"""Disk cache of a frozen text tower's pooled outputs.

They are in the user's cache, in a folder named by the weights, the tokenizer and the texts. Runs on the same captions
share them, and an interrupted computation continues.
"""

import dataclasses
import functools
import hashlib
import os
import shutil
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float32, UInt64
from tqdm import tqdm

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import (
    DIGESTS,
    check_digests,
    digest_of,
    digest_of_json,
    locked,
    user_cache,
    write_digests,
    write_text,
)
from cliptail_jax.models.build import DTYPES
from cliptail_jax.pretrained.text_embedder import TextEmbedder
from cliptail_jax.pretrained.towers import Tower
from cliptail_jax.runs.console import log_line

CHUNK = 16384  # texts between two points from which an interrupted computation can be continued
FORMAT = 1  # to be incremented when a tower's forward pass changes
STATES, HASHES, COUNT = "states.npy", "hashes.npy", "done.txt"


@dataclasses.dataclass(frozen=True)
class CachedText:
    """Pooled outputs by text, in place of a tokenizer. Pickling it pickles the path of its folder."""

    folder: Path

    def __call__(self, texts: Sequence[str]) -> Float32[np.ndarray, "text width"]:
        hashes, states = self._arrays
        text_hashes = hashes_of(texts)
        rows = np.minimum(np.searchsorted(hashes, text_hashes), len(hashes) - 1)
        if (is_absent := hashes[rows] != text_hashes).any():
            raise KeyError(f"the cache has no pooled output of {texts[int(is_absent.argmax())]!r}")
        return states[rows]

    @functools.cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.load(self.folder / HASHES), np.load(self.folder / STATES, mmap_mode="r")

    def __reduce__(self):
        return CachedText, (self.folder,)


def cached_text(tower: Tower, dtype: str, texts: Sequence[str]) -> CachedText:
    """The pooled outputs of a text tower for distinct texts, from the cache or computed now.

    If several processes share the cache, one computes. `dtype` is the type in which the tower computes. Raises
    UserError if the cache cannot be written.
    """
    hashes = hashes_of(texts)
    order = np.argsort(hashes, kind="stable")
    folder = user_cache("text_states") / key(tower, dtype, hashes[order])
    try:
        with locked(folder.with_suffix(".lock")):
            if folder.exists() and not is_whole(folder):
                log_line(f"note: {folder} is damaged; the text tower's outputs are computed again")
                shutil.rmtree(folder)
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                partial.mkdir(exist_ok=True)
                np.save(partial / HASHES, hashes[order])
                compute(partial, tower, dtype, [texts[i] for i in order])
                write_digests(partial, (STATES, HASHES))
                partial.rename(folder)
    except OSError as error:
        raise UserError(
            f"the text tower's outputs for {len(texts):,} captions cannot be written to {folder.parent} "
            f"({error.strerror}): free some space, set XDG_CACHE_HOME to another disk, or text.cache=False"
        ) from None
    return CachedText(folder)


def is_whole(folder: Path) -> bool:
    """Whether the files of a cache are as they were written."""
    try:
        check_digests(folder)
    except UserError:
        return False
    return (folder / DIGESTS).exists()


def compute(folder: Path, tower: Tower, dtype: str, texts: Sequence[str]) -> None:
    """Write the pooled outputs of `texts` to `folder`, after the existing ones."""
    embed = TextEmbedder(tower.load(DTYPES[dtype]), tower.tokenizer, returns_states=True)
    count = int((folder / COUNT).read_text(encoding="utf-8")) if (folder / COUNT).exists() else 0
    path, shape = folder / STATES, (len(texts), embed.dim)
    states = np.lib.format.open_memmap(path, "r+" if count else "w+", np.float32, shape)
    with open(path, "r+b") as file:  # a full disk is an error here, but would crash a later write to memory
        os.posix_fallocate(file.fileno(), 0, path.stat().st_size)
    title = f"embedding captions by {tower.name}"
    with tqdm(total=len(texts), initial=count, unit=" texts", unit_scale=True, desc=title, disable=None) as progress:
        for start in range(count, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            states[start : start + len(part)] = embed.raw(part)
            states.flush()
            write_text(folder / COUNT, str(start + len(part)))
            progress.update(len(part))


def key(tower: Tower, dtype: str, hashes: UInt64[np.ndarray, " text"]) -> str:
    """A name that changes with everything that affects the outputs."""
    settings = {
        "format": FORMAT,
        "weights": tower.weights.digest,
        "tokenizer": digest_of([tower.tokenizer.to_json().encode()]),
        "tower": [tower.config, tower.quick_gelu, tower.encoder],
        "dtype": dtype,
        "texts": digest_of([hashes.tobytes()]),
    }
    return digest_of_json(settings, sort_keys=True)[:32]


def hashes_of(texts: Iterable[str]) -> UInt64[np.ndarray, " text"]:
    """64 bits of BLAKE2 per text. The chance that two of three million texts share them is one in four million."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)
