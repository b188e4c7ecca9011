"""ImageNet-Captions: ImageNet's training images with their photographers' texts from Flickr.

Fang et al. (2022), "Data Determines Distributional Robustness in Contrastive Language Image Pre-training (CLIP)",
arXiv 2205.01397; the captions are from github.com/mlfoundations/imagenet-captions.
"""

import pathlib
import tarfile
from collections.abc import Callable, Iterator, Sequence
from typing import TypedDict

import tensorflow_datasets as tfds
from tqdm import tqdm

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.datasets.streaming import StreamingBuilder, clean_text, naming_damage, read_if_exists
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json

CAPTIONS = "imagenet_captions.json"
IMAGES = ("train", "ILSVRC2012_img_train.tar")
TEXTS = ("title", "tags", "description")

# Reads the images of a class with the given file names; None for a missing one.
ReadClass = Callable[[str, Sequence[str]], Iterator[bytes | None]]


class CaptionedImage(TypedDict):
    """An image in the captions file; it may have texts, too."""

    wnid: str
    filename: str


class ImagenetCaptions(StreamingBuilder):
    """ImageNet's training images with title, tags and description from Flickr, sorted by class and file name."""

    VERSION = "1.0.0"

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info(__doc__, imagenet_wnids(), "wnid", "filename", *TEXTS)

    def _generate_examples(self) -> Iterator[dict]:
        captions_file, images_path = find_raw(self.raw)
        captions = self._captions_by_class(captions_file)
        read_class = archived_images(images_path) if images_path.is_file() else extracted_images(images_path)
        progress = tqdm(total=sum(map(len, captions.values())), desc="imagenet_captions", unit=" images", disable=None)
        with progress, naming_damage(images_path):
            for label, wnid in enumerate(imagenet_wnids()):
                filenames = sorted(captions[wnid])
                for filename, image in zip(filenames, read_class(wnid, filenames)):
                    progress.update()
                    if self.is_usable(image, filename):
                        entry = captions[wnid][filename]
                        texts = {name: clean_text(entry.get(name)) for name in TEXTS}
                        yield {"image": image, "label": label, "wnid": wnid, "filename": filename, **texts}

    def _captions_by_class(self, path: pathlib.Path) -> dict[str, dict[str, dict]]:
        """The file's entries, by WordNet id and file name."""
        captions = {wnid: {} for wnid in imagenet_wnids()}
        unknown_wnids = []
        for entry in read_json(path, list[CaptionedImage]):
            if entry["wnid"] not in captions:
                unknown_wnids.append(entry["wnid"])
            elif entry["filename"] in captions[entry["wnid"]]:
                self.skips["listed twice"] += 1
            else:
                captions[entry["wnid"]][entry["filename"]] = entry
        if unknown_wnids:
            self.skips[f"of unknown WordNet ids such as {unknown_wnids[0]!r}"] = len(unknown_wnids)
        return captions


def find_raw(raw: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
    """The paths of the captions file and of the images; `raw` is the folder of both, or the images."""
    if (raw / CAPTIONS).is_file():
        for name in IMAGES:
            if (raw / name).exists():
                return raw / CAPTIONS, raw / name
        raise UserError(f"--raw={raw} has {CAPTIONS}, but neither {IMAGES[0]}/ nor {IMAGES[1]}")
    if (raw.parent / CAPTIONS).is_file():
        return raw.parent / CAPTIONS, raw
    raise UserError(f"there is no {CAPTIONS} in --raw={raw}, nor beside it")


def extracted_images(folder: pathlib.Path) -> ReadClass:
    """Reads images in one folder per class."""
    return lambda wnid, filenames: (read_if_exists(folder / wnid / filename) for filename in filenames)


def archived_images(path: pathlib.Path) -> ReadClass:
    """Reads images in ILSVRC2012's archive, which contains one archive per class."""
    with naming_damage(path):
        archive = tarfile.open(path)
        classes = {pathlib.PurePath(member.name).stem: member for member in archive}

    def read_class(wnid: str, filenames: Sequence[str]) -> Iterator[bytes | None]:
        if wnid not in classes:
            yield from (None for _ in filenames)
            return
        with tarfile.open(fileobj=archive.extractfile(classes[wnid])) as images:
            members = {pathlib.PurePath(member.name).name: member for member in images}
            for filename in filenames:
                yield images.extractfile(members[filename]).read() if filename in members else None

    return read_class
