"""Studies, and runs whose files are written instead of trained."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict, FieldReference
from scipy.sparse import csr_array

from cliptail_jax.config.fields import plain
from cliptail_jax.config.training import Profile
from cliptail_jax.curation.profiles import profile_counts
from cliptail_jax.evaluation.results import evaluation_settings
from cliptail_jax.formats.frequency_tables import write_frequency
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.metrics.measures import ClassResults, summarize
from cliptail_jax.objectives import FIELDS
from cliptail_jax.results.evaluation import ClassEvaluation
from cliptail_jax.results.group import RunGroup
from cliptail_jax.results.run import Run
from cliptail_jax.runs.directory import finish, is_finished, open_or_resume
from cliptail_jax.study import run as study_program
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.transfer.configuration import base_config
from configs import sup
from tests.figures.synthetic_runs import biased_confusion, write_evaluations
from tests.synthetic import sections

CLASSES, PER_CLASS = 60, 50
NAMES = tuple(f"class {c}" for c in range(CLASSES))
FREQUENCY = profile_counts(Profile("exponential"), np.full(CLASSES, 500), seed=0)


def confusion_of(slope, seed, frequency=FREQUENCY):
    return biased_confusion(frequency, slope, np.random.default_rng(seed), PER_CLASS, noise=0.05)


def write_run(config, workdir, confusion, names=NAMES, frequency=FREQUENCY, fingerprint="abc", predicted=None):
    """The files of a finished run, as left by `train`; `predicted` are its predictions, if they are kept."""
    about = {"records": int(np.sum(frequency)), "fingerprint": fingerprint}
    open_or_resume(workdir, plain(config), FIELDS, about, overwrite=True)
    write_frequency(workdir / "class_frequency.tsv", names, frequency)
    settings = evaluation_settings(sections(config).eval, uses_prompts=False)
    write_evaluations(workdir, config.eval.sets, confusion, frequency, settings, predicted=predicted)
    finish(workdir, step=8, seconds=90.0)


def train_by_slope(slopes, run_names, names=NAMES):
    """A stand-in for `train`, which writes a run of the slope given for its name, or raises the error given instead."""

    def train(config, workdir, overwrite=False, label=""):
        if is_finished(workdir, plain(config), FIELDS):
            return
        run_names.append(workdir.name)
        slope = slopes[workdir.name]
        if isinstance(slope, Exception):
            raise slope
        frequency = FREQUENCY[::-1] if config.data.profile.mirrored else FREQUENCY
        write_run(config, workdir, confusion_of(slope, config.seed, frequency), names, frequency)

    return train


def make_study(*names, **claims):
    """Runs with the seeds 0, 1, ..., also of the data."""
    configs = {name: sup.get_config("data=glyphs_lt") for name in names}
    for seed, config in enumerate(configs.values()):
        config.seed = seed
        config.data.seed = seed
    claims = {key: {"text": "One leans more than the other"} | claim for key, claim in claims.items()}
    in_order = {"runs": ConfigDict(configs, sort_keys=False), "claims": ConfigDict(claims, sort_keys=False)}
    study = ConfigDict({"title": "By hand", **in_order})
    study.unlock()
    return study


def make_seeded_study(seeds, *names, **claims):
    return with_seeds(make_study(*names, **claims), seeds)


def with_seeds(study, seeds):
    """The first seed is 3."""
    study.seed, study.seeds = FieldReference(3), seeds
    for config in study.runs.values():
        config.seed = study.get_ref("seed")
    return study


def make_transfer_study(*names, **claims):
    """The last of the runs has no evaluation set, as those of DINO."""
    study = make_study(*names, **claims)
    study.runs[names[-1]].eval.sets = ()
    study.transfer = base_config()
    study.transfer.sets = ("cifar100",)
    return study


def run_study(config, workdir, **options):
    study_program.run_study(typed_study(config), workdir, **options)


def claim(statistic, higher, lower, **attributes):
    return dict(statistic=statistic, higher=higher, lower=lower, **attributes)


CLAIMS = dict(one=claim("odds_acc", "a", "b", margin=0.2), other=claim("tail", "b", "a"))


def two_seeds(seeds=2, data_dir=""):
    config = make_seeded_study(seeds, "a", "b", **CLAIMS)
    for run in config.runs.values():
        run.data.data_dir = str(data_dir)
    return config


def read_report(workdir):
    text = (workdir / "report.md").read_text()
    return text, json.loads((workdir / "report.json").read_text(), parse_constant=pytest.fail)


def run_in_memory(confusion, frequency, names, groups=None, name="run", eval_set="glyphs:test", summary=None, **files):
    """A run with an evaluation, whose files are not there. Without a `summary`, that of the evaluation is computed."""
    results = ClassResults.from_confusion(confusion, frequency=frequency, groups=groups or {})
    summary = summary or summarize(results)
    evaluation = ClassEvaluation(
        eval_set, names, summary, results, csr_array(confusion), results.predictions / confusion.sum()
    )
    run = Run(Path(name))
    document = {"config": {"eval.sets": [eval_set]}, "finished": {"seconds": 9.0}}
    contents = dict(document=document, data={}, _table=(names, frequency), log=[], checkpoint="", latest=evaluation)
    for name, value in (contents | {"sets": {eval_set: [summary]}, **files}).items():
        setattr(run, name, value)
    return run


def a_mirrored_group(seed=0, classes=40):
    """Of one mirrored pair."""
    rng = np.random.default_rng(seed)
    frequency = rng.permutation(np.geomspace(5, 500, classes).astype(int))
    runs = []
    for of_run in (frequency, 505 - frequency):
        confusion = biased_confusion(of_run, 0.1, rng, PER_CLASS, noise=0.1)
        groups = dict(zip(("head", "mid", "tail"), head_mid_tail(of_run)))
        runs.append(run_in_memory(confusion, of_run, tuple(map(str, range(classes))), groups))
    return RunGroup("run", [runs], 2)


def a_group_with_courses():
    """Its runs are at chance at step 2 and half as often right at step 4 as at step 8; one has an evaluation at step 6."""
    group = a_mirrored_group()
    for run in group.runs:
        end = run.evaluation.results
        half, chance = (dataclasses.replace(end, correct=end.correct // share) for share in (2, 100))
        run.course = {2: chance, 4: half, 8: end}
    group.runs[0].course[6] = end
    return group
