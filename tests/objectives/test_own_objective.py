"""An objective that is added as "How to add" in tests/README.md says, with a section of its own."""

import contextlib
import importlib
import json
import os
import pickle
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest

import cliptail_jax
from cliptail_jax import load_results
from cliptail_jax.config.fields import Section, fields_of, plain, to_config, typed
from cliptail_jax.host.errors import UserError
from cliptail_jax.jobs.train import train
from cliptail_jax.objectives import (
    FIELDS,
    OBJECTIVES,
    TrainingConfig,
    config_class,
    effective_log_prior,
    objective_class,
)
from cliptail_jax.objectives.contrastive import ContrastiveOptions
from cliptail_jax.objectives.own import own_objective
from cliptail_jax.objectives.supervised import Loss
from cliptail_jax.runs.provenance import objective_digest
from cliptail_jax.training.configuration import Training
from configs import clip, sup
from tests import smoothed_clip
from tests.commands import evaluate, forecast, predict, report
from tests.forked_programs import with_devices
from tests.run_commands import command, run_config
from tests.saved_state import losses, unfinish
from tests.smoothed_clip import Smoothed

PACKAGE = Path(cliptail_jax.__file__).parent
SHARE = "smoothing.share"


@pytest.mark.parametrize("place", range(len(OBJECTIVES) + 1))
def test_the_sections_of_an_objective_anywhere_in_the_table_are_added_to_those_of_all(place):
    objectives = [*OBJECTIVES.values()]
    objectives.insert(place, Smoothed)
    section = config_class(objectives)()
    assert {f.key: f for f in fields_of(section) if f.key != SHARE} == {f.key: f for f in FIELDS}
    values = to_config(section)
    values.smoothing.share, values.contrastive.block = 0.1, 4
    config = typed(section, values)
    for objective in objectives:
        assert typed(objective.Config(), config) == typed(objective.Config(), values)
    assert typed(Smoothed.Config(), config).smoothing.share == 0.1


@dataclass(frozen=True)
class OwnLoss(Loss):
    temperature: Annotated[float, "Temperature of the softmax."] = 1.0


@dataclass(frozen=True)
class OtherLoss(Section):
    temperature: Annotated[float, "Temperature of the softmax."] = 1.0


def objective_with(loss):
    """An objective with this section, called `loss`."""
    config = make_dataclass("OwnConfig", [("loss", type(loss), loss)], bases=(Training,), frozen=True)
    return type("Own", (), {"Config": config})


def test_of_sections_of_the_same_name_the_one_with_all_fields_is_used():
    objective = objective_with(OwnLoss())
    for objectives in ([objective, *OBJECTIVES.values()], [*OBJECTIVES.values(), objective]):
        assert config_class(objectives)().loss == OwnLoss()


@pytest.mark.parametrize("loss, key", [(OtherLoss(), "loss.temperature"), (OwnLoss(margin=0.5), "loss.margin")])
def test_a_section_that_two_objectives_declare_differently_is_named(loss, key):
    with pytest.raises(UserError, match=f"config key '{key}' of OwnConfig has another .*: begin with a subclass"):
        config_class([*OBJECTIVES.values(), objective_with(loss)])


def test_a_config_reaches_other_processes():
    config = TrainingConfig(objective="contrastive", contrastive=ContrastiveOptions(text_to_image=False))
    assert pickle.loads(pickle.dumps(config)) == config


PAGE = Path(__file__).parents[2] / "configs/study/own.md"
FILES = {  # what is wrong, with the line; the class is my_losses.py:Own, if the name is not given
    "no file": (None, "there is no file my_losses.py in .*: run where it is"),
    "no class": ("class Other: pass", "my_losses.py has no class Own that is a .*Objective: name one, as in"),
    "another class": (
        "from cliptail_jax.objectives.supervised import Supervised\nclass Mine(Supervised): pass",
        "has no class Own .*; there are Mine: name one",
    ),
    "no method": (
        "from cliptail_jax.training.objective import Objective\nclass Own(Objective): pass",
        "my_losses.py:Own has no method describe_model: define it, or begin with a class that has it",
    ),
    "code that ends the program": (
        "import sys\nsys.exit(0)",
        "my_losses.py, line 2, ends the program: leave out its call of sys.exit",
    ),
    "code that fails": ("x = 1\ny = x / 0", "my_losses.py, line 2, fails with ZeroDivisionError: division by zero"),
    "a field of its own": (
        Path(smoothed_clip.__file__).read_text(encoding="utf-8").replace("Smoothed(", "Own("),
        "my_losses.py:Own has the field smoothing.share, which configs lack: make it an attribute",
    ),
}


@pytest.mark.parametrize("text, complaint", FILES.values(), ids=FILES)
def test_a_file_without_the_objective_is_refused_in_a_line(tmp_path, monkeypatch, text, complaint):
    monkeypatch.chdir(tmp_path)
    own_objective.cache_clear()
    if text is not None:
        Path("my_losses.py").write_text(text, encoding="utf-8")
    with pytest.raises(UserError, match=complaint):
        objective_class("my_losses.py:Own")


def test_a_loss_that_ends_the_program_is_named(glyphs_dir, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    own_objective.cache_clear()
    code = "import sys\nfrom cliptail_jax.objectives.supervised import Supervised\nclass Own(Supervised):\n"
    Path("my_losses.py").write_text(f"{code}    def loss(self, *_):\n        sys.exit(0)\n", encoding="utf-8")
    with pytest.raises(UserError, match="my_losses.py, line 5, ends the program: leave out its call of sys.exit"):
        train(run_config(sup, glyphs_dir, objective="my_losses.py:Own"), tmp_path / "run")


PRIORS = """
from cliptail_jax.objectives.supervised import Supervised

class Poly(Supervised):
    epsilon = 1.0
    def loss(self, *arguments): return super().loss(*arguments)

class Stated(Poly):
    @classmethod
    def effective_log_prior(cls, config, frequency): return frequency * 0.0

class Inherits(Poly): epsilon = 2.0
class InheritsStated(Stated): epsilon = 2.0
class Again(Stated):
    def loss(self, *arguments): return super().loss(*arguments)
class Attribute(Supervised): epsilon = 2.0
"""


@pytest.mark.parametrize(
    "name, is_unknown",
    dict(Poly=True, Stated=False, Inherits=True, InheritsStated=False, Again=True, Attribute=False).items(),
)
def test_the_prior_of_a_class_with_a_loss_that_is_not_the_packages_has_to_be_stated(
    tmp_path, monkeypatch, glyphs_dir, name, is_unknown
):
    monkeypatch.chdir(tmp_path)
    own_objective.cache_clear()
    Path("my_losses.py").write_text(PRIORS, encoding="utf-8")
    values = plain(run_config(sup, glyphs_dir, objective=f"my_losses.py:{name}"))
    if is_unknown:
        with pytest.raises(UserError, match="has no known effective log-prior"):
            effective_log_prior(values, np.array([3, 2, 1]))
    else:
        assert effective_log_prior(values, np.array([3, 2, 1])).shape == (3,)


def test_the_digest_of_an_objective_covers_what_its_file_imports_from_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [folder for folder in sys.path if folder])
    own_objective.cache_clear()
    Path("shared_part.py").write_text("import numpy\nweight = 1.0\n", encoding="utf-8")
    Path("parts_of_it").mkdir()
    Path("parts_of_it/__init__.py").write_text("from . import terms\n", encoding="utf-8")
    Path("parts_of_it/terms.py").write_text("from shared_part import weight\n", encoding="utf-8")
    Path("unrelated.py").write_text("", encoding="utf-8")
    Path("imported_later.py").write_text("", encoding="utf-8")
    text = f"import parts_of_it.terms\ndef late():\n    import imported_later\n{PRIORS}"
    Path("my_losses.py").write_text(text, encoding="utf-8")
    objective_class("my_losses.py:Poly")
    digest = objective_digest("my_losses.py:Poly")
    importlib.import_module("imported_later")
    assert objective_digest("my_losses.py:Poly") == digest
    Path("unrelated.py").write_text("x = 1", encoding="utf-8")
    assert objective_digest("my_losses.py:Poly") == digest
    files = ("shared_part.py", "imported_later.py", "parts_of_it/__init__.py", "parts_of_it/terms.py", "my_losses.py")
    for path in files:
        text = Path(path).read_text(encoding="utf-8")
        Path(path).write_text(text + "# another version\n", encoding="utf-8")
        assert objective_digest("my_losses.py:Poly") != digest, path
        Path(path).write_text(text, encoding="utf-8")
    assert objective_digest("my_losses.py:Poly") == digest
    assert objective_digest("supervised") == ""
    digest = objective_digest("parts_of_it.terms:Poly")  # of a package, whose modules import one beside it
    Path("shared_part.py").write_text("weight = 2.0\n", encoding="utf-8")
    assert objective_digest("parts_of_it.terms:Poly") != digest


def test_no_program_runs_code_that_only_a_run_names(glyphs_dir, tmp_path, monkeypatch, capsys):
    """Of a stranger's run, or of one whose config.json was changed afterwards."""
    folder = tmp_path / "folder"
    folder.mkdir()
    monkeypatch.chdir(folder)
    own_objective.cache_clear()
    workdir = tmp_path / "run"
    train(run_config(sup, glyphs_dir), workdir)
    Path("evil.py").write_text(f"from pathlib import Path\nPath({str(tmp_path)!r}, 'evil').touch()\n", encoding="utf-8")
    document = json.loads((workdir / "config.json").read_text(encoding="utf-8"))
    document["config"]["objective"] = f"{folder}/evil.py:X"
    (workdir / "config.json").write_text(json.dumps(document), encoding="utf-8")
    images = ["--images=glyphs:test", f"--data_dir={glyphs_dir}", "--output=predictions.csv"]
    for is_damaged in (True, False):  # by the digests of the run's files
        assert report([f"--workdir={workdir}", "--output=page.html"]) == 0
        assert forecast(["sl", f"--workdir={workdir}", "--output=forecasts.tsv"]) == 2
        capsys.readouterr()
        assert evaluate([f"--workdir={workdir}"]) == 2
        assert ("sha256.json" in capsys.readouterr().err) == is_damaged
        assert predict([f"--workdir={workdir}", "--without_prior", *images]) == 2
        with pytest.raises(UserError) if is_damaged else contextlib.nullcontext():
            load_results(workdir)
        (workdir / "sha256.json").unlink(missing_ok=True)
    assert predict([f"--workdir={workdir}", *images]) == 0
    assert not (tmp_path / "evil").exists()


def test_a_name_that_is_no_objective_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="'suprvised'; it must be one of 'supervised', .*, or FILE.py:CLASS"):
        objective_class("suprvised")
    for name, complaint in {
        "no_such_package:Own": "there is no module no_such_package: install it, or name its file, as in no_such_package.py:CLASS",
        ":Own": "config key 'objective' begins with ':'",
        str(
            Path(smoothed_clip.__file__)
        ): "smoothed_clip.py is named without a class; there are Smoothed: name one, as in",
    }.items():
        with pytest.raises(UserError, match=complaint):
            objective_class(name)


def test_the_objective_on_the_page_trains_resumes_is_evaluated_and_reported(glyphs_dir, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    own_objective.cache_clear()
    _, code = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    Path("my_losses.py").write_text(code, encoding="utf-8")
    config = run_config(sup, glyphs_dir, objective="my_losses.py:Poly")
    whole, workdir = tmp_path / "whole", tmp_path / "run"
    train(config, whole)
    copy = unfinish(shutil.copytree(whole, workdir))
    shutil.rmtree(copy / "checkpoints" / "6")
    train(config, workdir)
    assert losses(whole) == losses(workdir)
    assert 0 < losses(whole)[-1][1] < 10
    assert evaluate([f"--workdir={workdir}"]) == 2  # the run names code, and not the user
    line = (
        "was trained with my_losses.py:Poly, code that this program runs only if you name it: add --config.objective="
    )
    assert line in capsys.readouterr().err
    assert evaluate([f"--workdir={workdir}", "--config.objective=my_losses.py:Poly"]) == 0
    assert json.loads((workdir / "loss.json").read_text()) == {
        "unknown": "objective='my_losses.py:Poly' has no known effective log-prior"
    }
    assert report([f"--workdir={tmp_path}"]) == 0
    text = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "my_losses.py:Poly" in text
    with pytest.raises(UserError, match="my_losses.py:Poly' has no known effective log-prior"):
        effective_log_prior(plain(config), np.array([3, 2, 1]))
    Path("my_losses.py").write_text(f"{code}\n# another version\n", encoding="utf-8")
    with pytest.raises(
        UserError, match="another config .my_losses.py has changed since it was trained.; choose another"
    ):
        train(config, workdir)
    Path("my_losses.py").unlink()
    own_objective.cache_clear()
    assert report([f"--workdir={tmp_path}"]) == 0  # results are shown without the file


@pytest.mark.program
def test_a_module_and_an_entry_in_the_table_suffice_for_a_program_to_train_by_an_objective(glyphs_dir, tmp_path):
    package = tmp_path / "cliptail_jax"
    package.mkdir()
    for path in PACKAGE.iterdir():
        if path.name != "objectives":
            (package / path.name).symlink_to(path)
    (tmp_path / "configs").symlink_to(PACKAGE.parent / "configs")
    objectives = shutil.copytree(PACKAGE / "objectives", package / "objectives")
    shutil.copy(smoothed_clip.__file__, objectives)
    table = objectives / "__init__.py"
    lines = table.read_text(encoding="utf-8").splitlines()
    lines.insert(lines.index("}"), '    "smoothed": Smoothed,')
    lines.insert(
        lines.index("from cliptail_jax.objectives.supervised import Supervised"),
        "from cliptail_jax.objectives.smoothed_clip import Smoothed",
    )
    table.write_text("\n".join(lines), encoding="utf-8")

    workdir = tmp_path / "run"
    arguments = command(workdir, glyphs_dir, clip, total_steps=1, eval__sets=())
    arguments += ["--config.objective=smoothed", f"--config.{SHARE}=0.1"]
    environment = os.environ | {"XLA_FLAGS": with_devices(1), "PYTHONPATH": ""}
    process = subprocess.run(arguments, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert process.returncode == 0, process.stderr
    assert json.loads((workdir / "metrics.jsonl").read_text(encoding="utf-8").splitlines()[-1])["train/loss"] > 0
    assert json.loads((workdir / "config.json").read_text(encoding="utf-8"))["config"][SHARE] == 0.1
