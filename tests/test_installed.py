"""The package installed from its wheel, without the clone: the command `cliptail`, and configs by short names."""

import io
import json
import os
import re
import shlex
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import cliptail_jax
from cliptail_jax.config.command_line import read_config
from cliptail_jax.config.files import find_config, known_configs
from cliptail_jax.datasets.source import open_source
from cliptail_jax.programs import PROGRAMS
from cliptail_jax.runs.files import read_run_frequency
from cliptail_jax.runs.provenance import command
from tests import commands
from tests.datasets.raw_data import archive
from tests.forked_programs import run_forked, with_devices
from tests.tiny_runs import VIT

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def installed(tmp_path_factory):
    """A folder with the package and its command, installed from a wheel beside the packages of this environment."""
    folder = tmp_path_factory.mktemp("installed")
    before = sorted(ROOT.iterdir())
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([*pip, f"--target={folder}", str(ROOT)], check=True)
    assert sorted(ROOT.iterdir()) == before  # no build folder
    return folder


def test_short_names_are_those_of_files_and_unique():
    files = [*ROOT.glob("configs/*.py"), *ROOT.glob("configs/study/*.py")]
    assert sorted(known_configs().values()) == sorted(files)


def test_a_file_comes_before_a_config_of_the_package_with_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert read_config("clip:data=glyphs").objective == "contrastive"
    Path("clip").write_text("no Python", encoding="utf-8")
    assert find_config("clip") == known_configs()["clip"]
    Path("clip.py").write_text(
        "from cliptail_jax.config.files import load_config\n\nget_config = lambda arg='': load_config('sup')",
        encoding="utf-8",
    )
    assert read_config("clip:x").objective == "supervised"
    assert "the config clip is clip.py in this folder, not the package's" in capsys.readouterr().err


@pytest.mark.program
@pytest.mark.parametrize(
    "line, completions",
    [
        ("cliptail tra", ["train", "transfer"]),
        ("cliptail train cli", ["clip"]),
        ("cliptail study mech", ["mechanism"]),
        ("cliptail train clip --config.vocabulary.s", ["--config.vocabulary.size", "--config.vocabulary.sampling"]),
    ],
)
def test_the_shell_completes_programs_configs_and_fields(line, completions, tmp_path):
    asked = {"_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(tmp_path / "found")}
    asked |= {"COMP_LINE": line, "COMP_POINT": str(len(line))}
    subprocess.run([sys.executable, "-m", "cliptail_jax"], env=os.environ | asked, check=True)
    assert [text.strip() for text in (tmp_path / "found").read_text().splitlines()] == completions


@pytest.mark.parametrize(
    "argument, status, said",
    [
        ("--version", 0, f"cliptail {cliptail_jax.__version__}\n"),
        ("trian", 2, "error: there is no program 'trian' (did you mean train or transfer?); --help lists them\n"),
    ],
)
def test_the_command_says_its_version_and_what_it_has_instead(argument, status, said, capsys):
    assert commands.command(argument)([]) == status and "".join(capsys.readouterr()) == said


SLOW = {"flax", "grain", "jax", "matplotlib", "orbax", "pandas", "scipy", "tensorflow_datasets", "torch"}


@pytest.mark.program
@pytest.mark.parametrize("program", [*PROGRAMS, "figures transfer"])
def test_help_imports_nothing_slow_and_shows_commands_as_they_are_typed(program):
    run = [sys.executable, "-m", "cliptail_jax", *program.split(), "--help"]
    environment = os.environ | {"PYTHONPROFILEIMPORTTIME": "1"}
    ended = subprocess.run(run, env=environment, cwd=ROOT, capture_output=True, text=True, check=True)
    imported = {line.rpartition("|")[2].partition(".")[0].strip() for line in ended.stderr.splitlines()}
    assert "cliptail_jax" in imported and not imported & SLOW
    assert f"usage: cliptail {program}" in ended.stdout and "python -m" not in ended.stdout


@pytest.mark.program
def test_help_with_a_config_explains_its_arguments_and_those_it_shares_in_any_locale():
    environment = os.environ | {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    run = [sys.executable, "-m", "cliptail_jax", "train", "sup:data=glyphs", "--help"]
    said = subprocess.run(run, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert "  head=clip " in said and "  batch_composition=distinct " in said and "with this \\u03b2" in said


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """A folder with data of the names in the README's sections on own data and models: images of 8 pixels of four colours."""
    folder, rng, colours = tmp_path_factory.mktemp("own"), np.random.default_rng(0), ("red", "green", "blue", "grey")

    def png(colour: int) -> bytes:
        image = rng.integers(0, 128, (8, 8, 3), np.uint8)
        image[..., colour % 3] += 127 if colour < 3 else 0
        Image.fromarray(image).save(buffer := io.BytesIO(), "png")
        return buffer.getvalue()

    def pairs(number: int) -> list[tuple[bytes, str]]:
        of = [min(int(rng.exponential()), 3) for _ in range(number)]
        return [(png(colour), f"the {colours[colour]} ones, number {i}") for i, colour in enumerate(of)]

    for split, each in (("train", 8), ("val", 4), ("test", 2)):
        for number, colour in enumerate(colours):
            (folder / "photos" / split / colour).mkdir(parents=True)
            for i in range(each if split != "train" else (16, 9, 5, 2)[number]):
                (folder / "photos" / split / colour / f"{i}.png").write_bytes(png(number))
        if split == "test":
            continue
        for kind in ("shards", "hub"):
            (folder / kind).mkdir(exist_ok=True)
        files = {}
        for i, (image, caption) in enumerate(pairs(16 * each)):
            files |= {f"{i:05}.png": image, f"{i:05}.txt": caption.encode()}
        (folder / "shards" / f"{split}-00000.tar").write_bytes(archive(files))
        rows = [
            {"image": {"bytes": image, "path": f"{i}.png"}, "caption": text}
            for i, (image, text) in enumerate(pairs(128))
        ]
        pq.write_table(pa.Table.from_pylist(rows), folder / "hub" / f"{split}-00000-of-00001.parquet")
    (folder / "prompts.txt").write_text("the {} ones\nsomething {}\n")
    (folder / "cat.jpg").write_bytes(png(0))
    counts = dict(zip(colours, (8, 4, 2, 1)))
    labels = np.repeat(np.arange(4), 8)
    logits = 2 * np.eye(4)[labels] + rng.normal(size=(32, 4)) + np.log([*counts.values()])
    np.savez(folder / "logits.npz", labels=np.array(colours)[labels], logits=logits)
    for name, frequency in (("plain", 0), ("balanced", np.log([*counts.values()]))):
        rows = zip(labels, np.argmax(logits - frequency, axis=1))
        (folder / f"{name}.csv").write_text(
            "label,prediction\n" + "".join(f"{colours[a]},{colours[b]}\n" for a, b in rows)
        )
    (folder / "counts.tsv").write_text("name\tcount\n" + "".join(f"{name}\t{n}\n" for name, n in counts.items()))
    (folder / "train_labels.csv").write_text("label\n" + "".join(f"{name}\n" * n for name, n in counts.items()))
    return folder


# Imports what the programs do, of which each is then a fork. Runs have a smaller network, and few steps.
PROGRAM = """
import sys
import cliptail_jax.datasets.image_folder, cliptail_jax.datasets.image_text, cliptail_jax.study.run, cliptail_jax.jobs.train
import pandas, scipy.stats
from cliptail_jax.programs import main
from cliptail_jax.concepts.words import changed_words
from cliptail_jax.experiments import training
recipe = training.small_images
image, text = VIT | {"patch_size": 8, "output_dim": 16}, {"width": 16, "layers": 1, "heads": 2, "vocab_size": 800}
small = {"batch_size": 32, "total_epochs": 3, "model": {"image": image, "text": text}}
training.small_images = lambda *given: recipe(*given) | small
changed_words()
if __name__ == "__main__":
    sys.orig_argv = ["python", "/env/bin/cliptail", *sys.argv[1:]]
    sys.exit(main())
"""


@pytest.fixture(scope="module")
def examples(installed, own_data, tmp_path_factory):
    """The outcomes of the commands in the README's sections on own data and models, in a folder without the clone; and its Python.

    Of the study, which trains 14 runs, it is the list of its commands."""
    folder = tmp_path_factory.mktemp("program")
    (folder / "program.py").write_text(PROGRAM.replace("VIT", str(VIT)))
    sections = (ROOT / "README.md").read_text().partition("## Your own data")[2].partition("\n## Programs")[0]
    blocks = [textwrap.dedent(block) for block in re.findall(r"(?:^    .*\n)+", sections, re.MULTILINE)]
    (python,) = [block for block in blocks if block.startswith("import")]
    lines = [line for block in blocks if block != python for line in block.replace("\\\n", "").splitlines()]
    lines = [re.sub("study .*", r"\g<0> --launch=print", line) for line in lines if not line.startswith("#")]
    lines += [
        "cliptail study paper:family=distribution --workdir=paper --launch=print",
        "cliptail train clop",
        "cliptail --help",
    ]
    commands = [shlex.split(line, comments=True) for line in lines]
    assert all(name == "cliptail" for name, *_ in commands)
    environment = {
        "PYTHONPATH": f"{folder}:{installed}",
        "TFDS_DATA_DIR": str(folder / "tfds"),
        "XLA_FLAGS": with_devices(1),
    }
    outcomes = run_forked("program", [rest for _, *rest in commands], environment, cwd=own_data)
    return dict(zip(lines, outcomes)), python, folder / "tfds"


@pytest.mark.program
def test_the_readmes_examples_on_own_data_run_as_they_are(examples, own_data, monkeypatch):
    outcomes, python, data_dir = examples
    assert len(outcomes) == 17
    for line, outcome in outcomes.items():
        assert outcome.returncode == (2 if "clop" in line else 0), outcome.stderr
    (labelled,) = (own_data / "runs/clip/eval").glob("image_folder*")
    summary = json.loads((labelled / "summary.jsonl").read_text().splitlines()[-1])
    names, frequency = read_run_frequency(labelled)
    captions = open_source("image_text/pairs", str(data_dir), "train").metadata["caption"].to_pylist()
    assert frequency.tolist() == [sum(name in caption.split() for caption in captions) for name in names]
    assert summary["top1"] is not None and summary["slope_acc_left_out"] == np.sum(frequency == 0)
    (retrieval,) = (own_data / "runs/clip/eval").glob("image_text*")
    assert json.loads((retrieval / "summary.jsonl").read_text().splitlines()[-1])["image_to_text_r5"] > 0
    assert (own_data / "runs/clip/report.html").exists()
    monkeypatch.chdir(own_data)
    exec(python, found := {})
    assert found["similarity"].shape == (1, 2)


@pytest.mark.program
def test_an_installed_package_lists_its_programs_and_finds_its_studies(examples):
    outcomes, *_ = examples
    assert all(f"  {name}" in outcomes["cliptail --help"].stdout for name in PROGRAMS)
    (commands,) = (outcome.stdout for line, outcome in outcomes.items() if line.startswith("cliptail study paper"))
    assert commands.splitlines()[-1] == "cliptail study paper:family=distribution --workdir=paper --report"
    unknown = outcomes["cliptail train clop"].stderr.splitlines()[-1]
    assert unknown.startswith("error: config file 'clop' does not exist (did you mean")


def test_a_run_notes_the_command_as_it_was_typed(monkeypatch):
    monkeypatch.setattr(sys, "orig_argv", ["python", "/env/bin/cliptail", "train", "sup:data=a b", "--workdir=run"])
    assert command() == "cliptail train 'sup:data=a b' --workdir=run"
