"""Whole transfers of tiny models to tiny sets: numbers, files, continuing, and errors."""

import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest

from cliptail_jax.config.sections import FAST
from cliptail_jax.curation.selection import seeded_split
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_lines
from cliptail_jax.input import pipeline
from cliptail_jax.pretrained.hub import slug
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published_clip import load
from cliptail_jax.report.transfers import report_text
from cliptail_jax.runs.manifests import manifest_of, steps_in
from cliptail_jax.transfer import features, methods, program, sets
from cliptail_jax.transfer.calibration import error_after_temperature_scaling, error_of_logits
from cliptail_jax.transfer.command import transfer_and_report
from cliptail_jax.transfer.configuration import typed_config
from cliptail_jax.transfer.few_shot import few_shot_accuracies, mean_and_margin
from cliptail_jax.transfer.linear_probe import Linear, fit_binary_path, fit_path, predict
from configs import transfer as config_file
from tests.pages import table_rows
from tests.saved_state import unfinish
from tests.tiny_clip import PREPROCESS

DEVICES = 8
CLASSES = 5


def transfer(config, workdir, *failures):
    return transfer_and_report(typed_config(config), workdir, *failures)


def arrays_of(workdir, pattern):
    (path,) = workdir.glob(pattern)
    with np.load(path) as arrays:
        return dict(arrays)


def kept_features(workdir, name, folder="*"):
    return arrays_of(workdir, f"features/{folder}/{name}.*.npz")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, sup_run, clip_run, published, synthetic_dir):
    """Three models on colours by both methods: the config, the work directory and the results."""
    config = config_file.get_config(f"models={sup_run}+{clip_run}+{published},sets=colours:train:test")
    config.data.data_dir, config.batch_size = str(synthetic_dir), 32
    config.few_shot.update({"ways": 4, "shots": 3, "queries": 4, "episodes": 20})
    workdir = tmp_path_factory.mktemp("transfer") / "out"
    return config, workdir, transfer(config, workdir)


@pytest.fixture
def copied(finished, tmp_path):
    """The same in a directory of its own: the config and the work directory."""
    config, workdir, _ = finished
    return config.copy_and_resolve_references(), shutil.copytree(workdir, tmp_path / "copy")


@pytest.fixture
def nothing_is_computed(monkeypatch):
    def computed(*_):
        raise AssertionError("computed again")

    monkeypatch.setattr(features, "encode_images", computed)
    monkeypatch.setattr(program, "compute", computed)


def test_features_are_what_encode_image_gives_for_the_runs_own_image_size(finished, sup_run, synthetic_dir):
    _, workdir, _ = finished
    opened = open_run(sup_run)
    source = open_source("colours", str(synthetic_dir), "test")
    images = np.stack([decode_image(encoded) for encoded in source.encoded_images(range(len(source)))])
    assert images.shape[1] == opened.preprocess.size
    model = opened.model
    direct = jax.jit(lambda images: model.encode_image(opened.preprocess.normalize(images)))(images)
    features = kept_features(workdir, "colours-test", slug(str(sup_run)))
    assert features["features"].dtype == np.float32
    np.testing.assert_allclose(features["features"], direct, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(features["labels"], source.metadata["label"])
    np.testing.assert_array_equal(features["records"], np.arange(len(source)))


def test_another_image_size_is_another_result(config, published, tmp_path):
    config.models, config.methods, config.image_size = (str(published),), ("few_shot",), 24
    (result,) = transfer(config, tmp_path)
    assert result["settings"]["image_size"] == 24
    source = open_source("colours", config.data.data_dir, "test")
    preprocess = dataclasses.replace(PREPROCESS, size=24)
    images = [preprocess(decode_image(encoded)) for encoded in source.encoded_images(range(2))]
    model = load(published).at_size(24).model
    direct = jax.jit(lambda images: model.encode_image(images))(np.stack(images))
    np.testing.assert_allclose(kept_features(tmp_path, "colours-test")["features"][:2], direct, rtol=1e-3, atol=1e-4)


def test_the_probe_is_the_best_logistic_regression_on_the_kept_features(config, published, tmp_path, monkeypatch):
    grid = np.array([100.0, 1.0, 0.1])
    monkeypatch.setattr(methods, "WEIGHT_DECAYS", grid)
    config.models = (str(published),)
    (result,) = transfer(config, tmp_path)
    train, test = kept_features(tmp_path, "colours-train"), kept_features(tmp_path, "colours-test")
    x, labels = train["features"], train["labels"]
    training, held_out = seeded_split(labels, 0.2, 0)
    path = fit_path(x[training], labels[training], CLASSES, grid)
    scores = [np.mean(predict(Linear(*parameters), x[held_out]) == labels[held_out]) for parameters in zip(*path)]
    assert result["weight_decay"] == grid[np.argmax(scores)]
    (weights,), (bias,) = fit_path(x, labels, CLASSES, [result["weight_decay"]])
    direct = test["features"] @ np.float64(weights) + np.float64(bias)
    arrays = arrays_of(tmp_path, "predictions/*/colours_train_test-probe.npz")
    assert np.mean(arrays["predictions"] == direct.argmax(1)) > 0.98
    assert result["score"] == 100 * np.mean(arrays["predictions"] == test["labels"]) > 40
    np.testing.assert_array_equal(arrays["labels"], test["labels"])
    np.testing.assert_array_equal(arrays["records"], test["records"])
    assert result["ece"] == pytest.approx(100 * error_of_logits(direct, test["labels"]), abs=0.5)
    scaled = 100 * error_after_temperature_scaling(direct, test["labels"])
    assert result["ece_scaled"] == pytest.approx(scaled, abs=0.5)
    assert result["sizes"] == {"train": 80, "validation": 20, "test": 50, "classes": CLASSES, "dim": 8}
    assert result["edge"] == ("weakest" if result["weight_decay"] == 0.1 else "")


def test_few_shot_episodes_are_of_all_splits(finished, sup_run):
    config, workdir, results = finished
    result = next(r for r in results if r["model"] == str(sup_run) and r["method"] == "few_shot")
    parts = [kept_features(workdir, f"colours-{split}", slug(str(sup_run))) for split in ("train", "test")]
    pooled = [np.concatenate([part[key] for part in parts]) for key in ("features", "labels")]
    direct = few_shot_accuracies(*pooled, typed_config(config).few_shot, seed=0)
    mean, margin = mean_and_margin(direct)
    assert (result["score"], result["margin"]) == pytest.approx((100 * mean, 100 * margin))
    assert result["sizes"] == {"images": 150, "classes": CLASSES, "dim": 16}
    arrays = arrays_of(workdir, f"predictions/{slug(str(sup_run))}/colours_train_test-few_shot.npz")
    np.testing.assert_allclose(arrays["accuracies"], direct)


def test_the_report_and_the_lines_have_all_results(finished):
    _, workdir, results = finished
    assert list(read_lines(workdir / "results.jsonl")) == results and len(results) == 6
    report = (workdir / "report.md").read_text()
    for result in results:
        assert result["seconds"] > 0 and result["feature_seconds"] > 0 and len(result["settings"]["weights"]) == 64
        margin = f" ± {result['margin']:.1f}" if result["method"] == "few_shot" else ""
        row = {"model": result["model"], result["set"]: f"{result['score']:.1f}{margin}"}
        assert row in table_rows(report, "model")
    assert "80 + 20 / 50" in report and "n = 20 episodes: 4-way, 3-shot, 4 queries" in report


def test_finished_transfers_are_not_repeated(finished, nothing_is_computed):
    config, workdir, results = finished
    old_results = (workdir / "results.jsonl").read_text()
    assert transfer(config, workdir) == results
    assert (workdir / "results.jsonl").read_text() == old_results


def test_results_of_models_that_other_processes_transfer_become_those_of_the_whole(
    finished, nothing_is_computed, tmp_path
):
    config, workdir, results = finished
    for _ in range(2):
        program.add_results(tmp_path, workdir)
    assert transfer(config, tmp_path) == results
    with pytest.raises(program.TransferFailed, match="1 of the models, sets and results failed: elsewhere") as failed:
        transfer(config, tmp_path, {"elsewhere": "its worker was lost"})
    assert failed.value.results == results
    assert len((tmp_path / "results.jsonl").read_text(encoding="utf-8").splitlines()) == len(results)


def test_a_killed_command_goes_on_from_the_kept_features(config, copied, finished, monkeypatch):
    _, workdir = copied
    result = next(r for r in finished[2] if r["model"] == config.models[0] and r["method"] == "probe")
    (workdir / "results.jsonl").write_text(json.dumps(result))  # a line that was cut off
    monkeypatch.setattr(features, "encode_images", None)
    (again,) = transfer(config, workdir)
    assert again | {"seconds": 0} == result | {"seconds": 0}
    assert transfer(config, workdir) == [again]


def test_other_settings_repeat_the_results_of_their_method_alone(copied, monkeypatch):
    config, workdir = copied
    measured, compute = [], program.compute
    monkeypatch.setattr(
        program, "compute", lambda key, *arguments: measured.append(key["method"]) or compute(key, *arguments)
    )
    config.few_shot.episodes = 21
    transfer(config, workdir)
    assert measured == ["few_shot"] * 3


def test_other_pixels_repeat_the_results(copied, finished, monkeypatch):
    config, workdir = copied
    computed = []

    def compute(key, *arguments):
        computed.append(key)
        raise UserError("not here")

    monkeypatch.setattr(program, "compute", compute)
    config.data.resize = FAST
    with pytest.raises(program.TransferFailed):
        transfer(config, workdir)
    assert len(computed) == len(finished[2])


def test_damaged_features_and_predictions_are_computed_again(copied, finished, capsys):
    (config, copy), results = copied, finished[2]
    for path in (next(copy.glob("features/*/*.npz")), next(copy.glob("predictions/*/*-probe.npz"))):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    again = transfer(config, copy)
    assert [result["score"] for result in again] == [result["score"] for result in results]
    assert "is damaged" in capsys.readouterr().err


def test_another_checkpoint_is_measured_anew_and_its_features_take_the_others_place(config, sup_run, tmp_path):
    run = unfinish(shutil.copytree(sup_run, tmp_path / "run"))
    config.models = (str(run),)
    (newest,) = transfer(config, tmp_path / "out")
    first = {path.name for path in (tmp_path / "out" / "features").glob("*/*.npz")}
    last = run / "checkpoints" / str(max(steps_in(run / "checkpoints")))
    shutil.rmtree(last)
    manifest_of(last).unlink()
    (older,) = transfer(config, tmp_path / "out")
    assert older["settings"]["weights"] != newest["settings"]["weights"]
    second = {path.name for path in (tmp_path / "out" / "features").glob("*/*.npz")}
    assert len(second) == len(first) == 2 and not first & second
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 2


def test_the_batch_size_and_the_mesh_change_no_number(finished, config, sup_run, tmp_path):
    config.batch_size, config.mesh.data, config.mesh.fsdp = 16, 2, 4
    (narrow,) = transfer(config, tmp_path)
    wide = next(r for r in finished[2] if r["model"] == str(sup_run) and r["method"] == "probe")
    features, expected = (
        kept_features(tmp_path, "colours-train"),
        kept_features(finished[1], "colours-train", slug(str(sup_run))),
    )
    np.testing.assert_allclose(features["features"], expected["features"], rtol=1e-4, atol=1e-5)
    assert narrow["score"] == pytest.approx(wide["score"], abs=1)


def test_voc_is_twenty_probes_against_the_rest_with_difficult_objects_negative(
    config, synthetic_dir, tmp_path, monkeypatch
):
    monkeypatch.setattr(methods, "WEIGHT_DECAYS", np.array([100.0, 10.0]))
    config.sets, config.methods = ("voc2007",), ("probe", "few_shot")
    (result,) = transfer(config, tmp_path)  # and no few-shot, without complaint
    assert result["metric"] == "11-point mAP" and "ece" not in result
    assert result["sizes"] == {"train": 60, "validation": 40, "test": 50, "classes": 20, "dim": 16}
    opened = sets.open_transfer_set("voc2007", str(synthetic_dir))
    source = opened.sources["test"]
    objects = [objects_of_record(source.records[record]) for record in range(len(source))]
    classes = [{int(o["label"]) for o in of_image if not o["is_difficult"]} for of_image in objects]
    assert opened.class_names[6] == "car" and any(o["is_difficult"] for of_image in objects for o in of_image)
    features = {split: kept_features(tmp_path, f"voc_2007-{split}") for split in opened.sources}
    np.testing.assert_array_equal(
        features["test"]["labels"], [[c in of_image for c in range(20)] for of_image in classes]
    )
    x, shows = (
        np.concatenate([features[split][key] for split in ("train", "validation")]) for key in ("features", "labels")
    )
    (weights,), (bias,) = fit_binary_path(x, shows, [result["weight_decay"]])
    direct = features["test"]["features"] @ np.float64(weights) + np.float64(bias)
    arrays = arrays_of(tmp_path, "predictions/*/voc2007-probe.npz")
    np.testing.assert_allclose(arrays["scores"], direct, atol=0.01 * abs(direct).max())
    assert result["score"] == 100 * sets.mean_average_precision(arrays["scores"], arrays["labels"])
    assert "voc2007" in (tmp_path / "report.md").read_text()


def objects_of_record(record):
    objects = record["objects"]
    return [dict(zip(objects, values)) for values in zip(*objects.values())]


def failed(config, workdir):
    """The message at the end, and the report."""
    with pytest.raises(UserError) as error:
        transfer(config, workdir)
    assert "\n" not in str(error.value)
    return str(error.value), (workdir / "report.md").read_text()


def test_models_that_fail_are_told_and_the_rest_are_measured(config, tmp_path, sup_run, published, monkeypatch, capsys):
    load = features.TransferModel.load

    def breaks(self, *arguments):
        if self.run is None:
            raise MemoryError("out of memory")
        return load(self, *arguments)

    monkeypatch.setattr(features.TransferModel, "load", breaks)
    config.models = ("nowhere", str(published), str(sup_run))
    config.sets = ("cars", "colours:train:test", "glyhs", "colours:train:validation")
    message, report = failed(config, tmp_path / "out")
    assert message.startswith("5 of the models, sets and results failed: nowhere; ")
    assert "**nowhere failed**: unknown model 'nowhere'" in report
    assert f"**{published} failed**: MemoryError: out of memory" in report
    assert "data set 'cars196' is not prepared" in report and "download_and_prepare()" in report
    assert "unknown transfer set 'glyhs'" in report
    assert "data set 'colours' has no split 'validation'" in report
    assert len((tmp_path / "out" / "results.jsonl").read_text().splitlines()) == 1
    assert capsys.readouterr().err.count("error: ") == 5
    page = f"file://{tmp_path}/out/report.html"
    last = f"Results:      {tmp_path}/out/report.md\nTo see them:  {page}\n"
    assert f"{report_text(tmp_path / 'out')}\n" == f"{report}\n{last}"


def test_a_class_that_is_missing_from_train_is_named(config, tmp_path, monkeypatch):
    labels = sets.OpenedTransferSet.labels
    monkeypatch.setattr(
        sets.OpenedTransferSet, "labels", lambda self, split: np.where((values := labels(self, split)) == 3, 4, values)
    )
    name = open_source("colours", config.data.data_dir, "train").class_names[3]
    _, report = failed(config, tmp_path)
    assert f"class '{name}' has no training image (1 of 5 classes have none)" in report


def test_features_with_nan_are_named_and_not_kept(config, tmp_path, monkeypatch):
    encode = features.encode_images

    def with_nan(*arguments):
        computed = encode(*arguments)
        computed["features"][5:7] = np.nan
        return computed

    monkeypatch.setattr(features, "encode_images", with_nan)
    _, report = failed(config, tmp_path)
    assert "2 of 100 images of colours (train) have features with NaN or infinite values" in report
    assert not list((tmp_path / "features").glob("*/*.npz"))


def test_a_few_unreadable_images_are_left_out_and_many_are_an_error(config, tmp_path, monkeypatch):
    decode, broken = pipeline.decode_image, []

    def some_fail(encoded, *_):
        if len(broken) < 1 or encoded in broken:
            broken.append(encoded)
            raise pipeline.UnreadableImageError
        return decode(encoded)

    monkeypatch.setattr(pipeline, "decode_image", some_fail)
    config.data.max_unreadable = 0.01
    (result,) = transfer(config, tmp_path / "few")
    assert result["sizes"]["train"] + result["sizes"]["validation"] == 99
    config.data.max_unreadable = 0.0
    _, report = failed(config, tmp_path / "none")
    assert "1 of 100 images of colours (train) are unreadable" in report


def test_a_directory_of_a_run_is_left_alone(config, sup_run):
    with pytest.raises(UserError, match="contains a run or an evaluation: choose another --workdir"):
        transfer(config, sup_run)


def test_a_transfer_needs_models(config, tmp_path):
    config.models = ()
    with pytest.raises(UserError, match="models is empty: name work directories of runs or published models"):
        transfer(config, tmp_path)


def test_models_that_would_share_a_directory_are_refused(config, tmp_path):
    config.models = ("a/b", "a_b")
    with pytest.raises(UserError, match="a/b and a_b would share the directory .*a_b"):
        transfer(config, tmp_path)


def test_a_batch_that_the_devices_cannot_share_is_an_error(config, tmp_path):
    config.batch_size = 12
    with pytest.raises(UserError, match="batch_size=12 is not divisible by the 8 devices"):
        transfer(config, tmp_path)
