"""Fixtures of studies: stand-ins for training, transfer and drawing, and published results."""

import itertools
import shutil

import numpy as np
import pytest

from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.host.files import append_line
from cliptail_jax.report import study as report
from cliptail_jax.results.archive import write_archive
from cliptail_jax.results.transfers import FILE, predictions_path
from cliptail_jax.study import measure, study_page, training
from tests.synthetic_studies import run_study, train_by_slope, two_seeds


@pytest.fixture
def pictures(monkeypatch):
    """Pictures of reports are not drawn; their paths are listed. The page is not written, but it would be after each run."""
    saved = []
    monkeypatch.setattr(study_page, "SHARE", 0)
    monkeypatch.setattr(study_page, "write_page", lambda directories, **about: None)
    monkeypatch.setattr(report, "draw_runs", lambda kinds, title: None)
    monkeypatch.setattr(report, "draw_claims", lambda claims, title: None)
    monkeypatch.setattr(report, "save", lambda figure, path: saved.append(path))
    return saved


@pytest.fixture
def trains(monkeypatch, pictures):
    """Training writes a run of the slope given for its name, or raises the error given instead.

    Yields the slopes by name, and the list of names that were trained.
    """
    slopes, names = {}, []
    monkeypatch.setattr(training, "train", train_by_slope(slopes, names))
    return slopes, names


@pytest.fixture
def probes(monkeypatch):
    """Transfer writes a linear probe of each run with the accuracy given for its name, half of it on pets, none on dtd.

    Yields the accuracies by name, and the configs that it was called with.
    """
    accuracies, configs = {}, []

    def transfer(config, workdir):
        configs.append(config)
        results = []
        for model, of_set in itertools.product(config.models, config.sets):
            if of_set == "dtd":  # fails
                continue
            result = {"model": model, "set": of_set, "method": "probe", "sizes": {"classes": 10}}
            labels = np.repeat(np.arange(10), 20)
            share = accuracies[model.rsplit("/")[-1]] / (2 if of_set == "pets" else 1)
            right = np.tile(np.arange(20) < 20 * share, 10)
            path = predictions_path(workdir, result)
            path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(path, labels=labels, predictions=np.where(right, labels, (labels + 1) % 10))
            results.append(result | {"score": 100 * right.mean()})
            append_line(workdir / FILE, results[-1])
        return results

    monkeypatch.setattr(measure, "transfer_and_report", transfer)
    return accuracies, configs


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of published results, which is empty."""
    monkeypatch.setattr("cliptail_jax.config.files.PACKAGE", tmp_path / "package")
    (folder := tmp_path / "package/configs/study/results").mkdir(parents=True)
    return folder


@pytest.fixture
def published_study(trains, results, tmp_path):
    """The directory of a study of two seeds, which is published as 'made'; the list of trained runs is empty."""
    trains[0].update(a=0.8, b=0.0)
    run_study(two_seeds(), tmp_path / "study")
    write_archive(tmp_path / "study", results / f"made{ARCHIVE}")
    shutil.copy(tmp_path / "study/report.json", results / "made.json")
    trains[1].clear()
    return tmp_path / "study"
