"""Any images with texts, from shards in WebDataset's format or a table of paths and captions (YFCC15M, CC12M)."""

import os
import pathlib
import re
from collections.abc import Iterator

import tensorflow_datasets as tfds
from tqdm import tqdm

from cliptail_jax.concepts.captions import read_rows
from cliptail_jax.concepts.vocabulary import imagenet_wnids, vocabulary_names
from cliptail_jax.datasets.streaming import clean_text, read_if_exists
from cliptail_jax.datasets.webdataset import OPTIONS, ShardsBuilder
from cliptail_jax.errors import UserError


class ImageText(ShardsBuilder):
    """Images with texts of any kind and, where they exist, labels."""

    VERSION = "1.0.0"
    ANY_CONFIG = True  # the config is the set's name: image_text/yfcc15m
    OPTIONS = {
        "raw": "a folder of shards (*.tar), one shard, or a table of paths and captions (.tsv, .csv, .jsonl, .parquet)",
        "images": "the folder that the table's paths are relative to (default: the table's)",
        "path_column": "the table's column of image paths (default: filepath)",
        "caption_columns": "the columns of texts, or fields of the samples' .json, as A,B,...; each becomes a field "
        "of its name (default: caption, which is also a sample's .txt)",
        "label_column": "the column or field of labels: numbers, or names of the classes (default: there are none)",
        "classes": "the vocabulary of the labels, built-in or a file; label_column needs it",
    } | OPTIONS

    def __init__(
        self,
        *,
        images: str | os.PathLike = "",
        path_column: str = "filepath",
        caption_columns: str = "caption",
        label_column: str = "",
        classes: str = "",
        **kwargs,
    ):
        self.images = pathlib.Path(images).expanduser() if images else None
        self.path_column, self.label_column = path_column, label_column
        self.caption_columns = caption_columns.split(",")
        if bool(label_column) != bool(classes):
            raise UserError("data set 'image_text' takes --label_column and --classes together, or neither")
        if taken := set(self.caption_columns) & {"image", "label", "filename", ""}:
            raise UserError(f"--caption_columns={caption_columns} has {min(taken)!r}, which cannot be a text's name")
        names = vocabulary_names(classes) if classes else ()
        self.class_names = imagenet_wnids() if classes == "imagenet1k" else names  # ids, as in TFDS
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        texts = {column: tfds.features.Text() for column in ("filename", *self.caption_columns)}
        return self.dataset_info(__doc__, self.class_names, **texts)

    def _generate_examples(self) -> Iterator[dict]:
        is_sharded = self.raw.is_dir() or self.raw.suffix == ".tar"
        labels = {name: label for label, name in enumerate(self.class_names)}
        for filename, image, fields in self._shards() if is_sharded else self._table():
            if self.is_usable(image):
                example = {"image": image, "filename": filename}
                example |= {column: clean_text(fields.get(column)) for column in self.caption_columns}
                if labels:
                    example["label"] = self._label(fields.get(self.label_column), labels)
                yield example

    def _shards(self) -> Iterator[tuple[str, bytes | None, dict]]:
        """The name, image and fields of each sample. A failed download has no image."""
        for path, (key, image, fields) in self.samples():
            filename = clean_text(f"{path.stem}/{key}")
            yield filename, image, {name: fields.get(name.lower()) for name in self._columns()}

    def _table(self) -> Iterator[tuple[str, bytes | None, dict]]:
        """The name, image and fields of each row."""
        folder = self.images or self.raw.parent
        rows = read_rows(str(self.raw), [self.path_column, *self._columns()])
        for row in tqdm(rows, desc=self.name, unit=" rows", disable=None):
            filename = clean_text(row[self.path_column])
            yield filename, read_if_exists(folder / filename), row

    def _columns(self) -> list[str]:
        return [*self.caption_columns, *filter(None, [self.label_column])]

    def _label(self, value: object, labels: dict[str, int]) -> int:
        """The label that a value is: a class name, or a number as such or as text; -1 where it is missing."""
        text = clean_text(value).strip()
        if text in labels:
            return labels[text]
        if text in ("", "-1"):
            return -1
        if not re.fullmatch("[0-9]{1,9}", text) or int(text) >= len(labels):
            known = f"a class of --classes, nor a number below {len(labels)}"
            raise UserError(f"{self.raw} has the label {text[:50]!r}, which is not {known}")
        return int(text)
