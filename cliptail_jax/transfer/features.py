"""Image features of a model for the splits of transfer sets, computed once and cached on disk.

`features/MODEL/SOURCE-SPLIT.KEY.npz` in the work directory has `features` [image, dim] float32 from `encode_image`,
`labels`, `records` (the index of each image in the split, without unreadable images) and `seconds`. KEY is a digest of the
weights, the size of the images and the split's files. When one of these changes, the features are computed again and replaced.
"""

import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Bool, Float, Int

from cliptail_jax.config.sections import Reading, evaluation_pixels
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.metadata_table import fingerprint
from cliptail_jax.datasets.source import Source
from cliptail_jax.evaluation.counting import FeatureCollector, make_encode_images, make_pass
from cliptail_jax.evaluation.skipping import on_all_processes
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of_json, load_arrays, save_arrays
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.parallel.distributed import broadcast_from_first
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.results.transfers import file_name
from cliptail_jax.runs.console import log_line
from cliptail_jax.transfer.models import TransferModel
from cliptail_jax.transfer.sets import OpenedTransferSet


class SplitFeatures(NamedTuple):
    """Features of those images of a split that could be read."""

    features: Float[np.ndarray, "image dim"]
    labels: Int[np.ndarray, " image"] | Bool[np.ndarray, "image class"]
    records: Int[np.ndarray, " image"]
    seconds: float  # the time to compute them

    def select(self, rows: Int[np.ndarray, " row"]) -> "SplitFeatures":
        """The features of some of the images."""
        return SplitFeatures(self.features[rows], self.labels[rows], self.records[rows], self.seconds)


class FeatureExtractor:
    """Computes the features of one model, which is loaded when they are first computed.

    `image_size` 0 is the model's size, and `batch_size` is over all devices and processes.
    """

    def __init__(
        self, model: TransferModel, mesh: Mesh, workdir: Path, image_size: int, batch_size: int, reading: Reading
    ):
        self.model, self._mesh = model, mesh
        self.image_size, self._batch_size, self._reading = image_size, batch_size, reading
        self._folder = workdir / "features" / slug(model.name)
        self._encoder: tuple[Callable, Preprocess] | None = None

    def __call__(self, opened_set: OpenedTransferSet, split: str) -> SplitFeatures:
        """The features of a split.

        Raises:
            UserError: images cannot be read, or features are not finite.
            Skipped: the model cannot be loaded.
        """
        source = opened_set.sources[split]
        stem = file_name(f"{source.name}-{split}")
        pixel_fields = [name for name, is_set in evaluation_pixels(self._reading).items() if is_set]
        key = digest_of_json([self.model.weights, self.image_size, *pixel_fields, split_fingerprint(source)])[:16]
        path = self._folder / f"{stem}.{key}.npz"
        if broadcast_from_first(path.exists()):
            try:
                arrays = load_arrays(path)
                return SplitFeatures(*(arrays[name] for name in SplitFeatures._fields))
            except UserError as error:
                log_line(f"note: {error}; the features are computed again")
        features = self._compute(opened_set, split)
        if jax.process_index() == 0:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_arrays(path, **features._asdict())
            for other in self._folder.glob(f"{stem}.*.npz"):
                if other != path:
                    other.unlink()
        return features

    def _compute(self, opened_set: OpenedTransferSet, split: str) -> SplitFeatures:
        if self._encoder is None:
            graphdef, state, preprocess = on_all_processes(lambda: self.model.load(self._mesh, self.image_size))
            self._encoder = partial(make_encode_images(graphdef, self._mesh, preprocess), (state,)), preprocess
        encode, preprocess = self._encoder
        source, labels = opened_set.sources[split], opened_set.labels(split)
        start = time.perf_counter()
        images = all_images(source, np.zeros(len(source), np.int64))  # without labels, since an image may have several
        arrays = encode_images(encode, images, preprocess, self._mesh, self._batch_size, self._reading)
        features, records = arrays["features"], arrays["records"]
        invalid_images = np.sum(~np.isfinite(features).all(1))
        if invalid_images:
            raise UserError(
                f"{invalid_images} of {len(features)} images of {source.name} ({split}) have features with NaN or infinite values: "
                "check the model's weights"
            )
        return SplitFeatures(features, labels[records], records, time.perf_counter() - start)


def split_fingerprint(source: Source) -> str:
    """A digest of the files of a source's split."""
    info = source.records.dataset_info.splits[source.split]
    return fingerprint(info.filepaths, info.shard_lengths)


def all_images(source: Source, labels: Int[np.ndarray, " image"]) -> Variant:
    """The variant of all images of a source."""
    return Variant(source, np.arange(len(source)), labels, source.class_names, labels, captions=None)


def encode_images(
    encode: Callable, images: Variant, preprocess: Preprocess, mesh: Mesh, batch_size: int, reading: Reading
) -> dict[str, np.ndarray]:
    """`features`, `labels` and `records` of the images that can be read.

    `encode` is the function from uint8 images to features, for the same `preprocess`. Raises UserError if no image can be
    read, or if more than the share `reading.max_unreadable` cannot.
    """
    name, collector = f"{images.source.name} ({images.source.split})", FeatureCollector(images)
    run_pass = make_pass(images, preprocess, reading, mesh, batch_size, f"features of {name}")
    run_pass(lambda batch: encode(batch["images"]), [collector.add])
    arrays = collector.result()
    if not len(arrays["records"]):
        raise UserError(f"no image of {name} could be read: prepare the set again")
    return arrays
