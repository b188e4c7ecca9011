"""Archives of studies: what they keep, and what they do not; the report from them; and studies that continue published ones."""

import dataclasses
import json
import shlex
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from cliptail_jax.claims.testing import evaluate_claims
from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import files_below, load_arrays, read_json, write_json
from cliptail_jax.metrics.measures import MEASURES
from cliptail_jax.results.archive import portable, unpack, write_archive
from cliptail_jax.results.directory import read_directory
from cliptail_jax.results.study import read_study, write_study
from cliptail_jax.runs.provenance import CLONE, history
from cliptail_jax.study import published
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.published import add_published
from cliptail_jax.study.run import open_study, report_study
from tests.study.synthetic_studies import (
    claim,
    make_seeded_study,
    make_transfer_study,
    read_report,
    run_study,
)
from tests.tiny_runs import tiny

CLAIMS = dict(one=claim("odds_acc", "a", "b", margin=0.2), other=claim("tail", "b", "a"))


def two_seeds(seeds=2, data_dir=""):
    made = make_seeded_study(seeds, "a", "b", **CLAIMS)
    for run in made.runs.values():
        run.data.data_dir = str(data_dir)
    return made


@pytest.fixture
def results(tmp_path, monkeypatch):
    """The folder of published results, which is empty."""
    monkeypatch.setattr("cliptail_jax.config.files.PACKAGE", tmp_path / "package")
    (folder := tmp_path / "package/configs/study/results").mkdir(parents=True)
    return folder


@pytest.fixture
def made(trains, results, tmp_path):
    """The directory of a study of two seeds, which is published as 'made'; the list of trained runs is empty."""
    trains[0].update(a=0.8, b=0.0)
    run_study(two_seeds(), tmp_path / "study")
    write_archive(tmp_path / "study", results / f"made{ARCHIVE}")
    shutil.copy(tmp_path / "study/report.json", results / "made.json")
    trains[1].clear()
    return tmp_path / "study"


def test_an_unpacked_archive_gives_the_report_of_the_study(made, results, tmp_path):
    unpacked = unpack(results / f"made{ARCHIVE}", tmp_path)
    assert not read_directory(unpacked).problems  # digests included
    report_study(open_study(typed_study(two_seeds()), unpacked))
    before, after = (read_report(folder)[1] for folder in (made, unpacked))
    assert before.pop("seconds") and after.pop("seconds")
    assert after == before and [c["verdict"] for c in after["claims"]] == ["supported", "supported"]


def test_another_statistic_is_tested_on_an_archive_without_training(made, results, tmp_path):
    contents = read_directory(unpack(results / f"made{ARCHIVE}", tmp_path))
    (run,) = [run for run in contents.runs if (run.seed, run.name) == ("seed_3", "a")]
    original = load_arrays(made / "seed_3/a/eval/glyphs_test/latest.npz")
    np.testing.assert_array_equal(run.evaluation.results.correct, np.diagonal(original["confusion"]))
    np.testing.assert_array_equal(run.evaluation.results.predictions, original["confusion"].sum(axis=0))
    new = dataclasses.replace(contents.study.claims["one"], statistic="slope_pred")
    replicates = [
        [{run.name: run for run in contents.runs if run.seed == seed}] for (seed,) in contents.study.replicates
    ]
    assert evaluate_claims({"new": new}, replicates, {})["new"].verdict == "supported" and "slope_pred" in MEASURES


def test_a_study_of_one_seed_borrows_the_variance_between_seeds(made, tmp_path):
    one_seed = make_seeded_study(1, "a", "b", **CLAIMS)
    one_seed.variances_from = "made"
    run_study(one_seed, tmp_path / "new")
    text, report = read_report(tmp_path / "new")
    assert [c["borrowed"] for c in report["claims"]] == ["made", "made"] and "the published results of made" in text
    borrowed = read_study(tmp_path / "new").borrowed
    assert borrowed.study == "made" and borrowed.variances.keys() == {"odds_acc", "tail"}
    one_seed.variances_from = "new"
    with pytest.raises(UserError, match="there are no results 'new'"):
        open_study(typed_study(one_seed), tmp_path / "other")


def test_archives_have_no_paths_of_the_machine_and_the_same_bytes_for_the_same_results(trains, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    archives = []
    for place in ("here", "there"):
        workdir = tmp_path / place / "study"
        run_study(two_seeds(data_dir=tmp_path / place), workdir)
        command = (
            f"cliptail study made --workdir {workdir} --config.seeds=2 --config.data_dir={tmp_path / place} --jobs=2"
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
        write_archive(workdir, tmp_path / place / f"made{ARCHIVE}")
        archives.append((tmp_path / place / f"made{ARCHIVE}").read_bytes())
    assert archives[0] == archives[1]
    unpacked = unpack(tmp_path / f"here/made{ARCHIVE}", tmp_path)
    files = {str(file.relative_to(unpacked)): file.read_bytes() for file in files_below(unpacked)}
    assert not any(str(tmp_path).encode() in content for content in files.values())
    assert {name.removeprefix("seed_3/a/") for name in files if not name.startswith(("seed_4", "seed_3/b"))} == {
        *("study.json", "claims.json", "config.json", "class_frequency.tsv", "variant.json", "metrics.jsonl"),
        *("sha256.json", "eval/glyphs_test/summary.jsonl", "eval/glyphs_test/latest.npz"),
    }
    assert shlex.split(read_study(unpacked).commands["a"]) == (
        "cliptail study made --config.seeds=2 --jobs=2 --only=a --workdir=runs/made".split()
    )
    with tarfile.open(tmp_path / f"here/made{ARCHIVE}") as archive:
        assert {(entry.mtime, entry.uid, entry.uname) for entry in archive} == {(0, 0, "")}


@pytest.mark.parametrize("known", [{"first", "second"}, set()], ids=["history", "unknown history"])
def test_archives_mark_commits_that_the_history_lacks(known, made, tmp_path, monkeypatch):
    mark = " (not in the history)" if known else ""
    commits = {
        "seed_3/a": ("first", "first"),
        "seed_3/b": ("second-dirty", "second-dirty"),
        "seed_4/a": ("amended", f"amended{mark}"),
        "seed_4/b": ("amended (not in the history)",) * 2,  # of an unpacked archive
    }
    for run, (commit, _) in commits.items():
        config = made / run / "config.json"
        write_json(config, read_json(config) | {"commit": commit})
        (made / run / "sha256.json").unlink()
    monkeypatch.setattr("cliptail_jax.results.archive.history", lambda clone: frozenset(known))
    write_archive(made, tmp_path / f"marked{ARCHIVE}")
    contents = read_directory(unpack(tmp_path / f"marked{ARCHIVE}", tmp_path))
    assert not contents.problems
    found = {f"{run.seed}/{run.name}": run.noted["commit"] for run in contents.runs}
    assert found == {run: expected for run, (_, expected) in commits.items()}


def test_published_runs_name_commits_of_the_history_or_are_marked():
    if not (known := history(CLONE)):
        pytest.skip("this is no clone with its history")
    wrong, number = {}, 0
    for archive in sorted((CLONE / "configs/study/results").glob(f"*{ARCHIVE}")):
        with tarfile.open(archive) as files:
            for entry in files:
                if entry.name.endswith("/config.json"):
                    number += 1
                    commit, mark, _ = json.load(files.extractfile(entry))["commit"].partition(" (not in the history)")
                    if (commit.removesuffix("-dirty") in known) == bool(mark):
                        wrong[f"{archive.name}: {entry.name}"] = commit
    assert number > 500 and not wrong, "archive them again: scripts/update_pages.py NAME=WORKDIR marks their commits"


def test_what_cannot_be_published_is_one_line(made, tmp_path):
    def refused(workdir, complaint):
        with pytest.raises(UserError, match=complaint):
            write_archive(workdir, tmp_path / f"refused{ARCHIVE}")
        assert not (tmp_path / f"refused{ARCHIVE}").exists()

    refused(made / "seed_3", "seed_3 contains no study: give the directory of one")
    refused(tmp_path / "nowhere", "nowhere is not a directory")
    config = made / "seed_3/a/config.json"
    document = read_json(config)
    document["config"]["eval.templates"] = "/home/me/prompts.txt"
    write_json(config, document)
    refused(made, "seed_3/a/config.json is damaged or was changed by hand")
    (config.parent / "sha256.json").unlink()
    refused(made, "seed_3/a/config.json names /home/me/prompts.txt, a path of this machine, which is not published")


def test_results_of_a_transfer_are_kept(trains, probes, tmp_path):
    trains[0].update(a=0.8, b=0.0)
    probes[0].update(a=0.5, b=0.9)
    study = make_transfer_study("a", "b", c=claim("probe", "b", "a"))
    run_study(study, tmp_path / "study")
    write_archive(tmp_path / "study", tmp_path / f"made{ARCHIVE}")
    unpacked = unpack(tmp_path / f"made{ARCHIVE}", tmp_path)
    assert not any(str(tmp_path) in text.read_text() for text in unpacked.rglob("*.jsonl"))
    contents, (expected,) = read_directory(unpacked), read_report(tmp_path / "study")[1]["claims"]
    assert not contents.problems and contents.claims["c"].verdict == expected["verdict"] == "supported"
    assert contents.claims["c"].difference.low == expected["difference"]["low"]


def test_a_study_continues_published_runs(made, trains, tmp_path, capsys):
    workdir = tmp_path / "more"
    for _ in range(2):  # the same command again continues
        add_published(typed_study(two_seeds(3)), "made", workdir)
        run_study(two_seeds(3), workdir)
    assert trains[1] == ["a", "b"]  # of one seed
    text, report = read_report(workdir)
    assert list(report["runs"]) == ["seed_3", "seed_4", "seed_5"]
    assert report["runs"]["seed_3"] == read_report(made)[1]["runs"]["seed_3"]
    assert "‡ marks claims on runs whose recipes were changed after the first run: seeds=2 not 3" in text
    assert capsys.readouterr().err.count("4 published runs of made") == 1


def test_an_interrupted_copy_of_published_runs_is_continued(made, trains, tmp_path, monkeypatch):
    config, workdir = typed_study(two_seeds()), tmp_path / "more"
    for number in range(100):
        left = iter(range(number + 1))

        def write(path, content, left=left, write_bytes=published.write_bytes):
            if next(left, None) is None:
                raise KeyboardInterrupt
            write_bytes(path, content)

        with monkeypatch.context() as patch:
            patch.setattr(published, "write_bytes", write)
            try:
                add_published(config, "made", workdir)
                break
            except KeyboardInterrupt:
                pass
    assert number > 3
    run_study(two_seeds(), workdir)
    assert not trains[1] and read_report(workdir)[1]["claims"] == read_report(made)[1]["claims"]


def other_recipe():
    made = two_seeds()
    made.runs.b.optimizer.learning_rate = 0.3
    return made


def other_evaluation():
    made = two_seeds()
    made.runs.b.eval.tail_classes = 3
    return made


def test_published_runs_that_a_study_cannot_continue_are_one_line(made, results, tmp_path):
    def refused(study, name, complaint, workdir=tmp_path / "new"):
        before = sorted(workdir.rglob("*")) if workdir.exists() else []
        with pytest.raises(UserError, match=complaint) as error:
            add_published(typed_study(study), name, workdir)
        assert "\n" not in str(error.value) and (sorted(workdir.rglob("*")) if workdir.exists() else []) == before

    not_those = r"the published runs are not those of this config \(made: "
    refused(other_recipe(), "made", rf"{not_those}seed_3/b: optimizer.learning_rate=.* not 0.3\): go back to")
    refused(two_seeds(1), "made", rf"{not_those}this config has no run seed_4/a\)")
    refused(other_evaluation(), "made", rf"{not_those}seed_3/b was evaluated on other sets or with other settings\)")
    refused(make_transfer_study("a", "b"), "made", "--with_published: a transfer needs checkpoints")
    refused(two_seeds(), "maid", r"there are no published results 'maid' \(did you mean made\?\): there are made")
    write_json(results / "old.json", {})
    refused(two_seeds(), "old", "old has no stored counts, since an earlier version published its results")
    (other := tmp_path / "other").mkdir()
    (other / "notes.txt").write_text("mine")
    refused(two_seeds(), "made", "other contains notes.txt, and --with_published begins in an empty directory", other)
    shutil.copytree(made, own := tmp_path / "own")
    (own / "claims.json").write_text("{}")
    refused(two_seeds(), "made", "own contains claims.json, and --with_published begins", own)
    shutil.copytree(made, own := tmp_path / "trained")
    for file in own.glob("seed_*/*/config.json"):
        write_json(file, read_json(file) | {"commit": "mine"})
    for path in own.iterdir():
        if path.name.startswith("report") or path.name == "figures":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(two_seeds(), "made", "trained/seed_3/[ab] is not the published run: choose another --workdir", own)
    whole = (results / f"made{ARCHIVE}").read_bytes()
    for damaged in (b"", b"no archive", whole[: len(whole) // 2], whole[:900] + bytes([whole[900] ^ 1]) + whole[901:]):
        (results / f"made{ARCHIVE}").write_bytes(damaged)
        refused(two_seeds(), "made", r"made.tar.xz is damaged \(.*\): restore it from a copy, or install the package")
    with tarfile.open(results / f"made{ARCHIVE}", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    refused(two_seeds(), "made", r"made.tar.xz is damaged \(.*outside")


def test_a_variant_is_found_by_its_recipe(made, results, tmp_path):
    shutil.copy(results / f"made{ARCHIVE}", results / f"made_variant{ARCHIVE}")
    (results / f"made{ARCHIVE}").unlink()
    write_json(results / "made.json", {})  # of an earlier version
    add_published(typed_study(two_seeds()), "made", tmp_path / "new")
    assert Path(tmp_path / "new/seed_4/b/config.json").exists()


@pytest.mark.program
def test_trained_runs_are_published_and_continued_without_their_checkpoints(glyphs_dir, results, pictures, tmp_path):
    from configs import sup

    def study(seeds):
        made = make_seeded_study(seeds, "a")
        made.runs.a.update(tiny(sup, glyphs_dir))  # the study's seed refers to that of the run
        made.runs.a.total_epochs = 1
        return made

    run_study(study(1), tmp_path / "study")
    write_archive(tmp_path / "study", results / f"made{ARCHIVE}")
    add_published(typed_study(study(2)), "made", tmp_path / "more")
    run_study(study(2), tmp_path / "more")
    first, more = (json.loads((tmp_path / name / "report.json").read_text())["runs"] for name in ("study", "more"))
    assert list(more) == ["seed_0", "seed_1"] and more["seed_0"] == first["seed_0"]
    assert not (tmp_path / "more/seed_0/a/checkpoints").exists() and (tmp_path / "more/seed_1/a/checkpoints").exists()


def test_the_published_command_has_no_flag_or_path_of_the_first_call():
    for spelt in ("--with_published", "--with-published"):
        command = (
            f"cliptail study mechanism {spelt} --config.seeds=12 --config.data_dir=/data/tfds --workdir=/runs/mine"
        )
        assert portable(command, "mechanism") == "cliptail study mechanism --config.seeds=12 --workdir=runs/mechanism"
