"""Small data sets as TFDS prepares them."""

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tensorflow_datasets as tfds


def prepare(
    data_dir: Path,
    dataset: str,
    features: Mapping[str, Any],
    examples: Mapping[str, Sequence[dict]],
    version: str = "1.0.0",
    config: str = "",
) -> None:
    """Prepares each split's examples in their order: an 'image', which is encoded, and the `features`."""

    class Examples(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        name, VERSION, pkg_dir_path = dataset, version, None
        BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=config)] if config else []

        def _info(self):
            of_all = tfds.features.FeaturesDict({"image": tfds.features.Image(), **features})
            return tfds.core.DatasetInfo(builder=self, features=of_all, disable_shuffling=True)

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(of_split) for split, of_split in examples.items()}

        def _generate_examples(self, of_split):
            for number, example in enumerate(of_split):
                yield number, example | {"image": io.BytesIO(example["image"])}

    Examples(data_dir=data_dir, file_format="array_record").download_and_prepare()
