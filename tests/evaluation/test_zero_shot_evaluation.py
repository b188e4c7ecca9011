"""Published models against a plain evaluation of the same files: one image, one prompt at a time."""

import functools
import io
import json
import shutil
import subprocess
import sys

import jax
import numpy as np
import PIL.Image
import pytest

from cliptail_jax.concepts.count import main as count_concepts
from cliptail_jax.concepts.frequency_tables import frequency_of, read_frequency
from cliptail_jax.concepts.templates import templates
from cliptail_jax.config.fields import plain
from cliptail_jax.curation.variant import Variant
from cliptail_jax.datasets.known_sources import EVALUATION_SETS, EvaluationSet, KnownSource
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.published import evaluate_published, slug
from cliptail_jax.files import read_lines
from cliptail_jax.images.decoding import UnreadableImageError
from cliptail_jax.input import pipeline
from cliptail_jax.metrics.correlation import spearman
from cliptail_jax.pretrained import hub
from cliptail_jax.pretrained import model as door
from cliptail_jax.pretrained.model import ModelName, find_model, load, open_published
from configs import zero_shot, zero_shot_all
from tests.evaluation.pixel_model import softmax
from tests.evaluation.plain_evaluation import CALIBRATION

SET, FILES = "glyphs:test", "glyphs_test"
CLASSES, IMAGES = 100, 200


@pytest.fixture
def config(glyphs_dir, make_model):
    config = zero_shot.get_config(f"model={make_model(1)},sets={SET},template=simple")
    config.data.data_dir = str(glyphs_dir)
    config.eval.batch_size = 64
    return config


@pytest.fixture
def frequency_table(glyphs_dir, tmp_path):
    """Another order than the labels', one class more, and other spellings."""
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    counts = np.random.default_rng(0).integers(0, 50, len(names))
    rows = [f"{name.replace(' ', '_')}\t{count}\n" for name, count in zip(names, counts)]
    path = tmp_path / "counts.tsv"
    path.write_text("something else\t3\n" + "".join(rows[::-1]))
    return path, counts


@functools.cache
def plain_images(folder, data_dir):
    """Raw features of the images, and their labels, by the model's own parts."""
    published = load(folder)
    source = open_source("glyphs", data_dir, "test")
    images = [np.array(PIL.Image.open(io.BytesIO(i)).convert("RGB")) for i in source.encoded_images(range(len(source)))]
    features = jax.jit(published.model.encode_image)(np.stack([published.preprocess(image) for image in images]))
    return np.asarray(features, np.float64), source.metadata["label"].to_numpy()


def plain_head(folder, prompts_of_classes):
    """The class embeddings of lists of prompts, class by class."""
    published, head = load(folder), []
    encode_text = jax.jit(published.model.encode_text)
    for prompts in prompts_of_classes:
        texts = np.asarray(encode_text(published.tokenizer(prompts)), np.float64)
        mean = np.mean(texts / np.linalg.norm(texts, axis=1, keepdims=True), axis=0)
        head.append(mean / np.linalg.norm(mean))
    return np.array(head)


def files(workdir):
    directory = workdir / "eval" / FILES
    lines = list(read_lines(directory / "summary.jsonl"))
    return lines, dict(np.load(directory / "latest.npz"))


def test_numbers_equal_a_plain_evaluation(config, frequency_table, glyphs_dir, tmp_path, make_model):
    table, counts = frequency_table
    config.eval.update({"class_frequency": str(table), "similarity": True, "save_features": True})
    evaluate_published(config, tmp_path / "run")
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    features, labels = plain_images(make_model(1), str(glyphs_dir))
    head = plain_head(make_model(1), [[each.replace("{}", name) for each in templates("simple")] for name in names])
    cosines = features / np.linalg.norm(features, axis=1, keepdims=True) @ head.T
    confusion = np.zeros((CLASSES, CLASSES), int)
    np.add.at(confusion, (labels, cosines.argmax(1)), 1)
    accuracy = np.diag(confusion) / confusion.sum(1)

    (line,), arrays = files(tmp_path / "run")
    assert len(np.unique(cosines.argmax(1))) > 5, "the model predicts few classes"
    np.testing.assert_array_equal(arrays["confusion"], confusion)
    np.testing.assert_array_equal(arrays["predicted"], cosines.argmax(1))
    assert line["top1"] == pytest.approx(100 * accuracy.mean()) and line["examples"] == IMAGES
    in_five = [label in np.argsort(-row)[:5] for label, row in zip(labels, cosines)]
    assert line["top5"] == pytest.approx(100 * np.mean(in_five))
    assert line["corr_acc"] == pytest.approx(spearman(counts, accuracy))
    logits = np.exp(float(load(make_model(1)).model.logit_scale[...])) * cosines
    confidence, tail = softmax(logits).max(1), np.argsort(-counts, kind="stable")[-33:]
    of_class = np.array([confidence[labels == c].mean() for c in range(CLASSES)])
    assert line["overconfidence_tail"] == pytest.approx(100 * (of_class - accuracy)[tail].mean(), abs=0.01)
    assert line["corr_pred"] == pytest.approx(spearman(counts, confusion.sum(0)))
    assert line["tail"] == pytest.approx(100 * accuracy[np.argsort(-counts, kind="stable")[-33:]].mean())
    assert line["image_text_similarity"] == pytest.approx(cosines[np.arange(IMAGES), labels].mean(), abs=1e-5)

    directory = tmp_path / "run" / "eval" / FILES
    written = read_frequency(directory / "class_frequency.tsv")
    np.testing.assert_array_equal(written[1], counts)
    assert written[0] == names
    np.testing.assert_allclose(np.load(directory / "features.npy"), features, atol=1e-5)
    np.testing.assert_array_equal(np.load(directory / "labels.npy"), labels)
    np.testing.assert_allclose(np.load(directory / "head.npy"), head, atol=1e-5)
    assert json.loads((tmp_path / "run" / "config.json").read_text())["config"]["eval.models"] == [str(make_model(1))]


def test_a_siglip_ranks_classes_by_its_cosines_times_scale_plus_bias(config, glyphs_dir, tmp_path, siglip):
    """Prompts without capitals and punctuation, padded by the end token; images squashed, with SigLIP's statistics."""
    config.eval.update({"models": (str(siglip),)})
    evaluate_published(config, tmp_path / "run")
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    features, labels = plain_images(siglip, str(glyphs_dir))
    head = plain_head(siglip, [[each.replace("{}", name) for each in templates("simple")] for name in names])
    model = load(siglip).model
    logits = np.exp(float(model.logit_scale[...])) * features / np.linalg.norm(features, axis=1, keepdims=True) @ head.T
    logits += float(model.logit_bias[...])
    confusion = np.zeros((CLASSES, CLASSES), int)
    np.add.at(confusion, (labels, logits.argmax(1)), 1)
    (line,), arrays = files(tmp_path / "run")
    assert model.logit_bias[...] < -5 and len(np.unique(logits.argmax(1))) > 3
    np.testing.assert_array_equal(arrays["confusion"], confusion)
    assert line["top5"] == pytest.approx(100 * np.mean([k in np.argsort(-row)[:5] for k, row in zip(labels, logits)]))


def test_logits_are_adjusted_by_the_given_frequency_or_else_by_the_models_own_predictions(
    config, frequency_table, glyphs_dir, tmp_path, make_model
):
    table, counts = frequency_table
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    features, labels = plain_images(make_model(1), str(glyphs_dir))
    head = plain_head(make_model(1), [[each.replace("{}", name) for each in templates("simple")] for name in names])
    scale = np.exp(float(load(make_model(1)).model.logit_scale[...]))
    logits = scale * features / np.linalg.norm(features, axis=1, keepdims=True) @ head.T
    config.eval.update({"class_frequency": str(table), "logit_adjustment": 0.1})
    evaluate_published(config, tmp_path / "known")
    config.eval.update({"class_frequency": "", "estimate_prior": True})
    evaluate_published(config, tmp_path / "estimated")
    priors = {"known": np.maximum(counts, 1) / counts.sum(), "estimated": softmax(logits).mean(0)}
    for name, prior in priors.items():
        predicted = (logits - 0.1 * np.log(prior)).argmax(1)
        (line,), arrays = files(tmp_path / name)
        np.testing.assert_array_equal(arrays["per_class_predictions"], np.bincount(predicted, minlength=CLASSES))
        assert line["settings"]["logit_adjustment"] == 0.1
        assert (predicted != logits.argmax(1)).any(), name


def test_weights_that_are_split_over_devices_give_the_same_numbers(config, tmp_path):
    for fsdp in (1, 4):
        config.mesh.fsdp = fsdp
        evaluate_published(config, tmp_path / str(fsdp))
    (_, whole), (_, split) = (files(tmp_path / str(fsdp)) for fsdp in (1, 4))
    np.testing.assert_array_equal(split["confusion"], whole["confusion"])


def test_without_a_class_frequency_there_are_accuracies_alone(config, tmp_path):
    evaluate_published(config, tmp_path)
    (line,), arrays = files(tmp_path)
    assert {"top1", "top5", "examples", "settings", "model", "weights"} <= line.keys()
    assert not {"corr_acc", "corr_pred", "head", "mid", "tail", "image_image_similarity"} & line.keys()
    assert set(arrays) == {"confusion", "per_class_accuracy", "per_class_predictions", "predicted"} | CALIBRATION
    assert "ece" in line and not [key for key in line if key.startswith("overconfidence")]
    assert not list(tmp_path.rglob("*.npy")) and not list(tmp_path.rglob("class_frequency.tsv"))


def test_what_is_finished_is_not_repeated_until_settings_change(config, tmp_path, monkeypatch, capsys):
    evaluate_published(config, tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(ModelName, "open", lambda *_, **__: pytest.fail("opened again"))
        evaluate_published(config, tmp_path)
        assert "is already evaluated" in capsys.readouterr().err
    config.eval.templates = "cname"
    evaluate_published(config, tmp_path)
    config.eval.templates = ""
    evaluate_published(config, tmp_path)
    lines, _ = files(tmp_path)
    assert [line["settings"]["templates"] for line in lines] == ["simple", "cname", ""]


def test_other_weights_data_or_ranking_of_the_same_name_are_evaluated_anew(
    config, frequency_table, tmp_path, monkeypatch, make_model
):
    model, table = tmp_path / "model", frequency_table[0]
    shutil.copytree(make_model(1), model)
    config.eval.update({"models": (str(model),), "rank_by": str(table)})

    def lines_after():
        evaluate_published(config, tmp_path / "run")
        return len(files(tmp_path / "run")[0])

    assert (lines_after(), lines_after()) == (1, 1)
    shutil.copytree(make_model(2), model, dirs_exist_ok=True)
    assert (lines_after(), lines_after()) == (2, 2)
    table.write_text(table.read_text().replace("\t", "\t1"))
    assert (lines_after(), lines_after()) == (3, 3)
    monkeypatch.setattr(Variant, "fingerprint", lambda _: "of other data")
    assert (lines_after(), lines_after()) == (4, 4)


def test_a_finished_model_of_the_hub_is_not_fetched_to_be_compared(config, tmp_path, monkeypatch, make_model):
    config.eval.models = ("hf-hub:someone/clip",)
    with monkeypatch.context() as patch:
        patch.setattr(ModelName, "open", lambda _, **options: open_published(make_model(1), **options))
        evaluate_published(config, tmp_path)
    monkeypatch.setattr(door, "find", lambda *_, **__: pytest.fail("fetched"))
    evaluate_published(config, tmp_path)


def test_whatever_fails_in_one_model_the_next_is_evaluated(config, tmp_path, monkeypatch, capsys, make_model):
    config.eval.models = (str(make_model(1)), str(make_model(2)))
    original = ModelName.open

    def runs_out_of_memory(model, **options):
        if model.source == config.eval.models[0]:
            raise RuntimeError("out of memory\nwhile trying to allocate")
        return original(model, **options)

    monkeypatch.setattr(ModelName, "open", runs_out_of_memory)
    with pytest.raises(UserError, match="1 of 2 models skipped .*clip1"):
        evaluate_published(config, tmp_path)
    captured = capsys.readouterr()
    assert f"skipped {config.eval.models[0]}: RuntimeError: out of memory\n" in captured.err
    assert config.eval.models[1] in captured.out


def test_images_that_cannot_be_read_stop_the_command_at_the_first_model(config, tmp_path, monkeypatch, make_model):
    def broken(encoded, *_):
        raise UnreadableImageError("broken")

    monkeypatch.setattr(pipeline, "decode_image", broken)
    config.eval.models = (str(make_model(1)), str(make_model(2)))
    with pytest.raises(UserError, match="200 of 200 images of glyphs .test. are unreadable"):
        evaluate_published(config, tmp_path)
    assert not (tmp_path / slug(config.eval.models[1])).exists()
    config.data.max_unreadable = 1.0
    config.eval.save_features = True
    with pytest.raises(UserError, match="no image of glyphs:test could be read"):
        evaluate_published(config, tmp_path)


def test_a_model_whose_context_cuts_prompts_to_the_same_is_skipped(config, tmp_path):
    beginning = "the same long beginning of every prompt, of which no context has room for more than a few words"
    config.eval.templates = ""
    config.eval.sets = ("mine",)
    with pytest.MonkeyPatch.context() as patch:
        templates = (f"{beginning}: {beginning}: {{}}",)
        patch.setitem(EVALUATION_SETS, "mine", EvaluationSet("mine", "test", templates, source=KnownSource("glyphs")))
        with pytest.raises(
            UserError, match="skipped .*: the set's own templates: truncated to the 48 tokens that the text"
        ):
            evaluate_published(config, tmp_path / "run")


def test_a_model_without_a_logit_bias_has_no_confidence_by_sigmoids(config, tmp_path):
    config.eval.confidence = "sigmoid"
    reason = "eval.confidence='sigmoid' needs a model with a logit bias, such as a SigLIP, and this one has none"
    with pytest.raises(UserError, match=f"1 of 1 models skipped .*: {reason}: set it to 'softmax'$"):
        evaluate_published(config, tmp_path / "run")


def test_models_that_would_share_a_directory_are_refused(config, tmp_path, make_model):
    folders = [tmp_path / "a b", tmp_path / "a_b"]
    for folder in folders:
        shutil.copytree(make_model(1), folder)
    config.eval.models = tuple(map(str, folders))
    with pytest.raises(UserError, match="a b and .*a_b would both be written to"):
        evaluate_published(config, tmp_path / "run")


def test_descriptors_and_random_ones_take_the_templates_place(config, glyphs_dir, tmp_path, make_model):
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    descriptors = {name: [f"{part} parts" for part in ("two", "round")[: i % 3]] for i, name in enumerate(names)}
    path = tmp_path / "descriptors.json"
    path.write_text(json.dumps(descriptors))
    config.eval.update({"descriptors": str(path), "save_features": True})
    evaluate_published(config, tmp_path / "a")
    written = np.load(tmp_path / "a" / "eval" / FILES / "head.npy")
    prompts = [[f"{name}, which has {text}" for text in descriptors[name]] or [name] for name in names]
    head = plain_head(make_model(1), prompts)
    np.testing.assert_allclose(written, head, atol=1e-5)

    config.eval.update({"descriptors": "", "waffle": 2, "waffle_kind": "characters"})
    evaluate_published(config, tmp_path / "b")
    config.eval.waffle_seed = 1
    evaluate_published(config, tmp_path / "b")
    lines, _ = files(tmp_path / "b")
    assert lines[0]["settings"]["prompts"] != lines[1]["settings"]["prompts"]


def test_of_several_models_those_that_cannot_be_loaded_are_skipped_and_the_rest_tabled(
    config, frequency_table, tmp_path, make_model, monkeypatch, capsys
):
    monkeypatch.setattr(hub, "answers", lambda: False)
    damaged = tmp_path / "damaged"
    damaged.mkdir()
    (damaged / "open_clip_config.json").write_text("{}")
    good = [str(make_model(1)), str(make_model(2))]
    config.eval.models = (good[0], str(damaged), "EVA01-g-14/laion400m_s11b_b41k", "nowhere", good[1])
    config.eval.class_frequency = str(frequency_table[0])
    with pytest.raises(UserError, match=r"3 of 5 models skipped \(nowhere, .*damaged, EVA01"):
        evaluate_published(config, tmp_path / "out")
    captured = capsys.readouterr()
    for reason in ("skipped nowhere: unknown model", "has no weights", "the Hub cannot be reached"):
        assert reason in captured.err
    table = (tmp_path / "out" / "table.md").read_text()
    assert captured.out == table
    header, _, *rows = table.splitlines()
    assert [row.split("|")[1].strip() for row in rows] == good
    header, *rows = [line.split("\t") for line in (tmp_path / "out" / "table.tsv").read_text().splitlines()]
    for model, row in zip(good, rows, strict=True):
        (line,), _ = files(tmp_path / "out" / slug(model))
        of_row = dict(zip(header, row, strict=True))
        assert (of_row["model"], of_row["set"]) == (model, SET) and float(of_row["top1"]) == line["top1"]
        assert float(of_row["corr_acc_low"]) == line["corr_acc_interval"][0]


def test_a_list_whose_models_are_not_at_hand_ends_in_a_line_that_names_the_first(config, tmp_path, monkeypatch):
    monkeypatch.setattr(hub, "answers", lambda: False)
    config.eval.models = zero_shot_all.get_config().eval.models
    with pytest.raises(UserError, match=r"^49 of 49 models skipped \(RN50/cc12m, (\S+, ){3}\S+ and 44 more\)$"):
        evaluate_published(config, tmp_path)


def test_a_directory_of_something_else_is_left_alone(config, sup_config, tmp_path, make_model):
    from cliptail_jax import runs

    runs.make_room(tmp_path / "trained", plain(sup_config), replace=False)
    with pytest.raises(UserError, match="holds a training run"):
        evaluate_published(config, tmp_path / "trained")
    evaluate_published(config, tmp_path / "zero")
    config.eval.models = (str(make_model(2)),)
    with pytest.raises(UserError, match="holds the evaluation of .*clip1, not of .*clip2"):
        evaluate_published(config, tmp_path / "zero")


def test_published_names_know_their_repository_architecture_and_corpus():
    model = find_model("RN50/cc12m")
    assert (model.source, model.architecture, model.corpus) == ("hf-hub:timm/resnet50_clip.cc12m", "RN50", "cc12m")
    model = find_model("hf-hub:timm/resnet50_clip.cc12m")
    assert (model.architecture, model.corpus) == (None, "cc12m")
    assert find_model("hf-hub:someone/else").corpus is None
    with pytest.raises(UserError, match="unknown model 'RN50/cc12n' .did you mean RN50/cc12m"):
        find_model("RN50/cc12n")


def test_published_frequencies_are_those_of_each_models_corpus(config, glyphs_dir, tmp_path, monkeypatch, make_model):
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    for factor, corpus in enumerate(("cc12m", "laion2b"), 1):
        rows = "".join(f"{name}\t{factor * i}\n" for i, name in enumerate(names))
        (tmp_path / f"class_frequency_{corpus}_{SET}.txt").write_text(rows)
    config.eval.models = ("RN50/cc12m", "ViT-B-32/laion2b_e16")
    config.eval.update({"class_frequency": "published", "frequency_dir": str(tmp_path)})
    monkeypatch.setattr(ModelName, "open", lambda _, **options: open_published(make_model(1), **options))
    evaluate_published(config, tmp_path / "out")
    for factor, model in enumerate(config.eval.models, 1):
        table = tmp_path / "out" / model.replace("/", "_") / "eval" / FILES / "class_frequency.tsv"
        np.testing.assert_array_equal(read_frequency(table)[1], factor * np.arange(CLASSES))
    assert "| laion2b " in (tmp_path / "out" / "table.md").read_text()


def test_each_class_frequency_has_a_line_of_the_same_pass_and_one_that_is_not_known_has_none(
    config, frequency_table, glyphs_dir, tmp_path, monkeypatch, make_model
):
    """A corpus of the study's, the counts of other captions by cliptail_jax.concepts.count, and any table."""
    names = open_source("glyphs", str(glyphs_dir), "test").class_names
    (tmp_path / f"class_frequency_cc12m_{SET}.txt").write_text(
        "".join(f"{name}\t{i}\n" for i, name in enumerate(names))
    )
    (tmp_path / "glyphs.json").write_text(json.dumps([{"name": name} for name in names]))
    (tmp_path / "captions.txt").write_text("".join(f"this is {name}\n" * (i % 7) for i, name in enumerate(names)))
    counted = tmp_path / "counted.tsv"
    count_arguments = [f"--captions={tmp_path}/captions.txt", f"--vocabulary={tmp_path}/glyphs.json"]
    assert not count_concepts([*count_arguments, f"--output={counted}"])
    table = frequency_table[0]
    config.eval.models = ("RN50/cc12m", "ViT-B-16/datacomp_xl_s13b_b90k")
    config.eval.update({"class_frequency": f"published+{counted}+{table}", "frequency_dir": str(tmp_path)})
    monkeypatch.setattr(ModelName, "open", lambda _, **options: open_published(make_model(1), **options))
    summaries = evaluate_published(config, tmp_path / "out")
    names_of = {
        model: [s["settings"]["class_frequency"] for s in summaries if s["model"] == model]
        for model in config.eval.models
    }
    assert list(names_of.values()) == [["cc12m", str(counted), str(table)], [str(counted), str(table)]]
    assert len((tmp_path / "out" / "table.tsv").read_text().splitlines()) == 1 + 5
    accuracy = np.load(tmp_path / "out" / "RN50_cc12m" / "eval" / FILES / "latest.npz")["per_class_accuracy"]
    frequencies = {"cc12m": np.arange(len(names)), **{str(t): frequency_of(names, t) for t in (counted, table)}}
    for summary in summaries:
        assert summary["top1"] == summaries[0]["top1"]
        frequency = frequencies[summary["settings"]["class_frequency"]]
        assert summary["corr_acc"] == pytest.approx(spearman(frequency, accuracy))
    with monkeypatch.context() as patch:
        patch.setattr(ModelName, "open", lambda *_, **__: pytest.fail("opened again"))
        assert evaluate_published(config, tmp_path / "out") == summaries

    config.eval.class_frequency = "published"
    of_today = evaluate_published(config, tmp_path / "out")[-1]
    assert of_today["settings"]["class_frequency"] == "" and "corr_acc" not in of_today


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"sets": ("cifra10",)}, "unknown evaluation set 'cifra10' .did you mean cifar10"),
        ({"sets": ("food101",)}, "food101"),
        ({"sets": ()}, "eval.sets is empty"),
        ({"models": ()}, "eval.models is empty"),
        ({"models": ("nowhere",)}, "1 of 1 models skipped .nowhere.: unknown model 'nowhere'"),
        ({"class_frequency": "TABLE+laion5b"}, "no frequency table laion5b, and no corpus with this name.*laion2b"),
        ({"class_frequency": "laion2b"}, "set eval.frequency_dir"),
        ({"class_frequency": "laion2b", "frequency_dir": "nowhere"}, "no folder nowhere of published"),
        ({"class_frequency": "published"}, "the corpus that .*clip1 was trained on is not known"),
        (
            {"logit_adjustment": 1.0},
            "class frequency of 'glyphs:test', .* eval.class_frequency, or set eval.estimate_prior",
        ),
        ({"logit_adjustment": -1.0}, "'eval.logit_adjustment' is -1.0; it must not be negative"),
        ({"estimate_prior": True}, "eval.estimate_prior is used by logit adjustment alone"),
        ({"descriptors": "nowhere.json"}, "descriptors file nowhere.json cannot be read"),
        ({"descriptors": "a.json", "waffle": 3}, "eval.descriptors or eval.waffle, not both"),
        ({"head_classes": 90, "tail_classes": 90, "rank_by": "TABLE"}, "do not fit in 100 classes"),
    ],
)
def test_a_mistake_is_one_line_before_anything_is_loaded(
    fields, message, config, frequency_table, tmp_path, monkeypatch
):
    monkeypatch.setattr(ModelName, "open", lambda *_, **__: pytest.fail("opened"))
    fields = {
        key: str(value).replace("TABLE", str(frequency_table[0])) if "TABLE" in str(value) else value
        for key, value in fields.items()
    }
    config.eval.update(fields)
    with pytest.raises(UserError, match=message) as raised:
        evaluate_published(config, tmp_path / "run")
    assert "\n" not in str(raised.value)


def test_a_frequency_table_that_lacks_classes_is_an_error(config, tmp_path):
    table = tmp_path / "few.tsv"
    table.write_text("a hare\t3\n")
    config.eval.class_frequency = str(table)
    with pytest.raises(UserError, match="few.tsv lacks 100 of the classes"):
        evaluate_published(config, tmp_path / "run")


def test_a_list_of_published_models_stands_in_one_config():
    config = zero_shot_all.get_config("sets=imagenet+imagenet_v2")
    assert len(config.eval.models) == 49 and config.eval.class_frequency == "published"
    assert config.eval.sets == ("imagenet", "imagenet_v2")
    today = zero_shot_all.get_config("list=today")
    assert "EVA02-E-14-plus/laion2b_s9b_b144k" in today.eval.models and today.eval.sets == ("imagenet",)
    with pytest.raises(UserError, match="unknown config argument 'modle'"):
        zero_shot.get_config("modle=a")
    with pytest.raises(UserError, match="the config argument list is 'tomorrow'; it is one of study, today"):
        zero_shot_all.get_config("list=tomorrow")


def test_the_command_writes_the_run(config, glyphs_dir, tmp_path):
    arguments = [
        f"--config=configs/zero_shot.py:model={config.eval.models[0]},sets={SET},template=cname",
        f"--config.data.data_dir={glyphs_dir}",
        f"--workdir={tmp_path / 'run'}",
    ]
    command = [sys.executable, "-m", "cliptail_jax.evaluate", *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("| model ") and len(files(tmp_path / "run")[0]) == 1
