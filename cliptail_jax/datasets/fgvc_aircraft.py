"""FGVC-Aircraft: 10,000 aircraft of 100 variants, or 70 families.

Maji et al. (2013), "Fine-Grained Visual Classification of Aircraft", arXiv 1306.5151.
"""

from collections.abc import Iterator

import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.datasets.streaming import StreamingBuilder
from cliptail_jax.host.errors import UserError

SPLITS = {"train": "train", "validation": "val", "test": "test"}
CLASS_LISTS = {"variant": "aircraft", "family": "aircraft_family"}


class FgvcAircraft(StreamingBuilder):
    """Aircraft by variant or family. The lowest 20 pixels of an image are a banner with its author."""

    VERSION = "1.0.0"
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=level, description=f"by {level}") for level in CLASS_LISTS]

    def _info(self) -> tfds.core.DatasetInfo:
        names = listed_names(CLASS_LISTS[self.builder_config.name])
        return self.dataset_info(__doc__, names, "filename")

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict:
        return {split: self._generate_examples(split) for split in SPLITS}

    def _generate_examples(self, split: str) -> Iterator[dict]:
        data = self.raw / "data" if (self.raw / "data").is_dir() else self.raw
        path = data / f"images_{self.builder_config.name}_{SPLITS[split]}.txt"
        if not path.is_file():
            raise UserError(f"--raw={self.raw} has no data/{path.name}")
        class_list = CLASS_LISTS[self.builder_config.name]
        labels = {name: label for label, name in enumerate(listed_names(class_list))}
        label_of_file = {}
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, class_name = line.partition(" ")
            if class_name not in labels:
                raise UserError(f"{path} has the class {class_name!r}, not in the class list {class_list!r}")
            label_of_file[f"{name}.jpg"] = labels[class_name]
        return self.records(split, data / "images", label_of_file)
