"""Work directories, and files that a config names, in a bucket: gs:// addresses, whose objects lie in a folder here."""

import glob
import importlib.util
import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from etils import epath
from etils.epath import testing

from cliptail_jax.config.fields import plain
from cliptail_jax.evaluation.results import file_digest, head_mid_tail
from cliptail_jax.formats.frequency_tables import read_frequency, write_frequency
from cliptail_jax.host import files
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import append_line, read_lines
from cliptail_jax.objectives import FIELDS
from cliptail_jax.pretrained.class_head import head_for
from cliptail_jax.report.page import address
from cliptail_jax.results.evaluation import read_evaluation
from cliptail_jax.runs.directory import difference_to, finish, is_finished, open_or_resume, truncate_logs
from cliptail_jax.runs.evaluations import evaluation_directory, last_evaluation
from cliptail_jax.runs.manifests import corruption, newest_valid_step, steps_in, write_manifest
from configs import sup
from tests.curation.zoo import NAMES, variant_of
from tests.figures.synthetic_runs import write_run
from tests.judged_pages import page_of
from tests.synthetic import sections

ADDRESS = "gs://bucket/"


@pytest.fixture
def bucket(tmp_path):
    """A bucket whose objects are written whole, as those of Google Cloud Storage: they are not appended to or renamed."""

    def local(path):
        path = os.fspath(path)
        return f"{tmp_path}/{path.removeprefix(ADDRESS)}" if path.startswith(ADDRESS) else path

    def on(original, path, *args, **kwargs):
        return original(local(path), *args, **kwargs)

    def opened(original, path, mode):
        assert "a" not in mode, "an object cannot be appended to"
        if "w" in mode:  # objects need no folder
            os.makedirs(os.path.dirname(local(path)), exist_ok=True)
        return original(local(path), mode)

    def refused(original, path, target):
        raise AssertionError(f"{path} would be copied to be renamed")

    def globbed(original, pattern):
        return [path.replace(f"{tmp_path}/", ADDRESS) for path in glob.glob(local(pattern))]

    names = ("exists", "isdir", "listdir", "makedirs", "mkdir", "remove", "rmtree", "stat")
    functions = dict(open=opened, glob=globbed, rename=refused, replace=refused)
    with testing.mock_epath(**dict.fromkeys(names, on), **functions):
        yield epath.Path(ADDRESS)


def test_a_run_keeps_its_files_in_a_bucket(bucket, tmp_path):
    config, workdir = sup.get_config("data=glyphs_lt"), bucket / "runs" / "sup"
    open_or_resume(workdir, plain(config), FIELDS, {"records": 3, "fingerprint": "abc"}, overwrite=False)
    assert not difference_to(workdir, plain(config), FIELDS) and not is_finished(workdir, plain(config), FIELDS)
    for step in (1, 2, 3):
        append_line(workdir / "metrics.jsonl", {"step": step})
        append_line(evaluation_directory(workdir, "glyphs:test") / "summary.jsonl", {"step": step, "top1": 5.0})
    truncate_logs(workdir, 2)
    assert [line["step"] for line in read_lines(workdir / "metrics.jsonl")] == [1, 2]
    assert last_evaluation(workdir, "glyphs:test") == {"step": 2, "top1": 5.0}
    write_frequency(workdir / "class_frequency.tsv", ("a", "b"), np.array([3, 4]))
    assert read_frequency(workdir / "class_frequency.tsv")[0] == ("a", "b")
    arrays = dict(confusion=np.array([[2, 2], [0, 4]]), tail=np.array([1]))
    files.save_arrays(evaluation_directory(workdir, "glyphs:test") / "latest.npz", **arrays)
    finished = read_evaluation(workdir, "glyphs:test")
    assert finished.frequency.tolist() == [3, 4] and finished.accuracy.tolist() == [0.5, 1.0]
    finish(workdir, 3, 60.0, {"training": 60.0})
    assert is_finished(workdir, plain(config), FIELDS)
    finished = json.loads((tmp_path / "runs/sup/config.json").read_text())["finished"]
    assert finished == {"step": 3, "seconds": 60.0, "spent": {"training": 60.0}}
    assert not list(Path(tmp_path).rglob("*.partial"))


def test_a_checkpoint_in_a_bucket_is_only_picked_up_whole(bucket):
    for step in ("3", "6", "12"):
        files.write_bytes(bucket / "checkpoints" / step / "default" / "weights", b"weights")
        files.write_bytes(bucket / "checkpoints" / step / "done", b"")
    for step in ("3", "6"):
        write_manifest(bucket / "checkpoints" / step)
    assert sorted(steps_in(bucket / "checkpoints")) == [3, 6, 12]
    assert newest_valid_step(bucket / "checkpoints") == 6
    files.write_bytes(bucket / "checkpoints" / "6" / "default" / "weights", b"weight5")
    assert (
        corruption(bucket / "checkpoints" / "6")
        == "is corrupt: the sha256 of default/weights differs from its manifest"
    )
    (bucket / "checkpoints" / "3" / "default" / "weights").unlink()
    assert corruption(bucket / "checkpoints" / "3") == "lacks default/weights"


def test_heads_and_frequencies_may_lie_in_a_bucket(bucket, tmp_path, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: True)
    rows = np.arange(12, dtype=np.float32).reshape(6, 2)
    files.save_array(bucket / "head.npy", rows)
    assert (head_for(f"{ADDRESS}head.npy", NAMES, NAMES) == rows).all()
    files.write_text(bucket / "head.json", json.dumps({"classes": NAMES}))
    assert (head_for(f"{ADDRESS}head.npy", ("fox", "ant"), NAMES) == rows[[5, 0]]).all()
    write_frequency(bucket / "frequency.tsv", NAMES, np.array([8, 7, 6, 5, 0, 4]))
    variant = variant_of(match={"frequency": f"{ADDRESS}frequency.tsv"})
    assert variant.class_frequency.tolist() == [8, 7, 6, 5, 0, 4]
    config = sup.get_config()
    config.eval.rank_by, config.eval.tail_classes = f"{ADDRESS}frequency.tsv", 2
    assert head_mid_tail(sections(config).eval, NAMES, None)[2].tolist() == [5, 4]
    assert file_digest(config.eval.rank_by) == file_digest(str(tmp_path / "frequency.tsv"))


@pytest.mark.parametrize("name", ["s3://bucket/run", "http://host/run", "gs:://run"])
def test_an_address_of_another_kind_is_refused(name):
    with pytest.raises(UserError, match=f"'{name}' is neither a folder nor an address of the form gs://BUCKET/NAME"):
        files.work_path(name)


def test_an_address_without_the_package_that_reads_it_names_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="'gs://bucket/run' needs the extra gcs: pip install -e '.\\[gcs]'"):
        files.work_path("gs://bucket/run")
    assert files.work_path("runs/x") == epath.Path("runs/x")
    assert files.work_path("~/x") == epath.Path("~/x").expanduser()


def test_runs_in_a_bucket_have_their_page_there(bucket, tmp_path):
    write_run(tmp_path / "study" / "run")
    pages = page_of(tmp_path / "study"), page_of(bucket / "study", output=bucket / "pages" / "study.html")
    local_page, bucket_page = (re.sub(r"\bp\d+\b", "id", path.read_text()) for path in pages)
    assert bucket_page.replace("gs://bucket", str(tmp_path)) == local_page
    assert address(pages[1]) == "gs://bucket/pages/study.html"
