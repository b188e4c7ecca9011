"""The numbers and files of an evaluation, in training and alone, against a plain evaluation of the same weights."""

import io
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import PIL.Image
import pytest
from flax import nnx

from cliptail_jax import runs
from cliptail_jax.checkpoints import restore_newest
from cliptail_jax.concepts.vocabulary import imagenet_names
from cliptail_jax.curation.templates import templates
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate, table
from cliptail_jax.evaluation import (
    GROUPS,
    check_told_apart,
    columns_of,
    embed,
    evaluation_settings,
    evaluation_variant,
    file_digest,
    head_mid_tail,
    is_evaluated,
    make_steps,
    open_run_set,
    summarize,
    zero_shot_head,
)
from cliptail_jax.frequency_tables import read_frequency
from cliptail_jax.input import pipeline
from cliptail_jax.input.images import UnreadableImageError, normalize
from cliptail_jax.input.tokenizer import Tokenizer
from cliptail_jax.metrics.neural_collapse import neural_collapse
from cliptail_jax.optimizer import make_optimizer
from cliptail_jax.run_tokenizer import with_vocab_size
from cliptail_jax.sharding import make_mesh
from cliptail_jax.state import init_state
from cliptail_jax.train import train
from cliptail_jax.zero_shot import sets
from cliptail_jax.zero_shot import templates as set_templates
from configs import clip, sup

CLASSES, EXAMPLES = 12, 24
NUMBERS = {"step", "epoch", "top1", "top5", "head", "mid", "tail", "corr_acc", "corr_pred", "corr_acc_pred", "examples"}
INTERVALS = {"corr_acc_interval", "corr_pred_interval", "corr_acc_pred_interval"}
ARRAYS = {"confusion", "per_class_accuracy", "per_class_predictions", "head", "mid", "tail"}
SIMILARITIES = {"image_image_similarity", "image_text_similarity", "image_text_similarity_std"}
COLLAPSE = {
    "within_class_similarity", "nc1", "nc2_mean", "nc2_nearest", "nc2_head_mean", "nc2_head_nearest"
}  # fmt: skip


def tiny(config, glyphs_dir):
    """12 of the glyphs, the rarest three without a training image, and four steps of training (three of CLIP)."""
    config.data.data_dir = str(glyphs_dir)
    config.data.classes.first = CLASSES
    config.data.profile.ratio = 16.0
    config.data.max_unreadable = 0.1
    config.total_epochs, config.batch_size, config.eval.batch_size, config.checkpoint.every_steps = 1, 8, 16, 1
    config.model.image.update({"width": 4, "output_dim": 16})
    config.model.text.update({"width": 16, "layers": 1, "heads": 2, "context_length": 8, "vocab_size": 800})
    return config


@pytest.fixture(scope="module")
def sl_run(glyphs_dir, tmp_path_factory):
    config = tiny(sup.get_config("data=glyphs_lt"), glyphs_dir)
    config.eval.neural_collapse = True
    workdir = tmp_path_factory.mktemp("runs") / "sl"
    train(config, workdir)
    return config, workdir


@pytest.fixture(scope="module")
def clip_run(glyphs_dir, tmp_path_factory):
    config = tiny(clip.get_config("data=glyphs_lt"), glyphs_dir)
    config.optimizer.warmup_steps = 0
    config.eval.templates = "simple"
    workdir = tmp_path_factory.mktemp("runs") / "clip"
    train(config, workdir)
    return config, workdir


def evaluation_files(workdir):
    """The lines and the arrays of the run's one evaluation set."""
    directory = workdir / "eval" / "glyphs_test"
    lines = [json.loads(line) for line in (directory / "summary.jsonl").read_text().splitlines()]
    return lines, dict(np.load(directory / "latest.npz"))


def trained_model(config, workdir):
    if config.objective == "contrastive":
        config = with_vocab_size(config, Tokenizer.load(workdir / "tokenizer.json"))
    graphdef, state, shardings = init_state(config, make_optimizer(config, 3), make_mesh(config.mesh), CLASSES)
    state = restore_newest(workdir / "checkpoints", state, shardings)
    return nnx.merge(graphdef, *jax.device_get(state.parts()), copy=True)


def plain_features(config, workdir):
    """Image features, labels, and the class vectors, without any of the evaluation's batching."""
    model = trained_model(config, workdir)
    source = open_source("glyphs", config.data.data_dir, "test")
    labels = source.metadata["label"].to_numpy()
    records = np.flatnonzero(labels < CLASSES)
    images = [np.array(PIL.Image.open(io.BytesIO(i))) for i in source.encoded_images(records)]
    features = jax.jit(lambda images: model.encode_image(normalize(images)))(np.stack(images))
    if config.objective == "supervised":
        return np.asarray(features), labels[records], np.asarray(model.head[...])
    tokenizer = Tokenizer.load(workdir / "tokenizer.json")
    encode_text = jax.jit(model.encode_text)
    head = []
    for name in source.class_names[:CLASSES]:
        texts = np.asarray(encode_text(tokenizer([t.format(name) for t in templates(config.eval.templates)])))
        mean = np.mean([text / np.linalg.norm(text) for text in texts], axis=0)
        head.append(mean / np.linalg.norm(mean))
    return np.asarray(features), labels[records], np.array(head)


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_counts_equal_a_plain_evaluation_of_the_saved_weights(name, request):
    """Also: 24 examples in batches of 16 are 24 examples, and a zero-shot head is the mean of unit template embeddings."""
    config, workdir = request.getfixturevalue(name)
    features, labels, head = plain_features(config, workdir)
    cosines = (features / np.linalg.norm(features, axis=1, keepdims=True)) @ (
        head / np.linalg.norm(head, axis=1, keepdims=True)
    ).T
    confusion = np.zeros((CLASSES, CLASSES), int)
    np.add.at(confusion, (labels, cosines.argmax(1)), 1)
    top5 = np.mean([label in np.argsort(-row)[:5] for label, row in zip(labels, cosines)])

    (line,), arrays = evaluation_files(workdir)
    np.testing.assert_array_equal(arrays["confusion"], confusion)
    assert confusion.sum() == line["examples"] == EXAMPLES
    assert line["top1"] == pytest.approx(100 * np.trace(confusion) / EXAMPLES)
    assert line["top5"] == pytest.approx(100 * top5)


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_run_files_hold_what_the_design_lists(name, request):
    config, workdir = request.getfixturevalue(name)
    (line,), arrays = evaluation_files(workdir)
    collapse = COLLAPSE if config.eval.neural_collapse else set()
    correlations = {f"corr_{c}{of}{i}" for c in collapse for of in ("", "_acc") for i in ("", "_interval")}
    assert set(line) == NUMBERS | INTERVALS | collapse | correlations | {"settings"}
    assert ("templates" in line["settings"]) == (config.objective == "contrastive")
    assert set(arrays) == ARRAYS | collapse
    assert arrays["confusion"].dtype == np.int64 and arrays["confusion"].shape == (CLASSES, CLASSES)
    assert {arrays[key].shape for key in collapse | {"per_class_accuracy", "per_class_predictions"}} == {(CLASSES,)}
    assert line["step"] == {"sl_run": 4, "clip_run": 3}[name] and line["epoch"] == 1
    accuracy = arrays["per_class_accuracy"]
    np.testing.assert_allclose(accuracy, np.diag(arrays["confusion"]) / arrays["confusion"].sum(1))
    np.testing.assert_array_equal(arrays["per_class_predictions"], arrays["confusion"].sum(0))
    _, frequency = read_frequency(workdir / "class_frequency.tsv")
    for part in ("head", "mid", "tail"):
        assert line[part] == pytest.approx(100 * accuracy[arrays[part]].mean())
    assert frequency[arrays["head"]].min() >= frequency[arrays["mid"]].max()
    assert frequency[arrays["mid"]].min() >= frequency[arrays["tail"]].max()


def test_classes_without_training_images_are_evaluated_like_any_other(sl_run):
    _, workdir = sl_run
    names, frequency = read_frequency(workdir / "class_frequency.tsv")
    (line,), arrays = evaluation_files(workdir)
    assert len(names) == CLASSES and np.sum(frequency == 0) == 3
    assert np.isfinite(arrays["per_class_accuracy"]).all()
    assert -1 <= line["corr_pred"] <= 1 and len(line["corr_pred_interval"]) == 2


def test_neural_collapse_is_of_the_raw_features_and_the_head(sl_run):
    features, labels, head = plain_features(*sl_run)
    (line,), arrays = evaluation_files(sl_run[1])
    for name, expected in neural_collapse(features, labels, CLASSES, head)._asdict().items():
        np.testing.assert_allclose(arrays[name], expected, rtol=2e-3, err_msg=name)
        assert line[name] == pytest.approx(arrays[name].mean())


def test_stand_alone_evaluation_adds_the_line_that_training_wrote(sl_run, tmp_path, capsys):
    config, workdir = copied(sl_run, tmp_path)
    (before,), arrays_before = evaluation_files(workdir)
    config.eval.batch_size = 24
    summary = evaluate(config, workdir)["glyphs:test"]
    (unchanged, line), arrays = evaluation_files(workdir)
    assert unchanged == before and line.keys() == before.keys()
    for key in NUMBERS:
        assert line[key] == pytest.approx(before[key]) == pytest.approx(summary[key])
    np.testing.assert_array_equal(arrays["confusion"], arrays_before["confusion"])
    printed = capsys.readouterr().out
    assert "step 4 (epoch 1)" in printed and table({"glyphs:test": summary}) in printed


def test_other_templates_and_another_ranking(clip_run, tmp_path):
    config, workdir = copied(clip_run, tmp_path)
    names, _ = read_frequency(workdir / "class_frequency.tsv")
    ranked = ["Something else", *names[::-1]]  # the last class is the most frequent, in a table of another order
    rank_by = tmp_path / "other.tsv"
    rank_by.write_text("".join(f"{name.upper().replace(' ', '_')}\t{100 - i}\n" for i, name in enumerate(ranked)))
    config.eval.update({"templates": "cname", "rank_by": str(rank_by), "head_classes": 2, "tail_classes": 5})
    evaluate(config, workdir)
    (_, line), arrays = evaluation_files(workdir)
    assert line["settings"]["templates"] == "cname" and line["settings"]["rank_by"] == file_digest(rank_by)
    assert arrays["head"].tolist() == [11, 10] and arrays["tail"].tolist() == [4, 3, 2, 1, 0]
    assert line["tail"] == pytest.approx(100 * arrays["per_class_accuracy"][:5].mean())

    features, labels, head = plain_features(config, workdir)
    predicted = np.argmax(features @ head.T, 1)
    np.testing.assert_array_equal(arrays["per_class_predictions"], np.bincount(predicted, minlength=CLASSES))


def test_a_run_is_evaluated_on_some_of_its_classes_alone(clip_run, tmp_path):
    config, workdir = copied(clip_run, tmp_path)
    config.eval.random_classes = 5
    evaluate(config, workdir)
    _, arrays = evaluation_files(workdir)
    chosen = np.sort(np.random.default_rng(config.data.seed).permutation(CLASSES)[:5])
    features, labels, head = plain_features(config, workdir)
    mine = np.isin(labels, chosen)
    predicted = np.argmax(features[mine] @ head[chosen].T, 1)
    np.testing.assert_array_equal(arrays["per_class_predictions"], np.bincount(predicted, minlength=5))
    assert arrays["confusion"].sum() == mine.sum()
    names, frequency = read_frequency(workdir / "class_frequency.tsv")
    of_set = read_frequency(workdir / "eval" / "glyphs_test" / "class_frequency.tsv")
    assert of_set[0] == tuple(names[c] for c in chosen) and of_set[1].tolist() == frequency[chosen].tolist()
    config.eval.random_classes = 13
    with pytest.raises(UserError, match="eval.random_classes=13, but the run has 12 classes"):
        evaluate(config, workdir)


def test_an_unreadable_image_is_named_and_not_counted(sl_run, tmp_path, monkeypatch, capsys):
    """And a damaged checkpoint is passed over, but left where it is: a training may be at work there."""
    config, workdir = copied(sl_run, tmp_path)
    decode, calls = pipeline.decode_image, []

    def second_is_broken(encoded):
        calls.append(encoded)
        if len(calls) == 2:
            raise UnreadableImageError("broken")
        return decode(encoded)

    monkeypatch.setattr(pipeline, "decode_image", second_is_broken)
    checkpoints = workdir / "checkpoints"
    largest = max((checkpoints / "4").rglob("*"), key=lambda path: path.stat().st_size * path.is_file())
    data = bytearray(largest.read_bytes())
    data[len(data) // 2] ^= 1
    largest.write_bytes(data)
    unfinished = checkpoints / "5.orbax-checkpoint-tmp"
    unfinished.mkdir()
    config.eval.neural_collapse = False

    summary = evaluate(config, workdir)["glyphs:test"]
    _, arrays = evaluation_files(workdir)
    assert summary["examples"] == arrays["confusion"].sum() == EXAMPLES - 1
    assert not COLLAPSE & (set(arrays) | set(summary))
    assert "of glyphs (test) is unreadable" in capsys.readouterr().err
    assert summary["step"] == 3
    assert largest.exists() and unfinished.exists()


def copied(run, directory):
    config, workdir = run
    return config.copy_and_resolve_references(), shutil.copytree(workdir, directory / "run")


def test_evaluation_refuses_what_is_not_its_run(sl_run, tmp_path):
    config, workdir = copied(sl_run, tmp_path)
    with pytest.raises(UserError, match="there is no run in .*elsewhere"):
        evaluate(config, tmp_path / "elsewhere")
    config.optimizer.learning_rate = 3.0
    with pytest.raises(UserError, match=r"another config \(optimizer.learning_rate=0.1 not 3.0\)"):
        evaluate(config, workdir)
    config.optimizer.learning_rate = 0.1
    config.eval.sets = ()
    with pytest.raises(UserError, match="eval.sets is empty"):
        evaluate(config, workdir)
    config.eval.sets = ("glyphs:test",)
    for manifest in (workdir / "checkpoints").glob("*.json"):
        manifest.unlink()
    with pytest.raises(UserError, match="no sound checkpoint"):
        evaluate(config, workdir)
    shutil.rmtree(workdir / "checkpoints")
    with pytest.raises(UserError, match="no sound checkpoint"):
        evaluate(config, workdir)


@pytest.fixture
def part_set(glyphs_dir, tmp_path, monkeypatch):
    """Makes a set 'part' of the glyphs with these labels, in this order, under its short name."""

    def make(labels):
        names = open_source("glyphs", str(glyphs_dir), "test").class_names
        chosen = tuple(names[label] for label in labels)
        vocabulary = tmp_path / "part.json"
        vocabulary.write_text(json.dumps([{"name": name} for name in chosen]))
        monkeypatch.setitem(sets.SETS, "part", ("glyphs", "test", "", str(vocabulary)))
        monkeypatch.setitem(set_templates.PUBLISHED_TEMPLATES, "part", ("the {}.", "a {}."))
        return chosen

    return make


@pytest.mark.parametrize("name", ["sl_run", "clip_run"])
def test_a_set_with_some_of_the_classes_is_scored_on_their_columns_alone(name, part_set, request, tmp_path):
    config, workdir = copied(request.getfixturevalue(name), tmp_path)
    features, labels, head = plain_features(config, workdir)
    some = [7, 2, 9, 0]
    names = part_set(some)
    config.eval.update({"sets": ("part",), "save_features": True, "similarity": True, "neural_collapse": False})
    summary = evaluate(config, workdir)["part"]

    mine = np.isin(labels, some)
    features, labels = features[mine], np.array([some.index(label) for label in labels[mine]])
    head = head[some] / np.linalg.norm(head[some], axis=1, keepdims=True)
    unit_features = features / np.linalg.norm(features, axis=1, keepdims=True)
    confusion = np.zeros((4, 4), int)
    np.add.at(confusion, (labels, (unit_features @ head.T).argmax(1)), 1)
    directory = workdir / "eval" / "part"
    with np.load(directory / "latest.npz") as arrays:
        np.testing.assert_array_equal(arrays["confusion"], confusion)
        assert set(arrays) == ARRAYS | SIMILARITIES
        of_pairs = [unit_features[labels == label] @ unit_features[labels == label].T for label in range(4)]
        np.testing.assert_allclose(arrays["image_image_similarity"], [pair[0, 1] for pair in of_pairs], atol=1e-5)
        frequency_of = dict(zip(*read_frequency(workdir / "class_frequency.tsv")))
        frequency = [frequency_of[name] for name in names]
        np.testing.assert_array_equal(arrays["head"], np.argsort(-np.array(frequency), kind="stable")[:1])
    assert read_frequency(directory / "class_frequency.tsv")[1].tolist() == frequency
    own = np.sum(unit_features * head[labels], axis=1)
    assert summary["image_text_similarity"] == pytest.approx(own.mean(), abs=1e-5)
    np.testing.assert_allclose(np.load(directory / "features.npy"), features, atol=1e-5)
    np.testing.assert_array_equal(np.load(directory / "labels.npy"), labels)
    saved = np.load(directory / "head.npy")
    np.testing.assert_allclose(saved / np.linalg.norm(saved, axis=1, keepdims=True), head, atol=1e-5)


def test_classes_that_the_run_was_not_trained_on_have_prompts_but_no_frequency(sl_run, clip_run, part_set, tmp_path):
    part_set([3, 50, 60])
    config, workdir = copied(clip_run, tmp_path / "clip")
    config.eval.update({"sets": ("part",), "templates": ""})
    summary = evaluate(config, workdir)["part"]
    assert summary["examples"] == 6 and not {"corr_acc", "corr_pred", *GROUPS} & summary.keys()
    config, workdir = copied(sl_run, tmp_path / "sl")
    config.eval.sets = ("part",)
    with pytest.raises(UserError, match="'part' has classes that the run was not trained on"):
        evaluate(config, workdir)


def test_a_supervised_run_under_another_head(sl_run, part_set, tmp_path):
    config, workdir = copied(sl_run, tmp_path)
    features, labels, _ = plain_features(config, workdir)
    other = np.random.default_rng(0).normal(size=(CLASSES, 16)).astype(np.float32)
    path = tmp_path / "other.npy"
    np.save(path, other)
    config.head.update({"init": str(path), "freeze": True})
    summary = evaluate(config, workdir)["glyphs:test"]
    predicted = (features @ (other / np.linalg.norm(other, axis=1, keepdims=True)).T).argmax(1)
    assert summary["top1"] == pytest.approx(100 * np.mean(predicted == labels))
    assert summary["settings"]["head"] == str(path)
    assert not is_evaluated(workdir, sl_run[0]), "its own head's evaluation is another"

    np.save(path, other[:, :8])
    with pytest.raises(UserError, match="other.npy' is 8 wide, but the run's features are 16 wide"):
        evaluate(config, workdir)
    np.save(path, other[:7])
    with pytest.raises(UserError, match="other.npy' has 7 rows, but the run has 12 classes"):
        evaluate(config, workdir)
    np.save(path, other)
    path.with_suffix(".json").write_text(json.dumps({"classes": [f"class {i}" for i in range(CLASSES)]}))
    with pytest.raises(UserError, match="the head has no row for 12 of the run's 12 classes"):
        evaluate(config, workdir)


def test_imagenets_classes_are_found_under_either_of_their_names():
    captions, prompts = (tuple(imagenet_names(names).values()) for names in ("imagenet1k", "imagenet1k_eval"))
    assert columns_of(prompts, captions).tolist() == list(range(1000))
    assert columns_of(captions[5:8], captions[::-1]).tolist() == [994, 993, 992]
    assert columns_of(("a hare", *captions[:2]), captions) is None


def test_random_descriptors_of_a_run(clip_run, tmp_path):
    config, workdir = copied(clip_run, tmp_path)
    config.eval.waffle = 2
    assert evaluate(config, workdir)["glyphs:test"]["settings"]["waffle"] == 2


def test_command_ends_in_one_line_on_a_users_mistake(tmp_path, glyphs_dir):
    command = [sys.executable, "-m", "cliptail_jax.evaluate", "--config=configs/sup.py", f"--workdir={tmp_path}"]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 2
    assert result.stderr.splitlines()[-1].startswith(f"error: there is no run in {tmp_path}")
    assert "Traceback" not in result.stderr


def test_only_the_training_classes_are_evaluated_under_their_training_labels(sup_config):
    source = open_source("glyphs", sup_config.data.data_dir, "test")
    names = (source.class_names[70], source.class_names[5])
    variant = evaluation_variant("glyphs:test", sup_config, names)
    assert variant.class_names == names
    expected = {70: 0, 5: 1}
    of_source = source.metadata["label"].to_numpy()
    assert [expected[label] for label in of_source[variant.records]] == variant.labels.tolist()
    assert len(variant) == np.isin(of_source, (70, 5)).sum() > 0


def test_evaluation_takes_every_record_whatever_the_training_variant_takes(sup_config):
    sup_config.data.update({"n": 5, "split": "train"})
    source = open_source("glyphs", sup_config.data.data_dir, "test")
    assert len(evaluation_variant("glyphs:test", sup_config, source.class_names)) == len(source)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("glyphs", ("comma",), "unknown evaluation set 'glyphs'.*any prepared set as 'name:split'"),
        ("glyphs:test", ("a hare", "a fox"), "'glyphs:test' lacks 2 of the training classes, such as 'a hare'"),
        ("glyphs:validation", ("comma",), "no split 'validation'"),
        ("nothing:test", ("comma",), "nothing"),
    ],
)
def test_a_set_that_cannot_be_evaluated_is_an_error(name, classes, message, sup_config):
    with pytest.raises(UserError, match=message):
        open_run_set(name, sup_config, classes)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a cat\t3\n", "lacks 1 of the classes, such as 'a dog'"),
        ("a cat\t3\na dog\t2\nA_dog\t4\n", "lists 'a dog' more than once"),
        ("a cat 3\na dog 2\n", "is no frequency table"),
        ("a cat\tmany\na dog\t2\n", "is no frequency table"),
        (None, "cannot read the frequency table"),
    ],
)
def test_a_ranking_table_that_does_not_fit_is_an_error(content, message, sup_config, tmp_path):
    path = tmp_path / "table.tsv"
    if content is not None:
        path.write_text(content)
    sup_config.eval.rank_by = str(path)
    with pytest.raises(UserError, match=message):
        head_mid_tail(sup_config, ("a cat", "a dog"), np.array([1, 2]))


def test_a_ranking_table_is_joined_by_name_and_none_means_the_training_frequency(sup_config, tmp_path):
    path = tmp_path / "table.tsv"
    path.write_text("unused\t9\nA_Dog\t7\na cat\t3\nan owl\t5\n")
    names, training = ("a cat", "a dog", "an owl"), np.array([2, 1, 3])
    assert np.concatenate(head_mid_tail(sup_config, names, training)).tolist() == [2, 0, 1]
    assert head_mid_tail(sup_config, names, None) is None
    sup_config.eval.rank_by = str(path)
    assert np.concatenate(head_mid_tail(sup_config, names, training)).tolist() == [1, 2, 0]


def test_settings_know_files_by_their_content(clip_config, tmp_path):
    path, moved = tmp_path / "table.tsv", tmp_path / "moved.tsv"
    path.write_text("a cat\t3\n")
    clip_config.eval.rank_by = str(path)
    before = evaluation_settings(clip_config)
    moved.write_text("a cat\t3\n")
    clip_config.eval.rank_by = str(moved)
    assert evaluation_settings(clip_config) == before
    moved.write_text("a cat\t4\n")
    assert evaluation_settings(clip_config) != before
    clip_config.eval.rank_by = "nowhere.tsv"
    with pytest.raises(UserError, match="cannot read nowhere.tsv: No such file"):
        evaluation_settings(clip_config)


def test_zero_shot_head_is_the_unit_mean_of_unit_template_embeddings():
    embeddings = np.array([[1, 0], [0, 1], [0.6, 0.8], [0.6, 0.8]], np.float32)
    np.testing.assert_allclose(zero_shot_head(embeddings, [2, 2]), [[0.5**0.5, 0.5**0.5], [0.6, 0.8]], rtol=1e-6)


def test_a_class_may_have_more_prompts_than_another():
    embeddings = np.array([[0.6, 0.8], [1, 0], [0, 1]], np.float32)
    np.testing.assert_allclose(zero_shot_head(embeddings, [1, 2]), [[0.6, 0.8], [0.5**0.5, 0.5**0.5]], rtol=1e-6)


def test_summary_of_a_known_confusion():
    confusion = np.array([[4, 0, 0, 0], [1, 3, 0, 0], [2, 0, 2, 0], [3, 0, 0, 1]])
    frequency = np.array([40, 30, 20, 10])
    parts = (np.array([0]), np.array([1, 2]), np.array([3]))
    summary = summarize({"confusion": confusion, "top5": np.array(12)}, frequency, parts, None)
    assert summary["top1"] == 62.5 and summary["top5"] == 75 and summary["examples"] == 16
    assert (summary["head"], summary["mid"], summary["tail"]) == (100, 62.5, 25)
    assert summary["corr_acc"] == summary["corr_pred"] == summary["corr_acc_pred"] == 1


def test_what_is_undefined_is_null_in_the_files(tmp_path):
    """A model that predicts one class, evaluated on a set that lacks examples of another."""
    confusion = np.array([[2, 0, 0], [2, 0, 0], [0, 0, 0]])
    parts = (np.array([0]), np.array([1]), np.array([2]))
    summary = summarize({"confusion": confusion, "top5": np.array(4)}, np.array([0, 0, 0]), parts, None)
    assert np.isnan(summary["corr_acc"]) and np.isnan(summary["tail"]) and summary["head"] == 100
    runs.append_line(tmp_path / "summary.jsonl", summary)
    line = json.loads((tmp_path / "summary.jsonl").read_text(), parse_constant=pytest.fail)
    assert line["corr_acc"] is None and line["corr_acc_interval"] == [None, None] and line["tail"] is None


def test_printed_table_has_a_column_a_set_and_the_intervals():
    summary = {"step": 3, "epoch": 1.0, "top1": 26.84, "corr_acc": 0.858, "corr_acc_interval": [0.8, 0.912]}
    other = {"step": 3, "epoch": 1.0, "top1": 9.0, "corr_acc": float("nan"), "corr_acc_interval": [float("nan")] * 2}
    assert table({"cifar100:test": summary, "glyphs:test": other}).splitlines() == [
        "          cifar100:test      glyphs:test",
        "top1      26.8 %             9.0 %",
        "corr_acc  0.86 [0.80, 0.91]  nan [nan, nan]",
    ]


@pytest.mark.parametrize(
    ("chosen", "told"),
    [
        ({"templates": "simple"}, "eval.templates='simple'"),
        ({"templates": ""}, "the set's own templates"),
        ({"templates": "simple", "descriptors": "cats.json"}, "eval.descriptors='cats.json'"),
        ({"templates": "simple", "waffle": 3}, "eval.waffle=3"),
    ],
)
def test_prompts_that_the_context_cuts_to_the_same_tokens_are_refused(chosen, told, clip_config):
    tokens = np.array([[1, 2, 9], [1, 2, 9], [1, 3, 9]])
    clip_config.eval.update(chosen)
    with pytest.raises(UserError, match=f"^{told}: cut to the 3 tokens .* 3 classes are only 2 different"):
        check_told_apart(tokens, [1, 1, 1], ("a", "b", "c"), clip_config.eval)
    check_told_apart(tokens, [1, 1, 1], ("a", "a", "c"), clip_config.eval)  # one name twice is no fault of the context


def test_prompts_cut_to_their_length_are_embedded_as_in_the_whole_context(clip_run):
    """Of each length more texts than a batch takes."""
    config, workdir = clip_run
    graphdef, state = nnx.split(trained_model(config, workdir))
    tokens = np.zeros((60, 8), np.int32)
    ends = np.random.default_rng(0).integers(1, 8, len(tokens))
    for row, end in enumerate(ends):
        tokens[row, :end], tokens[row, end] = row + 1, 700
    mesh = make_mesh(config.mesh)
    encode_text, _ = make_steps(graphdef, mesh)
    whole, cut = (
        embed(encode_text, (state,), tokens, lengths, 8, mesh)
        for lengths in (np.full(len(tokens), 8), np.where(ends < 4, 4, 8))
    )
    np.testing.assert_allclose(cut, whole, atol=1e-5)
    assert len(np.unique(whole.round(4), axis=0)) == len(tokens)


def test_a_pass_that_reads_no_image_is_an_error(sl_run, tmp_path, monkeypatch):
    config, workdir = copied(sl_run, tmp_path)

    def broken(encoded):
        raise UnreadableImageError("broken")

    monkeypatch.setattr(pipeline, "decode_image", broken)
    config.data.max_unreadable = 1.0
    config.eval.update({"save_features": True, "similarity": True})
    with pytest.raises(UserError, match="no image of glyphs:test could be read"):
        evaluate(config, workdir)


def test_saved_features_have_their_records_and_go_with_the_next_evaluation(sl_run, tmp_path, monkeypatch):
    config, workdir = copied(sl_run, tmp_path)
    features, labels, _ = plain_features(config, workdir)
    decode, calls = pipeline.decode_image, []

    def two_are_broken(encoded):
        calls.append(encoded)
        if len(calls) in (4, 19):
            raise UnreadableImageError("broken")
        return decode(encoded)

    config.eval.update({"save_features": True, "neural_collapse": False})
    with monkeypatch.context() as patch:
        patch.setattr(pipeline, "decode_image", two_are_broken)
        evaluate(config, workdir)
    directory = workdir / "eval" / "glyphs_test"
    saved = {path.stem: np.load(path) for path in directory.glob("*.npy")}
    assert set(saved) == {"features", "labels", "records", "head"} and len(saved["records"]) == EXAMPLES - 2
    of_source = open_source("glyphs", config.data.data_dir, "test").metadata["label"].to_numpy()
    np.testing.assert_array_equal(of_source[saved["records"]], saved["labels"])
    places = np.searchsorted(np.flatnonzero(of_source < CLASSES), saved["records"])
    np.testing.assert_allclose(saved["features"], features[places], atol=1e-5)

    config.eval.save_features = False
    evaluate(config, workdir)
    assert not list(directory.glob("*.npy"))
