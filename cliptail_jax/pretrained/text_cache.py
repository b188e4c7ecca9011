"""Disk cache of a frozen text tower's pooled outputs.

They are in the user's cache, in a folder named by the weights, the tokenizer and the texts, so that runs on the same
captions share them, and an interrupted computation is continued.
"""

import dataclasses
import functools
import hashlib
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from flax import nnx
from jaxtyping import Float32, UInt64
from tqdm import tqdm

from cliptail_jax.errors import UserError
from cliptail_jax.files import digest_of, digest_of_json, locked, write_text
from cliptail_jax.models.build import DTYPES
from cliptail_jax.models.text_towers import build_text_tower
from cliptail_jax.pretrained.text_embedder import TextEmbedder
from cliptail_jax.pretrained.towers import Tower
from cliptail_jax.runs.log import say

CHUNK = 16384  # texts between two moments that the computation can go on from
LARGE = 1e8  # bytes that a user is told of
FORMAT = 1  # to be counted up when a tower's forward pass changes
STATES, HASHES, DONE = "states.npy", "hashes.npy", "done.txt"


@dataclasses.dataclass(frozen=True)
class CachedText:
    """States by text, in place of a tokenizer. Pickles to the path of its folder."""

    folder: Path

    def __call__(self, texts: Sequence[str]) -> Float32[np.ndarray, "text width"]:
        hashes, states = self._arrays
        wanted = hashes_of(texts)
        rows = np.minimum(np.searchsorted(hashes, wanted), len(hashes) - 1)
        if (absent := hashes[rows] != wanted).any():
            raise KeyError(f"no state is kept of {texts[int(absent.argmax())]!r}")
        return states[rows]

    @functools.cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray]:
        return np.load(self.folder / HASHES), np.load(self.folder / STATES, mmap_mode="r")

    def __reduce__(self):
        return CachedText, (self.folder,)


def cached_text(tower: Tower, dtype: str, texts: Sequence[str]) -> CachedText:
    """The pooled outputs of a text tower for distinct texts, from the cache or computed now.

    Where several processes share the cache, one of them computes. `dtype` is what the tower computes in.
    """
    hashes = hashes_of(texts)
    order = np.argsort(hashes, kind="stable")
    folder = cache_folder() / key(tower, dtype, hashes[order])
    try:
        with locked(folder.with_suffix(".lock")):
            if not folder.exists():
                partial = folder.with_suffix(".partial")
                partial.mkdir(exist_ok=True)
                np.save(partial / HASHES, hashes[order])
                compute(partial, tower, dtype, [texts[i] for i in order])
                partial.rename(folder)
    except OSError as error:
        raise UserError(
            f"the states of {len(texts):,} captions cannot be kept in {folder.parent} ({error.strerror}): make room, set "
            "XDG_CACHE_HOME to another disk, or text.cache=False"
        ) from None
    return CachedText(folder)


def compute(folder: Path, tower: Tower, dtype: str, texts: Sequence[str]) -> None:
    """Write the states of `texts` to `folder`, going on behind those that it has."""
    options = {"quick_gelu": tower.quick_gelu, "encoder": tower.encoder, "dtype": DTYPES[dtype]}
    model = nnx.jit(lambda: build_text_tower(tower.config, tower.output_dim, **options, rngs=nnx.Rngs(0)))()
    graphdef, state = nnx.split(model)
    state = nnx.State({tower.part: state})
    model = nnx.merge(graphdef, tower.fill(state)[tower.part])
    width = nnx.eval_shape(lambda m: m.state(np.zeros((1, 2), np.int32)), model).shape[1]
    embed = TextEmbedder(model, tower.tokenizer, width, states=True)
    done = int((folder / DONE).read_text()) if (folder / DONE).exists() else 0
    path, shape = folder / STATES, (len(texts), width)
    states = np.lib.format.open_memmap(path, "r+" if done else "w+", np.float32, shape)
    with open(path, "r+b") as file:
        os.posix_fallocate(
            file.fileno(), 0, path.stat().st_size
        )  # a full disk is noticed here, not at a write to memory
    if states.nbytes > LARGE:
        say(f"  states of {len(texts):,} texts, {states.nbytes / 1e9:.1f} GB, are kept in {folder.parent}")
    shown = f"embedding captions by {tower.name}"
    with tqdm(total=len(texts), initial=done, unit=" texts", unit_scale=True, desc=shown, disable=None) as progress:
        for start in range(done, len(texts), CHUNK):
            part = texts[start : start + CHUNK]
            states[start : start + len(part)] = embed.raw(part)
            states.flush()
            write_text(folder / DONE, str(start + len(part)))
            progress.update(len(part))


def key(tower: Tower, dtype: str, hashes: UInt64[np.ndarray, "text"]) -> str:
    """What the states depend on, as a name."""
    told = {
        "format": FORMAT,
        "weights": tower.digest,
        "tokenizer": digest_of([tower.tokenizer.to_json().encode()]),
        "tower": [tower.config, tower.quick_gelu, tower.encoder],
        "dtype": dtype,
        "texts": digest_of([hashes.tobytes()]),
    }
    return digest_of_json(told, sort_keys=True)[:32]


def hashes_of(texts: Iterable[str]) -> UInt64[np.ndarray, "text"]:
    """64 bits of BLAKE2 a text: among three million texts two share them with a chance of one in four million."""
    digests = b"".join(hashlib.blake2b(text.encode(), digest_size=8).digest() for text in texts)
    return np.frombuffer(digests, np.uint64)


def cache_folder() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "cliptail_jax" / "text_states"
