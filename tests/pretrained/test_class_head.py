"""Which rows of a head's file a run's classes get, and how `make_head` makes a head."""

import hashlib
import json
import pathlib
import shutil

import numpy as np
import pytest

from cliptail_jax.concepts.class_lists import Concept, imagenet_names, listed_names
from cliptail_jax.concepts.templates import templates
from cliptail_jax.host.errors import UserError
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.pretrained import open_model, text_embedder
from cliptail_jax.pretrained.class_head import head_for, places_of
from cliptail_jax.pretrained.make_head import write_head
from cliptail_jax.pretrained.text_embedder import class_head
from cliptail_jax.pretrained.text_encoder import open_encoder
from tests.commands import make_head as main
from tests.evaluation.plain_evaluation import plain_features
from tests.pretrained.tiny_models import write_encoder

REFERENCE = pathlib.Path(__file__).parents[2].parent / "shared" / "reference"
PETS = ("cat", "black-footed Cat", "dog", "cow")
ROWS = np.arange(12, dtype=np.float32).reshape(4, 3)


def saved(tmp_path, array):
    np.save(tmp_path / "head.npy", array)
    return str(tmp_path / "head.npy")


def written(tmp_path, classes, array=None):
    """A head with its sidecar; unless given, its rows count up."""
    array = np.arange(len(classes), dtype=np.float32)[:, None] if array is None else array
    write_head(tmp_path / "head.npy", array, {"classes": list(classes), "model": "m"})
    return str(tmp_path / "head.npy")


def array(content):
    return lambda path: np.save(path, content)


@pytest.mark.parametrize(
    "write, message",
    [
        (array(ROWS[0]), r"has shape \[3\], but a head is \[classes, dim\]"),
        (array(np.where(ROWS == 5, 1e39, ROWS.astype(np.float64))), "values that are not finite"),
        (array(ROWS + 1j), "is not an .npy array of numbers"),
        (lambda path: np.savez(open(path, "wb"), ROWS), "head.npy' is not an .npy array of numbers"),
        (lambda path: path.write_bytes(b"text"), "cannot read '.*head.npy' as an .npy array"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_a_file_that_is_no_head_is_an_error_that_names_it(tmp_path, write, message):
    write(tmp_path / "head.npy")
    with pytest.raises(UserError, match=f"head.init: '?.*{message}") as error:
        head_for(str(tmp_path / "head.npy"), PETS, PETS)
    assert "head.npy" in str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize("dtype", [np.float16, np.int64])
def test_without_names_the_rows_of_all_classes_are_picked_by_label_in_float32(tmp_path, dtype):
    path = saved(tmp_path, ROWS.astype(dtype))
    head = head_for(path, ("cow", "cat"), PETS)
    np.testing.assert_array_equal(head, ROWS[[3, 0]])
    np.testing.assert_array_equal(head_for(path, ("a", "b", "c", "d"), PETS), ROWS)
    assert head.dtype == np.float32


@pytest.mark.parametrize(
    ("class_names", "all_names", "numbers"),
    [
        (("cat", "dog"), (), "4 rows, but the run has 2 classes;"),
        (("cat", "horse"), PETS, "4 rows, but the run has 2 classes and its data set 4;"),
    ],
)
def test_without_names_other_numbers_of_rows_are_an_error(tmp_path, class_names, all_names, numbers):
    with pytest.raises(UserError, match=f"head.npy' has {numbers} make a head of these classes"):
        head_for(saved(tmp_path, ROWS), class_names, all_names)


def test_named_rows_are_found_by_name_whatever_their_order(tmp_path):
    path = written(tmp_path, PETS, ROWS)
    np.testing.assert_array_equal(head_for(path, ("Dog", "black_footed cat"), ("dog", "hen")), ROWS[[2, 1]])
    np.testing.assert_array_equal(head_for(path, PETS[::-1], PETS[::-1]), ROWS[::-1])


@pytest.mark.parametrize(
    "class_names, message",
    [
        (
            ("cow", "hen", "dog", "fish"),
            "no row for 2 of the run's 4 classes, the first of them 'hen'.*json.*make_head",
        ),
        (("cow", "a_cat"), "head.json' has the class 'a_cat' 2 times"),
    ],
)
def test_classes_of_no_row_or_of_two_are_an_error_where_they_are_wanted(tmp_path, class_names, message):
    path = written(tmp_path, ("a cat", "a-cat", "dog", "cow"), ROWS)
    np.testing.assert_array_equal(head_for(path, ("dog",), ()), ROWS[2:3])
    with pytest.raises(UserError, match=message):
        head_for(path, class_names, ())


def test_a_class_is_found_by_another_spelling_unless_several_classes_have_it():
    assert places_of(["b_c", "D", "x"], ["d", "b-c"]) == [1, 0, None]
    assert places_of(["A", "a"], ["a", "b"]) == [None, 0] and places_of(["A"], ["a", "b"]) == [0]
    assert places_of(["A", "a", "x"], ["a", "A"]) == [1, 0, None]
    assert places_of(["A", "a", "Ä", "B"], ["a", "A", "b"]) == [1, 0, None, 2]
    assert places_of(["a-b"], ["a_b", "a b"]) == [None]


def test_part_of_imagenet_finds_its_rows_in_either_list(tmp_path):
    labels = [744, 27, 836, 638, 657, 837]
    names = [listed_names("imagenet1k")[label] for label in labels]
    path = written(tmp_path, listed_names("imagenet1k_eval"))
    np.testing.assert_array_equal(head_for(path, tuple(names), ())[:, 0], labels)
    # Newt and tights are eft and maillot in any list, but missile is not projectile.
    np.testing.assert_array_equal(head_for(written(tmp_path, ("tights", "newt")), ("eft", "maillot"), ())[:, 0], [1, 0])
    with pytest.raises(UserError, match="the first of them 'projectile'"):
        head_for(written(tmp_path, ("missile", "sunglasses")), ("projectile", "sunglass"), ())


@pytest.mark.parametrize(
    "document, message",
    [
        ({"classes": PETS[:3]}, "head.json' names 3 classes, but its head has 4 rows"),
        ({"classes": [1]}, "head.json is damaged .Expected `str`"),
        (list(PETS), "head.json is damaged .Expected `object`"),
        ("{", "head.json is damaged"),
    ],
)
def test_a_sidecar_that_is_not_the_arrays_is_an_error_that_names_it(tmp_path, document, message):
    path = saved(tmp_path, ROWS)
    (tmp_path / "head.json").write_text(document if document == "{" else json.dumps(document))
    with pytest.raises(UserError, match=message):
        head_for(path, PETS, PETS)


def test_a_named_head_may_have_half_precision_and_must_be_as_it_was_written(tmp_path):
    path = written(tmp_path, PETS, ROWS.astype(np.float16))
    np.testing.assert_array_equal(head_for(path, ("dog",), ()), ROWS[2:3])
    np.save(path, ROWS + 1)
    with pytest.raises(UserError, match="changed since it was written"):
        head_for(path, PETS, PETS)


@pytest.mark.parametrize("name", ["in1k_clip_rn50_wit400m_a+cname", "in1k_roberta_a+cname"])
def test_imagenet100_gets_the_studys_rows_by_label(name):
    path = REFERENCE / "heads" / f"{name}.npy"
    if not path.exists():
        pytest.skip("no published heads beside the checkout")
    labels = [int(line) for line in (REFERENCE / "imagenet100_idxs.txt").read_text().split()]
    head = head_for(str(path), listed_names("imagenet100"), tuple(imagenet_names("imagenet1k").values()))
    assert head.dtype == np.float32 and head.shape == (100, 1024)
    np.testing.assert_array_equal(head, np.load(path)[labels].astype(np.float32))


def test_a_linear_head_is_evaluated_by_its_weights_and_bias(linear_run, tmp_path):
    """In training and by the stand-alone program."""
    config, workdir = linear_run[0], shutil.copytree(linear_run[1], tmp_path / "run")
    model = open_model(str(workdir)).model
    weights, bias = np.float64(model.head[...]), np.float64(model.bias[...])
    features, labels, _ = plain_features(config, workdir)
    logits = features @ weights.T + bias
    assert (logits.argmax(1) != (features @ weights.T).argmax(1)).any()  # the bias counts
    confusion = np.zeros((12, 12), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)

    def of_last_evaluation():
        with np.load(workdir / "eval" / "glyphs_test" / "latest.npz") as arrays:
            return arrays["confusion"]

    np.testing.assert_array_equal(of_last_evaluation(), confusion)
    summary = evaluate(config, workdir)["glyphs:test"]
    np.testing.assert_array_equal(of_last_evaluation(), confusion)
    assert summary["top1"] == pytest.approx(100 * np.trace(confusion) / confusion.sum())
    best = np.argsort(-logits, axis=1)[:, :5]
    assert summary["top5"] == pytest.approx(100 * (best == labels[:, None]).any(1).mean())


CONCEPTS = (Concept("dog", ("hound", "dog")), Concept("cat"))


class Lengths(text_embedder.TextEmbedder):
    """Stands in for a text tower: two numbers of each text."""

    def __init__(self):
        self.weights_digest = "5a"

    def raw(self, texts):
        return np.array([[len(text), text.count("o") + 1] for text in texts], np.float32)


@pytest.mark.parametrize(
    "average_unit, synonyms, phrases", [(False, False, [["dog"], ["cat"]]), (True, True, [["hound", "dog"], ["cat"]])]
)
def test_head_is_the_mean_over_templates_and_synonyms(average_unit, synonyms, phrases):
    embed = Lengths() if average_unit else Lengths().raw
    prompts = [[t.format(p) for p in of_class for t in templates("simple")] for of_class in phrases]
    expected = np.array([embed(of_class).mean(0) for of_class in prompts])
    head = class_head(Lengths(), CONCEPTS, "simple", synonyms, average_unit)
    np.testing.assert_allclose(head, expected, rtol=1e-6)
    at_one = class_head(Lengths(), CONCEPTS, "simple", synonyms, average_unit, unit_norm=True)
    np.testing.assert_allclose(at_one, expected / np.linalg.norm(expected, axis=1, keepdims=True), rtol=1e-6)


def test_command_writes_the_array_and_what_it_is(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(text_embedder, "load_text_embedder", lambda model: Lengths())
    output = tmp_path / "heads" / "cifar10.npy"
    assert main(["--model=m", "--classes=cifar10", "--template=openai80", "--norm=unit", f"--output={output}"]) == 0
    head, description = np.load(output), json.loads(output.with_suffix(".json").read_text())
    assert head.shape == (10, 2) and head.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(head, axis=1), 1, rtol=1e-6)
    expected = {"template": "openai80", "model": "m", "unit_norm": True}
    assert description | expected == description and len(description["classes"]) == 10
    assert description["weights"] == "5a" and description["digest"] == hashlib.sha256(head.tobytes()).hexdigest()
    np.testing.assert_array_equal(head_for(str(output), ("Truck", "airplane"), ()), head[[9, 0]])
    assert "10 classes, 2 wide" in capsys.readouterr().out


def test_an_encoder_on_its_own_embeds_by_the_mean_of_its_states(tmp_path, monkeypatch):
    write_encoder(tmp_path / "encoder")
    encoder = open_encoder(tmp_path / "encoder", context_length=20)
    monkeypatch.setattr(text_embedder, "open_text_model", lambda name: encoder)
    output = tmp_path / "cifar10.npy"
    assert main([f"--model={tmp_path / 'encoder'}", "--classes=cifar10", f"--output={output}"]) == 0
    tokens, tower = encoder.tokenizer(["a truck"]), encoder.model.text
    states = tower.transformer(tokens, tokens != tower.pad_id)
    expected = np.asarray(states, np.float64)[0, : np.sum(tokens != tower.pad_id)].mean(0)
    np.testing.assert_allclose(np.load(output)[9], expected, rtol=1e-4, atol=1e-6)
    assert json.loads(output.with_suffix(".json").read_text())["weights"] == encoder.digest
