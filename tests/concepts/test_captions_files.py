import gzip
import json

import pyarrow as pa
import pyarrow.parquet
import pytest

from cliptail_jax.concepts.captions import check_part, find_parts, read_part
from cliptail_jax.formats import readers
from cliptail_jax.formats.readers import DamagedFileError
from cliptail_jax.host.errors import UserError

NESTED = '{"TEXT": "cat", "x": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
ROWS = [("1", "a dog"), ("2", 'two "cats",\nand a\ttab'), ("3", ""), ("4", "zwölf 日本"), ("5", None)]


def write_parquet(path, rows=ROWS):
    ids, captions = zip(*rows)
    pa.parquet.write_table(pa.table({"id": pa.array(ids).cast(pa.int64()), "TEXT": captions}), path)


def write_table(path, rows=ROWS):
    def quoted(field):
        return '"' + field.replace('"', '""') + '"' if field and set(field) & set('",\n\t') else field or ""

    lines, delimiter = [("id", "TEXT"), *rows], "," if path.suffix == ".csv" else "\t"
    path.write_text("".join(delimiter.join(map(quoted, line)) + "\n" for line in lines))


def write_json_lines(path, rows=ROWS):
    path.write_text("".join(json.dumps({"id": int(number), "TEXT": caption}) + "\n" for number, caption in rows))


WRITERS = {
    ".parquet": write_parquet,
    ".tsv": write_table,
    ".csv": write_table,
    ".jsonl": write_json_lines,
    ".ndjson": write_json_lines,
    ".json": write_json_lines,
}


def gzipped(path):
    archive = path.with_name(f"{path.name}.gz")
    archive.write_bytes(gzip.compress(path.read_bytes()))
    return archive


def read(path, column=None):
    """The captions of a file, None for missing ones."""
    return [
        None if caption is None else caption.decode(errors="replace")
        for batch in read_part(str(path), column)
        for caption in batch.to_pylist()
    ]


@pytest.mark.parametrize("is_gzipped", [False, True])
@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_file_gives_its_captions(tmp_path, kind, is_gzipped):
    path = tmp_path / f"captions{kind}"
    WRITERS[kind](path)
    captions = [caption for _, caption in ROWS]
    if kind in (".tsv", ".csv"):
        captions[2] = None  # a table does not tell an empty caption from a missing one
    path = gzipped(path) if is_gzipped else path
    check_part(str(path), "TEXT")
    assert read(path, "TEXT") == captions
    assert read(path) == captions


@pytest.mark.parametrize("ending", ["", "\n"])
def test_text_has_a_caption_a_line(tmp_path, ending):
    path = tmp_path / "captions.txt"
    path.write_text("a dog\n\ncats, \u2028mice\r\nlast" + ending)
    lines = read(path, "whatever")
    assert [line.strip() for line in lines] == ["a dog", "", "cats, \u2028mice", "last"]


@pytest.mark.parametrize("kind", [".parquet", ".tsv", ".jsonl", ".txt"])
def test_long_files_are_read_in_pieces(tmp_path, monkeypatch, kind):
    path = tmp_path / f"captions{kind}"
    captions = [f"caption {number} x{'x' * (number % 50)}" for number in range(2000)]
    if kind == ".txt":
        path.write_text("\n".join(captions))
    else:
        WRITERS[kind](path, [(str(number), caption) for number, caption in enumerate(captions)])
    monkeypatch.setattr(readers, "CHUNK_BYTES", 1000)
    monkeypatch.setattr(readers, "CHUNK_ROWS", 30)
    batches = list(read_part(str(path)))
    assert len(batches) > 20
    assert [caption.strip().decode() for batch in batches for caption in batch.to_pylist()] == captions


def test_a_table_is_read_as_pandas_reads_it(tmp_path):
    path = tmp_path / "captions.tsv"
    path.write_bytes(
        b'\xef\xbb\xbfid\tTEXT\tmore\r\n1\tsay "hi"\tx\r\n\r\n2\n3\tshort row\n4\t"""quoted"" and\nbroken"\t\n5\t"NA"\t\n6\tNone\t\n7\tna\t'
    )
    assert read(path) == ['say "hi"', None, "short row", '"quoted" and\nbroken', None, None, "na"]


def test_columns_of_bytes_and_of_dictionaries_are_captions_too(tmp_path):
    path = tmp_path / "captions.parquet"
    for captions in (pa.array([b"d\xffog", None]), pa.array(["dog", None]).dictionary_encode()):
        pa.parquet.write_table(pa.table({"TEXT": captions}), path)
        assert read(path)[1] is None and "og" in read(path)[0]


def test_blank_lines_between_objects_are_no_captions(tmp_path):
    path = tmp_path / "captions.jsonl"
    path.write_text('{"TEXT": "dog"}\n\n{"id": 1}\n  \n{"TEXT": "cat", "n": NaN}\n')
    assert read(path, "TEXT") == ["dog", None, "cat"]


def test_a_path_a_glob_and_a_folder_stand_for_files_in_order(tmp_path):
    for name in ("b.tsv", "a.tsv.gz", "c.parquet", "notes.md", ".hidden.tsv", "d[1].TXT"):
        (tmp_path / name).touch()
    (tmp_path / "folder.tsv").mkdir()
    assert find_parts(str(tmp_path / "d[1].TXT")) == [str(tmp_path / "d[1].TXT")]
    assert find_parts(str(tmp_path / "*.tsv*")) == [str(tmp_path / name) for name in ("a.tsv.gz", "b.tsv")]
    folder = [str(tmp_path / name) for name in ("a.tsv.gz", "b.tsv", "c.parquet", "d[1].TXT")]
    assert find_parts(str(tmp_path)) == folder


@pytest.mark.parametrize(
    ("kind", "column", "message"),
    [
        *((kind, "caption", "has no column 'caption'; it has id, TEXT") for kind in (".parquet", ".csv", ".jsonl")),
        *((kind, "id", f"is {type}, not text") for kind, type in ((".parquet", "int64"), (".jsonl", "int"))),
    ],
)
def test_a_column_that_is_missing_or_no_text_is_an_error_that_names_it(tmp_path, kind, column, message):
    path = tmp_path / f"captions{kind}"
    WRITERS[kind](path)
    for look in (check_part, lambda *arguments: list(read_part(*arguments))):
        with pytest.raises(UserError, match=f"{path.name} {message}"):
            look(str(path), column)


def test_the_column_is_the_usual_one_or_the_only_one_of_text(tmp_path):
    path = tmp_path / "captions.parquet"
    texts = {name: ["x"] for name in ("title", "text", "caption")}
    pa.parquet.write_table(pa.table({**texts, "caption": ["dog"]}), path)
    assert read(path) == ["dog"]
    pa.parquet.write_table(pa.table({"n": [1], "title": ["dog"]}), path)
    assert read(path) == ["dog"]
    for columns in ({"n": [1]}, {"title": ["dog"], "alt": ["cat"]}, {"label": [1], "filename": ["dog.jpg"]}):
        pa.parquet.write_table(pa.table(columns), path)
        with pytest.raises(UserError, match=f"it has {', '.join(columns)}: name it with --column"):
            read(path)


@pytest.mark.parametrize("name", ["x.parquet", "x.parquet.gz", "x.tsv.gz", "x.jsonl.gz"])
def test_a_damaged_captions_file_is_named(tmp_path, name):
    path = tmp_path / name.removesuffix(".gz")
    WRITERS[path.suffix](path)
    path = gzipped(path) if name.endswith(".gz") else path
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(DamagedFileError) as error:
        read(path, "TEXT")
    assert str(error.value).startswith(f"{path}: ") and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("x.tsv", "id\tTEXT\n1\tdog\n2\tcat\tbird\n", "row 2 has more fields than the header, 2"),
        ("x.tsv", "TEXT\n" + "dog " * 1_100_000, "field larger than field limit"),
        ("x.tsv", "TEXT\tTEXT\ndog\tcat\n", "2 of its columns have the name 'TEXT'"),
        ("x.tsv", "", "no header"),
        ("x.tsv", 'id\tTEXT\n1\t"dog\n' + "2\tcat\n" * 5000, "quoted value that never ends"),
        ("x.tsv", 'id\tTEXT\n1\tdog\n2\t"cat', "quoted value that never ends"),
        ("x.jsonl", '{"TEXT": "dog"}\n["cat"]\n', "line 2 is not a JSON object"),
        ("x.jsonl", '{"TEXT": "dog"}\n' + NESTED, "line 2 is not JSON: maximum recursion depth"),
        ("x.jsonl", '{"TEXT": "dog"}\n' * 200 + '{"TEXT": 7}\n', "the caption of row 201 is int, not text"),
    ],
)
def test_a_captions_file_that_cannot_be_read_is_named(tmp_path, name, content, message):
    (tmp_path / name).write_text(content)
    with pytest.raises(DamagedFileError, match=message):
        read(tmp_path / name, "TEXT")


@pytest.mark.parametrize("pattern", ["*.parquet", "nowhere", "empty", "*.xlsx"])
def test_a_pattern_without_captions_files_is_an_error(tmp_path, pattern):
    (tmp_path / "empty").mkdir()
    (tmp_path / "captions.xlsx").touch()
    with pytest.raises(UserError, match=r"(no captions file matches|captions.xlsx) .*\.parquet, \.tsv"):
        find_parts(str(tmp_path / pattern))


def test_a_csv_may_have_tabs_between_its_columns(tmp_path):
    path = tmp_path / "c.csv"
    path.write_text("id\tTEXT\n1\ta dog, a cat\n")
    assert read(path, "TEXT") == ["a dog, a cat"]
