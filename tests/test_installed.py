"""The package installed from its wheel, without the clone: the command `cliptail`, and configs by short names."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cliptail_jax.cli import PROGRAMS
from cliptail_jax.config.files import find_config, known_configs
from cliptail_jax.config.program import with_config_flag, with_config_path

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


def cliptail(installed, *arguments, **environment):
    command, environment = [sys.executable, str(installed / "bin" / "cliptail"), *arguments], os.environ | environment
    environment["PYTHONPATH"] = str(installed)
    return subprocess.run(command, env=environment, capture_output=True, text=True)


def test_an_installed_package_trains_from_another_folder(installed, glyphs_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    arguments = ("--config.total_steps=1", "--config.batch_size=8", "--config.eval.sets=()")
    result = cliptail(installed, "train", "sup:data=glyphs", "--workdir=run", *arguments, TFDS_DATA_DIR=str(glyphs_dir))
    assert result.returncode == 0, result.stderr
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["config"]["total_steps"] == 1
    assert written["command"].startswith("cliptail train sup:data=glyphs --workdir=run")


def test_an_installed_package_lists_its_programs_and_finds_its_studies(installed, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert all(f"  {name}" in cliptail(installed, "--help").stdout for name in PROGRAMS)
    commands = cliptail(installed, "study", "paper:family=distribution", "--workdir=paper", "--launch=print")
    assert commands.returncode == 0, commands.stderr
    assert "--config=clip:data=imagenet_captions,text=random" in commands.stdout
    unknown = cliptail(installed, "train", "clop")
    assert unknown.returncode == 2 and unknown.stderr.startswith(
        "error: config file 'clop' does not exist (did you mean"
    )


def test_short_names_are_those_of_files_and_unique():
    files = [*(ROOT / "configs").glob("*.py"), *(ROOT / "configs" / "study").glob("*.py")]
    assert sorted(known_configs().values()) == sorted(files)


def test_a_file_comes_before_a_config_of_the_package_with_its_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    argv = with_config_flag(["train", "clip:data=glyphs", "--workdir=clip"])
    assert with_config_path(argv)[1] == f"--config={ROOT / 'configs' / 'clip.py'}:data=glyphs"
    Path("clip").write_text("")
    assert find_config("clip") == Path("clip")
    assert with_config_path(argv) == ["train", "--config=clip:data=glyphs", "--workdir=clip"]
    assert "the config clip is the file in this folder, not the package's" in capsys.readouterr().err


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
    main = [sys.executable, "-c", "from cliptail_jax.cli import main; main()"]
    subprocess.run(main, env=os.environ | asked, check=True)
    assert [text.strip() for text in (tmp_path / "found").read_text().splitlines()] == completions
