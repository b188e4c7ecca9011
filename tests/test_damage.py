"""Damage to each file that programs leave: a bit flipped, the end cut off, deleted, exchanged for that of another run.

What reads the file names it, or gives what it gave before. Which bit is flipped, and where a file is cut, is drawn by the
file's name, so that every run of the tests tries the same.
"""

import contextlib
import io
import json
import random
import shutil

import jax
import numpy as np
import pyarrow as pa
import pytest
from flax import nnx

from cliptail_jax.concepts.corpus import FinishedParts
from cliptail_jax.concepts.tally import COUNTS, Tally
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.glyphs.glyphs import Glyphs
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, read_lines
from cliptail_jax.jobs.train import train
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.pretrained.export import export
from cliptail_jax.pretrained.model import open_run
from cliptail_jax.pretrained.published_clip import open_published
from cliptail_jax.results.run import Run
from cliptail_jax.runs.files import last_step, read_config
from configs import clip
from tests.commands import make_head
from tests.fuzz_cases import flipped

KINDS = ("flip", "cut", "delete", "swap")
NAMES = ("cat", "dog", "red fox", "bee")
PARTS = [__file__, np.__file__]  # any two files stand for the parts of a corpus
# Files that no program reads; and evaluations, whose lines and arrays only have the checks of their formats.
UNREAD = {"tensorboard", "lock", ".lock", "README.md"}
UNNOTICED = {("summary.jsonl", kind) for kind in KINDS} | {("latest.npz", "swap")}


@pytest.fixture(scope="module")
def folders(small_config, tmp_path_factory):
    """Two runs, and two of everything else that programs leave, by subject: files of the same names, other contents."""
    root = tmp_path_factory.mktemp("damage")
    (root / "names.json").write_text(json.dumps([{"name": name} for name in NAMES]))
    flags = (f"--classes={root}/names.json", "--template=cname")
    with contextlib.redirect_stderr(io.StringIO()), pytest.MonkeyPatch.context() as patch:
        for number in (0, 1):
            config = small_config(clip)
            config.seed, config.total_steps = number, 2
            train(config, root / "run" / str(number))
            export(root / "run" / str(number), root / "export" / str(number))
            patch.setattr(Glyphs, "IMAGES_PER_CLASS", {"train": 2 + number, "test": 1})
            build("glyphs", str(root / "data" / str(number)))
            make_head(
                [*flags, "--model", str(root / "export" / str(number)), f"--output={root}/head/{number}/head.npy"]
            )
            save_parts(root / "parts" / str(number), number)
    return root


def save_parts(folder, number):
    folder.mkdir(parents=True)
    for index, part in enumerate(PARTS):
        counts = pa.table({"name": ["cat", "dog"], "count": [3 + number, 2 * index]}, schema=COUNTS)
        parts_in(folder, f"job {number}").save(part, Tally(counts, 9, number))


def parts_in(folder, job="job 0"):
    return FinishedParts(folder / "out.tsv", job, PARTS)


def read_run(workdir):
    """All that later programs read of a finished run: its log, evaluations, data, model and weights."""
    finished = Run(workdir).evaluation
    opened = open_run(workdir)
    if opened.step != last_step(workdir):
        raise UserError(f"{workdir}: its last checkpoint is not valid")  # as evaluation refuses it
    weights = [np.asarray(x).tolist() for x in jax.tree.leaves(nnx.state(opened.model))]
    evaluation = [finished.summary, finished.class_names, finished.frequency.tolist(), finished.accuracy.tolist()]
    described = [read_config(workdir), read_json(workdir / "model.json"), read_lines(workdir / "metrics.jsonl")]
    return described, evaluation, opened.class_names, weights, opened.tokenizer(["a photo of a cat"]).tolist()


def read_data(folder):
    source = open_source("glyphs", str(folder), "train")
    images = source.encoded_images(range(len(source)))
    if not all(images):  # training counts them, and names the file
        raise UserError(f"{source.file_of(images.index(b''))} is damaged")
    return source.class_names, source.metadata.to_pydict(), images


def read_export(folder):
    opened = open_published(str(folder))
    weights = [np.asarray(x).tolist() for x in jax.tree.leaves(nnx.state(opened.model))]
    return weights, dict(opened.config), opened.preprocess, opened.tokenizer(["a photo of a cat"]).tolist()


def read_head(folder):
    return head_for(str(folder / "head.npy"), NAMES, NAMES).tolist()


def read_parts(folder):
    """The counts of kept parts, and of others those that counting again gives."""
    kept = [parts_in(folder).load(part) for part in PARTS]
    again = [{"name": ["cat", "dog"], "count": [3, 2 * index]} for index in range(len(PARTS))]
    return [part.counts.to_pydict() if part else counts for part, counts in zip(kept, again)]


READERS = {"run": read_run, "data": read_data, "export": read_export, "head": read_head, "parts": read_parts}


def damage(path, kind, other, draw):
    """Damages a file; False if this does not change it."""
    content = path.read_bytes()
    if kind == "delete":
        path.unlink()
        return True
    if kind == "swap":
        changed = other.read_bytes() if other.is_file() else content
    else:
        changed = flipped(content, (kind, draw.randrange(max(1, len(content))), draw.randrange(8)))
    path.write_bytes(changed)
    return changed != content


def cases_of(folder):
    """The files of a folder, each with every kind of damage."""
    files = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    pairs = [(file, kind) for file in files for kind in KINDS if not UNREAD & set(file.parts)]
    return [(file, kind) for file, kind in pairs if (file.name, kind) not in UNNOTICED]


def problem_with(read, expected, folder):
    """What is wrong with reading the damaged `folder`; '' if nothing is."""
    errors = io.StringIO()
    try:
        with contextlib.redirect_stderr(errors):
            return "" if read(folder) == expected else f"goes unnoticed; {errors.getvalue()}"
    except UserError as error:
        return "" if str(folder) in f"{error} {errors.getvalue()}" else f"an error that names no file: {error}"
    except Exception as error:
        return f"raises {error!r}"


@pytest.mark.parametrize("subject", READERS)
def test_damage_to_a_file_is_named_or_changes_nothing(subject, folders, tmp_path):
    read, whole, other, folder = READERS[subject], folders / subject / "0", folders / subject / "1", tmp_path / "0"
    shutil.copytree(whole, folder)
    expected, problems = read(folder), {}
    for file, kind in cases_of(whole):
        shutil.rmtree(folder)
        shutil.copytree(whole, folder)
        changed = damage(folder / file, kind, other / file, random.Random(f"{file} {kind}"))
        if changed and (problem := problem_with(read, expected, folder)):
            problems[f"{kind} of {file}"] = problem
    assert not problems
