"""Labelled images in one folder per class, as for torchvision's ImageFolder, or named in a table with their classes."""

import collections
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import tensorflow_datasets as tfds
from tqdm import tqdm

from cliptail_jax.concepts.class_lists import check_unique, concept
from cliptail_jax.datasets.image_tables import LabelledTable, is_table
from cliptail_jax.datasets.metadata import clean_name
from cliptail_jax.datasets.options import MAPPED
from cliptail_jax.datasets.own_splits import OwnSplits
from cliptail_jax.datasets.streaming import Skip, clean_text, read_if_exists
from cliptail_jax.formats.class_names import composed
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_text

EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")  # torchvision's
USUAL_SPLITS = {"train", "val", "valid", "validation", "test"}


class ImageFolder(OwnSplits):
    """Images in one folder per class, sorted by class and file name. Nested folders count; links to folders are not followed.

    A split may be a table instead, with a column of images and one of classes. The classes are those of the split train, or
    else of the first split; other splits may lack some of them.
    """

    VERSION = "1.0.0"

    def __init__(
        self,
        *,
        class_names: str | os.PathLike = "",
        image_column: str = "",
        label_column: str = "",
        skip_damaged: bool = False,
        **kwargs,
    ):
        self.skip_damaged = skip_damaged
        self.names_file = pathlib.Path(class_names).expanduser() if class_names else None
        self.columns = image_column, label_column
        self.tables: dict[str, LabelledTable] = {}  # by split
        super().__init__(**kwargs)

    def _info(self) -> tfds.core.DatasetInfo:
        self.tables = {split: LabelledTable(raw, *self.columns) for split, raw in self.raws.items() if is_table(raw)}
        names = names_of(self._classes(), self.names_file)
        return self.dataset_info(__doc__, names, "filename")

    def _classes(self) -> list[str]:
        classes = self._classes_of(next(iter(self.raws))) if self.raws else []
        return list(dict.fromkeys(map(composed, classes)))

    def _classes_of(self, split: str) -> list[str]:
        return list(self.tables[split].examples) if split in self.tables else class_folders(self.raws[split])

    def check_raw(self) -> None:
        super().check_raw()
        classes, self.totals = self._classes(), collections.Counter()  # number of image files, by split
        for split, raw in self.raws.items():
            for name in self._classes_of(split):
                if composed(name) not in classes:
                    first, path = next(iter(self.raws.items()))
                    raise UserError(
                        f"--{split}={raw} has the class {name!r}, which --{first}={path} lacks: remove or rename it"
                    )
                if split not in self.tables:
                    self.totals[split] += self._images_in_class(raw / name)
            if split in self.tables:
                self.totals[split] = self.tables[split].examples.total()

    def _images_in_class(self, folder: pathlib.Path) -> int:
        """The number of image files. Raises UserError if there are none, unless `skip_damaged` is set."""
        examples = []
        count = len(images_in(folder, lambda reason, example: examples.append(example)))
        if not count and not self.skip_damaged:
            raise UserError(
                f"there are no images in class {folder.name!r}: {folder} has no file ending in "
                f"{', '.join(EXTENSIONS)}{f', and {examples[0]}' if examples else ''}; put images there, remove the "
                "folder, or pass --skip_damaged"
            )
        return count

    def _generate_examples(self, split: str) -> Iterator[dict]:
        labels = {name: label for label, name in enumerate(self._classes())}
        with tqdm(total=self.totals[split], desc=f"{self.name} {split}", unit=" images", disable=None) as progress:
            yield from (self._table_examples if split in self.tables else self._folder_examples)(
                split, labels, progress
            )

    def _table_examples(self, split: str, labels: Mapping[str, int], progress: tqdm) -> Iterator[dict]:
        usable = set()
        for filename, image, name in self.tables[split].rows():
            progress.update()
            if not name:
                self.skip("without a class", f"{self.raws[split]} has no class for {filename}")
            elif self.is_usable(image, filename):
                usable.add(name)
                yield {"image": image, "label": labels[name], "filename": filename}
        for name, count in self.tables[split].examples.items():
            if count and name not in usable:
                self._skip_class(name, f"in {self.raws[split]}")

    def _folder_examples(self, split: str, labels: Mapping[str, int], progress: tqdm) -> Iterator[dict]:
        folder = self.raws[split]
        for name in class_folders(folder, self.skip):
            usable = 0
            for path in images_in(folder / name, self.skip):
                progress.update()
                image = read_if_exists(path)
                if self.is_usable(image, path):
                    usable += 1
                    filename = clean_text(path.relative_to(folder).as_posix())
                    yield {"image": image, "label": labels[composed(name)], "filename": filename}
            if not usable:
                self._skip_class(name, f"in {folder / name}")

    def _skip_class(self, name: str, place: str) -> None:
        """Counts a class without a readable image. Raises UserError unless `skip_damaged` is set."""
        if not self.skip_damaged:
            raise UserError(
                f"no image in class {name!r} can be read: replace those {place}, remove the class, or pass --skip_damaged"
            )
        self.skip("classes without a readable image", f"class {name!r} has no readable image")


def class_folders(folder: pathlib.Path, skip: Skip = lambda reason, example: None) -> list[str]:
    """The names of the class folders in a folder, sorted. Links to folders, and images beside them, are skipped.

    Raises:
        UserError: It is not a folder, or has no class folders.
    """
    if not folder.is_dir():
        raise UserError(
            f"{folder} is not a folder: name a folder that contains a folder of images for each class, or a table of images and classes"
        )
    names, obstacle = [], ""
    for path in sorted(folder.iterdir()):
        if is_hidden(path.name):
            skip(*hidden(path))
        elif path.is_dir() and not path.is_symlink():
            names.append(path.name)
        elif path.is_dir():
            obstacle = "links, which are not followed, but "
            skip(*link_to_folder(path))
        elif is_image(path.name):
            obstacle = obstacle or "images, but "
            skip("images beside the class folders", f"{path} is not in the folder of a class")
    if not names:
        raise UserError(
            f"{folder} has {obstacle}no class folders: put the images of each class into a folder of its own"
        )
    splits = [name for name in names if name.lower() in USUAL_SPLITS]
    if len(splits) >= 2 or len(splits) == len(names):
        options = {name: name.lower() if name.lower() in ("train", "test") else "val" for name in splits}
        flags = " ".join(f"--{options[name]}={folder / name}" for name in splits)
        raise UserError(f"{folder} has the folders {', '.join(splits)}, which are splits, not classes: pass {flags}")
    return names


def images_in(folder: pathlib.Path, skip: Skip) -> list[pathlib.Path]:
    """The image files in a folder and its subfolders, by folder, then by name, which is torchvision's order.

    Other files, pipes, links to folders, and folders that cannot be read are skipped.
    """

    def on_error(error: OSError) -> None:
        skip("folders that cannot be read", f"{error.filename} cannot be read: {error.strerror}")

    files = []
    for root, folders, names in os.walk(folder, onerror=on_error):
        for path in (pathlib.Path(root, name) for name in sorted(folders)):
            if is_hidden(path.name):
                skip(*hidden(path))
                folders.remove(path.name)
            elif path.is_symlink():
                skip(*link_to_folder(path))
        for path in (pathlib.Path(root, name) for name in sorted(names)):
            if is_hidden(path.name):
                skip(*hidden(path))
            elif is_image(path.name) and path.exists() and not path.is_file():
                skip("pipes and devices", f"{path} is a pipe or a device")  # reading one may wait for ever
            elif is_image(path.name):
                files.append(path)
            else:
                skip("files that are not images by their names", f"{path} is not an image by its name")
    return sorted(files, key=lambda file: (str(file.parent), file.name))


@dataclasses.dataclass(frozen=True)
class ImageFiles:
    """Image files as a source of encoded images, which `cliptail_jax.input.pipeline` reads: record i is the i-th file."""

    name: str
    split: str
    files: tuple[pathlib.Path, ...]

    def encoded_images(self, records: Iterable[int | np.integer]) -> Iterator[bytes]:
        """The content of each record's file, b"" if it cannot be read."""
        for record in records:
            try:
                yield self.files[record].read_bytes()
            except OSError:
                yield b""

    def file_of(self, record: int) -> pathlib.Path:
        return self.files[record]


def is_image(name: str) -> bool:
    return name.lower().endswith(EXTENSIONS)


def is_hidden(name: str) -> bool:
    """Whether programs keep copies or notes under such a name: .ipynb_checkpoints, ._a.jpg, and __MACOSX of archives."""
    return name.startswith(".") or name == "__MACOSX"


def hidden(path: pathlib.Path) -> tuple[str, str]:
    return "hidden files and folders", f"{path} is hidden"


def link_to_folder(path: pathlib.Path) -> tuple[str, str]:
    """The reason to skip a link: if it led to a folder above it, images would occur again as those of other classes."""
    return "links to folders", f"{path} is a link to a folder"


def names_of(folders: list[str], path: pathlib.Path | None) -> list[str]:
    """The class names of folders: the folders' names, unless a file has others.

    Raises:
        UserError: The file cannot be read, lacks a folder, or has an invalid class name; or two classes have the same
            name.
    """
    origin, mapping = (
        (f"--class_names={path}", {composed(f): n for f, n in read_mapping(path).items()})
        if path
        else ("the folders", {f: f for f in folders})
    )
    folder_of = {}
    for folder in folders:
        if folder not in mapping:
            raise UserError(f"{origin} has no name for the folder {folder!r}: add it")
        name = concept({"name": mapping[folder]}, f"{origin}, folder {folder!r}").name.strip()
        other = folder_of.setdefault(clean_name(name), folder)
        if other != folder:
            raise UserError(
                f"the folders {other!r} and {folder!r} have the same class name {clean_name(name)!r}: give each a name of "
                f"its own{' there' if path else ', by --class_names=FILE'}"
            )
        mapping[folder] = name
    return [mapping[folder] for folder in folders]


def read_mapping(path: pathlib.Path) -> dict[str, str]:
    """Reads a JSON object, or lines of folder <TAB> name."""
    try:
        text = read_text(path)
        mapping = json.loads(text) if path.suffix.lower() == ".json" else None
    except OSError as error:
        raise UserError(f"--class_names={path} cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise UserError(f"--class_names={path} is not {MAPPED}: {error}") from error
    if mapping is None:
        lines = [line for line in text.splitlines() if line.strip()]
        if bad_lines := [line for line in lines if line.count("\t") != 1]:
            raise UserError(f"--class_names={path} is not {MAPPED}: {bad_lines[0][:50]!r}")
        pairs = [line.split("\t") for line in lines]
        check_unique([folder for folder, _ in pairs], f"--class_names={path}")
        mapping = dict(pairs)
    if not isinstance(mapping, dict):
        raise UserError(f"--class_names={path} is not {MAPPED}")
    return mapping
