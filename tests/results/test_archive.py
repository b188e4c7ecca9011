"""Archives of studies: what they contain, and what they leave out."""

import dataclasses
import json
import shlex
import tarfile

import numpy as np
import pytest

from cliptail_jax.claims.judge import judge
from cliptail_jax.claims.testing import evaluate_claims
from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import files_below, load_arrays, read_json, write_json
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.results.archive import portable, unpack, write_archive
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.study import read_study, write_study
from cliptail_jax.runs.provenance import CLONE, history
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.run import open_study, report_study
from tests.synthetic_studies import (
    claim,
    make_transfer_study,
    read_report,
    run_study,
    two_seeds,
)


def test_an_unpacked_archive_gives_the_report_of_the_study(published_study, results, tmp_path):
    unpacked = unpack(results / f"made{ARCHIVE}", tmp_path)
    assert not read_directory(unpacked).problems  # digests included
    report_study(open_study(typed_study(two_seeds()), unpacked))
    expected, report = (read_report(folder)[1] for folder in (published_study, unpacked))
    assert expected.pop("seconds") and report.pop("seconds")
    assert report == expected and [c["verdict"] for c in report["claims"]] == ["supported", "supported"]


def test_another_statistic_is_tested_on_an_archive_without_training(published_study, results, tmp_path):
    contents = read_directory(unpack(results / f"made{ARCHIVE}", tmp_path))
    (run,) = [run for run in contents.runs if (run.seed, run.name) == ("seed_3", "a")]
    original = load_arrays(published_study / "seed_3/a/eval/glyphs_test/latest.npz")
    np.testing.assert_array_equal(run.evaluation.results.correct, np.diagonal(original["confusion"]))
    np.testing.assert_array_equal(run.evaluation.results.predictions, original["confusion"].sum(axis=0))
    new_claim = dataclasses.replace(contents.study.claims["one"], statistic="slope_pred")
    replicates = [
        [{run.name: run for run in contents.runs if run.seed == seed}] for (seed,) in contents.study.replicates
    ]
    assert (
        evaluate_claims({"new": new_claim}, replicates, {})["new"].verdict == "supported" and "slope_pred" in MEASURES
    )


def test_archives_have_no_paths_of_the_machine_and_the_same_bytes_for_the_same_results(trains, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    archives = []
    for machine in ("here", "there"):
        workdir = tmp_path / machine / "study"
        run_study(two_seeds(data_dir=tmp_path / machine), workdir)
        command = (
            f"cliptail study made --workdir {workdir} --config.seeds=2 --config.data_dir={tmp_path / machine} --jobs=2"
        )
        study = dataclasses.replace(
            read_study(workdir), command=command, commands={"a": f"{command} --only=a"}, failures={"c": str(tmp_path)}
        )
        write_study(workdir, study)
        for config in workdir.glob("*/*/config.json"):
            document = read_json(config) | {"command": command}
            (config.parent / "sha256.json").unlink()
            write_json(config, document)
        for name in ("checkpoints/8/weights", "tensorboard/events.1.host", "lock", "eval/glyphs_test/features.npy"):
            (file := workdir / "seed_3/a" / name).parent.mkdir(parents=True, exist_ok=True)
            file.write_text(str(tmp_path))
        (workdir / "forecasts.tsv").write_text("recipe\n")
        write_archive(workdir, tmp_path / machine / f"made{ARCHIVE}")
        archives.append((tmp_path / machine / f"made{ARCHIVE}").read_bytes())
    assert archives[0] == archives[1]
    unpacked = unpack(tmp_path / f"here/made{ARCHIVE}", tmp_path)
    files = {str(file.relative_to(unpacked)): file.read_bytes() for file in files_below(unpacked)}
    assert not any(str(tmp_path).encode() in content for content in files.values())
    assert {name.removeprefix("seed_3/a/") for name in files if not name.startswith(("seed_4", "seed_3/b"))} == {
        *("study.json", "claims.json", "forecasts.tsv"),
        *("config.json", "class_frequency.tsv", "variant.json", "metrics.jsonl"),
        *("sha256.json", "eval/glyphs_test/summary.jsonl", "eval/glyphs_test/latest.npz"),
    }
    assert shlex.split(read_study(unpacked).commands["a"]) == (
        "cliptail study made --config.seeds=2 --jobs=2 --only=a --workdir=runs/made".split()
    )
    with tarfile.open(tmp_path / f"here/made{ARCHIVE}") as archive:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}


@pytest.mark.parametrize("commits_of_history", [{"first", "second"}, set()], ids=["history", "unknown history"])
def test_archives_mark_commits_that_the_history_lacks(commits_of_history, published_study, tmp_path, monkeypatch):
    mark = " (not in the history)" if commits_of_history else ""
    commits = {
        "seed_3/a": ("first", "first"),
        "seed_3/b": ("second-dirty", "second-dirty"),
        "seed_4/a": ("amended", f"amended{mark}"),
        "seed_4/b": ("amended (not in the history)",) * 2,  # of an unpacked archive
    }
    for run, (commit, _) in commits.items():
        config = published_study / run / "config.json"
        write_json(config, read_json(config) | {"commit": commit})
        (published_study / run / "sha256.json").unlink()
    monkeypatch.setattr("cliptail_jax.results.archive.history", lambda clone: frozenset(commits_of_history))
    write_archive(published_study, tmp_path / f"marked{ARCHIVE}")
    contents = read_directory(unpack(tmp_path / f"marked{ARCHIVE}", tmp_path))
    assert not contents.problems
    archived_commits = {f"{run.seed}/{run.name}": run.document["commit"] for run in contents.runs}
    assert archived_commits == {run: expected for run, (_, expected) in commits.items()}


def test_published_runs_name_commits_of_the_history_or_are_marked():
    if not (commits := history(CLONE)):
        pytest.skip("this is no clone with its history")
    wrong_commits, number = {}, 0
    for archive in sorted((CLONE / "configs/study/results").glob(f"*{ARCHIVE}")):
        with tarfile.open(archive) as files:
            for entry in files:
                if entry.name.endswith("/config.json"):
                    number += 1
                    commit, mark, _ = json.load(files.extractfile(entry))["commit"].partition(" (not in the history)")
                    if (commit.removesuffix("-dirty") in commits) == bool(mark):
                        wrong_commits[f"{archive.name}: {entry.name}"] = commit
    assert number > 500 and not wrong_commits, (
        "archive them again: scripts/update_pages.py NAME=WORKDIR marks their commits"
    )


def test_what_cannot_be_published_is_one_line(published_study, tmp_path):
    def assert_refused(workdir, complaint):
        with pytest.raises(UserError, match=complaint):
            write_archive(workdir, tmp_path / f"refused{ARCHIVE}")
        assert not (tmp_path / f"refused{ARCHIVE}").exists()

    assert_refused(published_study / "seed_3", "seed_3 contains no study: give the directory of one")
    assert_refused(tmp_path / "nowhere", "nowhere is not a directory")
    config = published_study / "seed_3/a/config.json"
    document = read_json(config)
    document["config"]["eval.templates"] = "/home/me/prompts.txt"
    write_json(config, document)
    assert_refused(published_study, "seed_3/a/config.json is damaged or was changed by hand")
    (config.parent / "sha256.json").unlink()
    assert_refused(
        published_study,
        "seed_3/a/config.json names /home/me/prompts.txt, a path of this machine, which is not published",
    )


def test_results_of_a_transfer_are_kept(trains, probes, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    probes[0].update(a=0.5, b=0.9)
    study = make_transfer_study("a", "b", c=claim("probe", "b", "a"))
    run_study(study, tmp_path / "study")
    write_archive(tmp_path / "study", tmp_path / f"made{ARCHIVE}")
    unpacked = unpack(tmp_path / f"made{ARCHIVE}", tmp_path)
    assert not any(str(tmp_path) in text.read_text() for text in unpacked.rglob("*.jsonl"))
    contents, (expected,) = read_directory(unpacked), read_report(tmp_path / "study")[1]["claims"]
    result = judge(contents)["c"]
    assert not contents.problems and result.verdict == expected["verdict"] == "supported"
    assert result.difference.low == expected["difference"]["low"]


def test_the_published_command_has_no_flag_or_path_of_the_first_call():
    for flag in ("--with_published", "--with-published"):
        command = f"cliptail study mechanism {flag} --config.seeds=12 --config.data_dir=/data/tfds --workdir=/runs/mine"
        assert portable(command, "mechanism") == "cliptail study mechanism --config.seeds=12 --workdir=runs/mechanism"
