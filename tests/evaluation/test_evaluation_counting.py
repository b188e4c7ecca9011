"""Which images are evaluated, and what is counted and kept of them, against a plain evaluation of the same weights."""

import itertools
import pathlib

import jax.numpy as jnp
import numpy as np
import pytest

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation.corpora import CORPORA, class_frequency
from cliptail_jax.evaluation.sets import open_run_set
from cliptail_jax.formats.decoding import UnreadableImageError
from cliptail_jax.formats.frequency_tables import frequency_of, read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.input import pipeline
from cliptail_jax.input.preprocess import Preprocess
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.metrics.neural_collapse import NeuralCollapse, neural_collapse
from tests.evaluation.plain_evaluation import (
    CLASSES,
    EXAMPLES,
    copied,
    cosines,
    count_confusion,
    evaluation_files,
    plain_features,
)
from tests.saved_state import damage, unfinish
from tests.synthetic import sections

DEVICES = 8


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_counts_equal_a_plain_evaluation_of_the_saved_weights(name, request):
    """Also: 24 examples in batches of 16 are 24 examples, and a zero-shot head is the mean of unit template embeddings."""
    config, workdir = request.getfixturevalue(name)
    features, labels, head = plain_features(config, workdir)
    scores = cosines(features, head)
    confusion = count_confusion(labels, scores.argmax(1))
    top5 = np.mean([label in np.argsort(-row)[:5] for label, row in zip(labels, scores)])

    (line,), arrays = evaluation_files(workdir)
    np.testing.assert_array_equal(arrays["confusion"], confusion)
    np.testing.assert_array_equal(arrays["predicted"], scores.argmax(1))
    assert arrays["predicted"].dtype == np.int8
    assert confusion.sum() == line["examples"] == EXAMPLES
    assert line["top1"] == pytest.approx(100 * np.trace(confusion) / EXAMPLES)
    assert line["top5"] == pytest.approx(100 * top5)


def test_features_that_are_not_finite_end_an_evaluation(sl_run, tmp_path, monkeypatch):
    """Before anything is written."""
    config, workdir = copied(sl_run, tmp_path)
    lines = evaluation_files(workdir)[0]
    normalize = Preprocess.normalize
    monkeypatch.setattr(Preprocess, "normalize", lambda *arguments: normalize(*arguments).at[3:5].set(jnp.nan))
    with pytest.raises(UserError, match="3 of 24 images of glyphs:test have features with NaN or infinite values"):
        evaluate(config, workdir)
    assert evaluation_files(workdir)[0] == lines


def test_neural_collapse_is_of_the_raw_features_and_the_head(sl_run):
    features, labels, head = plain_features(*sl_run)
    (line,), arrays = evaluation_files(sl_run[1])
    for name, expected in neural_collapse(features, labels, head)._asdict().items():
        np.testing.assert_allclose(arrays[name], expected, rtol=2e-3, err_msg=name)
        assert line[name] == pytest.approx(arrays[name].mean())


def test_a_damaged_checkpoint_is_passed_over_but_left_where_it_is(sl_run, tmp_path):
    """A training may be at work there."""
    config, workdir = copied(sl_run, tmp_path)
    unfinish(workdir)
    damage(workdir / "checkpoints" / "4")
    unfinished = workdir / "checkpoints" / "5.orbax-checkpoint-tmp"
    unfinished.mkdir()
    config.eval.neural_collapse = False
    summary = evaluate(config, workdir)["glyphs:test"]
    assert summary["step"] == 3 and not set(NeuralCollapse._fields) & (set(evaluation_files(workdir)[1]) | set(summary))
    assert (workdir / "checkpoints" / "4").exists() and unfinished.exists()


def test_images_that_cannot_be_read_are_named_and_not_counted_and_saved_features_have_their_records(
    sl_run, tmp_path, monkeypatch, capsys
):
    config, workdir = copied(sl_run, tmp_path)
    features, labels, head = plain_features(config, workdir)
    decode, calls = pipeline.decode_image, []

    def two_are_broken(image, *_):
        calls.append(image)
        if len(calls) in (4, 19):
            raise UnreadableImageError("broken")
        return decode(image)

    config.eval.update({"save_features": True, "neural_collapse": False})
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "decode_image", two_are_broken)
        summary = evaluate(config, workdir)["glyphs:test"]
    assert "of glyphs (test) is unreadable" in capsys.readouterr().err
    directory = workdir / "eval" / "glyphs_test"
    saved_arrays, arrays = {path.stem: np.load(path) for path in directory.glob("*.npy")}, evaluation_files(workdir)[1]
    assert set(saved_arrays) == {"features", "labels", "records", "head"}
    assert len(saved_arrays["records"]) == summary["examples"] == arrays["confusion"].sum() == EXAMPLES - 2
    of_source = open_source("glyphs", config.data.data_dir, "test").metadata["label"].to_numpy()
    np.testing.assert_array_equal(of_source[saved_arrays["records"]], saved_arrays["labels"])
    places = np.searchsorted(np.flatnonzero(of_source < CLASSES), saved_arrays["records"])
    np.testing.assert_allclose(saved_arrays["features"], features[places], rtol=1e-6, atol=1e-5)
    predicted = arrays["predicted"]
    np.testing.assert_array_equal(predicted[places], cosines(features, head).argmax(1)[places])
    assert len(predicted) == EXAMPLES and np.all(np.delete(predicted, places) == -1)

    config.eval.save_features = False
    evaluate(config, workdir)
    assert not list(directory.glob("*.npy"))


def test_only_the_training_classes_are_evaluated_under_their_training_labels(sup_config):
    sup_config.data.update({"n": 5, "split": "train"})  # of which the evaluation takes nothing
    source = open_source("glyphs", sup_config.data.data_dir, "test")
    names = (source.class_names[70], source.class_names[5])
    variant = open_run_set("glyphs:test", 0, sections(sup_config).data, names).variant
    assert variant.class_names == names
    expected = {70: 0, 5: 1}
    of_source = source.metadata["label"].to_numpy()
    assert [expected[label] for label in of_source[variant.records]] == variant.labels.tolist()
    assert len(variant) == np.isin(of_source, (70, 5)).sum() > 0
    with pytest.raises(UserError, match="'glyphs:test' lacks 2 of the training classes, such as 'a hare'"):
        open_run_set("glyphs:test", 0, sections(sup_config).data, ("a hare", *names, "a fox"))


FREQUENCY_FOLDER = pathlib.Path(__file__).parents[2].parent / "shared" / "reference" / "class_frequency"
COUNTED_SETS = ("imagenet", "cub", "food101", "pets", "flowers102", "places365", "eurosat", "dtd")


@pytest.mark.skipif(not FREQUENCY_FOLDER.is_dir(), reason="no published frequencies beside the checkout")
@pytest.mark.parametrize("set_name, corpus", zip([*COUNTED_SETS, "imagenet_v2"], itertools.cycle(CORPORA)))
def test_published_frequencies_join_with_a_counted_sets_classes(set_name, corpus):
    names = listed_names("imagenet1k" if set_name.startswith("imagenet") else set_name)
    counts = class_frequency(corpus, FREQUENCY_FOLDER, set_name, names)
    assert counts.shape == (len(names),)
    if set_name in COUNTED_SETS:
        (file,) = (path for path in FREQUENCY_FOLDER.glob(f"class_frequency_{corpus}_{set_name}*"))
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


@pytest.mark.parametrize(
    "spec, set_name, message",
    [
        ("loain2b", "pets", r"no frequency table loain2b, .*\(did you mean laion2b\?\): there are cc12m"),
        ("cc12m", "cifar10", "has no class_frequency_cc12m_cifar10.txt or class_frequency_cc12m_cifar10_ori"),
        ("cc12m", "pets", "lacks 1 of the classes, such as 'mouse'"),
    ],
)
def test_a_missing_class_frequency_is_named(spec, set_name, message, folder):
    with pytest.raises(UserError, match=message):
        class_frequency(spec, folder, set_name, ("mouse",))
    with pytest.raises(UserError, match="no folder '.*absent' of published class frequencies"):
        class_frequency("cc12m", folder / "absent", set_name, ("cat",))
