import io

import pyarrow.parquet
import pytest
import tensorflow_datasets as tfds
from raw_data import jpeg

from cliptail_jax.config.fields import to_config
from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.datasets.superclasses import WRITTEN, kind_of

# Of TFDS's cifar100, in label order.
COARSE_LABELS = (
    "aquatic_mammals fish flowers food_containers fruit_and_vegetables household_electrical_devices "
    "household_furniture insects large_carnivores large_man-made_outdoor_things large_natural_outdoor_scenes "
    "large_omnivores_and_herbivores medium_mammals non-insect_invertebrates people reptiles small_mammals trees "
    "vehicles_1 vehicles_2"
).split()
CLASSES = {"train": 18, "pickup_truck": 18, "tank": 19, "girl": 14}  # with their coarse labels


class SmallCifar(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """An image a class, with CIFAR-100's labels."""

    VERSION = "1.0.0"

    def _info(self):
        features = {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=list(CLASSES)),
            "coarse_label": tfds.features.ClassLabel(names=COARSE_LABELS),
        }
        return tfds.core.DatasetInfo(
            builder=self, features=tfds.features.FeaturesDict(features), disable_shuffling=True
        )

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        for label, coarse_label in enumerate(CLASSES.values()):
            yield label, {"image": io.BytesIO(jpeg(label)), "label": label, "coarse_label": coarse_label}


@pytest.fixture(scope="module")
def small_cifar(tmp_path_factory):
    """The set, opened."""
    data_dir = tmp_path_factory.mktemp("tfds")
    SmallCifar(data_dir=data_dir, file_format="array_record").download_and_prepare()
    return open_source("small_cifar", str(data_dir), "train")


def captions_of(source, **options):
    data = to_config(Data())
    data.captions.update(options)
    variant = make_variant(source, data)
    return variant.captions(range(len(variant)), epoch=0)


def test_every_superclass_has_a_name_that_people_write():
    assert [*WRITTEN] == [name.replace("_", " ") for name in COARSE_LABELS]
    assert kind_of("vehicles 1") == kind_of("vehicles 2") == "a kind of vehicle"
    assert len(set(WRITTEN.values())) == 19
    assert not any(character.isdigit() for name in WRITTEN.values() for character in name)


def test_captions_say_how_class_and_superclass_relate(small_cifar):
    source = small_cifar
    written = ["a kind of vehicle", "a kind of vehicle", "a kind of vehicle", "a kind of person"]
    related = [f"a {name}, {kind}" for name, kind in zip(source.class_names, written)]
    assert related[0] == "a train, a kind of vehicle"
    assert captions_of(source, template="a+cname", words=("kind_of",)) == related
    assert captions_of(source, words=("kind_of",)) == written
    assert captions_of(source, template="a+cname", words=("superclass",))[0] == "a train vehicles 1"
    assert captions_of(source, template="a+cname", words=("kind_of",), max_words=1)[0] == "a train, a"


def test_written_superclasses_are_not_stored_so_that_older_tables_have_them(small_cifar):
    source = small_cifar
    assert source.metadata["superclass"].to_pylist() == ["vehicles 1", "vehicles 1", "vehicles 2", "people"]
    written = source.metadata.select(["kind_of", "label"])
    stored = pyarrow.parquet.read_schema(source.folder / "metadata-train.parquet").names
    assert {*stored} == {"record", "label", "coarse_label", "superclass"}
    assert source.columns("kind_of", "label").equals(written)
    assert source.columns("superclass").column_names == ["superclass"]
