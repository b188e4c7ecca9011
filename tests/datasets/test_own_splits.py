"""Sets whose splits are named by options of their own: image_text as --raw with --split, or --train, --val and --test."""

import pytest
from raw_data import jpeg

from cliptail_jax.datasets.build import main
from cliptail_jax.datasets.image_text import find_files
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError


@pytest.fixture
def raw(tmp_path):
    """A folder with an image, and two tables of one caption each."""
    (tmp_path / "1.jpg").write_bytes(jpeg(1))
    for name in ("one", "two"):
        (tmp_path / f"{name}.tsv").write_text(f"filepath\tcaption\n1.jpg\t{name}\n", encoding="utf-8")
    return tmp_path


def run(raw, *options):
    return main(["image_text/mine", f"--data_dir={raw}/tfds", *(option.replace("RAW", str(raw)) for option in options)])


def captions(raw):
    splits = {}
    for split in ("train", "val", "test", "dev_2"):
        if (raw / "tfds/image_text/mine/1.0.0" / f"metadata-{split}.parquet").exists():
            source = open_source("image_text/mine", f"{raw}/tfds", split)
            splits[split] = source.metadata["caption"].to_pylist()
    return splits


@pytest.mark.parametrize(
    ("options", "splits"),
    [
        (["--raw=RAW/one.tsv"], {"train": ["one"]}),
        (["--raw=RAW/one.tsv", "--split=dev_2"], {"dev_2": ["one"]}),
        (["--train=RAW/one.tsv", "--val=RAW/two.tsv"], {"train": ["one"], "val": ["two"]}),
        (["--raw=RAW/one.tsv", "--test=RAW/two.tsv"], {"train": ["one"], "test": ["two"]}),
        (["--val=RAW/*.tsv"], {"val": ["one", "two"]}),
    ],
)
def test_options_name_the_splits(raw, options, splits):
    assert run(raw, *options) == 0
    assert captions(raw) == splits


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--raw=RAW/one.tsv", "--train=RAW/two.tsv"], "the split train is given twice: by --raw and by --train"),
        (["--train=RAW/one.tsv", "--split=val"], "--split=val names the split of --raw=PATH: give that"),
        (["--raw=RAW/one.tsv", "--split=my split"], "--split=my split is not a name such as train, val"),
        (["--raw=RAW/one.tsv", "--split=all"], "--split=all is not a name"),
        (["--val=RAW/none.tsv"], "none.tsv: needed is a folder of shards"),
        ([], "'image_text' needs --train=PATH, --val=PATH or --test=PATH"),
    ],
)
def test_impossible_splits_are_refused_in_one_line(raw, capsys, options, message):
    assert run(raw, *options) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert captions(raw) == {}


def test_a_split_cannot_be_added_to_a_built_set(raw, capsys):
    assert run(raw, "--raw=RAW/one.tsv") == 0 and run(raw, "--train=RAW/one.tsv") == 0
    assert run(raw, "--raw=RAW/two.tsv", "--split=val") == 2
    error = capsys.readouterr().err
    assert "a data set is built as a whole: to add the split 'val' to train, remove the folder and" in error
    assert captions(raw) == {"train": ["one"]}


def test_shards_of_several_splits_in_a_folder_are_refused(tmp_path):
    for name in ("train-00000.tar", "train-00001.tar", "val-00000.tar"):
        (tmp_path / name).write_bytes(b"")
    with pytest.raises(
        UserError, match=r"has files of the splits train, val: name those of each by a glob, such as --train="
    ):
        find_files(tmp_path)
    assert [file.name for file in find_files(tmp_path / "train-*")] == ["train-00000.tar", "train-00001.tar"]
