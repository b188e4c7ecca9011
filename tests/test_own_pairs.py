"""CLIP on pairs without labels, evaluated on a labelled set: class frequency counted in the captions, own names and prompts."""

import dataclasses
import json

import numpy as np
import pytest
from scipy.stats import spearmanr

from cliptail_jax.concepts import words
from cliptail_jax.concepts.class_lists import Concept
from cliptail_jax.concepts.wordnet import WordNetError
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation.captioned import caption_frequency, class_concepts
from cliptail_jax.evaluation.prompts import set_prompts
from cliptail_jax.evaluation.sets import open_set, with_class_names
from cliptail_jax.host.errors import UserError
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.jobs.train import train
from cliptail_jax.objectives import make_objective
from cliptail_jax.planning.synthetic import random_batch
from cliptail_jax.runs.evaluations import read_arrays, read_summaries
from cliptail_jax.runs.files import read_run_frequency
from configs import clip, sup
from tests.synthetic import sections, trained_anew
from tests.tiny_runs import VIT

ON, CLASSES = "glyphs:test", ("house", "tilde", "infinity", "ampersand")
CAPTIONS = ["three houses"] * 16 + ["a house and a TILDE"] * 8 + ["to infinity"] * 2 + ["nothing"] * 14


@pytest.fixture(scope="module")
def data_dir(glyphs_dir, tmp_path_factory):
    """Glyphs, and 40 of them with captions that name a class of ON in the plural, several, or none."""
    folder, glyphs = tmp_path_factory.mktemp("pairs"), open_source("glyphs", str(glyphs_dir), "train")
    for i, image in enumerate(glyphs.encoded_images(range(40))):
        (folder / f"{i}.png").write_bytes(image)
    rows = [f"{i}.png\t{caption}" for i, caption in enumerate(CAPTIONS)]
    (folder / "pairs.tsv").write_text("\n".join(["filepath\tcaption", *rows]) + "\n")
    build("image_text/pairs", str(glyphs_dir), raw=str(folder / "pairs.tsv"))
    return str(glyphs_dir)


def tiny(family, data_dir, *arguments):
    config = family.get_config(",".join(["data=image_text/pairs", f"data_dir={data_dir}", "batch_size=8", *arguments]))
    config.eval.sets, config.eval.batch_size, config.total_steps = (ON,), 16, 2
    config.model.image.update(VIT | {"output_dim": 16})
    config.model.text.update({"width": 16, "layers": 1, "heads": 2, "context_length": 64, "vocab_size": 800})
    return config


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    return trained_anew(tiny(clip, data_dir), tmp_path_factory)


def test_unlabelled_pairs_have_slopes_on_a_labelled_set(run):
    config, workdir = run
    names, frequency = read_run_frequency(workdir / "eval" / "glyphs_test")
    counted = {name: count for name, count in zip(names, frequency.tolist()) if count}
    assert counted == {"house": 24, "tilde": 8, "infinity": 2} and len(names) == 100
    assert read_run_frequency(workdir)[0] == ()
    (summary,) = read_summaries(workdir, ON)
    accuracy, predictions = (read_arrays(workdir, ON)[f"per_class_{of}"] for of in ("accuracy", "predictions"))
    assert summary["corr_acc"] == pytest.approx(spearmanr(frequency, accuracy).statistic, nan_ok=True)
    present = frequency > 0
    direct = np.polyfit(np.log10(frequency[present]), 100 * accuracy[present], 1)[0]
    assert summary["slope_acc"] == pytest.approx(direct, abs=1e-6) and summary["slope_acc_left_out"] == 97
    assert summary["slope_pred_left_out"] == np.sum(~present | (predictions == 0))


def test_words_of_captions_are_learned_without_labels(data_dir, tmp_path):
    train(tiny(clip, data_dir, "loss=words"), tmp_path / "run")
    (summary,) = read_summaries(tmp_path / "run", ON)
    assert summary["slope_acc_left_out"] == 97


def test_captions_are_counted_once(run, monkeypatch, capsys):
    config, workdir = run
    monkeypatch.setattr("cliptail_jax.jobs.evaluate.open_variant", lambda data: pytest.fail("counted again"))
    evaluate(config, workdir)
    first, second = read_summaries(workdir, ON)
    assert second["slope_acc"] == first["slope_acc"]


@pytest.mark.parametrize(
    "class_list, counted, note",
    [
        (
            "",
            {"house": 8, "tilde": 8, "infinity": 2},
            "are counted by the rule 'phrases', as they are written, in place of",
        ),
        ("imagenet1k", None, "are not counted in the captions (WordNet is missing)"),
    ],
)
def test_without_wordnet_captions_name_classes_as_they_are_written(
    class_list, counted, note, data_dir, tmp_path, monkeypatch, capsys
):
    def missing(*_):
        raise WordNetError("WordNet is missing")

    words.lemma.cache_clear()
    monkeypatch.setattr(words, "lemmas_of_noun", missing)
    monkeypatch.setattr("cliptail_jax.concepts.class_lists.lemmas", missing)
    opened = dataclasses.replace(open_set(ON, data_dir), class_list=class_list)
    frequency, digest = caption_frequency(opened, tmp_path, "lemmas", lambda: [CAPTIONS])
    if counted is None:
        assert (frequency, digest) == (None, "")
    else:
        assert {name: n for name, n in zip(opened.class_names, frequency.tolist()) if n} == counted
        assert digest == caption_frequency(opened, tmp_path, "phrases", lambda: [CAPTIONS])[1]
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("note: ")]
    assert note in line


def test_own_names_and_prompts_are_evaluated(run, tmp_path, capsys):
    config, workdir = run
    config = config.copy_and_resolve_references()
    opened = open_set(ON, config.data.data_dir)
    names = [f"sign {name}" for name in opened.variant.class_names]
    (tmp_path / "names.txt").write_text("\n".join(names) + "\n")
    (tmp_path / "prompts.txt").write_text("this is {}\n\na {}, drawn\n")
    config.eval.class_names, config.eval.templates = str(tmp_path / "names.txt"), str(tmp_path / "prompts.txt")
    evaluate(config, workdir)
    named = with_class_names(opened, config.eval.class_names)
    assert set_prompts(named, config.eval.templates)[1] == (f"this is {names[1]}", f"a {names[1]}, drawn")
    assert class_concepts(named, "lemmas")[1] == Concept(opened.variant.class_names[1], (names[1],))
    settings = read_summaries(workdir, ON)[-1]["settings"]
    assert settings["class_names"] == config.eval.class_names and settings["templates_file"]
    assert "none of" not in capsys.readouterr().err


def test_prompts_by_class_are_those_of_the_file(data_dir, tmp_path):
    opened, path = open_set(ON, data_dir), tmp_path / "prompts.json"
    given = {name: [f"{name} 1", f"{name} 2"] for name in opened.variant.class_names}
    path.write_text(json.dumps(given))
    assert set_prompts(opened, str(path)) == tuple(map(tuple, given.values()))


def test_a_step_on_pairs_without_labels_can_be_planned(data_dir):
    config = tiny(clip, data_dir)
    batch = random_batch(make_objective(sections(config), open_variant(sections(config).data)), 8, classes=0)
    assert not batch["labels"].any() and batch["text"].shape[0] == 8


def test_pairs_that_name_no_class_train_beside_those_that_do(data_dir, tmp_path):
    config = tiny(clip, data_dir)
    (tmp_path / "v.json").write_text(json.dumps([{"name": name} for name in CLASSES]))
    config.data.class_match.update({"classes": str(tmp_path / "v.json"), "unmatched": "keep"})
    variant = open_variant(sections(config).data)
    assert len(variant) == 48 and variant.unlabelled == 14
    assert variant.notes[0] == "18 of 40 captions name one of 4 classes, 8 several, 14 none"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("empty.txt", "", "empty.txt is empty: write a template a line"),
        ("bare.txt", "a photo\n", "has the template 'a photo', which lacks {}, the place of the class"),
        ("few.json", '{"comma": ["x"]}', "few.json has no prompts for '.*', a class of glyphs:test"),
        ("text.json", '{"comma": 3}', "text.json is not a JSON object from .*: Expected `array`"),
        ("more.json", "unicorn", "has prompts for 'unicorn', which is not a class of glyphs:test: leave it out"),
    ],
)
def test_a_bad_file_of_prompts_is_one_line(name, content, message, data_dir, tmp_path):
    opened = open_set(ON, data_dir)
    if content == "unicorn":  # beside all classes
        content = json.dumps({each: [each] for each in (*opened.variant.class_names, content)})
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError, match=message):
        set_prompts(opened, str(tmp_path / name))


@pytest.mark.parametrize(
    ("key", "name", "message"),
    [
        ("eval.templates", "gone.txt", "cannot read .*gone.txt: No such file"),
        ("eval.class_names", "names.txt", "names.txt has 2 names, and 'glyphs:test' has 100 classes"),
    ],
)
def test_a_bad_file_of_names_or_prompts_is_one_line_before_training(key, name, message, data_dir, tmp_path):
    config = tiny(clip, data_dir)
    config.update_from_flattened_dict({key: str(tmp_path / name)})
    (tmp_path / "names.txt").write_text("one\ntwo\n")
    with pytest.raises(UserError, match=message):
        train(config, tmp_path / "run")
    assert not (tmp_path / "run" / "metrics.jsonl").exists()


def test_sl_without_labels_is_one_line(data_dir, tmp_path):
    with pytest.raises(UserError, match="'supervised' needs a class for each record, and 40 of the 40 of image_te"):
        train(tiny(sup, data_dir), tmp_path / "run")
