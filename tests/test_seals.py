"""Small files whose damage is noticed."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cliptail_jax import files, seals
from cliptail_jax.errors import UserError
from cliptail_jax.files import append_line, line_of, read_lines
from cliptail_jax.seals import check_seal, read_sealed_json, write_sealed, write_sealed_json

DOCUMENT = {"config": {"seed": 7, "data.name": "glyphs"}, "finished": {"step": 40}}


def flipped(content: bytes, bit: int) -> bytes:
    changed = bytearray(content)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def test_every_bit_of_a_sealed_file_counts(tmp_path):
    path = tmp_path / "config.json"
    write_sealed_json(path, DOCUMENT)
    content = path.read_bytes()
    assert read_sealed_json(path) == DOCUMENT
    for bit in range(8 * len(content)):
        path.write_bytes(flipped(content, bit))
        with pytest.raises(UserError, match="config.json is damaged or was changed by hand"):
            read_sealed_json(path)


def test_damage_to_the_digests_is_named_or_changes_nothing(tmp_path):
    path = tmp_path / "config.json"
    write_sealed_json(path, DOCUMENT)
    content = (tmp_path / seals.FILE).read_bytes()
    for bit in range(8 * len(content)):
        (tmp_path / seals.FILE).write_bytes(flipped(content, bit))
        try:
            assert read_sealed_json(path) == DOCUMENT
        except UserError as error:
            assert "damaged" in str(error)


@pytest.mark.parametrize("writes", [0, 1, 2])
def test_a_program_that_is_killed_while_it_writes_leaves_the_old_file_or_the_new_one(writes, tmp_path, monkeypatch):
    path = tmp_path / "config.json"
    write_sealed(path, "old")
    left = [writes]

    def write_bytes(path, content):
        if not left[0]:
            raise KeyboardInterrupt
        left[0] -= 1
        original(path, content)

    original = files.write_bytes
    monkeypatch.setattr(files, "write_bytes", write_bytes)
    monkeypatch.setattr(seals, "write_bytes", write_bytes)
    with pytest.raises(KeyboardInterrupt):
        write_sealed(path, "new")
    check_seal(path)
    assert path.read_text() == ("new" if writes == 2 else "old")
    monkeypatch.undo()
    write_sealed(path, "newer")
    check_seal(path)


@pytest.mark.parametrize("text", ["", "[1]", '"config"', "nan", "[" * 100_000, '{"a": 1'])
def test_what_is_no_json_object_is_named(text, tmp_path):
    path = tmp_path / "model.json"
    path.write_text(text)
    with pytest.raises(UserError, match="model.json is damaged"):
        read_sealed_json(path)


def test_files_of_earlier_versions_have_no_digests(tmp_path):
    path = tmp_path / "model.json"
    assert read_sealed_json(path) is None
    path.write_text(json.dumps(DOCUMENT))
    assert read_sealed_json(path) == DOCUMENT
    (tmp_path / "metrics.jsonl").write_text('{"step": 1}\n')
    assert list(read_lines(tmp_path / "metrics.jsonl")) == [{"step": 1}]


LINES = [{"step": 1, "train/loss": 4.25}, {"step": 2, "train/loss": 3.5, "note": "wörds"}, {}]


@settings(max_examples=200)
@given(bit=st.integers(0, 8 * sum(len(line_of(line)) for line in LINES) - 1))
def test_a_flipped_bit_of_a_log_is_named_or_changes_no_value(bit, tmp_path_factory):
    path = tmp_path_factory.getbasetemp() / "flipped.jsonl"
    path.write_bytes(flipped("".join(map(line_of, LINES)).encode(), bit))
    try:
        records = list(read_lines(path))
    except UserError as error:
        assert "flipped.jsonl is damaged in line" in str(error)
    else:  # the name of the checksum, or the last line feed, as if a kill had cut the line off
        assert [{key: record[key] for key in line} for record, line in zip(records, LINES)] == LINES[: len(records)]
        assert len(records) >= len(LINES) - 1


def test_a_line_that_is_cut_in_the_middle_of_a_log_is_named(tmp_path):
    path = tmp_path / "metrics.jsonl"
    append_line(path, LINES[0])
    path.write_text(path.read_text() + '{"step": 2, "train/l\n')
    append_line(path, LINES[1])
    with pytest.raises(UserError, match="metrics.jsonl is damaged in line 2"):
        list(read_lines(path))


@settings(max_examples=200)
@given(
    record=st.dictionaries(
        st.text(), st.one_of(st.integers(), st.text(), st.booleans(), st.none(), st.floats(allow_nan=False))
    )
)
def test_records_are_read_as_they_were_written(record, tmp_path_factory):
    record = {
        key: value
        for key, value in record.items()
        if key != files.CHECKSUM and value not in (float("inf"), -float("inf"))
    }
    path = tmp_path_factory.getbasetemp() / "records.jsonl"
    path.write_text(line_of(record))
    assert list(read_lines(path)) == [record]


def test_a_sealed_file_that_is_missing_is_named_unless_its_first_writing_was_interrupted(tmp_path, monkeypatch):
    path = tmp_path / "metrics.jsonl"
    path.write_text(line_of(LINES[0]))
    seals.seal(path, tmp_path / "never.jsonl")
    path.unlink()
    with pytest.raises(UserError, match="metrics.jsonl is missing: restore it from a copy"):
        check_seal(path)
    with pytest.raises(UserError, match="metrics.jsonl is missing"):
        seals.check_sealed_folder(tmp_path)
    seals.unseal(path)
    check_seal(path)
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(seals, "write_bytes", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        write_sealed(tmp_path / "new.json", "new")
    check_seal(tmp_path / "new.json")
