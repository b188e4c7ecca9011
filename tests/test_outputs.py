"""A program replaces only files that it made itself, and no output is one of its inputs."""

import json
import re
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cliptail_jax.config.fields import plain
from cliptail_jax.curation.export import check_outputs
from cliptail_jax.evaluation.published import check_free
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.files import digest_of
from cliptail_jax.host.outputs import check_output, files_in
from cliptail_jax.jobs.evaluate import evaluate
from cliptail_jax.objectives import FIELDS
from cliptail_jax.pretrained.model import ModelName, find_model
from cliptail_jax.report.published import check_tables
from cliptail_jax.runs.directory import open_or_resume
from cliptail_jax.runs.lock import sole_writer
from cliptail_jax.transfer.configuration import typed_config
from cliptail_jax.transfer.program import transfer
from configs import sup
from configs import transfer as transfer_config
from tests.commands import count, export, figures, laion, make_head, report

FOREIGN = "something that somebody else wrote\n"
NOT_OURS = "exists, and this program did not write it: choose another file, or pass --overwrite"
INPUT = "is an output and an input: choose another file for the output"


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with inputs, and files of somebody else under the names of outputs."""
    monkeypatch.chdir(tmp_path)
    Path("V.json").write_text('[{"name": "cat"}]', encoding="utf-8")
    Path("captions.txt").write_text("a cat\n", encoding="utf-8")
    Path("frequency.tsv").write_text("cat\t3\ndog\t2\n", encoding="utf-8")
    for name in ("notes.tsv", "notes.npy", "notes.json", "notes.png", "notes.html", "notes.parquet"):
        Path(name).write_text(FOREIGN, encoding="utf-8")
    Path("parts").mkdir()
    pq.write_table(pa.table({"TEXT": ["a cat"]}), "parts/0.parquet")
    Path("queries.jsonl").write_text('{"filepath": "x", "label": 0, "caption": "a cat"}\n', encoding="utf-8")
    Path("run").mkdir()
    Path("run/config.json").write_text('{"config": {"eval.sets": []}}', encoding="utf-8")
    Path("run/tokenizer.json").write_text("{}", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize(
    ("program", "arguments", "complaint"),
    [
        (count, "--captions=captions.txt --classes=V.json --output=V.json", f"V.json {INPUT}"),
        (count, "--captions=captions.txt --classes=V.json --output=captions.txt", f"captions.txt {INPUT}"),
        (count, "--captions=captions.txt --classes=V.json --output=notes.tsv", f"notes.tsv {NOT_OURS}"),
        (count, "--captions=captions.txt --vocabulary=V.json --output=out.tsv", "--vocabulary is now --classes"),
        (make_head, "--model=m --vocabulary=V.json --output=out.npy", "--vocabulary is now --classes"),
        (make_head, "--model=m --classes=V.json --output=V.npy", f"V.json {INPUT}"),
        (make_head, "--model=m --classes=V.json --output=notes.npy", f"notes.npy {NOT_OURS}"),
        (report, "--workdir=run --output=run/config.json", f"run/config.json {NOT_OURS}"),
        (report, "--workdir=run --output=notes.html", f"notes.html {NOT_OURS}"),
        (figures, "class_frequency --frequencies frequency.tsv --output=frequency.tsv", "suffix is none of"),
        (figures, "class_frequency --frequencies frequency.tsv --output=notes.png", f"notes.png {NOT_OURS}"),
        (export, "--workdir=run --output=run", "run is not an earlier export"),
        (laion, "match --input=parts --output=parts", "parts is the folder of the input"),
        (
            laion,
            "retrieve --input=parts --queries=queries.jsonl --clip=m --output=parts/0.parquet",
            f"parts/0.parquet {INPUT}",
        ),
        (
            laion,
            "retrieve --input=parts --queries=queries.jsonl --clip=m --output=notes.parquet",
            f"notes.parquet {NOT_OURS}",
        ),
    ],
)
def test_files_that_a_program_did_not_write_are_left(folder, program, arguments, complaint, capsys):
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
    assert program(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ") and complaint in line
    assert {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()} == before


def test_files_that_a_program_wrote_are_replaced_and_others_when_asked_for(folder):
    arguments = ["--captions=captions.txt", "--classes=V.json", "--processes=1"]
    for output in ("new.tsv", "new.tsv", "notes.tsv"):
        assert count([*arguments, f"--output={output}", *(["--overwrite"] if output == "notes.tsv" else [])]) == 0
        assert Path(output).read_text(encoding="utf-8") == "name\tcount\ncat\t1\n"
    for output, more in (("new", []), ("new", []), ("notes", ["--overwrite"])):
        figure = ["class_frequency", "--frequencies", "frequency.tsv", f"--output={output}.png", *more]
        assert figures(figure) == 0 and Path(f"{output}.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", ["linked.tsv", "./new/../captions.txt", "again.txt"])
def test_an_input_by_another_name_is_still_one(folder, name):
    Path("new").mkdir()
    Path("linked.tsv").symlink_to("captions.txt")
    Path("again.txt").hardlink_to("captions.txt")
    with pytest.raises(UserError, match="is an output and an input"):
        check_output(Path(name), is_own=lambda path: True, inputs=["captions.txt"], overwrite=True)


def test_files_that_describe_reads_are_not_its_output(folder):
    config = sup.get_config("data=glyphs_lt")
    config.data.table, config.data.classes.names = "queries.jsonl", ("V.json", "cat")
    assert sorted(files_in(config)) == ["V.json", "queries.jsonl"]
    for table, metadata in ((Path("queries.jsonl"), None), (None, Path("queries.json"))):
        with pytest.raises(UserError, match=re.escape(f"queries.jsonl {INPUT}")):
            check_outputs(Path("described"), table, metadata, files_in(config), overwrite=False)
    check_outputs(Path("described"), Path("queries.jsonl"), None, [], overwrite=False)
    with pytest.raises(UserError, match="notes.json exists, and this program did not write it"):
        check_outputs(Path("described"), None, Path("notes.json"), [], overwrite=False)
    Path("run/class_frequency.tsv").write_text("cat\t3\n", encoding="utf-8")
    with pytest.raises(UserError, match="run contains a class_frequency.tsv that this program did not write"):
        check_outputs(Path("run"), None, None, [], overwrite=False)


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.json", '{"model_cfg": {}}'), ("config.json", "[1]"), ("tokenizer.json", "{}"), ("study.json", "{}")],
)
def test_a_run_does_not_begin_among_files_of_another_program(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    values = plain(sup.get_config("data=glyphs_lt"))
    with pytest.raises(UserError, match=f"{name}.*choose another --workdir or pass --overwrite"):
        open_or_resume(tmp_path, values, FIELDS, {"records": 3, "fingerprint": "abc"}, overwrite=False)
    with pytest.raises(UserError, match=name):
        check_free({"RN50": tmp_path}, tmp_path.parent)
    assert (tmp_path / name).read_text() == content


def test_evaluations_of_published_models_are_not_lost_to_a_run(tmp_path):
    (tmp_path / "config.json").write_text(json.dumps({"config": {"objective": "zero_shot"}}))
    (tmp_path / "eval").mkdir()
    values = plain(sup.get_config("data=glyphs_lt"))
    with pytest.raises(UserError, match="contains the run of another config"):
        open_or_resume(tmp_path, values, FIELDS, {"records": 3, "fingerprint": "abc"}, overwrite=False)


def test_the_tables_of_published_models_do_not_replace_others(tmp_path):
    (tmp_path / "table.md").write_text("| model | set |\n", encoding="utf-8")
    check_tables(tmp_path)
    (tmp_path / "models.tsv").write_text(FOREIGN, encoding="utf-8")
    with pytest.raises(UserError, match="models.tsv exists, and this program did not write it"):
        check_tables(tmp_path)


def test_a_transfer_does_not_replace_the_report_of_a_study(tmp_path):
    (tmp_path / "report.md").write_text(FOREIGN)
    config = transfer_config.get_config("models=runs/sup,sets=cifar100")
    with pytest.raises(UserError, match="contains a report.md that this program did not write"):
        transfer(typed_config(config), tmp_path)


def test_a_run_that_another_program_writes_to_is_not_evaluated(tmp_path):
    config = sup.get_config("data=glyphs_lt")
    open_or_resume(tmp_path, plain(config), FIELDS, {"records": 3, "fingerprint": "abc"}, overwrite=False)
    with sole_writer(tmp_path), pytest.raises(UserError, match="is in use by process"):
        evaluate(config, tmp_path)
    assert not (tmp_path / "eval").exists()


def test_a_lock_of_another_program_is_left(tmp_path):
    (tmp_path / "lock").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match="lock exists, and this program did not write it"), sole_writer(tmp_path):
        pass
    assert (tmp_path / "lock").read_text(encoding="utf-8") == "mine"
    (tmp_path / "lock").write_text("process 1 on vm", encoding="utf-8")
    with sole_writer(tmp_path):
        pass


@pytest.mark.parametrize("content", ["{}", '{"config": {"lr": 1}}'])
def test_a_config_json_of_another_program_is_that_of_no_run(tmp_path, content):
    (tmp_path / "config.json").write_text(content, encoding="utf-8")
    assert find_model(str(tmp_path)) == ModelName(str(tmp_path), str(tmp_path))
    with pytest.raises(UserError, match="there is no run in"):
        evaluate(sup.get_config("data=glyphs_lt"), tmp_path)


@pytest.mark.parametrize(
    ("beside", "complaint"),
    [
        ({"classes": [], "template": "", "weights": "", "digest": digest_of([np.zeros(3).tobytes()])}, "no/such/model"),
        ({"classes": [], "template": "", "weights": "", "digest": "of another array"}, f"mine.npy {NOT_OURS}"),
        ({"classes": []}, f"mine.npy {NOT_OURS}"),
    ],
)
def test_a_head_is_known_by_the_description_beside_it(folder, beside, complaint, capsys):
    np.save("mine.npy", np.zeros(3))
    Path("mine.json").write_text(json.dumps(beside), encoding="utf-8")
    assert make_head(["--model=no/such/model", "--classes=V.json", "--output=mine.npy"]) == 2
    assert complaint in capsys.readouterr().err and json.loads(Path("mine.json").read_text(encoding="utf-8")) == beside
