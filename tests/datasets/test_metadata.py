"""The table of a prepared set's metadata, which is scanned from its records once: what changes it, and what notices."""

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest

from cliptail_jax.config.training import Data
from cliptail_jax.curation.variant import open_variant
from cliptail_jax.datasets import metadata, metadata_table
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError
from cliptail_jax.transfer.sets import open_transfer_set
from tests.datasets.prepared_files import damage, flip_bit


def rewritten(change):
    """Changes the table in a file."""
    return lambda path: pyarrow.parquet.write_table(change(pyarrow.parquet.read_table(path)), path)


@pytest.mark.parametrize(
    "corrupt",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(b""),
        lambda path: flip_bit(path, path.read_bytes().rindex(b"schema") + 20),
        rewritten(lambda table: table.replace_schema_metadata({})),
    ],
)
def test_metadata_that_is_missing_or_damaged_is_scanned_once_and_saved(copied_glyphs, monkeypatch, capsys, corrupt):
    data_dir, folder = copied_glyphs
    path = folder / "metadata-train.parquet"
    right = pyarrow.parquet.read_table(path)
    corrupt(path)
    is_damaged, scans, scan = path.exists(), [], metadata.scan
    monkeypatch.setattr(metadata, "scan", lambda records: scans.append(len(records)) or scan(records))
    assert open_source("letters", str(data_dir), "train").metadata.equals(right.drop_columns("record"))
    assert (f"note: {path} is damaged: " in capsys.readouterr().err) == is_damaged
    assert open_source("letters", str(data_dir), "train").metadata.equals(right.drop_columns("record"))
    assert scans == [300]
    new_table = pyarrow.parquet.read_table(path)
    assert new_table.equals(right) and new_table.schema.metadata[b"shards"] == right.schema.metadata[b"shards"]


@pytest.mark.parametrize("writer", ["the builder's", "a scan's"])
def test_no_flipped_bit_of_the_metadata_goes_unnoticed(copied_glyphs, writer):
    data_dir, folder = copied_glyphs
    path = folder / "metadata-train.parquet"
    if writer == "a scan's":
        path.unlink()
    source = open_source("letters", str(data_dir), "train")
    right, features, intact = source.metadata, source.records.dataset_info.features, path.read_bytes()
    noticed = 0
    for byte in np.random.default_rng(0).integers(len(intact), size=200):
        path.write_bytes(intact)
        flip_bit(path, byte)
        try:  # some bits, such as those of the metadata, are not needed
            assert metadata_table.read_table(path, features).drop_columns("record").equals(right)
        except metadata_table.DamagedTableError:
            noticed += 1
    assert noticed > 100


def set_labels(folder, labels):
    """Replaces labels in the table beside the shards, by record."""
    path = folder / "metadata-train.parquet"
    table = pyarrow.parquet.read_table(path)
    column = [labels.get(record, label) for record, label in enumerate(table["label"].to_pylist())]
    place = table.column_names.index("label")
    pyarrow.parquet.write_table(table.set_column(place, "label", pyarrow.array(column, pyarrow.int64())), path)
    return path, column


@pytest.mark.parametrize("label", [100, -7, None])
def test_label_of_no_class_is_an_error_that_names_the_record(copied_glyphs, monkeypatch, label):
    data_dir, folder = copied_glyphs
    path, labels = set_labels(folder, {17: label})
    source = open_source("letters", str(data_dir), "train")
    message = f"record 17 has the label {label}, and there are 100 classes"
    with pytest.raises(UserError, match=f"{path}: {message}; remove it$"):
        source.metadata  # noqa: B018

    path.unlink()
    getitems = type(source.records).__getitems__
    monkeypatch.setattr(
        type(source.records), "__getitems__", lambda *_: [{**r, "label": n} for r, n in zip(getitems(*_), labels)]
    )
    with pytest.raises(UserError, match=f"train.array_record-00000-of-00001: {message}"):
        source.metadata  # noqa: B018
    assert not path.exists()


def add_to_the_shard(path):
    with open(next(path.parent.glob("*train.array_record*")), "ab") as file:
        file.write(b"more")


@pytest.mark.parametrize(
    ("corrupt", "message"),
    [
        (rewritten(lambda table: table.slice(0, 299)), "it has 299 rows, and the shards have 300 records"),
        (rewritten(lambda table: table.take([1, 0, *range(2, 300)])), "its rows are not in the order of their records"),
        (add_to_the_shard, "shards of other names or sizes"),
    ],
)
def test_metadata_that_disagrees_with_the_shards_is_an_error_that_names_it(copied_glyphs, corrupt, message):
    data_dir, folder = copied_glyphs
    path = folder / "metadata-train.parquet"
    corrupt(path)
    source = open_source("letters", str(data_dir), "train")
    with pytest.raises(UserError, match=f"{path} disagrees with the shards beside it: .*{message}.*remove it"):
        source.metadata  # noqa: B018
    if corrupt is not add_to_the_shard:
        path.unlink()
        assert source.metadata.num_rows == 300


@pytest.mark.parametrize(("place", "message"), [("chunk", r"is damaged at record \d+"), ("end", "cannot be read: ")])
def test_metadata_cannot_be_made_from_a_damaged_shard(copied_glyphs, place, message):
    data_dir, folder = copied_glyphs
    shard = damage(folder, place)
    (folder / "metadata-train.parquet").unlink()
    with pytest.raises(UserError, match=f"{shard} {message}.*; remove the data set and prepare it again"):
        open_source("letters", str(data_dir), "train").metadata  # noqa: B018


def test_no_changed_name_of_a_class_goes_unnoticed(copied_glyphs):
    data_dir, folder = copied_glyphs
    path = folder / "label.labels.txt"
    right, intact = open_source("letters", str(data_dir), "train"), path.read_bytes()
    assert right.metadata.num_rows == 300
    noticed = 0
    for byte in np.random.default_rng(0).integers(len(intact), size=50):
        path.write_bytes(intact)
        flip_bit(path, byte)
        try:  # a line may end in another space
            source = open_source("letters", str(data_dir), "train")
            assert source.metadata.num_rows == 300 and source.class_names == right.class_names
        except UserError as error:
            assert str(path) in str(error) or "builder's list" in str(error)  # in which a name is twice
            noticed += 1
    assert noticed > 40
    path.unlink()  # TFDS's names are numbers then
    with pytest.raises(UserError, match=f"{path}: the names of the classes are not those that the data set"):
        open_source("letters", str(data_dir), "train").metadata  # noqa: B018


def test_records_without_a_label_are_left_out_of_a_variant_and_counted(copied_glyphs):
    data_dir, folder = copied_glyphs
    set_labels(folder, {17: -1, 18: -1})
    variant = open_variant(Data(name="letters", data_dir=str(data_dir)))
    assert len(variant) == 298 and variant.notes == ("2 records without a label are left out",)


def test_transfer_set_with_a_record_without_a_label_is_an_error(copied_glyphs):
    data_dir, folder = copied_glyphs
    set_labels(folder, {17: -1})
    transfer_set = open_transfer_set("letters:train:test", str(data_dir))
    assert len(transfer_set.labels("test")) == 100
    with pytest.raises(UserError, match="1 records of letters:train have no label, such as record 17"):
        transfer_set.labels("train")
