"""Builders of a user's own data, with an option per split: --train=RAW --val=RAW --test=RAW."""

import pathlib
import re
from collections.abc import Mapping

import tensorflow_datasets as tfds

from cliptail_jax.datasets.options import OPTIONS
from cliptail_jax.datasets.streaming import StreamingBuilder
from cliptail_jax.host.errors import UserError

SPLITS = ("train", "val", "test")
NAME = re.compile("(?!all$)[a-z_]+[a-z_0-9]*")  # TFDS has the name 'all' for all splits


def raw_of_splits(options: Mapping[str, str | bool]) -> dict[str, pathlib.Path]:
    """The raw data of each split, from the options `train`, `val`, `test`, and `raw` with `split`.

    Raises:
        UserError: A split has an impossible name, or is named twice, or `split` is given without `raw`.
    """
    raws = {split: options[split] for split in SPLITS if options.get(split)}
    if name := options.get("split"):
        if not options.get("raw"):
            raise UserError(
                f"--split={name} names the split of --raw=PATH: give that, or --val and --test in its place"
            )
        if not NAME.fullmatch(name):
            raise UserError(f"--split={name} is not a name such as train, val or test_2, in lower case")
    if options.get("raw"):
        if (name or "train") in raws:
            raise UserError(f"the split {name or 'train'} is given twice: by --raw and by --{name or 'train'}")
        raws[name or "train"] = options["raw"]
    return {split: pathlib.Path(raw).expanduser() for split, raw in raws.items()}


class OwnSplits(StreamingBuilder):
    """A builder of sets with any name after the slash. Each split has its own raw data, `self.raws[split]`.

    `_generate_examples` takes the name of a split.
    """

    ANY_CONFIG = True

    def __init__(self, *, raw: str = "", split: str = "", train: str = "", val: str = "", test: str = "", **kwargs):
        self.raws = raw_of_splits({"raw": raw, "split": split, "train": train, "val": val, "test": test})
        super().__init__(**kwargs)

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {split: self._generate_examples(split) for split in self.raws}

    def check_raw(self) -> None:
        if not self.raws:
            raise UserError(
                f"data set {self.name!r} needs --train=PATH, --val=PATH or --test=PATH: {OPTIONS[self.name]['train']}"
            )
