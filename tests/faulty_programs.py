"""Tiny runs of programs, for faults at every change of a file: how they are run, and what they leave."""

import contextlib
import dataclasses
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from cliptail_jax.curation import export as describe
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.host.errors import UserError, problem
from cliptail_jax.host.files import load_arrays, read_lines
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.jobs.train import train
from cliptail_jax.pretrained.export import export
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.run import run_study
from cliptail_jax.transfer.configuration import typed_config
from cliptail_jax.transfer.program import TransferFailed, transfer
from configs import transfer as transfer_config
from tests.commands import build, count, make_head
from tests.faults import Disk, Killed
from tests.synthetic import sections

VOLATILE = ("seconds", "images_per_second", "compile_seconds", "feature_seconds")


class Failed(Exception):
    """A program that ends with another status than 0."""


@dataclasses.dataclass(frozen=True)
class Program:
    """A program with its arguments.

    Attributes:
        run: runs it in a work directory; a second time it goes on, or repeats what it did.
        result: what it leaves there, but for times.
        start: returns the directory that is copied there before; None for none.
    """

    run: Callable[[Path], None]
    result: Callable[[Path], Any]
    start: Callable[[], Path] | None = None


def settled(value):
    """The value without what differs from run to run."""
    if isinstance(value, dict):
        return {key: settled(item) for key, item in value.items() if key not in VOLATILE}
    return [settled(item) for item in value] if isinstance(value, list) else value


def lines(path: Path):
    return settled(read_lines(path))


def of_run(workdir: Path):
    """Losses, evaluations and their arrays."""
    found = {"metrics": lines(workdir / "metrics.jsonl")}
    for folder in sorted((workdir / "eval").glob("*")):
        arrays = load_arrays(folder / "latest.npz")
        found[folder.name] = [lines(folder / "summary.jsonl"), {name: x.tolist() for name, x in arrays.items()}]
    return found


def of_study(workdir: Path):
    report = settled(json.loads((workdir / "report.json").read_text()))
    return [report, {name: of_run(workdir / name)["metrics"] for name in ("one", "other")}]


def texts(*patterns: str) -> Callable[[Path], Any]:
    """The bytes of files."""
    return lambda workdir: {
        str(path.relative_to(workdir)): path.read_bytes()
        for pattern in patterns
        for path in sorted(workdir.glob(pattern))
    }


def command(main: Callable, *arguments) -> Callable[[Path], None]:
    def run(workdir: Path) -> None:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as errors:
            status = main([str(argument).replace("WORKDIR", str(workdir)) for argument in arguments])
        if status:
            raise Failed(errors.getvalue())

    return run


def last_evaluation(workdir: Path):
    """A second evaluation adds a line, that of an interrupted one too."""
    found = of_run(workdir)
    for name in found.keys() - {"metrics"}:
        found[name][0] = found[name][0][-1]
    return found


@dataclasses.dataclass(frozen=True)
class Start:
    """What the programs start from, made in `folder` when it is first needed; `config(name)` is a family's tiny config."""

    config: Callable[[str], ConfigDict]
    folder: Path

    def run(self, family: str) -> Path:
        """The directory of a finished run."""
        workdir, config = self.folder / family, self.config(family)
        if not workdir.exists():
            train(config, workdir)
        return workdir

    def file(self, name: str, content: str) -> Path:
        """A text file."""
        (self.folder / name).write_text(content)
        return self.folder / name


def programs(start: Start) -> dict[str, Program]:
    """All programs."""
    words = "".join(f"a photo of a {word}\n" for word in ("cat", "dog", "red fox") for _ in range(9))
    captions = start.file("captions.tsv", f"TEXT\n{words}")
    classes = start.file("classes.json", '[{"name": "cat"}, {"name": "dog"}, {"name": "fox"}]')

    def training(family: str) -> Program:
        return Program(lambda workdir: train(start.config(family), workdir), of_run)

    def evaluation(workdir: Path) -> None:
        evaluate(start.config("sup"), workdir)

    def small_study(workdir: Path) -> None:
        runs = {name: start.config("sup") for name in ("one", "other")}
        for seed, config in enumerate(runs.values()):
            config.seed, config.total_epochs = seed, 1
        claim = dict(text="One leans more", statistic="corr_pred", higher="one", lower="other")
        wanted = {"title": "Small", "runs": ConfigDict(runs, sort_keys=False), "claims": {"lean": claim}}
        run_study(typed_study(ConfigDict(wanted)), workdir)

    def small_transfer(workdir: Path) -> None:
        wanted = transfer_config.get_config(f"models={start.run('sup')},sets=glyphs:train:test")
        wanted.update({"batch_size": 32, "methods": ("probe", "few_shot")})
        wanted.data.data_dir = start.config("sup").data.data_dir
        wanted.few_shot.update({"ways": 4, "shots": 1, "queries": 1, "episodes": 5})
        try:
            transfer(typed_config(wanted), workdir)
        except TransferFailed as error:
            raise Failed(str(error)) from None

    def head(workdir: Path) -> None:
        flags = ("--model", start.run("clip"), "--classes", classes, "--template=cname")
        command(make_head, *flags, "--output=WORKDIR/head.npy")(workdir)

    count_flags = (f"--captions={captions}", "--column=TEXT", f"--classes={classes}", "--processes=1", "--sorted")
    return {
        "train sup": training("sup"),
        "train clip": training("clip"),
        "train dino": training("dino"),
        "evaluate": Program(evaluation, last_evaluation, lambda: start.run("sup")),
        "transfer": Program(small_transfer, lambda workdir: sorted(map(str, lines(workdir / "results.jsonl")))),
        "study": Program(small_study, of_study),
        "count": Program(command(count, *count_flags, "--output=WORKDIR/out.tsv"), texts("*")),
        "build": Program(command(build, "glyphs", "--data_dir=WORKDIR"), texts("glyphs/*/*")),
        "export": Program(lambda workdir: export(start.run("clip"), workdir / "exported"), texts("exported/*")),
        "make_head": Program(head, texts("head.*")),
        "describe": Program(
            lambda workdir: describe.export(open_variant(sections(start.config("clip")).data), workdir / "rows.tsv"),
            texts("*.tsv"),
        ),
    }


def attempt(program: Program, expected: Any, workdir: Path, at: int, kind: str) -> str:
    """What is wrong after a fault at the change of number `at`, and a second run without one; '' if nothing is."""
    disk = prepared(program, workdir, at, kind)
    try:
        with disk.installed():
            program.run(workdir)
    except (UserError, Failed, Killed):
        pass
    except Exception as error:
        if not problem(error):
            return f"raises {error!r}"
    try:
        program.run(workdir)
        found = program.result(workdir)
    except Exception as error:
        return f"cannot be run again: {error!r}"
    if found != expected:
        return "ends with another result"
    left = [path.name for path in workdir.rglob("*") if path.name.endswith((".partial", ".unfinished"))]
    return f"leaves {left}" if left and kind != "kill" else ""


def prepared(program: Program, workdir: Path, at: int = 0, kind: str = "error") -> Disk:
    """A disk for the program in a new work directory."""
    shutil.rmtree(workdir, ignore_errors=True)
    if program.start:
        shutil.copytree(program.start(), workdir)
    else:
        workdir.mkdir(parents=True)
    return Disk(workdir, at, kind)


def reference(program: Program, workdir: Path) -> tuple[Any, int]:
    """The program's result without faults, and how many changes it makes."""
    disk = prepared(program, workdir)
    with disk.installed():
        program.run(workdir)
    return program.result(workdir), disk.changes
