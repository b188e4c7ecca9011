"""Evaluation by retrieval of runs and published models, from a set without labels to its files, tables and page."""

import csv
import json
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cliptail_jax.claims.testing import evaluate_claims
from cliptail_jax.concepts.words import lemmas_of
from cliptail_jax.config.zero_shot import typed_config
from cliptail_jax.curation.variant import Variant, open_variant
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation import pairs, retrieval
from cliptail_jax.evaluation.ranks import SIDE, make_count_before, make_rank
from cliptail_jax.evaluation.results import is_evaluated
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_lines
from cliptail_jax.jobs.evaluate import captions_of_training, evaluate, evaluate_models
from cliptail_jax.jobs.train import train
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.metrics.retrieval import CUTOFFS, RetrievalResults, by_decile
from cliptail_jax.pretrained.model import open_model
from cliptail_jax.report.evaluation import decile_table, table
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.run import Run
from configs import clip, sup, zero_shot
from tests.evaluation import plain_evaluation
from tests.evaluation.plain_evaluation import unit
from tests.judged_pages import page_of
from tests.synthetic import mesh_of, sections, trained_anew
from tests.tiny_runs import tiny

SET, FOLDER = "image_text/pairs:train", "image_text_pairs_train"
IMAGES, CAPTIONS = 24, 60


def write_rows(folder, rows):
    with open(folder / "rows.tsv", "w", encoding="utf-8", newline="") as file:
        table = csv.DictWriter(file, rows[0], delimiter="\t")
        table.writeheader()
        table.writerows(rows)
    return str(folder / "rows.tsv")


@pytest.fixture(scope="module")
def data_dir(glyphs_dir, tmp_path_factory):
    """The glyphs and three sets without labels: pairs, in which images have several captions, some equal and some empty;
    `texts`, with two texts; and `one`, with a single image. `nothing` has no captions."""
    folder = tmp_path_factory.mktemp("pairs")
    (folder / "glyphs").symlink_to(glyphs_dir / "glyphs")
    rng = np.random.default_rng(0)
    for number in range(IMAGES):
        pixels = rng.integers(0, 256, (32, 32, 3), np.uint8)
        Image.fromarray(pixels).save(folder / f"{number}.png")
    names = open_source("glyphs", str(folder), "test").class_names
    rows = []
    for number in rng.permutation(np.append(np.arange(IMAGES), rng.integers(0, IMAGES, CAPTIONS - IMAGES))):
        words = [names[rng.integers(12)], *rng.choice(["zebra", "letter", "mark", "with"], 2)]
        caption = "" if rng.random() < 0.1 else " ".join(words[: rng.integers(1, 4)])
        rows.append({"filepath": f"{number}.png", "caption": caption, "title": f"title {rng.integers(5)}"})
    build("image_text/pairs", str(folder), raw=write_rows(folder, rows))
    build("image_text/texts", str(folder), raw=write_rows(folder, rows), caption_columns="caption,title")
    build("image_text/one", str(folder), raw=write_rows(folder, [rows[0] | {"caption": text} for text in "ab"]))
    build("image_text/nothing", str(folder), raw=write_rows(folder, [row | {"caption": ""} for row in rows]))
    return folder


@pytest.fixture(scope="module")
def run(data_dir, small_config, tmp_path_factory):
    """A run that is evaluated on labels and by retrieval, at the end of its training."""
    config = small_config(clip)
    config.data.data_dir, config.eval.sets, config.total_epochs = str(data_dir), (SET, "glyphs:test"), 1
    return trained_anew(config, tmp_path_factory)


@pytest.fixture
def copied(run, tmp_path):
    return plain_evaluation.copied(run, tmp_path)


def evaluated(workdir):
    folder = workdir / "eval" / FOLDER
    return read_lines(folder / "summary.jsonl")[-1], dict(np.load(folder / "latest.npz"))


def direct(model, data_dir):
    """Recalls by the whole matrix of cosines, with one image and one caption at a time."""
    source = open_source("image_text/pairs", str(data_dir), "train")
    rows = [(row["filename"], row["caption"]) for row in source.metadata.to_pylist()]
    names = list(dict.fromkeys(name for name, caption in rows if caption))
    captions = [(names.index(name), caption) for name, caption in rows if caption]
    unit = lambda x: np.float64(x) / np.linalg.norm(np.float64(x))  # noqa: E731
    encode_image, encode_text = jax.jit(model.model.encode_image), jax.jit(model.model.encode_text)
    image = lambda name: model.preprocess(np.asarray(Image.open(data_dir / name)))[None]  # noqa: E731
    images = np.stack([unit(encode_image(image(name))[0]) for name in names])
    texts = np.stack([unit(encode_text(model.tokenizer([caption]))[0]) for _, caption in captions])
    cosines = np.round(images @ texts.T, 6)
    owner = np.array([index for index, _ in captions])
    order = np.argsort(-cosines, axis=1, kind="stable")
    image_to_text = (owner[order] == np.arange(len(names))[:, None]).argmax(1)
    text_to_image = (np.argsort(-cosines.T, axis=1, kind="stable") == owner[:, None]).argmax(1)
    return image_to_text, text_to_image, [caption for _, caption in captions]


def check_recalls(line, image_to_text, text_to_image):
    for name, ranks in (("image_to_text", image_to_text), ("text_to_image", text_to_image)):
        for k in CUTOFFS:
            assert line[f"{name}_r{k}"] == pytest.approx(100 * np.mean(ranks < k))


def test_a_run_has_the_recalls_of_a_direct_computation_and_the_frequency_of_the_rarest_words(run, data_dir):
    config, workdir = run
    line, arrays = evaluated(workdir)
    image_to_text, text_to_image, captions = direct(open_model(str(workdir)), data_dir)
    np.testing.assert_array_equal(arrays["image_to_text"], image_to_text)
    np.testing.assert_array_equal(arrays["text_to_image"], text_to_image)
    check_recalls(line, image_to_text, text_to_image)
    sizes = len(image_to_text), len(captions), CAPTIONS - len(captions)
    assert (line["images"], line["captions"], line["left_out"]) == sizes

    variant = open_variant(sections(config).data)
    training = [lemmas_of(caption) for caption in variant.captions(range(len(variant)), epoch=0)]
    counts = [min(sum(word in words for words in training) for word in lemmas_of(text)) for text in captions]
    np.testing.assert_array_equal(arrays["word_frequency"], counts)
    assert line["retrieval_slope_left_out"] == sum(count == 0 for count in counts) > 0
    assert arrays["decile_captions"].sum() == len(captions)
    assert len(line["retrieval_slope_interval"]) == 2


def test_words_are_counted_once_and_results_are_known_by_the_option_for_captions(copied, monkeypatch):
    config, workdir = copied
    assert is_evaluated(workdir, sections(config).eval, uses_prompts=True)
    monkeypatch.setattr(retrieval, "count_chunks", lambda *_: pytest.fail("counted again"))
    config.eval.sets, config.eval.captions = (SET,), ("caption",)
    assert not is_evaluated(workdir, sections(config).eval, uses_prompts=True)
    old_summary, _ = evaluated(workdir)
    (summary,) = evaluate(config, workdir).values()
    assert is_evaluated(workdir, sections(config).eval, uses_prompts=True)
    measures = {key for key in old_summary if key not in ("settings", "step", "epoch")}
    assert all(old_summary[key] == summary[key] for key in measures)
    assert "text→image R@5 %" in table({SET: summary})


def test_deciles_are_printed_with_the_frequencies_that_they_have():
    frequency = np.repeat([0, 3, 4, 90], [50, 20, 20, 10])
    ranks = np.repeat([9, 4, 0], [50, 40, 10])
    retrieval_results = RetrievalResults(np.zeros(2, int), ranks, np.arange(2), np.arange(100), frequency)
    lines = [line.split("  ") for line in decile_table(by_decile(retrieval_results)).splitlines()]
    cells = [[cell.strip() for cell in line if cell.strip()] for line in lines]
    assert cells[0] == ["rarest word in training", "captions", *(f"text→image R@{k} %" for k in (1, 5, 10))]
    assert cells[1] == ["0", "50", "0.0", "0.0", "100.0"]
    assert cells[-1] == ["90", "10", "100.0", "100.0", "100.0"]


def test_without_the_training_data_recalls_have_no_slope_and_a_note_says_why(copied, capsys, monkeypatch):
    config, workdir = copied
    (workdir / "word_frequency.tsv").unlink()  # as of a run that was not evaluated by retrieval in training
    digests = json.loads((workdir / "sha256.json").read_text())
    digests.pop("word_frequency.tsv")
    (workdir / "sha256.json").write_text(json.dumps(digests))
    config.eval.sets = (SET,)

    def missing(data):
        raise UserError("data set 'glyphs' is not prepared")

    monkeypatch.setattr("cliptail_jax.jobs.evaluate.open_variant", missing)
    (summary,) = evaluate(config, workdir).values()
    assert "text_to_image_r1" in summary and "retrieval_slope" not in summary
    assert "no slope of retrieval (data set 'glyphs' is not prepared)" in capsys.readouterr().err
    assert "word_frequency" not in evaluated(workdir)[1]


def test_captions_of_other_data_than_the_runs_are_not_counted(copied):
    config, workdir = copied
    assert sum(map(len, captions_of_training(workdir, sections(config).data))) > 0
    (workdir / "variant.json").write_text('{"records": 1, "fingerprint": "other"}', encoding="utf-8")
    with pytest.raises(UserError, match="the current data are not those of the training"):
        captions_of_training(workdir, sections(config).data)


def test_without_wordnet_there_are_no_word_frequencies(tmp_path, monkeypatch, capsys):
    def missing():
        raise UserError("WordNet is not on this machine")

    monkeypatch.setattr(retrieval, "WordCounter", missing)
    assert retrieval.rarest_words(tmp_path, None, lambda: []) is None
    assert "no slope of retrieval (WordNet is not on this machine)" in capsys.readouterr().err


def test_the_page_is_on_the_set_with_labels_and_has_the_recalls_of_the_other(run):
    _, workdir = run
    evaluated_run = Run(workdir)
    assert (evaluated_run.main_set, evaluated_run.evaluation.set_name, "top1" in evaluated_run.summary) == (
        "glyphs:test",
        "glyphs:test",
        True,
    )
    text = page_of(workdir, output=workdir / "report.html", images=0).read_text()
    assert "text→image R@10 %" in text and "text→image R@1 %" in text and "retrieval_slope" in text


def test_a_page_on_retrieval_alone_has_its_recalls_and_no_classes(copied):
    config, workdir = copied
    shutil.rmtree(workdir / "eval" / "glyphs_test")
    run = Run(workdir, eval_sets=(SET,))
    assert run.evaluation is None and run.latest.set_name == SET
    text = page_of(workdir, images=0).read_text()
    assert "image→text R@5 %" in text and 'id="classes-part"' not in text


def test_a_set_with_labels_is_evaluated_in_both_ways_if_its_texts_are_named(copied, data_dir):
    config, workdir = copied
    config.eval.sets = ("glyphs:test", "glyphs:test@title+tags")
    summaries = evaluate(config, workdir)
    assert "top1" in summaries["glyphs:test"] and "text_to_image_r1" in summaries["glyphs:test@title+tags"]
    run = Run(workdir, eval_sets=config.eval.sets)
    assert (run.evaluation.set_name, run.retrieval.set_name) == config.eval.sets
    rows = open_source("glyphs", str(data_dir), "test").metadata.to_pylist()
    opened = pairs.open_pairs(run.retrieval.set_name, str(data_dir))
    assert list(opened.captions) == [f"{row['title']} {row['tags']}" for row in rows]
    assert len(run.retrieval.results.captions) == len(rows)


def test_claims_compare_runs_by_retrieval_on_the_same_captions(run, copied):
    _, workdir = copied
    runs = {"a": Run(run[1]), "b": Run(workdir)}
    for statistic in ("retrieval_slope", "text_to_image_r5"):
        for set_name in (SET, ""):  # the first without labels
            claims = {"": Claim("equal", statistic, "a", "b", 0.1, set_name)}
            (seed,) = evaluate_claims(claims, [[runs]], {})[""].by_seed
            assert seed[0] == seed[1] == pytest.approx(runs["a"].retrieval.summary[statistic])
    path = workdir / "eval" / FOLDER / "latest.npz"
    arrays = dict(np.load(path))
    np.savez(path, **{name: array[1:] if len(array.shape) else array for name, array in arrays.items()})
    claim = Claim("equal", "text_to_image_r5", "a", "b", 0.1, SET)
    result = evaluate_claims({"": claim}, [[{"a": runs["a"], "b": Run(workdir)}]], {})[""]
    assert result.obstacle == "the runs are evaluated on different captions"


def test_published_models_are_evaluated_by_retrieval_once_without_word_frequency(
    data_dir, make_model, tmp_path, capsys
):
    config = zero_shot.get_config(f"model={make_model(1)},sets=glyphs:test+{SET},template=simple")
    config.data.data_dir, config.eval.batch_size = str(data_dir), 16
    evaluate_models(typed_config(config), tmp_path / "run")
    line, arrays = evaluated(tmp_path / "run")
    image_to_text, text_to_image, _ = direct(open_model(str(make_model(1))), data_dir)
    check_recalls(line, image_to_text, text_to_image)
    assert "word_frequency" not in arrays and "retrieval_slope" not in line
    header = capsys.readouterr().out.splitlines()[0]
    assert "top-1 %" in header and "image→text R@1 %" in header
    evaluate_models(typed_config(config), tmp_path / "run")
    assert "is already evaluated" in capsys.readouterr().err
    assert len(read_lines(tmp_path / "run" / "eval" / FOLDER / "summary.jsonl")) == 1
    page_of(tmp_path / "run", images=0)


def test_images_that_cannot_be_read_and_their_captions_are_left_out():
    rng = np.random.default_rng(0)
    images, captions = (rng.normal(size=(n, 4)).astype(np.float32) for n in (5, 12))
    image_of = np.append(np.arange(5), rng.integers(0, 5, 7))
    unlabelled = np.full(5, -1)
    variant = Variant(None, np.array([0, 2, 3, 7, 8]), unlabelled, (), unlabelled, captions=None)
    opened = pairs.PairSet("x", variant, ["a"] * 12, np.arange(100, 112), image_of, without_caption=3)
    task = retrieval.RetrievalTask(opened, {}, np.arange(12))
    rank = make_rank(mesh_of(1), side=128)
    readable = np.array([0, 3, 8])  # all but rows 1 and 3
    pair_ranks = retrieval.rank_pairs(rank, task, images[[0, 2, 4]], readable, captions, lambda: False)
    mask = np.isin(image_of, [0, 2, 4])
    expected = rank(captions[mask], np.searchsorted([0, 2, 4], image_of[mask]), images[[0, 2, 4]], np.arange(3))
    np.testing.assert_array_equal(pair_ranks.text_to_image, expected)
    np.testing.assert_array_equal(pair_ranks.captions, 100 + np.flatnonzero(mask))
    np.testing.assert_array_equal(pair_ranks.word_frequency, np.flatnonzero(mask))
    assert pair_ranks.images.tolist() == [0, 3, 8] and pair_ranks.num_excluded == 3 + np.sum(~mask)
    with pytest.raises(UserError, match="only 1 of 5 images of x could be read"):
        retrieval.rank_pairs(rank, task, images[:1], readable[:1], captions, lambda: False)
    with pytest.raises(UserError, match="1 images and captions of x have features with NaN"):
        retrieval.rank_pairs(rank, task, images[[0, 2, 4]], readable, with_nan(captions), lambda: False)


def with_nan(features):
    features = features.copy()
    features[3, 1] = np.nan
    return features


@pytest.mark.parametrize(
    ("name", "captions", "reason"),
    [
        ("image_text/one:train", (), "has 1 image with captions .caption., and retrieval needs two or"),
        ("image_text/nothing:train", (), "has 0 images with captions .caption., and"),
        ("image_text/texts:train", (), "has the texts caption, title: name those .* with eval.captions"),
        (SET, ("text",), "eval.captions names 'text', but the texts of .* are caption"),
        ("glyphs:test@name", (), "names 'name', but the texts of 'glyphs:test' are description, tags"),
        ("glyphs:test@", (), "'glyphs:test@' names '', but the texts"),
        ("glyphs:test@title+", (), "'glyphs:test@title.' names '', but the texts"),
    ],
)
def test_sets_and_captions_that_do_not_fit_are_named_in_one_line(name, captions, reason, data_dir):
    with pytest.raises(UserError, match=reason) as error:
        pairs.open_pairs(name, str(data_dir), captions)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("family, arguments", [(sup, ""), (clip, "loss=words")])
def test_retrieval_without_a_text_tower_is_refused_before_training(family, arguments, data_dir, tmp_path):
    config = tiny(family, data_dir, arguments)
    config.eval.sets = (SET,)
    with pytest.raises(UserError, match="by retrieval, for which the run has no text tower: name a set with labels"):
        train(config, tmp_path / "run")


def test_a_set_without_labels_and_texts_is_refused(data_dir, monkeypatch):
    source = open_source("image_text/pairs", str(data_dir), "train")
    source.__dict__["metadata"] = source.metadata.select(["filename", "label"])
    monkeypatch.setattr(pairs, "open_source", lambda *_: source)
    with pytest.raises(UserError, match="has neither labels nor texts"):
        pairs.open_pairs(SET, str(data_dir))


def test_the_captions_of_a_run_are_the_default_where_the_set_has_them(data_dir):
    opened = pairs.open_pairs("image_text/texts:train", str(data_dir), (), ("title",))
    assert all(caption.startswith("title") for caption in opened.captions) and opened.without_caption == 0
    joined_pairs = pairs.open_pairs("image_text/texts:train", str(data_dir), ("title", "caption"), ("title",))
    assert (
        joined_pairs.captions[0].startswith(opened.captions[0]) and joined_pairs.fingerprint() != opened.fingerprint()
    )
    for labelled in ("glyphs:test", "imagenet"):
        assert pairs.open_pairs(labelled, str(data_dir)) is None


REFERENCE = np.load(Path(__file__).parents[1] / "data" / "retrieval.npz")
RANK = make_rank(mesh_of(2), side=128)


def sorted_ranks(queries, query_images, candidates, candidate_images):
    """The place of the first own candidate, where all are sorted by score, and equal ones stay in order."""
    order = np.argsort(-(np.float64(queries) @ np.float64(candidates).T), axis=1, kind="stable")
    return (candidate_images[order] == query_images[:, None]).argmax(1)


def results(images, captions, image_of, rank=RANK):
    rows = np.arange(len(images))
    ranks = rank(images, rows, captions, image_of), rank(captions, image_of, images, rows)
    return RetrievalResults(*ranks, rows, np.arange(len(captions)))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10**6), images=st.integers(2, 300), further_captions=st.integers(0, 500))
def test_ranks_are_those_of_a_stable_sort_of_the_whole_matrix(seed, images, further_captions):
    """Features are a few small multiples of 1/2, so that most scores have equals and all are exact."""
    rng = np.random.default_rng(seed)
    image_of = rng.permutation(np.append(np.arange(images), rng.integers(0, images, further_captions)))
    queries, candidates = (rng.integers(-2, 3, (n, 3)).astype(np.float32) / 2 for n in (images, len(image_of)))
    pair_ranks = results(queries, candidates, image_of)
    rows = np.arange(images)
    np.testing.assert_array_equal(pair_ranks.image_to_text, sorted_ranks(queries, rows, candidates, image_of))
    np.testing.assert_array_equal(pair_ranks.text_to_image, sorted_ranks(candidates, image_of, queries, rows))


def test_equal_unit_features_have_equal_cosines_in_all_blocks():
    """Each of five features is repeated in many blocks: the rank is the number of rows before it that are equal to it."""
    rng = np.random.default_rng(0)
    features = unit(rng.normal(size=(5, 16)).astype(np.float32))[rng.integers(0, 5, 700)]
    rows = np.arange(700)
    expected = [np.sum((features[:row] == features[row]).all(1)) for row in rows]
    np.testing.assert_array_equal(RANK(features, rows, features, rows), expected)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_ranks_do_not_depend_on_devices_and_blocks(devices):
    image_of = REFERENCE["image_of"]
    features = unit(REFERENCE["images"]), unit(REFERENCE["captions"])
    pair_ranks = results(*features, image_of, make_rank(mesh_of(devices, 1 + (devices > 1)), side=128))
    expected = results(*features, image_of)
    np.testing.assert_array_equal(pair_ranks.image_to_text, expected.image_to_text)
    np.testing.assert_array_equal(pair_ranks.text_to_image, expected.text_to_image)


def test_numbers_of_pairs_are_those_of_open_clip_also_with_equal_features():
    pair_ranks = results(REFERENCE["pair_images"], REFERENCE["pair_captions"], np.arange(64))
    for direction in ("image_to_text", "text_to_image"):
        for k in CUTOFFS:
            expected = 100 * REFERENCE[f"open_clip_{direction}_R@{k}"]
            assert MEASURES[f"{direction}_r{k}"].value(pair_ranks) == pytest.approx(expected)
        for average in ("mean", "median"):
            name = f"{direction}_{average}_rank"
            assert MEASURES[name].value(pair_ranks) == pytest.approx(REFERENCE[f"open_clip_{name}"])


def test_recalls_with_several_captions_of_an_image_are_those_of_clip_benchmark():
    """It names a direction by what is found."""
    pair_ranks = results(unit(REFERENCE["images"]), unit(REFERENCE["captions"]), REFERENCE["image_of"])
    for direction, target in {"image_to_text": "text", "text_to_image": "image"}.items():
        for k in CUTOFFS:
            expected = 100 * REFERENCE[f"{target}_retrieval_recall_{k}"]
            assert MEASURES[f"{direction}_r{k}"].value(pair_ranks) == pytest.approx(expected, abs=1e-4)


def test_a_million_images_and_captions_need_their_features_and_a_block():
    """By compiling for them: 2.2 GB of features of 512 numbers, and few blocks of 64 MB; the matrix would have 4 TB."""
    number, width = 2**20, 512
    blocks = jax.ShapeDtypeStruct((number // SIDE, SIDE, width), jnp.float32)
    images = jax.ShapeDtypeStruct((number // SIDE, SIDE), jnp.int32)
    queries = (
        jax.ShapeDtypeStruct(shape, dtype) for shape, dtype in (((SIDE, width), jnp.float32), ((SIDE,), jnp.int32))
    )
    memory = make_count_before(mesh_of(1)).lower(*queries, blocks, images).compile().memory_analysis()
    assert memory.argument_size_in_bytes == pytest.approx(4 * width * number, rel=0.01)
    assert memory.temp_size_in_bytes < 4 * 4 * SIDE**2


def test_images_are_not_ranked_after_giving_up():
    rows = np.arange(3)
    assert RANK(np.eye(3, dtype=np.float32), rows, np.eye(3, dtype=np.float32), rows, lambda: True) is None
