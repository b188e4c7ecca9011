import io
import json

import pytest
import tensorflow_datasets as tfds
from raw_data import jpeg

from cliptail_jax.concepts.vocabulary import BUILT_IN, class_lines, imagenet_wnids, load_vocabulary, vocabulary_names
from cliptail_jax.datasets.source import choose_class_names, open_source
from cliptail_jax.errors import UserError

WNIDS = imagenet_wnids()


class ImagenetV2(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Two images, as the builder of TFDS has them."""

    VERSION = "3.0.0"
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="matched-frequency")]

    def _info(self):
        features = {"image": tfds.features.Image(), "label": tfds.features.ClassLabel(names=list(WNIDS))}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

    def _split_generators(self, dl_manager):
        return {"test": self._generate_examples()}

    def _generate_examples(self):
        for label in (0, 999):
            yield label, {"image": io.BytesIO(jpeg(label % 256)), "label": label}


def test_evaluation_sets_open_by_tfds_name_with_clips_class_names(tmp_path):
    ImagenetV2(data_dir=tmp_path, file_format="array_record").download_and_prepare()
    source = open_source("imagenet_v2/matched-frequency", str(tmp_path), "test")
    assert (len(source), source.wnids) == (2, WNIDS)
    assert source.class_names == tuple(name for _, name in class_lines("imagenet1k"))
    assert sorted(source.metadata["label"].to_pylist()) == [0, 999]


@pytest.mark.parametrize("vocabulary", ["", "imagenet1k"])
def test_any_wnids_in_any_order_have_clips_names(vocabulary):
    labels = ("n15075141", "n01440764", "n02112018", "n01443537", "n03532672")
    names = ("toilet paper", "tench", "Pomeranian", "goldfish", "hook")
    assert choose_class_names(labels, vocabulary) == names


def test_labels_of_unknown_wnids_and_of_none_keep_their_names():
    labels = ("n01440764", "n99999999")
    assert choose_class_names(labels, "") == labels
    assert choose_class_names((), "imagenet1k") == ()
    assert len(set(choose_class_names(WNIDS, ""))) == 1000


def test_vocabulary_names_are_those_of_its_concepts():
    for vocabulary in BUILT_IN:
        assert vocabulary_names(vocabulary) == tuple(concept.name for concept in load_vocabulary(vocabulary))


def test_names_of_imagenet_need_no_wordnet(monkeypatch):
    monkeypatch.setattr("cliptail_jax.concepts.wordnet.loads", lambda: 1 / 0)
    names = vocabulary_names("imagenet1k")
    assert (names[0], names[999]) == ("tench", "toilet paper")
    assert len(vocabulary_names("imagenet100")) == 100 and set(vocabulary_names("imagenet100")) < set(names)


@pytest.mark.parametrize(
    ("labels", "vocabulary", "message"),
    [
        (WNIDS, "imagenet1k_eval", "imagenet1k_eval has the class name '(missile|sunglasses)' 2 times"),
        ("abcde", "cifar10", "cifar10 has 10 names, and the data set has 5 classes"),
        ("abc", "TMP/names.json", "names.json has the class name 'crane' 2 times"),
        (("a_b", "a b"), "", "the builder's list .* has the class name 'a b' 2 times"),
    ],
)
def test_names_that_do_not_fit_the_labels_are_an_error(tmp_path, labels, vocabulary, message):
    (tmp_path / "names.json").write_text(json.dumps([{"name": "crane"}, {"name": "hen"}, {"name": "crane"}]))
    with pytest.raises(UserError, match=message):
        choose_class_names(labels, vocabulary.replace("TMP", str(tmp_path)))
