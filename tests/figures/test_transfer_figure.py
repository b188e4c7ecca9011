"""The figure of transfer: differences to a baseline, and how sure they are."""

import numpy as np
import pytest

from cliptail_jax.figures.transfer import OPTIONS, difference, results_by_set
from cliptail_jax.host.files import append_line, save_arrays
from cliptail_jax.results.transfers import METHODS, predictions_path
from tests.figures.synthetic_runs import entries

SETS = {"food101": "accuracy", "pets": "mean per-class accuracy", "voc2007": "11-point mAP"}
IMAGES, CLASSES = 2000, 25


def write_cell(workdir, model, of_set, method, score, arrays, **settings):
    cell = {"model": model, "set": of_set, "method": method}
    metric = SETS.get(of_set, "accuracy")
    settings = {"weights": model, "seed": 0} | settings
    line = cell | {"metric": metric, "score": score, "settings": settings, "sizes": {"classes": CLASSES}}
    path = predictions_path(workdir, cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_arrays(path, **arrays)
    append_line(workdir / "results.jsonl", line)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """A transfer directory with three models on three sets by linear probe, and by few-shot on one."""
    folder = tmp_path_factory.mktemp("measured")
    rng = np.random.default_rng(0)
    labels = np.sort(rng.integers(0, CLASSES, IMAGES) * rng.integers(1, 3, IMAGES) % CLASSES)
    for i, model in enumerate(("runs/dino", "runs/dino_256", "runs/dino_1024")):
        predictions = np.where(rng.random(IMAGES) < 0.5 + 0.1 * i, labels, (labels + 1) % CLASSES)
        right = predictions == labels
        per_class = np.mean([right[labels == c].mean() for c in range(CLASSES)])
        arrays = {"predictions": predictions, "labels": labels}
        write_cell(folder / "transfer", model, "food101", "probe", 1.0, arrays)  # of an earlier time
        write_cell(folder / "transfer", model, "food101", "probe", 100 * right.mean(), arrays)
        write_cell(folder / "transfer", model, "pets", "probe", 100 * per_class, arrays)
        write_cell(folder / "transfer", model, "voc2007", "probe", 50.0 + i, {"scores": np.zeros((3, 2))})
        episodes = rng.uniform(0.4, 0.6, 30) + 0.05 * i
        write_cell(folder / "transfer", model, "food101", "few_shot", 100 * episodes.mean(), {"accuracies": episodes})
    return folder


ROWS = [("transfer", "dino", "DINO"), ("transfer", "dino_256", "256"), ("transfer", "dino_1024", "1,024 sampled")]


def test_figure_is_drawn(measured, draw):
    rows = [(measured / run, *cells) for run, *cells in ROWS]
    assert draw("transfer", "run model label", *rows, flags=["--method", "few_shot"]) == ""


@pytest.mark.parametrize("of_set, method", [("food101", "probe"), ("pets", "probe"), ("food101", "few_shot")])
def test_interval_is_around_the_difference_of_the_scores(measured, of_set, method):
    base, entry, _ = entries(measured, "run model label", *ROWS)
    found = difference(entry, results_by_set(entry, method)[of_set], base, results_by_set(base, method)[of_set])
    scores = [results_by_set(e, method)[of_set]["score"] for e in (entry, base)]
    assert found.value == pytest.approx(scores[0] - scores[1]) == pytest.approx((found.low + found.high) / 2)
    per_class = []
    for e in (entry, base):
        with np.load(predictions_path(measured / "transfer", results_by_set(e, method)[of_set])) as arrays:
            if method == "few_shot":
                per_class.append(100 * arrays["accuracies"])
                weights = np.ones(len(arrays["accuracies"]))
            else:
                right, labels = 100.0 * (arrays["predictions"] == arrays["labels"]), arrays["labels"]
                per_class.append([right[labels == c].mean() for c in range(CLASSES)])
                weights = np.bincount(labels) if of_set == "food101" else np.ones(CLASSES)
    paired = np.subtract(*per_class)
    assert found.value == pytest.approx(np.average(paired, weights=weights))
    rng = np.random.default_rng(0)  # the standard error is that of resampling
    drawn = rng.integers(0, len(paired), (20_000, len(paired)))
    resampled = np.average(paired[drawn], axis=1, weights=weights[drawn])
    assert (found.high - found.low) / (2 * 1.96) == pytest.approx(resampled.std(), rel=0.03)


def test_mean_average_precision_and_other_episodes_have_no_interval(measured):
    base, entry, _ = entries(measured, "run model label", *ROWS)
    found = difference(entry, results_by_set(entry, "probe")["voc2007"], base, results_by_set(base, "probe")["voc2007"])
    assert found.value == 1 and np.isnan(found.low) and np.isnan(found.high)
    cell, base_cell = (results_by_set(e, "few_shot")["food101"] for e in (entry, base))
    reseeded = base_cell | {"settings": base_cell["settings"] | {"seed": 1}}
    assert np.isnan(difference(entry, cell, base, reseeded).low)


def test_unknown_models_and_a_lonely_baseline_are_errors(measured, draw):
    first = (measured / "transfer", "dino", "DINO")
    complaint = draw("transfer", "run model label", first, (measured / "transfer", "clip", "CLIP"))
    assert "has no model 'clip': there are runs/dino, runs/dino_256, runs/dino_1024" in complaint
    assert "no other model has a result" in draw("transfer", "run model label", first)


def test_the_option_has_all_methods():
    assert {*OPTIONS["--method"]["choices"]} == {*METHODS}
