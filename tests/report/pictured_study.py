"""Runs whose training and test images are there: those of the tests' small glyphs."""

import json
from pathlib import Path

import numpy as np

from cliptail_jax.curation.variant import open_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.evaluation.sets import open_run_set
from configs import clip, sup
from tests.evaluation.plain_evaluation import count_confusion
from tests.report.synthetic_pages import IMAGE, SCRIPT
from tests.synthetic import sections
from tests.synthetic_studies import write_run

CLASSES = 12
ON = "glyphs:test"


def configs(folder: Path, glyphs_dir: Path) -> dict:
    """Of SL, which has no captions, and of CLIP, whose captions are class names; the first two of these are HTML."""
    names = list(open_source("glyphs", str(glyphs_dir), "train").class_names)
    names[:2] = SCRIPT, IMAGE
    vocabulary = folder / "names.json"
    vocabulary.write_text(json.dumps([{"name": name} for name in names]))
    made = {"sl": sup.get_config("data=glyphs_lt"), "clip": clip.get_config("data=glyphs_lt")}
    for config in made.values():
        config.data.data_dir, config.data.class_names = str(glyphs_dir), str(vocabulary)
        config.data.classes.first, config.data.profile.ratio = CLASSES, 8.0
    return made


def predictions(kind: str, seed: int, labels: np.ndarray) -> np.ndarray:
    """SL gets the second of each class's images wrong, CLIP with seed 1 the first, and the next class is predicted."""
    second = np.array([label in labels[:place] for place, label in enumerate(labels)])
    wrong = second if kind == "sl" else ~second & (seed == 1)
    return np.where(wrong, (labels + 1) % CLASSES, labels)


def write_pictured_run(workdir: Path, config, predicted) -> None:
    """The files of a finished run; `predicted` makes predictions from labels."""
    variant = open_variant(sections(config).data)
    labels = open_run_set(ON, 0, sections(config).data, variant.class_names).variant.labels
    confusion = count_confusion(labels, predicted(labels), len(variant.class_frequency))
    of_data = (variant.class_names, variant.class_frequency, variant.fingerprint())
    write_run(config, workdir, confusion, *of_data, predicted(labels))


def write_pictured_study(workdir: Path, glyphs_dir: Path) -> None:
    """SL and CLIP with two seeds."""
    workdir.mkdir(parents=True, exist_ok=True)
    for kind, config in configs(workdir, glyphs_dir).items():
        for seed in (0, 1):
            config.seed = seed
            run = workdir / f"seed_{seed}" / kind
            write_pictured_run(run, config, lambda labels: predictions(kind, seed, labels))  # noqa: B023
