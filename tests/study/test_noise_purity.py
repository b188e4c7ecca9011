"""The regressions of the analysis noise_purity.py, on simulated classes with known coefficients."""

import re

import numpy as np
import pytest
from scipy.special import expit

from cliptail_jax.config.fields import plain
from cliptail_jax.config.files import load_config
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.objectives import FIELDS
from cliptail_jax.results.directory import read_directory
from cliptail_jax.runs.directory import finish, open_or_resume
from configs.study.analyses import noise_purity
from tests.figures.synthetic_runs import biased_confusion, write_evaluations
from tests.pages import table_rows
from tests.synthetic import sections

TRUE = np.array([-1.0, 1.5, 0.6])  # intercept, purity, images
CLASSES, EXAMPLES = 100, 50


def simulated(rng, shares=(0.1, 0.3)):
    """Runs with uniform noise and with noise by frequency."""
    n = np.round(500 * 100 ** -np.linspace(0, 1, CLASSES)).astype(int)
    simulated_runs = []
    for share in shares:
        for name, m in (("uniform", np.full(CLASSES, n.mean())), ("frequency", n)):
            counts = rng.binomial(n, 1 - share), rng.poisson(share * m)
            correct = rng.binomial(EXAMPLES, expit(noise_purity.terms(*counts) @ TRUE))
            simulated_runs.append(
                noise_purity.Cells(f"{name}_{share}", "CLIP", *counts, correct, np.full(CLASSES, EXAMPLES))
            )
    return simulated_runs


def test_intervals_of_simulated_classes_contain_the_coefficients():
    purity_slope, images_slope, *alone = noise_purity.estimates(simulated(np.random.default_rng(2)))
    for text, true in ((purity_slope, TRUE[1]), (images_slope, TRUE[2])):
        value, low, high = map(float, re.findall(r"-?[\d.]+", text))
        assert low <= true <= high and low <= value <= high and high - low < 0.2
    assert all(float(text.split()[0]) > TRUE[2] for text in alone)  # each stands for a part of the other


@pytest.fixture(scope="module")
def study(glyphs_dir, tmp_path_factory):
    """Finished runs of the study, some of them, whose evaluations are invented."""
    workdir, config = tmp_path_factory.mktemp("noise"), load_config("noise")
    config.data_dir = str(glyphs_dir)
    for name in ("clip", "clip_uniform_30", "clip_frequency_30", "sl_uniform_30"):
        run, folder = config.runs[name], workdir / "seed_0" / name
        variant, values = open_variant(sections(run).data), plain(run)
        data = {"records": len(variant), "fingerprint": variant.fingerprint()}
        open_or_resume(folder, values, FIELDS, data, overwrite=False)
        write_frequency(folder / "class_frequency.tsv", variant.class_names, variant.class_frequency)
        confusion = biased_confusion(variant.class_frequency, 0.3, np.random.default_rng(0))
        write_evaluations(folder, run.eval.sets, confusion, variant.class_frequency)
        finish(folder, step=8, seconds=90.0)
    return workdir


def test_program_prints_a_table_of_both_losses_and_draws_a_picture(study, tmp_path, capsys):
    assert noise_purity.main([f"--workdir={study}", f"--output={tmp_path}/purity.png"]) == 0
    rows = table_rows(capsys.readouterr().out, "study")
    runs_of = [("CLIP", "2, with noise"), ("CLIP", "3, all"), ("SL", "1, with noise"), ("SL", "1, all")]
    assert [(row["loss"], row["runs"]) for row in rows] == runs_of
    assert (tmp_path / "purity.png").stat().st_size > 10_000


def test_counts_are_those_of_the_captions(study, glyphs_dir):
    (run,) = (run for run in read_directory(study).runs if run.name == "clip_uniform_30")
    config = load_config("noise")
    config.data_dir = str(glyphs_dir)
    variant, cells = open_variant(sections(config.runs.clip_uniform_30).data), noise_purity.cells_of(run)
    named = np.array([variant.class_names.index(text) for text in variant.captions(range(len(variant)), epoch=0)])
    for c in range(len(variant.class_names)):
        assert cells.right[c] == np.sum((named == c) & (variant.labels == c))
        assert cells.wrong[c] == np.sum((named == c) & (variant.labels != c))


def test_a_directory_without_noise_runs_is_one_line(study, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert noise_purity.main([f"--workdir={tmp_path}/empty", f"--output={tmp_path}/purity.png"]) == 2
    assert capsys.readouterr().err.startswith("error: no finished run has wrong captions or labels")
