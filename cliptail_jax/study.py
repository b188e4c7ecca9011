"""Train the runs of a study, test its claims, and report:

    python -m cliptail_jax.study --config=configs/study/quickstart.py --workdir=runs/quickstart

Run it again and it goes on where it was stopped; finished runs are not repeated. `--launch=print` prints a command for each
run in place of training them here; `--list` alone prints all runs of the paper, which configs/study/paper.py makes studies of.
A study whose config has `transfer`, a config of cliptail_jax.transfer without models, also measures all its runs by that.
"""

import dataclasses
import math
import sys
import time
import traceback
from collections.abc import Mapping, Sequence
from pathlib import Path

import jax
import numpy as np
from absl import flags
from jaxtyping import Float
from ml_collections import ConfigDict
from tqdm import tqdm

from cliptail_jax import distributed, runs
from cliptail_jax.configuration import validate
from cliptail_jax.distributed import agreed
from cliptail_jax.errors import UserError
from cliptail_jax.evaluate import evaluate
from cliptail_jax.evaluation import is_evaluated
from cliptail_jax.figures.study import draw_study
from cliptail_jax.files import load_arrays, write_text
from cliptail_jax.metrics.correlation import Difference, paired_difference, paired_mean_difference
from cliptail_jax.metrics.per_class import count_confusion, per_class_accuracy
from cliptail_jax.program import run_with_config
from cliptail_jax.runs import FinishedRun
from cliptail_jax.train import train
from cliptail_jax.train_commands import train_commands
from cliptail_jax.transfer import configuration as transfer_configuration
from cliptail_jax.transfer.program import Result, TransferFailed, predictions_path, transfer
from cliptail_jax.transfer.report import TITLES, aligned
from cliptail_jax.transfer.sets import transfer_set

STATISTICS = ("corr_acc", "corr_pred", "top1", "tail", "probe")


@dataclasses.dataclass
class Outcome:
    """A run that is trained, and what was measured of it."""

    images: int  # it was trained on
    seconds: float  # it took
    evaluated: FinishedRun | None  # None where the run has no evaluation set, as DINO's
    transferred: Sequence[Result] = ()  # its cells of the transfer study


Outcomes = Mapping[str, Outcome]  # by the run's name


@dataclasses.dataclass
class Judgement:
    """A claim that `higher` has more of a statistic than `lower`, and what the runs say."""

    text: str
    statistic: str
    higher: str
    lower: str
    difference: Difference | None  # None where it could not be computed,
    obstacle: str = ""  # for this reason

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
            if not agreed(is_evaluated(workdir / name, config)):
                evaluate(config, workdir / name)
        except UserError as error:
            failures[name] = str(error)
            tqdm.write(f"error: {name}: {error}")
        except Exception as error:  # whatever breaks in one run, the others go on
            failures[name] = f"{type(error).__name__}: {error}".splitlines()[0]
            traceback.print_exc()
    outcomes = {
        name: Outcome(*runs.trained_on(workdir / name), finished_run(config, workdir / name))
        for name, config in study.runs.items()
        if name not in failures
    }
    if "transfer" in study and outcomes:
        try:
            transfer_runs(study.transfer, outcomes, workdir)
        except TransferFailed as error:
            note_transfer(outcomes, error.results, workdir)
            failures |= {f"transfer: {what}": why for what, why in error.failures.items()}
        except UserError as error:
            failures["transfer"] = str(error)
    if jax.process_index() == 0:
        judgements = [judge(claim, outcomes, workdir) for claim in study.claims.values()]
        seconds = time.perf_counter() - started
        report(study.title, outcomes, failures, judgements, seconds, workdir)
    if failures:
        what = (
            f"{len(failures)} of {len(study.runs)} runs" if set(failures) <= set(study.runs) else "parts of the study"
        )
        raise UserError(f"{what} failed: {', '.join(failures)}")


def finished_run(config: ConfigDict, workdir: Path) -> FinishedRun | None:
    """The run on its first evaluation set, if it has one."""
    return FinishedRun.read(workdir, config.eval.sets[0]) if config.eval.sets else None


def transfer_runs(config: ConfigDict, outcomes: Outcomes, workdir: Path) -> None:
    """Measure all runs by transfer, and note the cells of each with it. Raises UserError as `transfer` does."""
    config = config.copy_and_resolve_references()
    config.models = tuple(str(workdir / name) for name in outcomes)
    note_transfer(outcomes, transfer(config, workdir / "transfer"), workdir)


def note_transfer(outcomes: Outcomes, results: Sequence[Result], workdir: Path) -> None:
    for name, outcome in outcomes.items():
        outcome.transferred = [result for result in results if result["model"] == str(workdir / name)]


def check_study(study: ConfigDict) -> None:
    """Raise a UserError that names what is wrong with the study, one of its runs, or one of its claims."""
    for key in ("title", "runs", "claims"):
        if key not in study:
            raise UserError(f"a study's config has title, runs and claims, as in configs/study; this one has no {key}")
    for name, config in study.runs.items():
        try:
            validate(config)
        except UserError as error:
            raise UserError(f"run '{name}': {error}") from None
        if not config.eval.sets and "transfer" not in study:
            raise UserError(f"run '{name}': eval.sets is empty, but a study compares evaluations")
    if "transfer" in study:
        check_transfer(study)
    for key, claim in study.claims.items():
        missing = {"text", "statistic", "higher", "lower"} - set(claim)
        if missing:
            raise UserError(f"claims.{key} has no {' and no '.join(sorted(missing))}")
        if claim.statistic not in STATISTICS:
            raise UserError(f"claims.{key}.statistic is '{claim.statistic}'; it is one of {', '.join(STATISTICS)}")
        for run in (claim.higher, claim.lower):
            if run not in study.runs:
                raise UserError(f"claims.{key} names the run '{run}'; the study has {', '.join(study.runs)}")


def check_transfer(study: ConfigDict) -> None:
    config = study.transfer.copy_and_resolve_references()
    config.models = tuple(study.runs)
    try:
        transfer_configuration.validate(config)
    except UserError as error:
        raise UserError(f"transfer: {error}") from None
    if transfer_set(config.sets[0]).has_objects and any(c.get("statistic") == "probe" for c in study.claims.values()):
        raise UserError(
            f"a claim on 'probe' compares accuracies by class, which {config.sets[0]} has not: name another set first"
        )


def judge(claim: ConfigDict, outcomes: Outcomes, workdir: Path) -> Judgement:
    """The paired bootstrap over classes of the difference that the claim says is positive.

    Accuracies are compared class by class, every class counted alike; the tail is that of the run `higher`. That of the
    linear probe is on the first set of the transfer study.
    """
    judged = (claim.text, claim.statistic, claim.higher, claim.lower)
    pair = (claim.higher, claim.lower)
    failed = [run for run in pair if run not in outcomes]
    if failed:
        return Judgement(*judged, None, f"{' and '.join(failed)} failed")
    if claim.statistic == "probe":
        probes = [probe_accuracies(outcomes[run], workdir) for run in pair]
        if any(probe is None for probe in probes):
            return Judgement(*judged, None, "there is no linear probe of both")
        a, b = probes
        return Judgement(*judged, paired_mean_difference(100 * a, 100 * b, np.arange(len(a))))
    a, b = (outcomes[run].evaluated for run in pair)
    if a is None or b is None:
        return Judgement(*judged, None, "not both have an evaluation set")
    if a.class_names != b.class_names:
        return Judgement(*judged, None, "the runs have different classes")
    if claim.statistic == "corr_acc":
        difference = paired_difference(a.frequency, a.accuracy, b.frequency, b.accuracy)
    elif claim.statistic == "corr_pred":
        difference = paired_difference(a.frequency, a.predictions, b.frequency, b.predictions)
    else:
        classes = a.tail if claim.statistic == "tail" else np.arange(len(a.class_names))
        difference = paired_mean_difference(100 * a.accuracy, 100 * b.accuracy, classes)
    return Judgement(*judged, difference)


def probe_accuracies(outcome: Outcome, workdir: Path) -> Float[np.ndarray, "class"] | None:
    """Accuracy of each class in 0..1 by the run's linear probe on the first set that it was measured on."""
    for cell in outcome.transferred:
        if cell["method"] == "probe":
            arrays = load_arrays(predictions_path(workdir / "transfer", cell))
            labels, predictions = arrays["labels"], arrays["predictions"]
            everyone = np.ones(len(labels), bool)
            return per_class_accuracy(count_confusion(labels, predictions, everyone, cell["sizes"]["classes"]))
    return None


def report(
    title: str,
    outcomes: Outcomes,
    failures: Mapping[str, str],
    judgements: Sequence[Judgement],
    seconds: float,
    workdir: Path,
) -> None:
    """Write report.md for people, report.json for programs, and the figure; show the first."""
    text = markdown(title, outcomes, failures, judgements, seconds)
    workdir.mkdir(parents=True, exist_ok=True)
    write_text(workdir / "report.md", text)
    content = {
        "title": title,
        "runs": {
            name: (o.evaluated.summary if o.evaluated else {})
            | {"images": o.images, "seconds": o.seconds, "transfer": list(o.transferred)}
            for name, o in outcomes.items()
        },
        "failures": failures,
        "claims": [
            dataclasses.asdict(j) | {"difference": j.difference and j.difference._asdict(), "verdict": j.verdict}
            for j in judgements
        ],
        "seconds": seconds,
    }
    runs.write_json(workdir / "report.json", content)
    tqdm.write(f"\n{text}\nThis report: {workdir}/report.md")
    if evaluated := evaluated_ones(outcomes):
        draw_study(evaluated, title, workdir / "figures" / "study")
        tqdm.write(f"Its figure: {workdir}/figures/study.png")


def evaluated_ones(outcomes: Outcomes) -> dict[str, FinishedRun]:
    return {name: outcome.evaluated for name, outcome in outcomes.items() if outcome.evaluated}


def markdown(
    title: str,
    outcomes: Outcomes,
    failures: Mapping[str, str],
    judgements: Sequence[Judgement],
    seconds: float,
) -> str:
    lines = [
        f"# {title}",
        "",
        "| run | images | top-1 % | head | mid | tail | corr_acc [95 %] | corr_pred [95 %] | minutes |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
        *(row(name, outcome) for name, outcome in outcomes.items()),
        *(f"\n**{name} failed**: {reason}" for name, reason in failures.items()),
        *transfer_table(outcomes),
        "",
        "| claim | difference [95 %] | verdict |",
        "| --- | --- | --- |",
    ]
    for j in judgements:
        digits = ".2f" if j.statistic.startswith("corr") else ".1f"
        shown = with_interval(j.difference.value, j.difference[1:], digits) if j.difference else j.obstacle
        lines.append(f"| {j.text} ({j.statistic}: {j.higher} − {j.lower}) | {shown} | **{j.verdict}** |")
    trained = sum(outcome.seconds for outcome in outcomes.values())
    sets = ", ".join(dict.fromkeys(run.evaluated_on for run in evaluated_ones(outcomes).values()))
    lines += [
        "",
        f"Evaluated on {sets}. "
        * bool(sets)
        + "corr_acc and corr_pred are Spearman's correlations of class frequency with accuracy and with predictions, "
        "and their intervals are bootstrap intervals over classes. A claim is supported where the interval of the "
        "paired difference lies above 0, not supported where it lies below, and else inconclusive. "
        f"Training took {trained / 60:.1f} minutes; this call took {seconds / 60:.1f}.",
    ]
    if evaluated_ones(outcomes):
        lines += ["", "![correlations against accuracy, and accuracy by class frequency](figures/study.png)"]
    return "\n".join(lines) + "\n"


def row(name: str, outcome: Outcome) -> str:
    if outcome.evaluated:
        s = outcome.evaluated.summary
        cells = [number(s[key], ".1f") for key in ("top1", "head", "mid", "tail")]
        cells += [with_interval(s[key], s[f"{key}_interval"], ".2f") for key in ("corr_acc", "corr_pred")]
    else:
        cells = ["–"] * 6
    return f"| {' | '.join([name, f'{outcome.images:,}', *cells, f'{outcome.seconds / 60:.1f}'])} |"


def transfer_table(outcomes: Outcomes) -> list[str]:
    """A row a run, a column for each set and method that the runs were measured on; nothing where there are none."""
    columns = list(dict.fromkeys((r["set"], r["method"]) for o in outcomes.values() for r in o.transferred))
    if not columns:
        return []
    rows = [["run", *(f"{of_set}: {TITLES[method].lower()} %" for of_set, method in columns)]]
    for name, outcome in outcomes.items():
        cells = {(r["set"], r["method"]): shown(r) for r in outcome.transferred}
        rows.append([name, *(cells.get(column, "–") for column in columns)])
    return ["", *aligned(rows), "", "More of the transfer: [transfer/report.md](transfer/report.md)"]


def shown(result: Result) -> str:
    margin = f" ± {result['margin']:.1f}" if "margin" in result else ""
    return f"{result['score']:.1f}{margin}"


def with_interval(value: float | None, bounds: Sequence[float | None], digits: str) -> str:
    return f"{number(value, digits)} [{', '.join(number(bound, digits) for bound in bounds)}]"


def number(value: float | None, digits: str) -> str:
    return "–" if value is None or math.isnan(value) else format(value, digits)


def main(study: ConfigDict, workdir: Path) -> None:
    if flags.FLAGS.launch == "print":
        check_study(study)
        print("\n".join(train_commands(study, workdir)))
        return
    distributed.initialize()
    run_study(study, workdir, flags.FLAGS.overwrite)


def list_runs() -> None:
    from configs.catalogue import page  # what the paper's study alone needs

    print(page(), end="")


if __name__ == "__main__":
    if "--list" in sys.argv:
        sys.exit(list_runs())
    flags.DEFINE_enum("launch", "here", ["here", "print"], "Train the runs here, or print a command for each")
    flags.DEFINE_bool("overwrite", False, "Replace runs of other configs in the work directory")
    run_with_config(main)
