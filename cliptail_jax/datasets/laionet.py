"""LAIONet: LAION's image-text pairs whose text names one class of ImageNet and is similar to its definition.

Shirali and Hardt (2023), "What Makes ImageNet Look Unlike LAION", arXiv 2306.15769.
"""

import hashlib
import os
import pathlib
from collections.abc import Iterator

import numpy as np
import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.datasets.streaming import clean_text, naming_damage
from cliptail_jax.datasets.webdataset import Sample, ShardsBuilder, find_shards
from cliptail_jax.host.errors import UserError

LABELS = {wnid: label for label, wnid in enumerate(imagenet_wnids())}


class Laionet(ShardsBuilder):
    """LAION images with texts, classes of ImageNet, and the similarity of text and class definition."""

    VERSION = "1.0.0"
    ANY_CONFIG = True  # for further sets, such as laionet/retrieved

    def __init__(self, *, table: str | os.PathLike = "", similarity_column: str = "similarity", **kwargs):
        self.table = pathlib.Path(table).expanduser() if table else None
        self.similarity_column = similarity_column
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        similarity = tfds.features.Scalar(dtype=np.float32)
        return self.dataset_info(__doc__, imagenet_wnids(), "wnid", "text", "url", "nsfw", similarity=similarity)

    def _generate_examples(self) -> Iterator[dict]:
        curated_table = CuratedTable(self.table, self.similarity_column) if self.table else None
        shards = find_shards(self.raw)
        self.check_complete(self.raw, shards)
        for path, sample in self.samples(shards):
            if sample.image is None:
                self.skips["failed downloads"] += 1
            elif self.is_usable(sample.image, f"{path.stem}/{sample.key}") and (
                example := self._example(path, sample, curated_table)
            ):
                yield example

    def _example(self, shard: pathlib.Path, sample: Sample, curated_table: "CuratedTable | None") -> dict | None:
        """The record of a sample; None (and counted) if the curated table lacks it."""
        fields, similarity = sample.fields, self.similarity_column.lower()
        if isinstance(fields.get("caption"), bytes):
            fields |= {"caption": fields["caption"].decode(errors="replace")}
        if curated_table:
            row = curated_table.find(fields.get("url"), fields.get("caption"))
            if row is None:
                self.skips[f"that {self.table} lacks"] += 1
                return None
            fields |= row
        for column in ("wnid", similarity):
            if fields.get(column) is None:
                raise UserError(
                    f"{shard}: sample {sample.key} has no {column!r}; --table=PARQUET names the curated table "
                    "that has it, or img2dataset keeps it with --save_additional_columns"
                )
        wnid = clean_text(fields["wnid"])
        if wnid not in LABELS:
            raise UserError(f"{shard}: sample {sample.key} has the WordNet id {wnid[:50]!r}, not ImageNet-1k's")
        try:
            value = float(fields[similarity])
        except (TypeError, ValueError, OverflowError) as error:
            raise UserError(
                f"{shard}: sample {sample.key} has a {similarity!r} that is not a number: {error}"
            ) from error
        return {
            "image": sample.image,
            "label": LABELS[wnid],
            "wnid": wnid,
            "text": clean_text(fields.get("caption")),
            "url": clean_text(fields.get("url")),
            "similarity": value,
            "nsfw": clean_text(fields.get("nsfw")),
        }


class CuratedTable:
    """The curated table by image-text pair. It keeps a hash of the URL and text of each row."""

    def __init__(self, path: pathlib.Path, similarity_column: str):
        import pyarrow.dataset  # slow to import

        columns = {"wnid": pyarrow.string(), similarity_column: pyarrow.float32(), "NSFW": pyarrow.string()}
        pairs, batches = [], []
        with naming_damage(path):
            dataset = pyarrow.dataset.dataset(path, format="parquet")
            if missing_columns := [name for name in ("URL", "TEXT", *columns) if name not in dataset.schema.names]:
                raise UserError(
                    f"--table={path} has no column {missing_columns[0]!r}; it has {', '.join(dataset.schema.names)}"
                )
            for batch in dataset.to_batches(columns=["URL", "TEXT", *columns]):
                pairs.extend(map(pair_hash, batch["URL"].to_pylist(), batch["TEXT"].to_pylist()))
                batches.append(batch.select(list(columns)).cast(pyarrow.schema(columns)))
        self.row_of = {pair: row for row, pair in enumerate(pairs)}
        rows = pyarrow.Table.from_batches(batches, pyarrow.schema(columns))
        self.rows = rows.rename_columns([name.lower() for name in columns]).combine_chunks()

    def find(self, url: str | None, text: str | None) -> dict | None:
        """The wnid, similarity and nsfw of the pair's row, if there is one."""
        row = self.row_of.get(pair_hash(url, text))
        return None if row is None else self.rows.slice(row, 1).to_pylist()[0]


def pair_hash(url: str | None, text: str | None) -> int:
    pair = f"{clean_text(url)}\n{clean_text(text)}"
    return int.from_bytes(hashlib.blake2b(pair.encode(), digest_size=8).digest())
