"""The report of a study that borrows from published results, and studies that continue published ones."""

import json
import shutil
import tarfile
from pathlib import Path

import pytest

from cliptail_jax.claims.borrowed import borrow_variances
from cliptail_jax.config.files import ARCHIVE
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import read_json, write_json
from cliptail_jax.results.archive import write_archive
from cliptail_jax.results.study import read_study
from cliptail_jax.study import published
from cliptail_jax.study.configuration import typed_study
from cliptail_jax.study.published import add_published
from cliptail_jax.study.run import open_study
from tests.synthetic_studies import (
    CLAIMS,
    make_seeded_study,
    make_transfer_study,
    read_report,
    run_study,
    two_seeds,
)
from tests.tiny_runs import tiny


def test_a_study_of_one_seed_borrows_the_variance_between_seeds(published_study, tmp_path):
    one_seed = make_seeded_study(1, "a", "b", **CLAIMS)
    one_seed.variances_from = "made"
    run_study(one_seed, tmp_path / "new")
    text, report = read_report(tmp_path / "new")
    assert [c["borrowed"] for c in report["claims"]] == ["made", "made"] and "the published results of made" in text
    assert read_study(tmp_path / "new").variances_from == "made"  # with the variances that these results have now
    assert {"odds_acc", "tail"} <= borrow_variances("made").variances.keys()
    one_seed.variances_from = "new"
    with pytest.raises(UserError, match="there are no results 'new'"):
        open_study(typed_study(one_seed), tmp_path / "other")


def test_a_study_continues_published_runs(published_study, trains, tmp_path, capsys):
    workdir = tmp_path / "more"
    for _ in range(2):  # the same command again continues
        add_published(typed_study(two_seeds(3)), "made", workdir)
        run_study(two_seeds(3), workdir)
    assert trains[1] == ["a", "b"]  # of one seed
    text, report = read_report(workdir)
    assert list(report["runs"]) == ["seed_3", "seed_4", "seed_5"]
    assert report["runs"]["seed_3"] == read_report(published_study)[1]["runs"]["seed_3"]
    assert "‡ marks claims on runs whose recipes were changed after the first run: seeds=2 not 3" in text
    assert capsys.readouterr().err.count("4 published runs of made") == 1


def test_an_interrupted_copy_of_published_runs_is_continued(published_study, trains, tmp_path, monkeypatch):
    config, workdir = typed_study(two_seeds()), tmp_path / "more"
    for number in range(100):
        writes = iter(range(number + 1))

        def write(path, content, writes=writes, write_bytes=published.write_bytes):
            if next(writes, None) is None:
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
    assert not trains[1] and read_report(workdir)[1]["claims"] == read_report(published_study)[1]["claims"]


def other_recipe():
    config = two_seeds()
    config.runs.b.optimizer.learning_rate = 0.3
    return config


def other_evaluation():
    config = two_seeds()
    config.runs.b.eval.tail_classes = 3
    return config


def test_published_runs_that_a_study_cannot_continue_are_one_line(published_study, results, tmp_path):
    def refused(study, name, complaint, workdir=tmp_path / "new"):
        old_files = sorted(workdir.rglob("*")) if workdir.exists() else []
        with pytest.raises(UserError, match=complaint) as error:
            add_published(typed_study(study), name, workdir)
        assert "\n" not in str(error.value) and (sorted(workdir.rglob("*")) if workdir.exists() else []) == old_files

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
    shutil.copytree(published_study, directory := tmp_path / "own")
    (directory / "claims.json").write_text("{}")
    refused(two_seeds(), "made", "own contains claims.json, and --with_published begins", directory)
    shutil.copytree(published_study, directory := tmp_path / "trained")
    for file in directory.glob("seed_*/*/config.json"):
        write_json(file, read_json(file) | {"commit": "mine"})
    for path in directory.iterdir():
        if path.name.startswith("report") or path.name == "figures":
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    refused(two_seeds(), "made", "trained/seed_3/[ab] is not the published run: choose another --workdir", directory)
    content = (results / f"made{ARCHIVE}").read_bytes()
    for damaged in (
        b"",
        b"no archive",
        content[: len(content) // 2],
        content[:900] + bytes([content[900] ^ 1]) + content[901:],
    ):
        (results / f"made{ARCHIVE}").write_bytes(damaged)
        refused(two_seeds(), "made", r"made.tar.xz is damaged \(.*\): restore it from a copy, or install the package")
    with tarfile.open(results / f"made{ARCHIVE}", "w:xz") as archive:
        archive.addfile(tarfile.TarInfo("../outside"))
    refused(two_seeds(), "made", r"made.tar.xz is damaged \(.*outside")


def test_a_variant_is_found_by_its_recipe(published_study, results, tmp_path):
    shutil.copy(results / f"made{ARCHIVE}", results / f"made_variant{ARCHIVE}")
    (results / f"made{ARCHIVE}").unlink()
    write_json(results / "made.json", {})  # of an earlier version
    add_published(typed_study(two_seeds()), "made", tmp_path / "new")
    assert Path(tmp_path / "new/seed_4/b/config.json").exists()


@pytest.mark.program
def test_trained_runs_are_published_and_continued_without_their_checkpoints(glyphs_dir, results, pictures, tmp_path):
    from configs import sup

    def study(seeds):
        config = make_seeded_study(seeds, "a")
        config.runs.a.update(tiny(sup, glyphs_dir))  # the study's seed refers to that of the run
        config.runs.a.total_epochs = 1
        return config

    run_study(study(1), tmp_path / "study")
    write_archive(tmp_path / "study", results / f"made{ARCHIVE}")
    add_published(typed_study(study(2)), "made", tmp_path / "more")
    run_study(study(2), tmp_path / "more")
    first, second = (json.loads((tmp_path / name / "report.json").read_text())["runs"] for name in ("study", "more"))
    assert list(second) == ["seed_0", "seed_1"] and second["seed_0"] == first["seed_0"]
    assert not (tmp_path / "more/seed_0/a/checkpoints").exists() and (tmp_path / "more/seed_1/a/checkpoints").exists()
