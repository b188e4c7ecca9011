"""Images with texts, labels or both, from shards in WebDataset's format or from tables (YFCC15M, CC12M)."""

import contextlib
import glob
import itertools
import os
import pathlib
import re
import sys
import zlib
from collections.abc import Callable, Iterator, Sequence

import tensorflow_datasets as tfds
from tqdm import tqdm

from cliptail_jax.concepts.captions import check_columns, columns_of, suffix
from cliptail_jax.concepts.class_lists import imagenet_wnids, listed_names
from cliptail_jax.datasets.image_folder import USUAL_SPLITS
from cliptail_jax.datasets.image_tables import (
    NOT_A_NUMBER,
    PATHS,
    USUAL_NAMES,
    class_names_in,
    find_image_column,
    label_in,
    read_table,
)
from cliptail_jax.datasets.options import TABLES
from cliptail_jax.datasets.own_splits import OwnSplits
from cliptail_jax.datasets.streaming import clean_text
from cliptail_jax.datasets.webdataset import ShardsBuilder, read_shard
from cliptail_jax.formats.readers import Columns
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.printing import one_line

# Names of files such as train-00000-of-00012.parquet, perhaps with a digest, val-00000.tar, train_0.tar, or test.parquet.
SPLIT_FILE = re.compile(
    rf"(.+?)-\d+(-of-\d+(-\w+)?)?\.\w+|({'|'.join(sorted(USUAL_SPLITS))})([_-]\d+)?\.\w+", re.IGNORECASE
)
RANGE = re.compile(r"(\d+)\.\.(\d+)")  # in braces
FIRST_SAMPLES = 100  # of a shard, to list its fields


class ImageText(OwnSplits, ShardsBuilder):
    """Images with texts of any kind and, where they exist, labels."""

    VERSION = "1.0.0"

    def __init__(
        self,
        *,
        images: str | os.PathLike = "",
        image_column: str = "",
        caption_columns: str = "caption",
        label_column: str = "",
        classes: str = "",
        **kwargs,
    ):
        self.images = pathlib.Path(images).expanduser() if images else None
        self.image_column, self.label_column, self.classes = image_column, label_column, classes
        self.caption_columns = caption_columns.split(",") if caption_columns else []
        self.columns = [*self.caption_columns, *filter(None, [label_column])]
        if classes and not label_column:
            raise UserError(f"--classes={classes} needs --label_column=NAME, the column or field of the labels")
        if not self.columns:
            raise UserError("--caption_columns is empty: images without texts need labels, by --label_column=NAME")
        if reserved_names := set(self.caption_columns) & {"image", "label", "filename", "record", ""}:
            raise UserError(
                f"--caption_columns={caption_columns} has {min(reserved_names)!r}, which cannot be a text's name"
            )
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        self.class_names = self._class_names() if self.label_column and self.raws else ()
        return self.dataset_info(__doc__, self.class_names, "filename", *self.caption_columns)

    def _class_names(self) -> Sequence[str]:
        if self.classes == "imagenet1k":
            return imagenet_wnids()  # as in TFDS
        if self.classes:
            return listed_names(self.classes)
        first_file = find_files(next(iter(self.raws.values())))[0]
        if names := class_names_in(first_file, self.label_column):
            return names
        raise UserError(
            f"--label_column={self.label_column} needs --classes, the class list of the labels: {first_file} has no class names "
            "as the parquet files of Hugging Face have them"
        )

    def check_raw(self) -> None:
        super().check_raw()
        for split in self.raws:
            files = find_files(self.raws[split])
            if not self.skip_damaged:
                self.check_complete(self.raws[split], files)
            if is_shard(files[0]):
                if (fields := fields_in(files[0])) is not None:
                    self._check_columns(f"{files[0]} has no samples with the field", "they have", fields, str.lower)
            else:
                for path in files:
                    check_columns(str(path), [self.image_column or find_image_column(path)])
                    if columns := columns_of(str(path)):
                        self._check_columns(f"{path} has no column", "it has", columns)

    def _check_columns(self, complaint: str, prefix: str, columns: Columns, key: Callable[[str], str] = str) -> None:
        """Raises UserError if a column of texts or labels is missing. It proposes a flag with the texts that exist."""
        if missing_columns := [name for name in self.columns if key(name) not in columns]:
            other_columns = (PATHS, *USUAL_NAMES, self.image_column, self.label_column)
            texts = [name for name, kind in columns.items() if kind == "text" and name not in other_columns]
            message = f"{complaint} {missing_columns[0]!r}; {prefix} {', '.join(columns) or 'images alone'}"
            if not columns:
                message += ": add texts, such as 00000.txt for 00000.jpg"
            if texts and missing_columns[0] in self.caption_columns:
                message += f": name those of texts, as --caption_columns={','.join(texts)}"
            raise UserError(message)

    def _generate_examples(self, split: str) -> Iterator[dict]:
        labels = {name: label for label, name in enumerate(self.class_names)}
        files, records, without_text = find_files(self.raws[split]), 0, 0
        self.check_complete(self.raws[split], files)
        for filename, image, fields in self._shards(files) if is_shard(files[0]) else self._tables(files):
            if self.is_usable(image, filename):
                example = {"image": image, "filename": filename}
                if labels:
                    example["label"] = self._label(fields.get(self.label_column), labels, split)
                for texts in captions_of(fields, self.caption_columns, f"{self.raws[split]}, {filename}"):
                    records += 1
                    without_text += not any(texts.values())
                    yield example | texts
        if self.caption_columns and without_text:
            columns = ", ".join(self.caption_columns)
            note = f"note: {without_text:,} of {records:,} records of {split} have no text ({columns})"
            tqdm.write(one_line(note), file=sys.stderr)

    def _shards(self, files: list[pathlib.Path]) -> Iterator[tuple[str, bytes | None, dict]]:
        """The name, image and fields of each sample. A failed download has no image."""
        is_unique = len({path.stem for path in files}) == len(files)
        folders = dict.fromkeys(files, "") if is_unique else folders_of(files)
        for path, (key, image, fields) in self.samples(files):
            filename = clean_text(f"{folders[path]}{path.stem}/{key}")
            yield filename, image, {name: fields.get(name.lower()) for name in self.columns}

    def _tables(self, files: list[pathlib.Path]) -> Iterator[tuple[str, bytes | None, dict]]:
        """The name, image and fields of each row. Names are different for different images.

        A number among the labels of a file of Hugging Face is the class name that this file has for it.
        """
        folders = folders_of(files)
        checksums: dict[str, int] = {}  # of the first image of each name
        with tqdm(desc=self.name, unit=" rows", disable=None) as progress:
            for path in files:
                column = self.image_column or find_image_column(path)
                names = [] if self.classes else class_names_in(path, self.label_column)
                for row, (name, image, fields) in enumerate(
                    read_table(path, column, self.columns, self.images or path.parent)
                ):
                    progress.update()
                    if not self.images and not os.path.isabs(name):
                        name = folders[path] + name
                    if image and isinstance(fields[column], dict):  # its path may be that of another image
                        checksum = zlib.crc32(image)
                        if checksums.setdefault(name, checksum) != checksum:
                            name = f"{folders[path]}{path.stem}/{row}"
                    label = label_in(fields.get(self.label_column), f"{path}: {self.label_column!r}") if names else None
                    if isinstance(label, int) and 0 <= label < len(names):
                        fields = fields | {self.label_column: names[label]}
                    yield name, image, fields

    def _label(self, value: object, labels: dict[str, int], split: str) -> int:
        """The label of a value: a class name, or a number (also as text); -1 for a missing value."""
        value = label_in(value, f"{self.raws[split]}: {self.label_column!r}")
        if value in labels:
            return labels[value]
        if value in (None, "-1", -1):
            return -1
        if not re.fullmatch("[0-9]{1,9}", str(value)) or int(value) >= len(labels):
            raise UserError(
                f"{self.raws[split]} has the label {str(value)[:50]!r}, which is neither a class of "
                f"{'--classes' if self.classes else 'the file'} nor a number below {len(labels)}"
            )
        return int(value)


def find_files(raw: pathlib.Path) -> list[pathlib.Path]:
    """The shards or tables of a path, a glob or a folder, sorted. In a folder with shards, only these count.

    Raises:
        UserError: There are none, or they are of several kinds or splits.
    """
    if raw.is_dir():
        files = sorted(raw.glob("*.tar")) or sorted(raw.glob("*.parquet"))
        if not files:
            raise UserError(f"{raw} has neither shards (*.tar) nor parquet files: name the folder of these, or a file")
        splits = sorted({match[1] or match[4] for file in files if (match := SPLIT_FILE.fullmatch(file.name))})
        if len(splits) > 1:
            raise UserError(
                f"{raw} has files of the splits {', '.join(splits)}: name those of each by a glob, such as "
                f"--train='{raw}/{splits[-1]}*'"
            )
    else:
        files = [raw] if raw.exists() else in_braces(raw)
    if not files:
        raise UserError(f"no file matches {raw}: name {TABLES}")
    if len(set(map(is_shard, files))) > 1:
        raise UserError(f"{raw} has shards (*.tar) and tables: name either by a glob")
    return files


def folders_of(files: Sequence[pathlib.Path]) -> dict[pathlib.Path, str]:
    """The folder of each file below the one that contains all, with a slash at its end; '' for this one."""
    top = os.path.commonpath([file.parent for file in files])
    return {
        file: "" if file.parent == pathlib.Path(top) else f"{file.parent.relative_to(top).as_posix()}/"
        for file in files
    }


def in_braces(raw: pathlib.Path) -> list[pathlib.Path]:
    """The files that match a glob, sorted; braces are expanded first, as in the shell: `{a,b}/{00000..00331}.tar`.

    Raises UserError if a name or glob between braces matches nothing.
    """
    files = {}
    for pattern in expand_braces(str(raw)):
        paths = sorted(glob.glob(pattern, recursive=True))
        if not paths and pattern != str(raw):
            raise UserError(f"{raw}: there is no {pattern}")
        files |= dict.fromkeys(map(pathlib.Path, paths))
    return sorted(files)


def expand_braces(pattern: str) -> Iterator[str]:
    """The texts that a pattern stands for, with lists {a,b} and ranges {000..331} in braces, also nested ones.

    They are made one by one, since a range may be of any length.
    """
    depth, cuts = 0, []  # where the first pair of braces begins, has commas, and ends
    for place, character in enumerate(pattern):
        depth += (character == "{") - (character == "}")
        if (character == "{" and depth == 1) or (character in ",}" and cuts and depth == (character == ",")):
            cuts.append(place)
        if cuts and depth == 0:
            break
    if not cuts or depth:
        yield pattern
        return
    parts = [pattern[start + 1 : end] for start, end in itertools.pairwise(cuts)]
    if match := RANGE.fullmatch(parts[0]) if len(parts) == 1 else None:
        first, last = map(int, match.groups())
        step, digits = (1 if first <= last else -1), max(map(len, match.groups()))
        choices = (f"{number:0{digits}}" for number in range(first, last + step, step))
    elif len(parts) == 1:
        choices = (f"{{{inner}}}" for inner in expand_braces(parts[0]))  # the shell leaves such braces, too
    else:
        choices = (text for part in parts for text in expand_braces(part))
    for choice in choices:
        for ending in expand_braces(pattern[cuts[-1] + 1 :]):
            yield f"{pattern[: cuts[0]]}{choice}{ending}"


def is_shard(path: pathlib.Path) -> bool:
    """Whether a file is an archive, and not a table."""
    return suffix(str(path)) == ".tar"


def fields_in(shard: pathlib.Path) -> Columns | None:
    """The fields of a shard's first samples; None if it has none or is damaged. Its reader reports the damage later."""
    fields, is_empty = {}, True
    try:
        for sample in itertools.islice(read_shard(shard, lambda *_: None), FIRST_SAMPLES):
            fields |= {
                name: "text" if isinstance(value, str) else type(value).__name__
                for name, value in sample.fields.items()
            }
            is_empty = False
    except UserError:
        return None
    return None if is_empty else fields


def captions_of(fields: dict, columns: Sequence[str], subject: str) -> Iterator[dict[str, str]]:
    """The texts of each of an image's records: one record per caption if a column is a list, else one record.

    Shorter lists are filled up with empty texts. Raises UserError, which begins with `subject`, for a value that is not text.
    """
    lists = {name: fields[name] for name in columns if isinstance(fields.get(name), list)}
    for place in range(max(1, *map(len, lists.values())) if lists else 1):
        yield {
            name: text_of(
                next(iter(lists[name][place:]), None) if name in lists else fields.get(name), f"{subject}: {name!r}"
            )
            for name in columns
        }


def text_of(value: object, subject: str) -> str:
    """A value as text, if it is a text, UTF-8 bytes, a number, or a list of these.

    COCO's sentences are objects with the text in 'raw'. Raises UserError, which begins with `subject`, for other values.
    """
    value = value["raw"] if isinstance(value, dict) and "raw" in value else value
    if isinstance(value, list):
        return " ".join(text_of(element, subject) for element in value)
    with contextlib.suppress(UnicodeDecodeError):
        value = value.decode() if isinstance(value, bytes) else value
    if not isinstance(value, str | int | float | None):
        kind = "not UTF-8" if isinstance(value, bytes) else "neither text nor a list of texts"
        raise UserError(f"{subject} is {kind}: {str(value)[:50]}")
    text = clean_text(value)
    return "" if text in NOT_A_NUMBER else text
