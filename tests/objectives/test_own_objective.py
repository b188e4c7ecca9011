"""An objective that is added as "How to add" in tests/README.md says, with a section of its own."""

import json
import os
import pickle
import shutil
import subprocess
from dataclasses import dataclass, make_dataclass
from pathlib import Path
from typing import Annotated

import pytest

import cliptail_jax
from cliptail_jax.config.fields import Section, fields_of, to_config, typed
from cliptail_jax.host.errors import UserError
from cliptail_jax.objectives import FIELDS, OBJECTIVES, TrainingConfig, config_class
from cliptail_jax.objectives.contrastive import ContrastiveOptions
from cliptail_jax.objectives.supervised import Loss
from cliptail_jax.training.configuration import Training
from configs import clip
from tests import smoothed_clip
from tests.forked_programs import with_devices
from tests.run_commands import command
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
