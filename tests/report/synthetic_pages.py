"""Studies and runs to write pages of, and runs that are only in memory."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import append_line
from cliptail_jax.metrics.calibration import Calibration
from cliptail_jax.report import study as report
from cliptail_jax.results.directory import Contents
from cliptail_jax.study import training
from tests.figures.synthetic_runs import biased_confusion
from tests.synthetic_studies import CLASSES, claim, make_seeded_study, run_in_memory, run_study, train_by_slope

COMMAND = ["python", "-m", "cliptail_jax", "study", "synthetic", "--workdir=runs/made up"]
SCRIPT, IMAGE = "</script><script>window.hacked = true</script>", '<img src="x" onerror="window.hacked = true">'
NAMES = (SCRIPT, IMAGE, *(f"class {label}" for label in range(2, CLASSES)))
SLOPES = {"sl": 0.5, "sl_sampled": 0.3, "clip": 0.1}


def write_study(workdir: Path, broken: str = "") -> None:
    """A study of SLOPES in a mirrored pair, as `study` writes it. The run `broken` fails."""

    slopes = SLOPES | ({broken: UserError(f"the loss of {IMAGE} is nan at step 3")} if broken else {})
    write = train_by_slope(slopes, [], NAMES)

    def train(config, workdir, *options):
        write(config, workdir)
        for step in (2, 4, 6, 8):
            append_line(workdir / "metrics.jsonl", {"step": step, "train/loss": 3 / step, "images_per_second": 90.0})

    claims = {
        "sampled": claim("slope_acc", "sl", "sl_sampled", margin=3.0),
        "clip": claim("slope_acc", "sl", "clip", margin=3.0),
        "tail": claim("tail", "clip", "sl", margin=2.0),
    }
    made = make_seeded_study(2, *SLOPES, **claims)
    made.title, made.counterbalanced = "Made up <em>study</em>", True
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training, "train", train)
        patch.setattr(report, "draw_pictures", lambda *drawn: "")
        patch.setattr("sys.orig_argv", COMMAND)
        if broken:
            with pytest.raises(UserError, match=broken):
                run_study(made, workdir)
        else:
            run_study(made, workdir)


def in_memory(kinds: int, classes: int, steps: int = 5000) -> Contents:
    """Evaluated runs with logs, as `read_directory` returns them."""
    rng = np.random.default_rng(0)
    frequency = rng.permutation(np.geomspace(1280, 5, classes).astype(int))
    names = tuple(f"a class with a name {label}" for label in range(classes))
    made = []
    for number in range(kinds):
        confusion = biased_confusion(frequency, 0.5 / (1 + number), rng, per_class=50, noise=0.1)
        log = [{"step": step, "train/loss": 5 / (1 + step), "images_per_second": 900.0} for step in range(steps)]
        calibration = Calibration(*rng.integers(100, 200, (3, classes, 15)))
        summary = {"step": steps, "top1": 60.0, "head": 70.0, "mid": 60.0, "tail": 50.0, "settings": {}}
        summary |= {key: 0.5 for key in ("odds_acc", "f50", "slope_acc", "slope_pred", "corr_acc", "corr_pred")}
        about = dict(name=f"kind {number}", set_name="imagenet2012:validation", summary=summary, log=log)
        run = run_in_memory(confusion, frequency, names, **about)
        results = dataclasses.replace(run.evaluation.results, calibration=calibration)
        run.latest = dataclasses.replace(run.evaluation, results=results)
        made.append(run)
    return Contents(Path("synthetic"), made, None, [], [])
