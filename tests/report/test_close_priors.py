"""Kinds of runs whose losses favour frequent classes almost equally on their data are named."""

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from cliptail_jax.config.fields import plain
from cliptail_jax.config.training import Profile
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.objectives import base_config
from cliptail_jax.report.close_priors import close_priors, own_prior, partly_without_prior
from cliptail_jax.results.run import Run
from tests.synthetic_studies import make_study, read_report, run_study

SMALL_COUNT = profile_counts(Profile("exponential", ratio=20.0), np.full(8, 500), seed=0)
LARGE_COUNT = profile_counts(Profile("exponential", ratio=100.0), np.full(100, 500), seed=0)
SL, ADAMW = {}, {"optimizer.name": "adamw"}
BATCH, LARGE_BATCH = ({"vocabulary.size": 1, "vocabulary.group_size": 0, "batch_size": size} for size in (128, 512))
COUNTS, ADJUSTED = BATCH | {"loss.count_in_batch": True}, {"loss.logit_adjustment": 1.0}
CLIP = {"objective": "contrastive"}
SL_BATCH = (
    "nearly the same loss: on these data, a and b favour frequent classes almost equally, by 2.30 and 2.25 per decade "
    "(effective log-prior), so their biases can hardly differ"
)


def group(name, changes, frequency):
    run = Run(Path(name))
    run.document, run._table = {"config": plain(base_config()) | changes}, ((), frequency)
    return SimpleNamespace(name=name, runs=[run])


@pytest.mark.parametrize("frequency, kinds, lines", [
    (SMALL_COUNT, [SL, BATCH], [SL_BATCH]),
    (SMALL_COUNT, [SL, BATCH | {"batch_size": 16}], []),
    (SMALL_COUNT, [SL, BATCH | {"vocabulary.group_size": 16}], []),
    (LARGE_COUNT, [SL, BATCH], []),
    (LARGE_COUNT, [SL, {"loss.logit_adjustment": 0.04}], ["2.30 and 2.21"]),
    (LARGE_COUNT, [SL, {"loss.logit_adjustment": 0.06}], []),
    (SMALL_COUNT, [SL, ADAMW, {"head.kind": "linear"}], []),  # the same loss
    (SMALL_COUNT, [COUNTS, ADJUSTED, CLIP], []),  # which favours no class, whatever the data
    (SMALL_COUNT, [SL, LARGE_BATCH, {"loss.margin": 0.3}, {"objective": "zero_shot"}, {"objective": "dino", "dino.prototypes": "?"}],
     ["2.30 and 2.30"]),
    (np.array([500, 60, 0, 40]), [SL, BATCH], ["2.30 and"]),  # a class without images
    (np.full(8, 500), [SL, BATCH], []),
    (None, [SL, BATCH], []),
    (SMALL_COUNT, [SL, BATCH, BATCH | {"batch_size": 256}, LARGE_BATCH], ["a and b", "a and c", "a and d", "3 more pairs of kinds"]),
])  # fmt: skip
def test_kinds_whose_losses_differ_in_general_but_hardly_on_their_data_are_named(frequency, kinds, lines):
    messages = close_priors([group(name, changes, frequency) for name, changes in zip("abcde", kinds)])
    assert len(messages) == len(lines) and all(part in line for part, line in zip(lines, messages)), messages


@pytest.mark.parametrize("changes, frequency, part", [
    (SL, LARGE_COUNT, "favours frequent classes by 2.30 per decade"),
    (BATCH, LARGE_COUNT, "by 0.7"),
    (ADJUSTED, LARGE_COUNT, "Its loss favours no class"),
    ({"loss.logit_adjustment": 1.5}, LARGE_COUNT, ""),
    ({"loss.margin": 0.3}, LARGE_COUNT, ""),
    (SL, None, ""),
    (SL, np.zeros(8, int), ""),  # as of captions that name no class
])  # fmt: skip
def test_a_page_of_one_run_states_how_much_its_loss_favours_frequent_classes(changes, frequency, part):
    assert " ".join(own_prior(group("runs/a", changes, frequency))).count(part) and bool(part) == bool(
        own_prior(group("runs/a", changes, frequency))
    )


def test_runs_that_are_evaluated_without_their_prior_are_named(monkeypatch):
    runs = [group("runs/a", SL, LARGE_COUNT).runs[0] for _ in range(2)]
    monkeypatch.setattr(Run, "summary", {"settings": {"without_prior": True}})
    (line,) = own_prior(SimpleNamespace(name="a", runs=runs))
    assert line.startswith("Its logits are evaluated minus the effective log-prior of its loss, 2.30 per decade")
    assert partly_without_prior([SimpleNamespace(name="a", runs=runs)]) == []
    monkeypatch.setattr(Run, "summary", property(lambda run: {"settings": {"without_prior": run is runs[0]}}))
    (line,) = partly_without_prior([SimpleNamespace(name="a", runs=runs)])
    assert line.startswith("evaluated differently: a is evaluated minus the log-prior")


def test_a_report_and_the_terminal_say_so_above_their_tables(trains, tmp_path, capsys):
    trains[0].update(a=0.5, b=0.5)
    study = make_study("a", "b")
    study.runs.b.loss.logit_adjustment = 0.02
    run_study(study, tmp_path)
    text, report = read_report(tmp_path)
    (line,) = report["close_priors"]
    assert line.startswith("nearly the same loss: on these data, a and b") and f"**{line}**" in text
    assert line in " ".join(capsys.readouterr().out.split())
