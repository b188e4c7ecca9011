"""Features of a model's image tower for the splits of transfer sets, computed once and kept on disk.

`features/MODEL/SOURCE-SPLIT.KEY.npz` in the work directory has `features` [image, dim] float32 as `encode_image` gives
them, `labels`, `records` (each image's place in the split; unreadable ones are left out) and `seconds`. The key stands for the
weights, the image size and the split's files: where one of them changes, the features are computed anew and the old ones go.
"""

import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jaxtyping import Array, Bool, Float, Int, UInt8
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.metadata import fingerprint
from cliptail_jax.datasets.source import Source
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.counting import FeatureCollector, pass_over
from cliptail_jax.evaluation.published import on_all_processes, slug
from cliptail_jax.files import digest_of_json, load_arrays, save_arrays
from cliptail_jax.input.images import normalize
from cliptail_jax.input.pipeline import UnreadableImages, evaluation_batches
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.distributed import agreed
from cliptail_jax.parallel.sharding import batch_sharding, local_rows
from cliptail_jax.transfer.models import TransferModel
from cliptail_jax.transfer.sets import OpenedSet


class Features(NamedTuple):
    """Of the images of a split that could be read."""

    features: Float[np.ndarray, "image dim"]
    labels: Int[np.ndarray, "image"] | Bool[np.ndarray, "image class"]
    records: Int[np.ndarray, "image"]
    seconds: float  # that computing them took


class FeatureExtractor:
    """Gives the features of one model. It is loaded when the first ones have to be computed."""

    def __init__(self, model: TransferModel, mesh: Mesh, config: ConfigDict, workdir: Path):
        self._model, self._mesh, self._config = model, mesh, config
        self._folder = workdir / "features" / slug(model.name)
        self._loaded: tuple[nnx.State, int, Callable] | None = None

    def __call__(self, opened: OpenedSet, split: str) -> Features:
        """The features of a split. Raises UserError where images cannot be read, or features are not finite, and Skipped
        where the model cannot be loaded."""
        source = opened.sources[split]
        stem = re.sub(r"[^\w.-]+", "_", f"{source.name}-{split}")
        path = self._folder / f"{stem}.{self._key(source)}.npz"
        if not agreed(path.exists()):
            computed = self._compute(opened, split)
            if jax.process_index() == 0:
                write_arrays(path, computed._asdict())
                for other in self._folder.glob(f"{stem}.*.npz"):
                    if other != path:
                        other.unlink()
            return computed
        return Features(**load_arrays(path))

    def _key(self, source: Source) -> str:
        parts = [self._model.weights, self._config.image_size, split_fingerprint(source)]
        return digest_of_json(parts)[:16]

    def _compute(self, opened: OpenedSet, split: str) -> Features:
        if self._loaded is None:
            graphdef, state, size = on_all_processes(lambda: self._model.load(self._mesh))
            self._loaded = state, size, make_encode(graphdef, self._mesh)
        state, size, encode = self._loaded
        source, labels = opened.sources[split], opened.labels(split)
        start = time.perf_counter()
        frame = Preprocess(self._config.image_size or size)
        computed = encode_images(encode, (state,), source, frame, self._mesh, self._config)
        features, records = computed["features"], computed["records"]
        bad = np.sum(~np.isfinite(features).all(1))
        if bad:
            raise UserError(
                f"{bad} of {len(features)} images of {source.name} ({split}) have features with NaN or infinite values: "
                "check the model's weights"
            )
        return Features(features, labels[records], records, time.perf_counter() - start)


def split_fingerprint(source: Source) -> str:
    """What changes with the files of a source's split."""
    info = source.records.dataset_info.splits[source.split]
    return fingerprint(info.filepaths, info.shard_lengths)


def make_encode(graphdef: nnx.GraphDef, mesh: Mesh) -> Callable:
    """The jitted function from a tower's parts and uint8 images to features."""

    def encode(parts, images: UInt8[Array, "batch height width 3"]) -> Float[Array, "batch dim"]:
        return nnx.merge(graphdef, *parts, copy=True).encode_image(normalize(images)).astype(jnp.float32)

    return jax.jit(encode, out_shardings=batch_sharding(mesh))


def encode_images(
    encode: Callable, parts: tuple[nnx.State, ...], source: Source, frame: Preprocess, mesh: Mesh, config: ConfigDict
) -> dict[str, np.ndarray]:
    """`features` and `records` of a split's images, as `frame` makes them; CLIP's pixel statistics for every model."""
    nothing = np.zeros(len(source), np.int64)
    variant = Variant(source, np.arange(len(source)), nothing, source.class_names, nothing, captions=None)
    unreadable, kept = UnreadableImages(variant, config.data.max_unreadable), FeatureCollector(variant)
    size = config.batch_size
    batches = evaluation_batches(variant, frame, batch_size=size, slots=local_rows(size), workers=config.data.workers)()
    steps = -(-len(source) // config.batch_size)
    progress = tqdm(batches, f"features of {source.name} ({source.split})", steps, disable=None, leave=False)
    pass_over(lambda batch: encode(parts, batch["images"]), progress, unreadable, [kept.add], mesh)
    computed = kept.result()
    if not len(computed["records"]):
        raise UserError(f"no image of {source.name} ({source.split}) could be read: prepare the set again")
    return computed


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """An .npz, written by rename: whole or not there."""
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, **arrays)
