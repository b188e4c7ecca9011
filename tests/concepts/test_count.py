import gzip
import json
import multiprocessing
import pathlib
import re
import signal
import time

import pytest

from cliptail_jax.concepts import corpus
from cliptail_jax.concepts.workers import completed
from cliptail_jax.formats.frequency_tables import HEADER
from cliptail_jax.host.errors import UserError
from tests.commands import count as main

CLASSES = [
    {"name": "cat", "synonyms": ["cat", "tabby kitten"]},
    {"name": "Dog or puppy"},
    {"name": "bow", "exclude": ["tie"]},
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The working directory, with a list of three classes and three parts in which they occur 2, 4 and 1 times."""
    monkeypatch.chdir(tmp_path)
    pathlib.Path("pets.json").write_text(json.dumps(CLASSES), encoding="utf-8")
    pathlib.Path("parts").mkdir()
    pathlib.Path("parts/a.tsv").write_text("id\tTEXT\n1\tdogs and cats\n2\ta bow tie\n3\t\n", encoding="utf-8")
    pathlib.Path("parts/b.jsonl").write_text(
        '{"TEXT": "my puppy"}\n{"TEXT": null}\n{"TEXT": "the DOG\'s bow"}\n', encoding="utf-8"
    )
    pathlib.Path("parts/c.txt.gz").write_bytes(gzip.compress(b"dog\nkittens, tabby\nnothing"))
    return tmp_path


def run(*arguments, captions="parts", output="out.tsv", classes="pets.json"):
    classes_flag = [f"--classes={classes}"] if classes else []
    return main([f"--captions={captions}", f"--output={output}", *classes_flag, *arguments])


def lines(path="out.tsv"):
    return pathlib.Path(path).read_text(encoding="utf-8").removeprefix(HEADER).splitlines()


def left_behind():
    return sorted(path.name for path in pathlib.Path().iterdir() if path.name not in ("pets.json", "parts"))


@pytest.mark.parametrize("processes", [1, 2])
def test_counts_come_in_the_order_of_the_list(folder, capsys, monkeypatch, processes):
    monkeypatch.setattr(corpus, "BYTES_PER_PROCESS", 1)
    assert run(f"--processes={processes}", output="all:of.tsv") == 0  # pyarrow takes such a path for an address
    assert lines("all:of.tsv") == ["cat\t2", "Dog or puppy\t4", "bow\t1"]
    assert left_behind() == ["all:of.tsv"]
    assert capsys.readouterr().out.startswith("all:of.tsv: 9 captions in ")


def test_sorted_counts_fall_and_ties_keep_the_order(folder):
    pathlib.Path("more.json").write_text(json.dumps([{"name": "zebra"}, *CLASSES, {"name": "ape"}]), encoding="utf-8")
    assert run("--sorted", classes="more.json") == 0
    assert lines() == ["zebra\t0", "cat\t2", "Dog or puppy\t4", "bow\t1", "ape\t0"]
    assert lines("out.sorted.tsv") == ["Dog or puppy\t4", "cat\t2", "bow\t1", "zebra\t0", "ape\t0"]


@pytest.mark.parametrize("output, expected", [("of.tsv", "of.sorted.tsv"), ("of.v1", "of.v1.sorted.tsv")])
def test_sorted_counts_are_beside_the_output_of_any_name(folder, output, expected):
    assert run("--sorted", output=output) == 0
    assert left_behind() == sorted([output, expected])


def test_files_of_others_in_the_folder_of_tallies_stay(folder):
    pathlib.Path("out.tsv.parts").mkdir()
    pathlib.Path("out.tsv.parts/notes.md").write_text("mine", encoding="utf-8")
    assert run() == 0 and run("--overwrite", captions="parts/c.txt.gz") == 0
    assert left_behind() == ["out.tsv", "out.tsv.parts"] and pathlib.Path("out.tsv.parts/notes.md").exists()


def test_a_class_list_and_captions_may_have_other_spaces_lines_and_accents(folder):
    pathlib.Path("classes.txt").write_text(" great  auk \ncafe\u0301\n", encoding="utf-8")
    pathlib.Path("texts.jsonl").write_text(
        "".join(json.dumps({"caption": text}) + "\n" for text in ("a great\nauk", "CAF\u00c9", "cafe\u0301")),
        encoding="utf-8",
    )
    assert run("--rule=phrases", captions="texts.jsonl", classes="classes.txt") == 0
    assert lines() == ["great auk\t1", "caf\u00e9\t2"]


def test_words_are_counted_by_caption_most_frequent_first(folder):
    pathlib.Path("c.txt").write_text("a dog, dogs\nDOG a cannot\nmice", encoding="utf-8")
    assert run("--words", captions="c.txt", classes=None) == 0
    assert lines() == ["a\t2", "dog\t2", "can\t1", "mouse\t1", "not\t1"]


def test_texts_of_a_data_card_count_with_their_weights(folder, capsys):
    pathlib.Path("card.json").write_text(json.dumps({"dog and cat": 10**12, "puppies": 7, "tie": 3}), encoding="utf-8")
    assert run("--weights", captions="card.json") == 0
    assert lines() == [f"cat\t{10**12}", f"Dog or puppy\t{10**12 + 7}", "bow\t0"]
    assert (
        "7 of 1,000,000,000,010 captions name one of 3 classes, 1,000,000,000,000 several, 3 none"
        in capsys.readouterr().out
    )
    pathlib.Path("card.json").write_text('{"dog": 1.5}', encoding="utf-8")
    assert run("--weights", captions="card.json") == 2


def test_undecodable_bytes_are_reported_and_not_fatal(folder, capsys):
    pathlib.Path("c.txt").write_bytes(b"dog\xff\ndog\nd\xffog\n")
    assert run(captions="c.txt") == 0
    assert lines()[1] == "Dog or puppy\t2"
    assert "2 captions have bytes that are not UTF-8" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"captions": "*.parquet"}, "no captions file matches *.parquet"),
        ({"captions": "parts/a.tsv", "column": "caption"}, "no column 'caption'; it has id, TEXT"),
        ({"classes": "empty.json"}, "empty.json is not a JSON list of classes"),
        ({"output": "parts"}, "parts cannot be written: it is a folder"),
        ({"captions": "parts/*.tsv", "output": "parts/a.tsv"}, "is an output and an input: choose another file"),
    ],
)
def test_a_wrong_argument_of_count_is_one_line_before_anything_is_counted(
    folder, capsys, monkeypatch, arguments, message
):
    pathlib.Path("empty.json").write_text("[]", encoding="utf-8")
    monkeypatch.setattr(corpus, "completed", None)
    files = sorted(folder.rglob("*"))
    column = [f"--column={arguments.pop('column')}"] if "column" in arguments else []
    assert run(*column, **arguments) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ") and captured.err.count("\n") == 1
    assert message in captured.err
    assert sorted(folder.rglob("*")) == files


def test_a_damaged_file_is_named_and_the_others_are_counted_and_kept(folder, capsys, monkeypatch):
    good = pathlib.Path("parts/b.jsonl").read_text(encoding="utf-8")
    pathlib.Path("parts/b.jsonl").write_text(good + '{"TEXT": "dog', encoding="utf-8")
    assert run() == 2
    error = capsys.readouterr().err
    assert "1 of 3 files not counted: parts/b.jsonl: line 4 is not JSON" in error
    assert "out.tsv has the counts of the others" in error
    assert lines() == ["cat\t2", "Dog or puppy\t2", "bow\t0"]
    pathlib.Path("parts/b.jsonl").write_text(good, encoding="utf-8")
    assert parts_read(monkeypatch) == ["parts/b.jsonl"]
    assert lines() == ["cat\t2", "Dog or puppy\t4", "bow\t1"]
    assert left_behind() == ["out.tsv"]


def parts_read(monkeypatch, *arguments, stop_before=None):
    """Which parts a run reads, after those of the runs before it. It is interrupted when it comes to `stop_before`."""
    parts, read_part = [], corpus.read_part

    def note(part, *options):
        if part == stop_before:
            raise KeyboardInterrupt
        parts.append(part)
        return read_part(part, *options)

    with monkeypatch.context() as patch:
        patch.setattr(corpus, "read_part", note)
        assert run(*arguments) == (130 if stop_before else 0)
    return parts


def test_an_interrupted_run_goes_on_with_the_parts_that_are_not_finished(folder, monkeypatch, capsys):
    parts_read(monkeypatch, stop_before="parts/c.txt.gz")
    assert capsys.readouterr().err.startswith("interrupted")
    assert left_behind() == ["out.tsv.parts"]
    assert parts_read(monkeypatch) == ["parts/c.txt.gz"]
    assert lines() == ["cat\t2", "Dog or puppy\t4", "bow\t1"]
    assert left_behind() == ["out.tsv"]


@pytest.mark.parametrize(
    "files, complaint",
    [
        ({"a.jsonl": b'{"url": "cat", "caption": "dog"}\n{"url": "cat", "caption": 20}\n'}, "row 2 is int, not text"),
        ({"a.csv": "caption\ncat\n".encode("utf-16")}, "it is UTF-16: convert it to UTF-8"),
        ({"a.csv": gzip.compress(b"caption\ncat\n")}, "it is gzipped: rename it so that its name ends in .gz"),
        (
            {"a.csv": b"caption,id\ncat,1\n", "b.csv": b"TEXT,caption\ncat,dog\n"},
            "has the columns caption and TEXT, which are the captions of .*: name the column with --column",
        ),
    ],
)
def test_no_other_column_and_no_other_encoding_is_counted(folder, capsys, files, complaint):
    for name, content in files.items():
        (folder / name).write_bytes(content)
    assert run(captions="[ab].*") == 2
    assert re.search(complaint, capsys.readouterr().err) and left_behind() == sorted(files)


@pytest.mark.parametrize("change", ["a part", "the list", "the column", "a damaged tally"])
def test_parts_are_counted_again_after_a_change_of_part_list_or_column(folder, monkeypatch, change):
    parts_read(monkeypatch, stop_before="parts/c.txt.gz")
    arguments, all_parts = [], ["parts/a.tsv", "parts/b.jsonl", "parts/c.txt.gz"]
    if change == "a part":
        pathlib.Path("parts/a.tsv").write_text("TEXT\ncat\n", encoding="utf-8")
        all_parts.remove("parts/b.jsonl")
    elif change == "the list":
        pathlib.Path("pets.json").write_text(json.dumps(CLASSES[:2]), encoding="utf-8")
    elif change == "the column":
        arguments = ["--column=TEXT"]
    else:
        for tally in pathlib.Path("out.tsv.parts").iterdir():
            tally.write_bytes(tally.read_bytes()[:-9])
    assert parts_read(monkeypatch, *arguments) == all_parts


def test_processes_end_with_an_iteration_that_is_given_up_and_a_killed_one_is_named():
    results = completed(time.sleep, [0, 600, 600], processes=2)
    assert next(results) == (0, None)
    results.close()
    for worker in multiprocessing.active_children():
        worker.join(60)
        assert not worker.is_alive()
    with pytest.raises(UserError, match="a worker process was killed, perhaps for its memory"):
        list(completed(signal.raise_signal, [signal.SIGKILL], processes=2))
