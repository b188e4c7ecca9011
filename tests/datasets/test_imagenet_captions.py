import json
import os

import pytest

from cliptail_jax.concepts.class_lists import imagenet_wnids
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.prepared_files import built
from tests.datasets.raw_data import archive, jpeg

TENCH, GOLDFISH, TISSUE = "n01440764", "n01443537", "n15075141"


def entry(wnid, number, **texts):
    return {
        "filename": f"{wnid}_{number}.JPEG",
        "title": "a title",
        "tags": ["two words", "tag"],
        "description": "",
        "wnid": wnid,
    } | texts


ENTRIES = [
    entry(GOLDFISH, 7, title='A "fish"\tof gold', description="first line\n\nsecond, with <b>markup</b> &amp; é"),
    entry(TENCH, 2, tags=[], title=""),
    entry(TENCH, 10),
    entry(TISSUE, 1),
    entry(TISSUE, 99),  # there is no such image
]
IMAGES = {
    f"{wnid}_{number}.JPEG": jpeg(number)
    for wnid, number in [(GOLDFISH, 7), (TENCH, 2), (TENCH, 10), (TENCH, 11), (TISSUE, 1)]
}


def write_folder(raw, entries=ENTRIES, images=IMAGES):
    (raw / "train").mkdir(parents=True)
    for filename, image in images.items():
        (raw / "train" / filename.split("_")[0]).mkdir(exist_ok=True)
        (raw / "train" / filename.split("_")[0] / filename).write_bytes(image)
    (raw / "imagenet_captions.json").write_text(json.dumps(entries))
    return raw


def write_archive(raw, images=IMAGES):
    raw.mkdir()
    wnids = {filename.split("_")[0] for filename in images}
    of_class = {
        f"{wnid}.tar": archive({name: image for name, image in images.items() if name.startswith(wnid)})
        for wnid in sorted(wnids, reverse=True)
    }
    (raw / "ILSVRC2012_img_train.tar").write_bytes(archive(of_class))
    (raw / "imagenet_captions.json").write_text(json.dumps(ENTRIES))
    return raw


def test_records_come_in_the_order_of_class_and_file_name_with_their_texts_as_they_are(tmp_path):
    raw = write_folder(tmp_path / "raw")
    source = built("imagenet_captions", tmp_path, raw=raw)
    rows = source.metadata.to_pylist()
    assert [row["filename"] for row in rows] == [
        f"{TENCH}_10.JPEG",
        f"{TENCH}_2.JPEG",
        f"{GOLDFISH}_7.JPEG",
        f"{TISSUE}_1.JPEG",
    ]
    assert [row["label"] for row in rows] == [0, 0, 1, 999] and source.wnids == imagenet_wnids()
    assert rows[1] == {
        "label": 0,
        "wnid": TENCH,
        "filename": f"{TENCH}_2.JPEG",
        "title": "",
        "tags": "",
        "description": "",
    }
    assert rows[2]["title"] == ENTRIES[0]["title"] and rows[2]["description"] == ENTRIES[0]["description"]
    assert rows[2]["tags"] == "two words tag"
    assert source.encoded_images(range(4)) == [IMAGES[row["filename"]] for row in rows]


def test_archive_and_folder_give_the_same_files(tmp_path):
    folder = build("imagenet_captions", str(tmp_path / "a"), raw=str(write_folder(tmp_path / "folder")))
    second_folder = build("imagenet_captions", str(tmp_path / "b"), raw=str(write_archive(tmp_path / "archive")))
    for file in folder.glob("*-train*"):
        assert (second_folder / file.name).read_bytes() == file.read_bytes(), file.name


def test_captions_without_a_usable_image_are_skipped_and_counted(tmp_path, capsys):
    entries = [*ENTRIES, ENTRIES[2], entry("n99999999", 5), entry("n99999999", 6)]
    images = IMAGES | {f"{TENCH}_10.JPEG": IMAGES[f"{TENCH}_10.JPEG"][:-40]}
    raw = write_folder(tmp_path / "raw", entries, images)
    assert main(["imagenet_captions", f"--data_dir={tmp_path}", f"--raw={raw}"]) == 0
    line = capsys.readouterr().out
    folder = tmp_path / "imagenet_captions" / "1.0.0"
    assert skipped_records(folder, "train") == {
        "without an image": 1,
        "whose image cannot be read": 1,
        "listed twice": 1,
        "of unknown WordNet ids such as 'n99999999'": 2,
    }
    assert line.startswith(f"imagenet_captions: {folder} (3 train records, 0 MB, skipped ") and line.count("\n") == 1


def replace_captions(raw, content):
    (raw / "imagenet_captions.json").write_text(content)
    return raw


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda raw: replace_captions(write_folder(raw), "{"), "imagenet_captions.json is damaged"),
        (
            lambda raw: replace_captions(write_folder(raw), '[{"wnid": "n01440764"}]'),
            "missing required field `filename`",
        ),
        (lambda raw: replace_captions(write_folder(raw), "[]"), "gives no record of the split 'train'"),
        (lambda raw: (write_folder(raw) / "imagenet_captions.json").unlink(), "no imagenet_captions.json in --raw="),
        (lambda raw: raw.mkdir() or replace_captions(raw, "[]"), "neither train/ nor ILSVRC2012_img_train.tar"),
        (lambda raw: os.truncate(write_archive(raw) / "ILSVRC2012_img_train.tar", 3000), "train.tar is damaged"),
    ],
)
def test_raw_data_that_cannot_be_used_are_an_error_in_one_line(tmp_path, write, message):
    write(tmp_path / "raw")
    with pytest.raises(UserError, match=message) as error:
        build("imagenet_captions", str(tmp_path), raw=str(tmp_path / "raw"))
    assert "\n" not in str(error.value)
