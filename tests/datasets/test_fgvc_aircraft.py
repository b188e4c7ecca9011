import pytest
from raw_data import jpeg

from cliptail_jax.concepts.vocabulary import class_lines
from cliptail_jax.datasets.build import build, main
from cliptail_jax.datasets.fgvc_aircraft import FgvcAircraft
from cliptail_jax.datasets.source import open_source
from cliptail_jax.errors import UserError

LISTS = {
    "variant_train": "1025794 707-320\n1340192 F-16A/B\n",
    "variant_val": "0056978 DC-10\n",
    "variant_test": "1514522 Boeing 717\n1000001 An-12\n",
    "family_train": "1025794 Boeing 707\n1340192 F-16\n",
    "family_val": "0056978 DC-10\n",
    "family_test": "1514522 Boeing 717\n1000001 An-12\n",
}


@pytest.fixture
def raw(tmp_path):
    data = tmp_path / "fgvc-aircraft-2013b" / "data"
    (data / "images").mkdir(parents=True)
    for name, lines in LISTS.items():
        (data / f"images_{name}.txt").write_text(lines)
        for line in lines.splitlines():
            number = line.split()[0]
            (data / "images" / f"{number}.jpg").write_bytes(jpeg(int(number) % 256))
    return data.parent


@pytest.mark.parametrize(
    ("level", "vocabulary", "names"),
    [("variant", "aircraft", ["707-320", "F-16A/B"]), ("family", "aircraft_family", ["Boeing 707", "F-16"])],
)
def test_splits_and_labels_are_the_published_ones(tmp_path, raw, level, vocabulary, names):
    build(f"fgvc_aircraft/{level}", str(tmp_path), raw=str(raw))
    train, validation, test = (
        open_source(f"fgvc_aircraft/{level}", str(tmp_path), split) for split in ("train", "validation", "test")
    )
    assert train.class_names == tuple(name for name, _ in class_lines(vocabulary))
    assert [train.class_names[label] for label in train.metadata["label"].to_pylist()] == names
    assert train.metadata["filename"].to_pylist() == ["1025794.jpg", "1340192.jpg"]
    assert train.encoded_images([0]) == [jpeg(1025794 % 256)]
    assert (len(validation), len(test)) == (1, 2)


def test_variants_are_built_unless_a_config_is_named(tmp_path, raw, capsys):
    assert main(["fgvc_aircraft", f"--data_dir={tmp_path}", f"--raw={raw}/data"]) == 0
    assert capsys.readouterr().out.startswith(f"fgvc_aircraft/variant: {tmp_path}/fgvc_aircraft/variant/1.0.0 (")
    builder = FgvcAircraft(data_dir=tmp_path)
    assert builder.info.splits["test"].num_examples == 2


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        (
            *("fgvc_aircraft", lambda data: (data / "images_variant_val.txt").write_text("0056978 Airship\n")),
            "images_variant_val.txt has the class 'Airship'",
        ),
        (
            *("fgvc_aircraft/family", lambda data: (data / "images_family_test.txt").unlink()),
            "has no data/images_family_test.txt",
        ),
    ],
)
def test_unknown_class_or_missing_list_is_an_error_that_names_it(tmp_path, raw, name, change, message):
    change(raw / "data")
    with pytest.raises(UserError, match=message):
        build(name, str(tmp_path), raw=str(raw))
