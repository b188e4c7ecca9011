"""Records without a label, as a table made by hand may have them: never a class, and never left out in silence."""

import pyarrow
import pyarrow.parquet
import pytest

from cliptail_jax.curation.variant import open_variant
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError
from cliptail_jax.transfer.sets import open_transfer_set
from configs import sup


def set_labels(folder, labels):
    """Replaces labels in the table beside the shards, by record."""
    path = folder / "metadata-train.parquet"
    table = pyarrow.parquet.read_table(path)
    column = [labels.get(record, label) for record, label in enumerate(table["label"].to_pylist())]
    place = table.column_names.index("label")
    pyarrow.parquet.write_table(table.set_column(place, "label", pyarrow.array(column, pyarrow.int64())), path)
    return path


def test_a_missing_value_is_an_error_that_names_the_record(copied_glyphs):
    data_dir, folder = copied_glyphs
    path = set_labels(folder, {17: None})
    for read in (lambda source: source.metadata, lambda source: source.columns("label")):
        with pytest.raises(UserError, match=f"{path}: record 17 has the label None, .*; remove it$"):
            read(open_source("letters", str(data_dir), "train"))


def test_records_without_a_label_are_left_out_of_a_variant_and_counted(copied_glyphs):
    data_dir, folder = copied_glyphs
    set_labels(folder, {17: -1, 18: -1})
    config = sup.get_config("data=glyphs")
    config.data.update({"name": "letters", "data_dir": str(data_dir)})
    variant = open_variant(config.data)
    assert len(variant) == 298 and variant.notes == ("2 records without a label are left out",)


def test_transfer_set_with_a_record_without_a_label_is_an_error(copied_glyphs):
    data_dir, folder = copied_glyphs
    set_labels(folder, {17: -1})
    opened = open_transfer_set("letters:train:test", str(data_dir))
    assert len(opened.labels("test")) == 100
    with pytest.raises(UserError, match="1 records of letters:train have no label, such as record 17"):
        opened.labels("train")
