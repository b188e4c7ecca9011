import hashlib
import json
import pathlib
import re

import pytest
import tensorflow_datasets as tfds

from cliptail_jax.concepts.class_lists import BUILT_IN, Concept, imagenet_wnids, listed_names, load_class_list
from cliptail_jax.concepts.templates import TEMPLATE_SETS, templates
from cliptail_jax.formats.class_names import normalized_name
from cliptail_jax.host.errors import UserError

REFERENCE = pathlib.Path(__file__).parents[2].parent / "shared" / "reference"
TFDS = pathlib.Path(tfds.__file__).parent
DIGESTS = pathlib.Path(__file__).parents[1] / "data" / "class_list_digests.json"


def names(concepts):
    return [concept.name for concept in load_class_list(concepts)]


def reference(*path):
    file = REFERENCE.joinpath(*path)
    if not file.exists():
        pytest.skip(f"no {'/'.join(path)} beside the checkout")
    return file.read_text(encoding="utf-8")


def tfds_lines(path):
    return (TFDS / path).read_text(encoding="utf-8").splitlines()


def digest(name):
    return hashlib.sha256("\n".join(map(repr, load_class_list(name))).encode()).hexdigest()


def test_built_in_lists_have_every_class_once_in_clean_text_and_phrases_with_a_word():
    for name in BUILT_IN:
        concepts = load_class_list(name)
        assert listed_names(name) == tuple(concept.name for concept in concepts)
        distinct = {normalized_name(concept.name) for concept in concepts}
        assert len(distinct) == len(concepts) - (2 if name == "imagenet1k_eval" else 0)  # as published
        for concept in concepts:
            for text in (concept.name, *concept.synonyms, *concept.exclude):
                assert text == " ".join(text.split()) != "" and text.isascii() and not set(text) & set("_;\t")
            for phrase in concept.synonyms or (concept.name,):
                assert re.search("[a-z]", phrase.lower()) or name == "aircraft_family", concept


def test_built_in_lists_are_what_they_always_were():
    """The golden file has a digest of each."""
    assert {name: digest(name) for name in BUILT_IN} == json.loads(DIGESTS.read_text())


def published_concepts(name):
    entries = json.loads(reference("vocabularies", f"{name}.json"))
    return [
        Concept(entry["name"].replace("_", " "), tuple(entry.get("synonyms", ())), tuple(entry.get("exclude", ())))
        for entry in entries
    ]


@pytest.mark.parametrize(
    "name", "imagenet1k cub dtd eurosat flowers102 places365 cars aircraft_family food101 pets".split()
)
def test_lists_are_the_studys_with_spaces_for_underscores(name):
    built_in_list, published_list = (
        load_class_list(name),
        published_concepts(name.replace("aircraft_family", "fgvcaircraft")),
    )
    in_order = set if name in ("food101", "pets") else list
    assert in_order(built_in_list) == in_order(published_list)


def test_imagenet100_is_imagenet1k_at_the_published_labels():
    labels = [int(line) for line in reference("imagenet100_idxs.txt").split()]
    imagenet = load_class_list("imagenet1k")
    assert list(load_class_list("imagenet100")) == [imagenet[label] for label in labels]


def test_imagenet_ids_are_tfds_labels():
    assert list(imagenet_wnids()) == tfds_lines("datasets/imagenet2012/labels.txt")


def test_sun397_is_in_tfds_order():  # tests/evaluation/test_sets.py compares the sets that are evaluated on
    labels = [line[3:] for line in tfds_lines("image_classification/sun397_labels.txt")]
    assert [normalized_name(name) for name in names("sun397")] == [normalized_name(label) for label in labels]


@pytest.mark.parametrize("name", ["cub", "dtd", "eurosat", "flowers102", "food101", "pets", "places365", "imagenet"])
def test_published_tables_join_one_to_one_by_normalized_name(name):
    tables = sorted((REFERENCE / "class_frequency").glob(f"*_{name}*.txt"))
    tables = [table for table in tables if re.search(rf"_{name}(_ori)?\.txt$", table.name)]
    if not tables:
        pytest.skip("no published class frequencies beside the checkout")
    expected = sorted(normalized_name(class_name) for class_name in names("imagenet1k" if name == "imagenet" else name))
    for table in tables:
        rows = [line.split("\t") for line in table.read_text(encoding="utf-8").splitlines()]
        assert sorted(normalized_name(row[0]) for row in rows) == expected, table.name


def test_normalized_name():
    assert normalized_name("apartment_building/outdoor") == "apartment building outdoor"
    assert normalized_name("  Black-footed\tAlbatross ") == "black footed albatross"
    assert normalized_name("colt's foot") == "colt's foot"


def test_a_file_gives_its_concepts_in_order(tmp_path):
    content = [
        {"name": "zebra crossing"},
        {"name": "Ram", "synonyms": ["ram", "male sheep"], "exclude": ["random access"], "wnid": "n02412080"},
        {"name": "crème brûlée", "synonyms": [], "exclude": []},
    ]
    (tmp_path / "classes.json").write_text("\ufeff" + json.dumps(content), encoding="utf-8")
    assert load_class_list(str(tmp_path / "classes.json")) == (
        Concept("zebra crossing"),
        Concept("Ram", ("ram", "male sheep"), ("random access",)),
        Concept("crème brûlée"),
    )


@pytest.mark.parametrize(
    ("suffix", "content", "message"),
    [
        (".json", "[]", "is not a JSON list of classes"),
        (".json", '{"name": "a"}', "is not a JSON list"),
        (".json", [{"name": "a"}, {"title": "b"}], "entry 2 is not of the form"),
        (".json", [{"name": "a", "synonym": ["b"]}], "entry 1 is not .* unknown field `synonym`"),
        (".json", [{"name": 7}], r"entry 1 is not .* got `int` - at `\$.name`"),
        (".json", [{"name": "a\tb"}], "not one line of text"),
        (".json", [{"name": "a\ud800"}], r"entry 1: name 'a\\ud800' is not valid Unicode"),
        (".json", "[" * 100_000 + "]" * 100_000, "is not JSON: maximum recursion depth"),
        (".json", [{"name": "a", "synonyms": [["b"]]}], r"entry 1 is not .* at `\$.synonyms\[0\]`"),
        (".json", [{"name": "a", "exclude": [""]}], r"entry 1 is not .* at `\$.exclude\[0\]`"),
        (".json", [{"name": "a"}, {"name": "b"}, {"name": "a"}], "class name 'a' 2 times"),
        (".json", b'[{"name": "cr\xe8me"}]', "is not JSON.*utf-8"),
        (".txt", b"\n \n", "has no class names, one a line"),
        (".txt", b"ape\nbee\tbees\n", r"entry 2: name 'bee\\tbees' is not one line of text without tabs"),
        (".txt", b"ape\nbee\nape\n", "has the class name 'ape' 2 times"),
        (".txt", b"cr\xe8me\n", "is not UTF-8: "),
    ],
)
def test_a_bad_file_is_an_error_that_names_it(tmp_path, suffix, content, message):
    path = tmp_path / f"classes{suffix}"
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError, match=f"^class list {path}.* {message}") as error:
        load_class_list(str(path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(("name", "hint"), [("CUB", "cub"), ("flowers", "flowers102")])
def test_an_unknown_name_lists_those_built_in_and_close_ones(name, hint):
    with pytest.raises(UserError, match=rf"there is no class list {name}.*did you mean .*{hint}.*\?") as error:
        load_class_list(name)
    assert str(error.value).endswith(", ".join(BUILT_IN))


def test_a_text_file_has_a_class_a_line(tmp_path):
    path = tmp_path / "classes.TXT"
    path.write_bytes("\ufeffgreat auk\r\ncrème brûlée\n\n".encode())
    assert load_class_list(str(path)) == (Concept("great auk"), Concept("crème brûlée"))
    assert listed_names(str(path)) == ("great auk", "crème brûlée")


@pytest.mark.parametrize(
    ("name", "count", "digest"),  # of the published list, one template a line
    [
        ("simple", 7, "6ef3883987d224b7949da69fe0b615af152e1560eaac4c5c38555e50c882d415"),
        ("openai80", 80, "4f976686fb651bb5803d4689dcd849f75efe0ef19a3c801355bc9a6f03c8a5af"),
    ],
)
def test_openai_sets_equal_the_published_ones(name, count, digest):
    assert len(templates(name)) == count
    assert hashlib.sha256("\n".join(templates(name)).encode()).hexdigest() == digest


def test_every_template_has_one_place_for_the_name():
    assert set(templates("simple")) < set(templates("openai80"))
    assert all(template.count("{}") == 1 for name in TEMPLATE_SETS for template in templates(name))
