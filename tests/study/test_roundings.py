"""A study is repeated with the roundings of other processors, and its verdicts are printed side by side."""

import json
import subprocess
from pathlib import Path
from types import SimpleNamespace

from cliptail_jax.claims.verdicts import ClaimResult, claim_numbers
from cliptail_jax.host.files import write_json
from cliptail_jax.metrics.bootstrap import Estimate
from configs.study.analyses import roundings
from tests.pages import table_rows

DIFFERENCES = {"all": 2.0, "AVX2": 0.5, "SSE4_2": None}  # by folder; the last one has a failed run


def stand_in(command, env, stdout):
    """Writes the report of the study whose command is given, as a finished study does; notes its XLA flags."""
    workdir = Path(next(argument for argument in command if argument.startswith("--workdir=")).partition("=")[2])
    workdir.mkdir()
    value = DIFFERENCES[workdir.name]
    estimate = value and Estimate(value, value - 1, value + 1)
    claim = ClaimResult("More biased", "odds_acc", "a", "b", difference=estimate, obstacle="", corrected="inconclusive")
    write_json(workdir / "report.json", {"claims": [{"key": "one", "flags": env["XLA_FLAGS"], **claim_numbers(claim)}]})
    return SimpleNamespace(returncode=0)


def test_each_rounding_has_a_column_with_differences_and_verdicts(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", stand_in)
    monkeypatch.setenv("XLA_FLAGS", "--own")
    assert roundings.main([f"--workdir={tmp_path}"]) == 0
    (row,) = table_rows(capsys.readouterr().out, "claim")
    assert list(row.values()) == [
        "More biased (odds_acc)",
        "2.00 [1.00, 3.00] supported (inconclusive when corrected)",
        "0.50 [-0.50, 1.50] inconclusive",
        "not tested",
    ]
    flags = [json.loads((tmp_path / name / "report.json").read_text())["claims"][0]["flags"] for name in DIFFERENCES]
    assert flags == ["--own", "--own --xla_cpu_max_isa=AVX2", "--own --xla_cpu_max_isa=SSE4_2"]


def test_a_study_that_fails_ends_with_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: SimpleNamespace(returncode=1))
    assert roundings.main([f"--workdir={tmp_path}"]) == 2
    assert f"error: the study in {tmp_path / 'all'} has failed" in capsys.readouterr().err
