import errno
import json
import os
import re
import unicodedata

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.datasets.source import open_source
from cliptail_jax.formats.decoding import decode_image
from cliptail_jax.formats.prepared import prepared_names
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import jpeg


def write(folder, *names):
    """Writes a JPEG of its own for each file name, and anything else for names of other files."""
    for number, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(jpeg(number, (40, 30)))
    return folder


def rows(data_dir, split, name="image_folder/mine"):
    source = open_source(name, str(data_dir), split)
    return source, [(row["filename"], row["label"]) for row in source.metadata.to_pylist()]


def test_classes_are_sorted_folders_and_images_are_sorted_files_in_them(tmp_path):
    names = ["b/2.JPG", "b/1.jpeg", "a_c/deep/er/x.Png", "a_c/z.webp", "a_c/notes.txt", "a_c/deep.jpg", "loose.jpg"]
    train = write(tmp_path / "raw", *names)
    build("image_folder/mine", str(tmp_path), train=str(train))
    source, records = rows(tmp_path, "train")
    assert source.class_names == ("a c", "b")
    expected = ["a_c/deep.jpg", "a_c/z.webp", "a_c/deep/er/x.Png", "b/1.jpeg", "b/2.JPG"]  # a folder's files come first
    assert records == [(name, int(name[0] == "b")) for name in expected]
    assert source.encoded_images(range(5)) == [(train / name).read_bytes() for name in expected]


def test_splits_have_their_names_and_the_classes_of_the_first(tmp_path):
    write(tmp_path / "one", "ape/1.jpg", "bee/1.jpg", "cat/1.jpg")
    write(tmp_path / "two", "cat/2.jpg", "ape/2.jpg")
    arguments = [f"--val={tmp_path / 'two'}", f"--train={tmp_path / 'one'}", f"--data_dir={tmp_path}"]
    assert main(["image_folder/mine", *arguments]) == 0
    assert rows(tmp_path, "val")[0].class_names == ("ape", "bee", "cat")
    assert rows(tmp_path, "val")[1] == [("ape/2.jpg", 0), ("cat/2.jpg", 2)]
    build("image_folder/tests", str(tmp_path), test=str(tmp_path / "two"))
    assert rows(tmp_path, "test", "image_folder/tests")[0].class_names == ("ape", "cat")


def test_an_accent_that_is_a_character_of_its_own_makes_no_other_class(tmp_path):
    nfd, nfc = (unicodedata.normalize(form, "a é") for form in ("NFD", "NFC"))
    train = write(tmp_path / "one", f"{nfd}/1.jpg", f"{nfc}/2.jpg", "b/1.jpg")
    val = write(tmp_path / "two", f"{nfd}/1.jpg")
    source = built("image_folder/mine", tmp_path, train=train, val=val)
    assert source.class_names == (nfc, "b") and source.metadata["label"].to_pylist() == [0, 0, 1]
    assert rows(tmp_path, "val")[1] == [(f"{nfd}/1.jpg", 0)]


def test_folders_of_wordnet_ids_have_the_names_of_their_classes(tmp_path):
    train = write(tmp_path / "raw", "n01443537/1.jpg", "n01440764/1.jpg")
    source = built("image_folder/mine", tmp_path, train=train)
    assert source.class_names == ("tench", "goldfish") and source.wnids == ("n01440764", "n01443537")


@pytest.mark.parametrize("name", ["names.json", "names.tsv"])
def test_a_file_gives_folders_their_class_names(tmp_path, name):
    train, names = write(tmp_path / "raw", "01/1.jpg", "02/1.jpg"), {"02": "great auk", "01": "crème", "03": "unused"}
    lines = "".join(f"{folder}\t{name}\n" for folder, name in names.items())
    (tmp_path / name).write_text(json.dumps(names) if name.endswith("json") else lines, encoding="utf-8")
    source = built("image_folder/mine", tmp_path, train=train, class_names=tmp_path / name)
    assert source.class_names == ("crème", "great auk")


def test_an_image_that_the_system_cannot_read_is_named(tmp_path):
    train = write(tmp_path / "raw", "a/1.jpg")
    (train / "a" / "2.jpg").symlink_to("/proc/self/mem")  # of which the first byte is an input/output error
    with pytest.raises(UserError, match=f"^{train}/a/2.jpg cannot be read: Input/output error"):
        build("image_folder/mine", str(tmp_path), train=str(train))


def test_files_that_are_no_images_are_skipped_and_counted(tmp_path):
    train = write(tmp_path / "raw", "a/1.jpg", "a/2.jpg", "b/1.jpg")
    (train / "a" / "1.jpg").write_text("<html>", encoding="utf-8")
    (train / "b" / "gone.jpg").symlink_to("nowhere")
    folder = build("image_folder/mine", str(tmp_path), train=str(train))
    assert rows(tmp_path, "train")[1] == [("a/2.jpg", 0), ("b/1.jpg", 1)]
    assert skipped_records(folder, "train") == {"whose image cannot be read": 1, "without an image": 1}


LINK, NAME, UNREADABLE = "links to folders", "files that are not images by their names", "whose image cannot be read"
STRAY_IMAGES, LOCKED = "images beside the class folders", "folders that cannot be read"
LEFT_OUT = {
    "a link to the folder above": ("a/loop", "..", LINK, "raw/a/loop is a link to a folder"),
    "a link in place of a class": ("c", "a", LINK, "raw/c is a link to a folder"),
    "a file of another format": ("b/2.gif", "GIF", NAME, "raw/b/2.gif is not an image by its name"),
    "a file without an extension": ("b/x/2", "GIF", NAME, "raw/b/x/2 is not an image by its name"),
    "an image without a class": ("2.png", "PNG", STRAY_IMAGES, "raw/2.png is not in the folder of a class"),
    "floating-point values": ("b/2.tif", "F", UNREADABLE, "b/2.tif is not .*floating-point numbers"),
    "integers of 32 bits": ("b/2.tif", "I", UNREADABLE, "b/2.tif is not .*integers of unknown range"),
    "a folder without permission": ("b/locked/2.jpg", "L", LOCKED, "raw/b/locked cannot be read: No permission"),
}


@pytest.mark.parametrize("case", LEFT_OUT)
def test_what_is_left_out_is_counted_with_an_example(tmp_path, capsys, monkeypatch, case):
    name, kind, reason, example = LEFT_OUT[case]
    train = write(tmp_path / "raw", "a/1.jpg", "b/1.jpg")
    path, scandir = train / name, os.scandir
    path.parent.mkdir(exist_ok=True)
    if kind in ("..", "a"):
        path.symlink_to(kind)
    else:
        image = Image.new(kind if kind in ("F", "I") else "L", (4, 4))
        image.save(path, {".tif": "TIFF", ".jpg": "JPEG"}.get(path.suffix, kind))

    def scandir_without_permission(folder):
        if str(folder).endswith("locked"):  # permissions do not bind root
            raise PermissionError(errno.EACCES, "No permission", str(folder))
        return scandir(folder)

    monkeypatch.setattr(os, "scandir", scandir_without_permission)
    folder = build("image_folder/mine", str(tmp_path), train=str(train))
    assert rows(tmp_path, "train")[1] == [("a/1.jpg", 0), ("b/1.jpg", 1)]
    assert skipped_records(folder, "train") == {reason: 1}
    assert re.search(f"note: .*{example}.*; it is skipped, and others like it are counted", capsys.readouterr().err)


def test_images_of_sixteen_bits_are_not_left_out(tmp_path):
    train = write(tmp_path / "raw", "a/1.jpg")
    Image.fromarray(np.full((4, 4), 257 * 9, np.uint16)).save(train / "a" / "2.png")
    source = built("image_folder/mine", tmp_path, train=train)
    assert decode_image(source.encoded_images([1])[0]).tolist() == [[[9] * 3] * 4] * 4


@pytest.mark.parametrize("name", ["2.jpg", "2.txt"])
def test_a_class_without_a_readable_image_is_accepted_on_request(tmp_path, name):
    train = write(tmp_path / "raw", "a/1.jpg", "c/1.jpg")
    (train / "b").mkdir()
    (train / "b" / name).write_text("<html>", encoding="utf-8")
    folder = build("image_folder/mine", str(tmp_path), train=str(train), skip_damaged=True)
    source, records = rows(tmp_path, "train")
    assert source.class_names == ("a", "b", "c") and records == [("a/1.jpg", 0), ("c/1.jpg", 2)]
    assert skipped_records(folder, "train")["classes without a readable image"] == 1


@pytest.mark.parametrize(
    ("table", "options", "classes"),
    [
        ("image,label\nx/1.jpg,dog\nx/2.jpg,cat\ny/1.jpg,dog\n", {}, ("cat", "dog")),
        ("File,Id,Target\nx/1.jpg,3,10\nx/2.jpg,4,9\ny/1.jpg,5,10\n", {}, ("9", "10")),
        (
            "path,label\nx/1.jpg,10.0\nx/2.jpg,9.0\ny/1.jpg,10.0\n",
            {},
            ("9", "10"),
        ),  # as pandas writes integers with a gap
        ("path,filename,class\nx,x/1.jpg,b\nx,x/2.jpg,a\ny,y/1.jpg,b\n", {}, ("a", "b")),
        (
            "photo,kind\nx/1.jpg,b\nx/2.jpg,a\ny/1.jpg,b\n",
            {"image_column": "photo", "label_column": "kind"},
            ("a", "b"),
        ),
    ],
)
def test_a_table_names_images_and_their_classes(tmp_path, table, options, classes):
    raw = write(tmp_path / "raw", "x/1.jpg", "x/2.jpg", "y/1.jpg")
    (raw / "train.csv").write_text(table, encoding="utf-8")
    source = built("image_folder/mine", tmp_path, train=raw / "train.csv", **options)
    assert source.class_names == classes
    assert rows(tmp_path, "train")[1] == [("x/1.jpg", 1), ("x/2.jpg", 0), ("y/1.jpg", 1)]
    assert source.encoded_images([1]) == [(raw / "x/2.jpg").read_bytes()]


def test_a_table_and_folders_may_be_splits_of_one_set_and_rows_without_a_class_are_counted(tmp_path):
    raw = write(tmp_path / "raw", "1.jpg", "2.jpg", "val/ape/3.jpg")
    values = [{"path": "1.jpg", "label": "bee"}, {"path": "2.jpg", "label": "ape"}, {"path": "2.jpg", "label": None}]
    (raw / "t.jsonl").write_text("\n".join(map(json.dumps, values)), encoding="utf-8")
    folder = build("image_folder/mine", str(tmp_path), train=str(raw / "t.jsonl"), val=str(raw / "val"))
    assert rows(tmp_path, "train")[1] == [("1.jpg", 1), ("2.jpg", 0)]
    assert rows(tmp_path, "val")[1] == [("ape/3.jpg", 0)] and skipped_records(folder, "train") == {"without a class": 1}


@pytest.mark.parametrize(
    ("files", "options", "message"),
    [
        ([], "--train=RAW/nowhere", "RAW/nowhere is not a folder"),
        (["1.jpg"], "--train=RAW/1.jpg", "RAW/1.jpg is not a folder"),
        (["1.jpg"], "--train=RAW", "RAW has images, but no class folders: put the images of each class into a folder"),
        (["notes.txt"], "--train=RAW", "RAW has no class folders"),
        (
            ["a/1.jpg", "b/x.txt"],
            "--train=RAW",
            "no images in class 'b': RAW/b has no file ending in .jpg, .jpeg.*b/x.txt",
        ),
        (["a/1.jpg"], "--train=RAW/links", "has links, which are not followed, but no class folders"),
        (
            ["train/a/1.jpg", "val/a/1.jpg"],
            "--train=RAW",
            "which are splits, not classes: pass --train=RAW/train --val=",
        ),
        (
            ["t/a/1.jpg", "v/b/1.jpg"],
            "--train=RAW/t --val=RAW/v",
            "--val=RAW/v has the class 'b', which --train=RAW/t lacks",
        ),
        (["t/a/1.jpg", "v/a/x.txt"], "--train=RAW/t --val=RAW/v", "no images in class 'a': RAW/v/a has no file"),
        (["a b/1.jpg", "a_b/1.jpg"], "--train=RAW", "the folders 'a b' and 'a_b' have the same class name 'a b'"),
        (["a/1.jpg"], "", "'image_folder' needs --train=PATH"),
        (["a/1.jpg"], "--raw=RAW", "'image_folder' takes --train, .*, and not --raw"),
        (["a/1.jpg"], "--train=RAW --class_names=RAW/none.tsv", "none.tsv cannot be read: No such file"),
        (["a/1.jpg", "b/1.jpg"], "--train=RAW --class_names=RAW/a.tsv", "a.tsv has no name for the folder 'b': add it"),
        (["a/1.jpg", "c/1.jpg"], "--train=RAW --class_names=RAW/a.tsv", "'a' and 'c' have the same class name 'ape'"),
        (["a/1.jpg"], "--train=RAW --class_names=RAW/bad.tsv", "bad.tsv is not .* lines of folder <TAB> name: 'ape'"),
        (["a/1.jpg"], "--train=RAW --class_names=RAW/list.json", "list.json is not a JSON object"),
        (["a/1.jpg"], "--train=RAW --class_names=RAW/number.json", "folder 'a' is not of the form .* got `int`"),
        (
            ["broken/1.jpg"],
            "--train=RAW",
            "no image in class 'broken' can be read: replace those in RAW/broken, remove",
        ),
        (
            ["a/1.jpg"],
            "--train=RAW/columns.csv",
            "columns.csv has the images\\? it has id, label, and none of image, path",
        ),
        (
            ["a/1.jpg"],
            "--train=RAW/two.csv",
            "has the classes\\? it has both label and class: name it with --label_column",
        ),
        (["a/1.jpg"], "--train=RAW/two.csv --label_column=kind", "two.csv has no column 'kind'"),
        (["a/1.jpg"], "--train=RAW/empty.csv", "no row of RAW/empty.csv has a class in the column 'label'"),
        (
            ["a/1.jpg"],
            "--train=RAW/gone.csv",
            "no image in class 'ape' can be read: replace those in RAW/gone.csv, remove",
        ),
        (
            ["v/b/1.jpg"],
            "--train=RAW/gone.csv --val=RAW/v",
            "--val=RAW/v has the class 'b', which --train=RAW/gone.csv",
        ),
    ],
)
def test_folders_that_are_no_data_set_are_refused_in_one_line(tmp_path, capsys, files, options, message):
    raw = write(tmp_path / "raw", *files)
    contents = {"a.tsv": "a\tape\nc\tape\n", "bad.tsv": "ape\n", "list.json": '["ape"]', "number.json": '{"a": 7}'}
    contents |= {"columns.csv": "id,label\n1,ape\n", "two.csv": "path,label,class\n1,0,ape\n"}
    contents |= {"empty.csv": "path,label\n1.jpg,\n", "gone.csv": "path,label\n1.jpg,ape\n"}
    for name in [name for name in contents if name in options]:
        content = contents[name]
        (raw / name).write_text(content, encoding="utf-8")
    if (raw / "broken").exists():
        (raw / "broken" / "1.jpg").write_bytes(b"no image")
    raw.mkdir(exist_ok=True)
    if "links" in options:
        (raw / "links").mkdir()
        (raw / "links" / "a").symlink_to("../a")
    arguments = options.replace("RAW", str(raw)).split()
    assert main(["image_folder/mine", f"--data_dir={tmp_path}/tfds", *arguments]) == 2
    error = capsys.readouterr().err.splitlines(keepends=True)[-1]  # a note on a skipped image may precede it
    assert re.search(message.replace("RAW", re.escape(str(raw))), error) and error.count("\n") == 1
    assert prepared_names(tmp_path / "tfds") == []


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


def test_a_split_cannot_be_added_to_a_built_set(raw, capsys):
    assert run(raw, "--raw=RAW/one.tsv") == 0 and run(raw, "--train=RAW/one.tsv") == 0
    assert run(raw, "--raw=RAW/two.tsv", "--split=val") == 2
    error = capsys.readouterr().err
    assert "a data set is built as a whole: to add the split 'val' to train, remove the folder and" in error
    assert captions(raw) == {"train": ["one"]}


@pytest.mark.parametrize(
    ("options", "difference"),
    [
        (["--train=RAW/two.tsv"], "train='RAW/one.tsv' not 'RAW/two.tsv'"),
        (["--train=RAW/one.tsv", "--caption_columns=filepath"], "caption_columns=None not 'filepath'"),
        (["--train=RAW/./one.tsv"], ""),
        ([], ""),
    ],
)
def test_a_set_that_was_built_from_other_data_or_with_other_options_is_not_taken_for_these(
    raw, capsys, options, difference
):
    assert run(raw, "--train=RAW/one.tsv") == 0
    assert run(raw, *options) == (2 if difference else 0)
    assert difference.replace("RAW", str(raw)) in capsys.readouterr().err
    (raw / "tfds/image_text/mine/1.0.0/built_from.json").unlink()  # as of earlier versions
    assert run(raw, *options) == 0
    assert captions(raw) == {"train": ["one"]}
