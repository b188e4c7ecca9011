"""Damage to each file that a program leaves: a bit flipped, cut off, deleted, exchanged for another run's.

What reads the files must name the damaged one, or give what it gave before.
"""

import contextlib
import dataclasses
import io
import json
import random
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pyarrow as pa
import pytest
from flax import nnx

from cliptail_jax import runs
from cliptail_jax.concepts.finished import FinishedParts
from cliptail_jax.concepts.tally import COUNTS, Tally
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.files import read_lines
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.make_head import main as make_head
from cliptail_jax.pretrained.model import open_published, open_run
from cliptail_jax.results.run import Run
from cliptail_jax.runs.directory import METRICS
from cliptail_jax.train import train
from tests.faulty_programs import Failed, Program, command, lines
from tests.fuzz_cases import flipped

NAMES = ("cat", "dog", "red fox", "bee")
KINDS = ("flip", "cut", "delete", "swap")


@dataclasses.dataclass(frozen=True)
class Subject:
    """What a program has left, and what reads it.

    Attributes:
        whole: the folder.
        other: that of another run of the program, with files of the same names.
        read: what is read in a copy of the folder; programs that go on in it may write to it.
    """

    whole: Path
    other: Path
    read: Callable[[Path], Any]

    def expected(self, folder: Path) -> Any:
        """What is read of the whole files, in a copy in `folder`."""
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(self.whole, folder)
        return self.read(folder)


def damage(path: Path, kind: str, other: Path, draw: random.Random) -> bool:
    """Damages a file; False where it is not changed by it."""
    content = path.read_bytes()
    if kind == "delete":
        path.unlink()
        return True
    if kind == "swap":
        others = [other] if other.is_file() else sorted(set(path.parent.glob(f"*{path.suffix}")) - {path})
        changed = draw.choice(others).read_bytes() if others else content
    else:
        changed = flipped(content, (kind, draw.randrange(max(1, len(content))), draw.randrange(8)))
    path.write_bytes(changed)
    return changed != content


def files_of(subject: Subject) -> list[str]:
    """The files, by their path below the folder."""
    return sorted(str(path.relative_to(subject.whole)) for path in subject.whole.rglob("*") if path.is_file())


def attempt(subject: Subject, expected: Any, folder: Path, name: str, kind: str, draw: random.Random) -> str:
    """'named', 'same' or 'unchanged' for damage to the file `name`; otherwise what is wrong."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(subject.whole, folder)
    if not damage(folder / name, kind, subject.other / name, draw):
        return "unchanged"
    said = io.StringIO()
    try:
        with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
            found = subject.read(folder)
    except (UserError, Failed) as error:
        stem = Path(name).name if "checkpoints" not in name else "checkpoint"
        named = any(part in f"{error} {said.getvalue()}" for part in (stem, str(folder)))
        return "named" if named else f"an error that names no file: {error}"
    except Exception as error:
        return f"raises {error!r}"
    return "same" if same(found, expected) else f"goes unnoticed; {said.getvalue()[-200:]}"


def same(a, b) -> bool:
    if isinstance(a, dict) and isinstance(b, dict):
        return a.keys() == b.keys() and all(same(a[key], b[key]) for key in a)
    if isinstance(a, (list, tuple)) and isinstance(b, (list, tuple)):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b, equal_nan=np.asarray(a).dtype.kind == "f")
    return a == b or (a != a and b != b)


def of_run(workdir: Path) -> dict[str, Any]:
    """All that later programs read of a finished run: its log, evaluations, data, model and weights."""
    if runs.read_config(workdir) is None or runs.last_step(workdir) is None:
        raise UserError(f"{workdir} holds no finished run")  # and training trains it
    finished = Run(workdir).evaluation
    opened = open_run(workdir)
    if opened.step != runs.last_step(workdir):
        raise UserError(f"{workdir}: its last checkpoint is not valid")  # and evaluation refuses it
    weights = {
        jax.tree_util.keystr(path): np.asarray(x)
        for path, x in jax.tree_util.tree_leaves_with_path(nnx.state(opened.model))
    }
    return {
        "config": runs.read_config(workdir),
        "metrics": list(read_lines(workdir / METRICS)),
        "evaluation": [finished.summary, finished.class_names, finished.frequency, finished.accuracy, finished.tail],
        "description": runs.read_description(workdir),
        "classes": opened.class_names,
        "weights": weights,
        "tokens": opened.tokenizer(["a photo of a cat"]) if opened.has_text else None,
    }


def of_data(split: str) -> Callable[[Path], Any]:
    def read(folder: Path):
        source = open_source("glyphs", str(folder), split)
        images = source.encoded_images(range(len(source)))
        damaged = [index for index, image in enumerate(images) if not image]
        if damaged:  # training counts them, and names the file
            raise UserError(f"{source.file_of(damaged[0])} is damaged")
        return [source.class_names, source.metadata.to_pydict(), images]

    return read


def of_export(folder: Path):
    opened = open_published(str(folder))
    weights = [np.asarray(x) for x in jax.tree.leaves(nnx.state(opened.model))]
    tokens = opened.tokenizer(["a photo of a cat"]) if opened.has_tokenizer else None
    return [weights, dict(opened.config), opened.preprocess, tokens]


def again(program: Program) -> Callable[[Path], Any]:
    """What a program leaves that is run again."""

    def read(folder: Path):
        program.run(folder)
        return program.result(folder)

    return read


def subjects(config: Callable, programs: Mapping[str, Program], folder: Path) -> dict[str, Callable[[], Subject]]:
    """All subjects, each made when it is called. `programs` and `config` are those of `tests.faulty_programs.programs`."""

    def pair(name: str, make: Callable[[Path, int], Any], read: Callable[[Path], Any]) -> Subject:
        for number in (0, 1):
            with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
                make(folder / name / str(number), number)
        return Subject(folder / name / "0", folder / name / "1", read)

    def trained(family: str) -> Callable[[Path, int], None]:
        def make(workdir: Path, seed: int) -> None:
            if not workdir.exists():
                wanted = config(family)
                wanted.seed, wanted.total_epochs = seed, 1
                if family == "clip":
                    wanted.model.image.update({"name": "vit", "layers": (1,), "patch_size": 8, "heads": 2, "width": 8})
                train(wanted, workdir)

        return make

    def runs_of(family: str) -> list[Path]:
        found = [folder / family / str(number) for number in (0, 1)]
        for number, workdir in enumerate(found):
            with contextlib.redirect_stderr(io.StringIO()):
                trained(family)(workdir, number)
        return found

    def built(workdir: Path, number: int) -> None:
        source = Path(config("sup").data.data_dir) / "glyphs"
        shutil.copytree(source, workdir / "glyphs", ignore=shutil.ignore_patterns(".lock"))
        if number:
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 3, "test": 1})
                shutil.rmtree(workdir / "glyphs")
                build("glyphs", str(workdir))
            (workdir / "glyphs" / ".lock").unlink()

    def exported(workdir: Path, number: int) -> None:
        export(runs_of("clip")[number], workdir)

    def head(workdir: Path, number: int) -> None:
        vocabulary = folder / "vocabulary.json"
        vocabulary.write_text(json.dumps([{"name": name} for name in NAMES]))
        flags = ("--model", runs_of("clip")[number], "--vocabulary", vocabulary, "--template=cname")
        command(make_head, *flags, "--output=WORKDIR/head.npy")(workdir)

    def parts(workdir: Path, number: int) -> None:
        kept = kept_parts(workdir, f"job {number}")
        for index, path in enumerate(captions):
            counted = pa.table({"name": ["cat", "dog"], "count": [3 + number, 2 * index]}, schema=COUNTS)
            kept.save(str(path), Tally(counted, 9, number))

    def kept_parts(workdir: Path, job: str = "job 0") -> FinishedParts:
        return FinishedParts(workdir / "out.tsv", job, list(map(str, captions)))

    def of_parts(workdir: Path):
        """Counts, of parts that are not kept those that counting again gives."""
        kept = [kept_parts(workdir).load(str(path)) for path in captions]
        right = [[{"name": ["cat", "dog"], "count": [3, 2 * index]}, 9, 0] for index in range(len(captions))]
        return [[x.counts.to_pydict(), x.captions, x.undecodable] if x else right[i] for i, x in enumerate(kept)]

    captions = [folder / f"{number}.txt" for number in range(2)]
    for path in captions:
        path.write_text("a cat\n")

    def transferred(workdir: Path, number: int) -> None:
        if not number:
            programs["transfer"].run(workdir)

    def studied(workdir: Path, number: int) -> None:
        if not number:
            return programs["study"].run(workdir)
        for name, other in (("one", "other"), ("other", "one")):  # one run's files for the other's
            shutil.copytree(workdir.parent / "0" / name, workdir / other)

    def scores(workdir: Path):
        """The last line of each method; damaged results are computed again, and added."""
        return {line["method"]: line for line in lines(workdir / "results.jsonl")}

    return {
        "run sup": lambda: pair("sup", trained("sup"), of_run),
        "run clip": lambda: pair("clip", trained("clip"), of_run),
        "training data": lambda: pair("train", built, of_data("train")),
        "test data": lambda: pair("test", built, of_data("test")),
        "export": lambda: pair("exported", exported, of_export),
        "head": lambda: pair("head", head, lambda workdir: head_for(str(workdir / "head.npy"), NAMES, NAMES)),
        "parts of a count": lambda: pair("parts", parts, of_parts),
        "transfer": lambda: pair(
            "transfers", transferred, again(dataclasses.replace(programs["transfer"], result=scores))
        ),
        "study": lambda: pair("studies", studied, again(programs["study"])),
    }
