"""Fine-tuning: which runs it makes, how it chooses among them, and a whole one of a tiny model."""

import json
import shutil

import jax
import numpy as np
import pytest
from PIL import Image

from cliptail_jax.config.fields import to_config
from cliptail_jax.curation.joined import open_splits
from cliptail_jax.curation.variant import make_variant
from cliptail_jax.datasets.known_sources import KnownSource, TransferSet
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import typed_config as typed_training
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.runs.files import read_config
from cliptail_jax.runs.log import Diverged
from cliptail_jax.transfer import fine_tuning
from cliptail_jax.transfer.command import transfer_and_report
from cliptail_jax.transfer.configuration import base_config as transfer_base
from cliptail_jax.transfer.configuration import typed_config
from cliptail_jax.transfer.fine_tuning import GridPoint, at_point, validation_images
from cliptail_jax.transfer.models import open_transfer_model
from cliptail_jax.transfer.sets import OpenedTransferSet, open_transfer_set

SET = "colours:train:test"


@pytest.fixture
def config(config):
    """Four steps of fine-tuning at two points."""
    config.methods = ("finetune",)
    config.finetune.update({"steps": 4, "batch_size": 16, "learning_rates": (0.1,), "weight_decays": (0.0, 1e-3)})
    return config


@pytest.fixture
def model(sup_run):
    return open_transfer_model(str(sup_run))


@pytest.fixture
def opened(synthetic_dir):
    return open_transfer_set(SET, str(synthetic_dir))


def run_config(point, model, opened, config, with_validation):
    return at_point(
        fine_tuning.run_config(model, opened.definition, typed_config(config)),
        point,
        opened.definition,
        with_validation,
    )


def fine_tune(model, opened, folder, config):
    return fine_tuning.fine_tune(model, opened, folder, typed_config(config))


def transfer(config, workdir):
    return transfer_and_report(typed_config(config), workdir)


def set_with_validation(opened):
    """The set as if its test images were for validation."""
    definition = TransferSet("three", "train", "test", "test", source=KnownSource("colours"))
    return OpenedTransferSet(definition, opened.sources, opened.class_names)


def test_the_grid_is_the_studys():
    options = transfer_base().finetune
    assert (options.steps, options.batch_size) == (5000, 256)
    np.testing.assert_allclose(options.learning_rates, np.logspace(-1, -4, 4))
    np.testing.assert_allclose(options.weight_decays, [0, *np.logspace(-6, -3, 4)])


def test_a_run_is_the_studys_recipe(config, model, opened):
    config.seed = 3
    run = run_config(GridPoint(0.01, 1e-3), model, opened, config, with_validation=False)
    typed_training(to_config(run))
    o, data = run.optimizer, run.data
    assert (o.name, o.sgd.momentum, o.sgd.nesterov, o.schedule, o.warmup_steps) == ("sgd", 0.9, True, "cosine_steps", 0)
    assert o.learning_rate == 0.01 and o.weight_decay == pytest.approx(0.1) and o.sgd.decay_vectors
    assert (run.total_steps, run.batch_size, run.seed, data.seed) == (4, 16, 3, 3)
    assert (run.image.init, run.image.freeze, run.head.kind) == (model.name, False, "linear")
    assert (data.crop_scale, data.flip, data.image_size, data.eval_resize) == ((0.08, 1.0), True, 32, 32)
    assert (run.objective, run.eval.sets, run.model.image.output_dim) == ("supervised", (), 16)
    config.image_size = 48
    run = run_config(GridPoint(0.01, 0.0), model, opened, config, with_validation=False)
    assert (run.data.image_size, run.data.eval_resize, run.optimizer.weight_decay) == (48, 48, 0)


def test_training_and_validation_images_are_parts_of_the_training_images(config, model, opened):
    run = run_config(GridPoint(0.1, 0.0), model, opened, config, with_validation=False)
    training_images = make_variant(open_splits("colours", run.data.data_dir, run.data.split), run.data)
    held_out = validation_images(opened, config.seed)
    assert len(training_images) == 80 and np.bincount(held_out.labels).tolist() == [4] * 5
    np.testing.assert_array_equal(np.sort([*training_images.records, *held_out.records]), np.arange(100))
    np.testing.assert_array_equal(held_out.labels, opened.labels("train")[held_out.records])
    final_run = run_config(GridPoint(0.1, 0.0), model, opened, config, with_validation=True)
    assert (final_run.data.split, final_run.data.held_out) == ("train", 0)


def test_a_validation_split_is_chosen_by_and_then_trained_on(config, model, opened):
    three = set_with_validation(opened)
    run = run_config(GridPoint(0.1, 0.0), model, three, config, with_validation=False)
    assert (run.data.split, run.data.held_out) == ("train", 0)
    assert validation_images(three, 0).source.split == "test" and len(validation_images(three, 0)) == 50
    final_run = run_config(GridPoint(0.1, 0.0), model, three, config, with_validation=True)
    assert (final_run.data.split, final_run.data.held_out) == ("train+test", 0)
    source = open_splits("colours", final_run.data.data_dir, final_run.data.split)
    variant = make_variant(source, final_run.data)
    assert len(variant) == 150 and (source.name, source.split) == ("colours", "train+test")
    np.testing.assert_array_equal(variant.labels, np.concatenate([three.labels(s) for s in ("train", "test")]))
    of_test = open_source("colours", final_run.data.data_dir, "test")
    assert source.encoded_images([100, 3, 149])[::2] == of_test.encoded_images([0, 49])


GRID = {(0.1, 0.0): None, (0.1, 1e-6): 0.5, (0.01, 0.0): 0.8, (0.01, 1e-6): 0.8}


@pytest.fixture
def calls(config, monkeypatch):
    """The runs that are trained, each with the accuracy of its (rate, decay) in GRID; None: it diverges."""
    calls = []
    config.finetune.update({"learning_rates": (0.1, 0.01), "weight_decays": (0.0, 1e-6)})

    def train(run, workdir, overwrite):
        assert overwrite
        calls.append((run, workdir.name))
        rate = run.optimizer.learning_rate
        accuracy = GRID[rate, float(f"{run.optimizer.weight_decay * rate:g}")]
        (workdir / "checkpoints").mkdir(parents=True, exist_ok=True)
        if accuracy is None:
            raise Diverged("the loss is nan")
        (workdir / "accuracy").write_text(str(accuracy))

    def predict(workdir, images, *_):
        right = np.arange(len(images)) < int(float((workdir / "accuracy").read_text()) * len(images))
        predictions = np.where(right, images.labels, (images.labels + 1) % 5)
        return {"predictions": predictions, "labels": images.labels, "records": images.records}

    monkeypatch.setattr(fine_tuning, "train", train)
    monkeypatch.setattr(fine_tuning, "predict", predict)
    monkeypatch.setattr(fine_tuning, "check_weights", lambda *_: None)
    return calls


def test_the_first_of_the_best_on_validation_trains_on_all_and_is_tested(config, model, opened, tmp_path, calls):
    numbers, arrays = fine_tune(model, opened, tmp_path, config)
    points = [(r.optimizer.learning_rate, r.optimizer.weight_decay) for r, _ in calls]
    assert points[:4] == [(0.1, 0), (0.1, pytest.approx(1e-5)), (0.01, 0), (0.01, pytest.approx(1e-4))]
    assert points[4] == (0.01, 0) and [r.data.held_out for r, _ in calls] == [0.2] * 4 + [0]
    assert [name for _, name in calls][-2:] == ["lr=0.01,wd=1e-06", "final"]
    assert (numbers["learning_rate"], numbers["weight_decay"]) == (0.01, 0)
    assert numbers["score"] == numbers["validation_score"] == pytest.approx(80)
    assert numbers["grid"] == [[*point, score and pytest.approx(100 * score)] for point, score in GRID.items()]
    assert numbers["edge"] == "learning rate"
    assert numbers["sizes"] == {"train": 80, "validation": 20, "test": 50, "classes": 5}
    np.testing.assert_array_equal(arrays["labels"], opened.labels("test"))
    assert not list(tmp_path.glob("lr=*/checkpoints")) and (tmp_path / "final" / "checkpoints").exists()


def test_scored_runs_are_not_repeated(config, model, opened, tmp_path, calls):
    first = fine_tune(model, opened, tmp_path, config)
    for directory in ("lr=0.1,wd=1e-06", "final"):
        shutil.rmtree(tmp_path / directory)
    calls.clear()
    again = fine_tune(model, opened, tmp_path, config)
    assert [name for _, name in calls] == ["lr=0.1,wd=1e-06", "final"]
    assert again.numbers == first.numbers


def test_runs_of_other_settings_take_the_place_of_the_old_ones(config, tmp_path, calls):
    for config.finetune.steps in (4, 5):
        transfer(config, tmp_path)
    assert [run.total_steps for run, _ in calls] == [4] * 5 + [5] * 5
    assert len(list(tmp_path.glob("fine_tuning/*/colours_train_test.*"))) == 1


def test_divergence_of_all_fine_tuning_runs_is_told(config, model, opened, tmp_path, calls):
    config.finetune.weight_decays, config.finetune.learning_rates = (0.0,), (0.1,)
    with pytest.raises(UserError, match="all 1 runs of .* diverged: lower finetune.learning_rates"):
        fine_tune(model, opened, tmp_path, config)


def test_images_of_several_classes_are_left_out(config, tmp_path):
    config.sets = ("voc2007",)
    assert transfer(config, tmp_path) == []


@pytest.fixture(scope="module")
def finished(tmp_path_factory, published, synthetic_dir):
    """A whole fine-tuning: config, work directory, and its one result."""
    config = transfer_base()
    config.models, config.sets, config.methods = (str(published),), (SET,), ("finetune",)
    config.data.data_dir, config.batch_size = str(synthetic_dir), 32
    config.finetune.update({"steps": 4, "batch_size": 32, "learning_rates": (0.01, 1e-6), "weight_decays": (1e-5,)})
    workdir = tmp_path_factory.mktemp("fine_tuning")
    (result,) = transfer(config, workdir)
    return config, workdir, result


def test_a_published_clip_is_fine_tuned_and_measured_with_its_own_pixel_statistics(finished, tmp_path):
    config, workdir, result = finished
    (folder,) = workdir.glob("fine_tuning/*/colours_train_test.*")
    run = read_config(folder / "final")
    assert run["data.split"] == "train"
    assert run["optimizer.weight_decay"] == pytest.approx(1e-5 / result["learning_rate"])
    model = open_run(folder / "final").model
    source = open_source("colours", config.data.data_dir, "test")
    images = [Image.fromarray(decode_image(image)) for image in source.encoded_images(range(50))]
    images = [image.resize((16, 16), Image.BILINEAR) for image in images]
    encode = jax.jit(model.encode_image)
    expected = encode(np.float32((np.float64(images) / 255 - (0.4, 0.5, 0.6)) / (0.2, 0.3, 0.4)))
    (path,) = workdir.glob("predictions/*/colours_train_test-finetune.npz")
    with np.load(path) as arrays:
        np.testing.assert_array_equal(arrays["predictions"], np.argmax(model.logits(expected), 1))
        np.testing.assert_array_equal(arrays["labels"], source.metadata["label"])
        np.testing.assert_array_equal(arrays["records"], np.arange(50))
        assert result["score"] == pytest.approx(100 * np.mean(arrays["predictions"] == arrays["labels"]))
    noted = {path.parent.name: json.loads(path.read_text())["score"] for path in folder.glob("lr=*/score.json")}
    assert result["validation_score"] == pytest.approx(100 * max(noted.values()))
    assert [100 * noted[f"lr={rate},wd={decay}"] for rate, decay, _ in result["grid"]] == [
        x for *_, x in result["grid"]
    ]
    config = config.copy_and_resolve_references()
    config.models, config.methods = (str(folder / "final"),), ("few_shot",)
    config.few_shot.update({"ways": 4, "shots": 3, "queries": 4, "episodes": 5})
    transfer(config, tmp_path)
    (path,) = tmp_path.glob("features/*/colours-test.*.npz")
    np.testing.assert_allclose(np.load(path)["features"], expected, rtol=1e-3, atol=1e-4)


def test_a_finished_result_is_reported_and_not_repeated(finished, monkeypatch):
    config, workdir, result = finished
    report = (workdir / "report.md").read_text()
    for text in ("## Fine-tuning", f"{result['score']:.1f}", f"{result['learning_rate']:g}, 1e-05", "80 + 20 / 50"):
        assert text in report
    monkeypatch.setattr(fine_tuning, "train", None)
    assert transfer(config, workdir) == [json.loads(json.dumps(result))]
