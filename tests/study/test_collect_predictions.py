"""The tables of the study of collecting, and the judgements on its predictions."""

import json
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import rankdata

from cliptail_jax.config.files import find_archive, find_table, load_config
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.results.archive import unpack
from configs.study.analyses import collect_predictions

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT.parent / "shared" / "reference" / "collect_reference.json"
TABLES = ROOT / "configs" / "study" / "collect"


@pytest.mark.parametrize("data", ["glyphs_16", "cifar100"])
def test_the_tables_of_the_study_follow_from_its_base(data):
    folder = TABLES / data
    base = collect_predictions.read_base(folder / "base.tsv")
    tables = collect_predictions.tables_of(base)
    assert {path.stem for path in folder.iterdir()} == {"base", *tables}
    used = {find_table(run.data.match.frequency) for run in load_config(f"collect:data={data}").runs.values()}
    assert used == {folder / f"{name}.tsv" for name in tables}
    for name, frequency in tables.items():
        assert read_frequency(folder / f"{name}.tsv")[1].tolist() == frequency.tolist()
        assert frequency.sum() == base.images.sum() + (name != "nobody") * round(0.1 * base.images.sum())


def test_classes_with_equal_gains_are_tied():
    examples, rng = np.repeat([80, 200], 100), np.random.default_rng(0)
    after, before = (collect_predictions.Counts(rng.integers(0, of + 1), of) for of in (examples, examples // 2))
    exact = [
        Fraction(a, of) - Fraction(b, of // 2)
        for a, b, of in zip(*(side.tolist() for side in (after.correct, before.correct, examples)))
    ]
    assert rankdata(after.gain_over(before)).tolist() == rankdata(np.array(exact, object)).tolist()
    assert rankdata(after.accuracy - before.accuracy).tolist() != rankdata(np.array(exact, object)).tolist()


@pytest.mark.skipif(not REFERENCE.exists(), reason=f"needs {REFERENCE.name}, which is beside the clone")
def test_predictions_are_judged_as_those_of_a_stored_trial():
    stored = json.loads(REFERENCE.read_text())
    images, examples, correct = (np.array(stored[key]) for key in ("frequency", "examples", "correct"))
    base = collect_predictions.Base(tuple(map(str, range(100))), images, 500 - images, examples, {"sl": correct})
    rules = {"plan": "prescribed", "proportional": "proportional"}
    tables = {
        {"plan": "plan_sl"}.get(rule, rule): np.array(stored["trained"][of]["images"]) for rule, of in rules.items()
    }
    right = {"sl_nobody": correct} | {
        f"sl_{rule}": np.array(stored["trained"][of]["correct"]) for rule, of in rules.items()
    }
    counts = {name: collect_predictions.Counts(of_class, examples) for name, of_class in right.items()}
    rows = collect_predictions.judged(base, tables | {"nobody": images}, counts)
    nobody, plan, proportional = (rows[f"sl_{rule}"] for rule in ("nobody", *rules))
    assert (nobody[0], plan[0], proportional[0]) == ("68.1, 68.1", "79.6, 81.2", "69.6, 71.0")
    assert plan[2].startswith("0.8") and nobody[2] == "" and proportional[2].startswith("0.")


def test_the_printed_predictions_are_those_of_the_archived_runs(tmp_path, capsys):
    workdirs = [
        str(unpack(archive, tmp_path)) for archive in (find_archive("collect_glyphs"), find_archive("collect_cifar100"))
    ]
    assert collect_predictions.main(["judge", *workdirs]) == 0
    printed = (ROOT / "configs/study/results/collect_predictions.md").read_text(encoding="utf-8")
    assert capsys.readouterr().out == printed
    assert collect_predictions.main(["judge", str(tmp_path)]) == 2
    assert "has no finished run of configs/study/collect.py" in capsys.readouterr().err
