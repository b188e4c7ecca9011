"""Train the runs of a study, test its claims, and report:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

Run it again and it goes on where it was stopped; finished runs are not repeated.
"""

import dataclasses
import time
import traceback
from pathlib import Path

import jax
from absl import flags
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax import distributed, runs
from cliptail_jax.configuration import validate
from cliptail_jax.errors import UserError
from cliptail_jax.figures.study import draw_study
from cliptail_jax.metrics.correlation import Difference, paired_difference, paired_mean_difference
from cliptail_jax.metrics.groups import head_mid_tail
from cliptail_jax.program import run_with_config
from cliptail_jax.runs import FinishedRun
from cliptail_jax.train import train

STATISTICS = ("corr_acc", "corr_pred", "top1", "tail")


@dataclasses.dataclass
class Tested:
    """A claim that `higher` has more of a statistic than `lower`, and what the runs say."""

    text: str
    statistic: str
    higher: str
    lower: str
    difference: Difference | None  # None where a run is missing

    @property
    def verdict(self) -> str:
        if self.difference is None:
            return "not tested"
        if self.difference.low > 0:
            return "supported"
        return "not supported" if self.difference.high < 0 else "inconclusive"


def run_study(study: ConfigDict, workdir: Path, overwrite: bool = False) -> None:
    """Train what is not yet trained, then write report.md, report.json and figures/. A failed run stops no other."""
    check_study(study)
    started = time.perf_counter()
    failures: dict[str, str] = {}
    for name, config in study.runs.items():
        try:
            train(config, workdir / name, overwrite)
        except UserError as error:
            failures[name] = str(error)
            tqdm.write(f"error: {name}: {error}")
        except Exception as error:  # whatever breaks in one run, the others go on
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            traceback.print_exc()
    if jax.process_index():
        return
    finished = {name: FinishedRun.read(workdir / name) for name in study.runs if name not in failures}
    claims = [test(claim, finished) for claim in study.claims.values()]
    if finished:
        draw_study(finished, study.title, workdir / "figures" / "study")
    seconds = time.perf_counter() - started
    report = write_report(study.title, finished, failures, claims, seconds, workdir)
    tqdm.write(f"\n{report}\nThis report: {workdir}/report.md   Its figure: {workdir}/figures/study.png")
    if failures:
        raise UserError(f"{len(failures)} of {len(study.runs)} runs failed: {', '.join(failures)}")


def check_study(study: ConfigDict) -> None:
    for name, config in study.runs.items():
        try:
            validate(config)
        except UserError as error:
            raise UserError(f"run '{name}': {error}") from None
    for key, claim in study.claims.items():
        if claim.statistic not in STATISTICS:
            raise UserError(f"claims.{key}.statistic is '{claim.statistic}'; it is one of {', '.join(STATISTICS)}")
        for run in (claim.higher, claim.lower):
            if run not in study.runs:
                raise UserError(f"claims.{key} names the run '{run}', which the study has not")


def test(claim: ConfigDict, finished: dict[str, FinishedRun]) -> Tested:
    """The paired bootstrap over classes of the difference that the claim says is positive."""
    difference = None
    if claim.higher in finished and claim.lower in finished:
        a, b = finished[claim.higher], finished[claim.lower]
        if claim.statistic == "corr_acc":
            difference = paired_difference(a.frequency, a.accuracy, b.frequency, b.accuracy)
        elif claim.statistic == "corr_pred":
            difference = paired_difference(a.frequency, a.predictions, b.frequency, b.predictions)
        else:
            classes = head_mid_tail(a.frequency)[2] if claim.statistic == "tail" else range(len(a.frequency))
            difference = paired_mean_difference(100 * a.accuracy, 100 * b.accuracy, list(classes))
    return Tested(claim.text, claim.statistic, claim.higher, claim.lower, difference)


def write_report(
    title: str,
    finished: dict[str, FinishedRun],
    failures: dict[str, str],
    claims: list[Tested],
    seconds: float,
    workdir: Path,
) -> str:
    """report.md for people and report.json for programs; returns the former."""
    lines = [
        f"# {title}",
        "",
        "| run | top-1 % | head | mid | tail | corr_acc [95 %] | corr_pred [95 %] | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, run in finished.items():
        s = run.summary
        cells = [name, *(number(s[key], ".1f") for key in ("top1", "head", "mid", "tail"))]
        for key in ("corr_acc", "corr_pred"):
            cells.append(f"{number(s[key], '.2f')} [{interval(s[key + '_interval'])}]")
        lines.append(f"| {' | '.join([*cells, f'{run.seconds / 60:.1f}'])} |")
    lines += [f"\n**{name} failed**: {reason}" for name, reason in failures.items()]
    lines += ["", "| claim | difference [95 %] | verdict |", "| --- | --- | --- |"]
    for c in claims:
        digits = ".2f" if c.statistic.startswith("corr") else ".1f"
        shown = "a run is missing"
        if c.difference:
            shown = f"{number(c.difference.value, digits)} [{interval(c.difference[1:], digits)}]"
        lines.append(f"| {c.text} ({c.statistic}: {c.higher} − {c.lower}) | {shown} | **{c.verdict}** |")
    trained = sum(run.seconds for run in finished.values())
    lines += [
        "",
        "Intervals are bootstrap intervals over classes; a claim is supported where that of the paired difference lies above 0. "
        f"Trained in {trained / 60:.1f} minutes; this call took {seconds / 60:.1f}.",
        "",
        "![correlations against accuracy, and accuracy by class frequency](figures/study.png)",
        "",
    ]
    text = "\n".join(lines)
    (workdir / "report.md").write_text(text)
    runs.write_json(
        workdir / "report.json",
        {
            "title": title,
            "runs": {name: run.summary | {"seconds": run.seconds} for name, run in finished.items()},
            "failures": failures,
            "claims": [dataclasses.asdict(c) | {"verdict": c.verdict} for c in claims],
            "seconds": seconds,
        },
    )
    return text


def number(value: float | None, digits: str) -> str:
    return "–" if value is None or value != value else format(value, digits)


def interval(bounds, digits: str = ".2f") -> str:
    return ", ".join(number(bound, digits) for bound in bounds)


def main(study: ConfigDict, workdir: str) -> None:
    distributed.initialize()
    run_study(study, Path(workdir), flags.FLAGS.overwrite)


if __name__ == "__main__":
    flags.DEFINE_bool("overwrite", False, "Replace runs of other configs in the work directory")
    run_with_config(main)
