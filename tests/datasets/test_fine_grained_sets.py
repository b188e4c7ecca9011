import pytest

from cliptail_jax.concepts.class_lists import class_lines
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.fgvc_aircraft import FgvcAircraft
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError
from tests.commands import build as main
from tests.datasets.raw_data import jpeg

SPECIES = """id\tcommon\tscientific\tdir
1\tAcadian Flycatcher\tEmpidonax virescens\tAcadian_Flycatcher
7\tAllen's Hummingbird\tSelasphorus sasin\tAllens_Hummingbird
"""
IMAGES = """url\tmd5\tpath\tspecies_id\tbb_x1
http://x.org/1\t0\tAllens_Hummingbird/1.jpg\t7\t10
http://x.org/2\t0\tAcadian_Flycatcher/2.jpg\t1\t10
http://x.org/3\t0\tAllens_Hummingbird/3.jpg\t7\t10
http://x.org/4\t0\tAcadian_Flycatcher/4.jpg\t1\t10
"""
TESTS = "path\nAllens_Hummingbird/3.jpg\n"


@pytest.fixture
def raw(tmp_path):
    raw = tmp_path / "birdsnap"
    (raw / "download" / "images").mkdir(parents=True)
    for name, content in (("species", SPECIES), ("images", IMAGES), ("test_images", TESTS)):
        (raw / f"{name}.txt").write_text(content)
    for red, path in enumerate(("Allens_Hummingbird/1.jpg", "Acadian_Flycatcher/2.jpg", "Allens_Hummingbird/3.jpg"), 1):
        (raw / "download" / "images" / path).parent.mkdir(exist_ok=True)
        (raw / "download" / "images" / path).write_bytes(jpeg(red))
    return raw


def test_splits_and_labels_are_the_published_ones(tmp_path, raw, capsys):
    assert main(["birdsnap", f"--data_dir={tmp_path}", f"--raw={raw}"]) == 0
    assert "2 train + 1 test records, 0 MB, skipped (without an image: 1)" in capsys.readouterr().out
    train, test = (open_source("birdsnap", str(tmp_path), split) for split in ("train", "test"))
    assert train.class_names == tuple(name for name, _ in class_lines("birdsnap"))
    rows = [(train.class_names[row["label"]], row["filename"]) for row in train.metadata.to_pylist()]
    assert rows == [
        ("Allens Hummingbird", "Allens_Hummingbird/1.jpg"),
        ("Acadian Flycatcher", "Acadian_Flycatcher/2.jpg"),
    ]
    assert test.metadata["filename"].to_pylist() == ["Allens_Hummingbird/3.jpg"]
    assert (train.encoded_images([0, 1]), test.encoded_images([0])) == ([jpeg(1), jpeg(2)], [jpeg(3)])
    assert skipped_records(tmp_path / "birdsnap" / "1.0.0", "test") == {}


LISTS = {
    "variant_train": "1025794 707-320\n1340192 F-16A/B\n",
    "variant_val": "0056978 DC-10\n",
    "variant_test": "1514522 Boeing 717\n1000001 An-12\n",
    "family_train": "1025794 Boeing 707\n1340192 F-16\n",
    "family_val": "0056978 DC-10\n",
    "family_test": "1514522 Boeing 717\n1000001 An-12\n",
}


@pytest.fixture
def aircraft(tmp_path):
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    (data / "images").mkdir(parents=True)
    for name, lines in LISTS.items():
        (data / f"images_{name}.txt").write_text(lines)
        for line in lines.splitlines():
            number = line.split()[0]
            (data / "images" / f"{number}.jpg").write_bytes(jpeg(int(number) % 256))
    return data.parent


@pytest.mark.parametrize(
    ("level", "class_list", "names"),
    [("variant", "aircraft", ["707-320", "F-16A/B"]), ("family", "aircraft_family", ["Boeing 707", "F-16"])],
)
def test_splits_and_labels_of_aircraft_are_the_published_ones(tmp_path, aircraft, level, class_list, names):
    build(f"fgvc_aircraft/{level}", str(tmp_path), raw=str(aircraft))
    train, validation, test = (
        open_source(f"fgvc_aircraft/{level}", str(tmp_path), split) for split in ("train", "validation", "test")
    )
    assert train.class_names == tuple(name for name, _ in class_lines(class_list))
    assert [train.class_names[label] for label in train.metadata["label"].to_pylist()] == names
    assert train.metadata["filename"].to_pylist() == ["1025794.jpg", "1340192.jpg"]
    assert train.encoded_images([0]) == [jpeg(1025794 % 256)]
    assert (len(validation), len(test)) == (1, 2)


def test_variants_are_built_unless_a_config_is_named(tmp_path, aircraft, capsys):
    assert main(["fgvc_aircraft", f"--data_dir={tmp_path}", f"--raw={aircraft}/data"]) == 0
    assert capsys.readouterr().out.startswith(f"fgvc_aircraft/variant: {tmp_path}/fgvc_aircraft/variant/1.0.0 (")
    builder = FgvcAircraft(data_dir=tmp_path)
    assert builder.info.splits["test"].num_examples == 2


@pytest.mark.parametrize(
    ("name", "file", "content", "message"),
    [
        ("birdsnap", "test_images.txt", None, "has no test_images.txt"),
        ("birdsnap", "species.txt", SPECIES + "9\tDodo\tR\tDodo\n", "species.txt has the species 'Dodo'"),
        ("birdsnap", "download", None, "neither download/images/ nor images/: run"),
        ("fgvc_aircraft", "data/images_variant_val.txt", "005 Airship\n", "_val.txt has the class 'Airship'"),
        ("fgvc_aircraft/family", "data/images_family_test.txt", None, "has no data/images_family_test.txt"),
    ],
)
def test_unknown_class_or_missing_file_is_an_error_that_names_it(tmp_path, request, name, file, content, message):
    raw = request.getfixturevalue("raw" if name == "birdsnap" else "aircraft")
    (raw / file).rename(tmp_path / "as it was")
    if content:
        (raw / file).write_text(content)
    with pytest.raises(UserError, match=message):
        build(name, str(tmp_path), raw=str(raw))
