import itertools
import pathlib

import pytest

from cliptail_jax.concepts.frequency_tables import frequency_of, read_frequency
from cliptail_jax.concepts.vocabulary import vocabulary_names
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.corpora import CORPORA, class_frequency

PUBLISHED = pathlib.Path(__file__).parents[2].parent / "shared" / "reference" / "class_frequency"
COUNTED = ("imagenet", "cub", "food101", "pets", "flowers102", "places365", "eurosat", "dtd")


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="no published frequencies beside the checkout")
@pytest.mark.parametrize("set_name, corpus", zip([*COUNTED, "imagenet_v2"], itertools.cycle(CORPORA)))
def test_published_frequencies_join_with_a_counted_sets_classes(set_name, corpus):
    names = vocabulary_names("imagenet1k" if set_name.startswith("imagenet") else set_name)
    counts = class_frequency(corpus, PUBLISHED, set_name, names)
    assert counts.shape == (len(names),)
    if set_name in COUNTED:
        (file,) = (path for path in PUBLISHED.glob(f"class_frequency_{corpus}_{set_name}*"))
        assert sorted(counts) == sorted(read_frequency(file)[1])


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "class_frequency_cc12m_pets.txt").write_text("dog\t2\ncat\t1\n")
    (tmp_path / "class_frequency_metaclip_400m_imagenet_ori.txt").write_text("cat\t3\nsea_lion\t4\n")
    return tmp_path


def test_a_spec_is_a_corpus_or_a_table_and_counts_come_in_the_order_of_the_names(folder):
    table = folder / "class_frequency_cc12m_pets.txt"
    assert class_frequency("cc12m", folder, "pets", ("cat", "dog")).tolist() == [1, 2]
    assert class_frequency("metaclip_400m", str(folder), "imagenet_v2", ("sea lion", "cat")).tolist() == [4, 3]
    assert class_frequency(str(table), "", "pets", ("dog",)).tolist() == frequency_of(("dog",), table).tolist() == [2]


@pytest.mark.parametrize("counts", [(2**63 - 1, 2**63 - 1), (2**100, 2**63 - 1)])
def test_counts_that_cannot_be_added_are_refused(tmp_path, counts):
    table = tmp_path / "class_frequency.tsv"
    table.write_text("".join(f"{name}\t{count}\n" for name, count in zip(("dog", "cat"), counts)))
    with pytest.raises(UserError, match=rf"frequency.tsv: .* more than {2**63 - 1}, .*the largest is that of 'dog'"):
        read_frequency(table)
    table.write_text(f"dog\t{2**63 - 1}\ncat\t0\n")
    assert read_frequency(table)[1].sum() == 2**63 - 1


@pytest.mark.parametrize(
    "spec, set_name, message",
    [
        ("loain2b", "pets", r"no frequency table loain2b, .*\(did you mean laion2b\?\): there are cc12m"),
        ("cc12m", "cifar10", "has no class_frequency_cc12m_cifar10.txt or class_frequency_cc12m_cifar10_ori"),
        ("cc12m", "pets", "lacks 1 of the classes, such as 'mouse'"),
    ],
)
def test_what_is_missing_is_named(spec, set_name, message, folder):
    with pytest.raises(UserError, match=message):
        class_frequency(spec, folder, set_name, ("mouse",))
    with pytest.raises(UserError, match="no folder .*absent of published class frequencies"):
        class_frequency("cc12m", folder / "absent", set_name, ("cat",))
