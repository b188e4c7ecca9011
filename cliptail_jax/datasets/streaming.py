"""TFDS builders that write records to the shards as they are generated, for sets of any size."""

import collections
import contextlib
import dataclasses
import os
import pathlib
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping

import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from tensorflow_datasets.core import example_serializer, naming
from tqdm import tqdm

from cliptail_jax.datasets.metadata_table import TableWriter, fingerprint
from cliptail_jax.datasets.options import options_of
from cliptail_jax.datasets.reencoded import read_reencoding, reencoded
from cliptail_jax.formats.decoding import UnreadableImageError, decode_image
from cliptail_jax.formats.prepared import table_path
from cliptail_jax.formats.readers import DAMAGE
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.printing import one_line

SHARD_BYTES = 1 << 30
Skip = Callable[[str, object], None]  # `StreamingBuilder.skip`


class StreamingBuilder(tfds.core.GeneratorBasedBuilder):
    """A builder from raw data on disk that writes records in the order of their generation.

    TFDS's writer first sorts a split, in memory up to 1 GB and else in temporary files, which needs TensorFlow. This
    builder writes one shard after the other, with the metadata table beside them. TFDS renames the complete folder.

    The constructor's further arguments are the options in `options.py`. Unlike in TFDS, `_generate_examples` yields records without keys.
    """

    ANY_CONFIG = False  # whether a set may have any name after a slash
    CITATION, LICENSE = "", ""  # whom to cite, and what the data may be used for
    FURTHER_SETS: tuple[str, ...] = ()  # further sets, by their names after a slash
    raws: Mapping[str, pathlib.Path] = {}  # the raw data of a split, where each split has its own

    def __init__(
        self,
        *,
        raw: str | os.PathLike = "",
        short_side: str | int = "",
        quality: str | int = "",
        file_format: str = "array_record",
        **kwargs,
    ):
        self.raw = pathlib.Path(raw).expanduser() if raw else None
        self.reencoding = read_reencoding(short_side, quality)
        self.skips = collections.Counter()  # number of records of the current split, by reason
        super().__init__(file_format=file_format, **kwargs)

    def dataset_info(
        self, description: str, label_names: Iterable[str], /, *texts: str, **features
    ) -> tfds.core.DatasetInfo:
        """TFDS's description of records with an image, a label if there are names of labels, `features`, and `texts`."""
        label = {"label": tfds.features.ClassLabel(names=list(label_names))} if label_names else {}
        features |= {name: tfds.features.Text() for name in texts}
        return tfds.core.DatasetInfo(
            builder=self,
            description=description,
            features=tfds.features.FeaturesDict({"image": tfds.features.Image()} | label | features),
            supervised_keys=("image", "label") if label_names else None,
            disable_shuffling=True,
            citation=self.CITATION,
            license=self.LICENSE,
            metadata=tfds.core.MetadataDict(dataclasses.asdict(self.reencoding)) if self.reencoding else None,
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator[dict]]:
        return {"train": self._generate_examples()}

    def records(self, split: str, folder: pathlib.Path, labels: Mapping[str, int]) -> Iterator[dict]:
        """The records of the images in a folder, given the label of each file name. Missing ones are skipped."""
        for filename, label in tqdm(labels.items(), desc=f"{self.name} {split}", unit=" images", disable=None):
            image = read_if_exists(folder / filename)
            if self.is_usable(image, folder / filename):
                yield {"image": image, "label": label, "filename": filename}

    def is_usable(self, image: bytes | None, name: object) -> bool:
        """Whether the image can be decoded; if not, the record `name` is counted as skipped."""
        if image is None:
            self.skip("without an image", f"there is no image {name}")
        elif damage := damage_of(image):
            self.skip("whose image cannot be read", f"{name} is not a readable image: {damage}")
        else:
            return True
        return False

    def skip(self, reason: str, example: object) -> None:
        """Counts a file or record that is skipped, and reports the first example of each reason."""
        if not self.skips[reason]:
            note = f"note: {example}; it is skipped, and others like it are counted"
            tqdm.write(one_line(note), file=sys.stderr)
        self.skips[reason] += 1

    def check_raw(self) -> None:
        """Raises UserError unless the raw data exist."""
        options = options_of(self.name)
        if options and self.raw is None:
            raise UserError(f"data set {self.name!r} needs --raw=PATH: {options['raw']}")
        if self.raw and not self.raw.exists():
            raise UserError(f"data set {self.name!r}: there is no {self.raw}; --raw names {options['raw']}")

    def _generate_splits(self, dl_manager, download_config) -> list[tfds.core.SplitInfo]:
        self.check_raw()
        if self.info.file_format.value != "array_record":
            raise UserError(f"data set {self.name!r} is written as file_format='array_record' only")
        return [self._write_split(*split) for split in self._split_generators(dl_manager).items()]

    def _write_split(self, split: str, examples: Iterable[dict]) -> tfds.core.SplitInfo:
        template = self._get_filename_template(split_name=split)
        folder = pathlib.Path(template.data_dir)  # TFDS's temporary folder
        features = self.info.features
        serializer = example_serializer.ExampleSerializer(features.get_serialized_info())
        table = TableWriter(table_path(folder, split), features)
        self.skips.clear()
        with contextlib.closing(Shards(folder, split)) as shards:
            for example in reencoded(examples, self.reencoding) if self.reencoding else examples:
                record = serializer.get_tf_example(features.encode_example(example))
                shards.write(record.SerializeToString(deterministic=True))  # otherwise, the order of fields varies
                table.add(example)
        if not table.count:
            reasons = ", ".join(f"{reason}: {count:,}" for reason, count in self.skips.items()) or "it is empty"
            raise UserError(
                f"data set {self.name!r}: {self.raws.get(split, self.raw)} gives no record of the split {split!r} ({reasons})"
            )
        table.finish(fingerprint(shards.rename(template), shards.counts), self.skips)
        return tfds.core.SplitInfo(
            name=split, shard_lengths=shards.counts, num_bytes=shards.num_bytes, filename_template=template
        )


class Shards:
    """ArrayRecord files, written one after the other. They get their final names when their number is known."""

    def __init__(self, folder: pathlib.Path, split: str):
        self.folder, self.split = folder, split
        self.writer, self.room, self.counts, self.num_bytes = None, 0, [], 0

    def write(self, record: bytes) -> None:
        if self.room <= 0:
            self.close()
            self.writer = ArrayRecordWriter(str(self._path(len(self.counts))), "group_size:1")
            self.counts.append(0)
            self.room = SHARD_BYTES
        self.writer.write(record)
        self.room -= len(record)
        self.num_bytes += len(record)
        self.counts[-1] += 1

    def close(self) -> None:
        """Completes the last shard. Raises OSError if the disk is full."""
        if self.writer is not None:
            writer, self.writer = self.writer, None
            try:
                writer.close()
            except RuntimeError as error:  # the writer reports errors only now
                raise OSError(str(error)) from error

    def rename(self, template: naming.ShardedFileTemplate) -> list[pathlib.Path]:
        """Gives the shards the names that TFDS expects, and returns their paths."""
        count = len(self.counts)
        names = [template.sharded_filepath(shard_index=index, num_shards=count).name for index in range(count)]
        return [self._path(index).rename(self.folder / name) for index, name in enumerate(names)]

    def _path(self, index: int) -> pathlib.Path:
        return self.folder / f"{self.split}-{index}.unfinished"


def damage_of(image: bytes) -> str:
    """Why the image cannot be decoded, or ''. A JPEG is decoded at an eighth of its size, which fails in the same cases."""
    try:
        decode_image(image, least_side=1)
    except UnreadableImageError as error:
        return " ".join(str(error).split())
    return ""


def read_if_exists(path: pathlib.Path) -> bytes | None:
    """The content of a file, None without one. Raises UserError if it cannot be read."""
    # `Path.is_file` raises an error for a name that is too long.
    with naming_damage(path):
        return path.read_bytes() if os.path.isfile(path) else None


def clean_text(value: object) -> str:
    """The value as a text: '' for None, a list's elements joined with spaces, and '?' for lone surrogates."""
    if isinstance(value, list):
        value = " ".join(map(str, value))
    return "" if value is None else str(value).encode(errors="replace").decode()


@contextlib.contextmanager
def naming_damage(path: pathlib.Path) -> Iterator[None]:
    """Turns an exception of a reader of archives or tables into a UserError that names the damaged file."""
    try:
        yield
    except DAMAGE as error:
        if getattr(error, "errno", None):  # an error of the file system
            raise UserError(f"{path} cannot be read: {error.strerror}") from error
        raise UserError(f"{path} is damaged: {' '.join(str(error).split())}") from error
