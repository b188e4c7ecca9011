"""Icons, built from a small file in Iconify's form, whose drawings are rectangles."""

import io
import itertools
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from PIL import Image

from cliptail_jax.concepts.class_lists import listed_names, load_class_list
from cliptail_jax.concepts.workers import worker_processes
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.folder import open_builder
from cliptail_jax.datasets.icons import families, icons, marks
from cliptail_jax.datasets.icons.drawings import render
from cliptail_jax.datasets.icons.sets import Icon, IconSet, Info, svg
from cliptail_jax.datasets.icons.words import captions_of, distinct
from cliptail_jax.datasets.metadata_table import skipped_records
from cliptail_jax.datasets.source import open_source
from cliptail_jax.host.errors import UserError
from scripts import make_icon_lists
from tests.commands import build as main
from tests.datasets.iconify import icon_set, rectangle, write_iconify

BLACK, RED = (0, 0, 0), (255, 0, 0)


SETS = (
    icon_set(
        "bold",
        {
            "star": rectangle(1, 1, 2, 6),
            "star-filled": rectangle(1, 1, 6, 6),
            "arrow-right-circle-24": rectangle(2, 1, 2, 6),
            "star-folder": rectangle(3, 1, 2, 6),
            "umbrella-stand": rectangle(4, 1, 2, 6),
            "12": rectangle(5, 1, 2, 6),
            "github": rectangle(6, 1, 2, 6),
            "void": {"body": ""},
            "broken": {"body": "<path"},
            "old": rectangle(1, 2, 2, 6) | {"hidden": True},
            "moving": {"body": '<path d="M1 1h4v4z"><animate attributeName="d"/></path>'},
        },
        license="Apache-2.0",
    ),
    icon_set("fine", {"heart": rectangle(1, 3, 6, 1), "star-spangled": rectangle(1, 4, 6, 1)}),
    icon_set(
        "thin", {"star": rectangle(1, 2, 6, 1), "arrow-right": rectangle(1, 1, 2, 6), "big-star": rectangle(1, 5, 6, 1)}
    ),
    icon_set("logos", {"anything": rectangle(0, 0, 8, 4, "#f00")}, category="Logos"),
)
FAMILIES = [
    (prefix, prefix, split, license, prefix.upper(), prefix, "https://example.org")
    for prefix, split, license in (
        *(("bold", "train", "Apache-2.0"), ("fine", "validation", "MIT"), ("thin", "test", "MIT")),
        *(("logos", "marks", "MIT"), ("gone", "train", "CC-BY-4.0")),
    )
]


@pytest.fixture
def lists(tmp_path, monkeypatch):
    """The lists of the small file; a function that rewrites one."""
    folder = tmp_path / "lists"
    folder.mkdir()
    monkeypatch.setattr(families, "FOLDER", folder)
    monkeypatch.setattr(make_icon_lists, "FOLDER", folder)

    def write(name, lines):
        make_icon_lists.write_list(name, lines)
        marks.brands.cache_clear()
        marks.countries.cache_clear()

    write("families.tsv", FAMILIES)
    write("copies.tsv", [("thin", "arrow-right")])
    write("marks.tsv", [("brand", "github"), ("country", "france")])
    yield write
    marks.brands.cache_clear()
    marks.countries.cache_clear()


@pytest.fixture
def raw(tmp_path, lists, monkeypatch):
    pytest.importorskip("resvg_py", reason="resvg-py, which renders the drawings, is not installed")
    monkeypatch.setattr(icons, "worker_processes", ThreadPoolExecutor)  # processes take longer to start
    return write_iconify(tmp_path / "iconify.tgz", *SETS)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        ("arrow-up-circle", {"arrow-up-circle": ("arrow up circle", "")}),
        ("star-24 star-2x2 star2 mp3 3d-box", {"star-24": "star", "star-2x2": "star", "star2": "star", "mp3": "mp3", "3d-box": "3d box"}),
        ("bell-outline outline-bell bell-two-tone", {"bell-outline": "bell", "outline-bell": "bell", "bell-two-tone": "bell"}),
        ("man-artist-medium-light-skin-tone", {"man-artist-medium-light-skin-tone": ("man artist", "medium light skin tone")}),
        ("link-alt alt", {"link-alt": ("link", "alt"), "alt": ("alt", "")}),
        ("lamp-light lamp-bold traffic-light", {"lamp-light": "lamp", "lamp-bold": "lamp", "traffic-light": "traffic light"}),
        ("pen-line pen-fill line-chart chart-line", {"pen-line": "pen", "line-chart": "line chart", "chart-line": "chart line"}),
        ("x-outline-thin x-outline-bold", {"x-outline-thin": ("x", "outline thin"), "x-outline-bold": ("x", "outline bold")}),
        ("baseline-home round-home", {"baseline-home": ("home", "baseline"), "round-home": ("home", "round")}),
        ("file-type-lock", {"file-type-lock": ("lock", "file type")}),
        ("12 1x1", {"12": ("", "12"), "1x1": ("", "1x1")}),
        ("outline", {"outline": ("outline", "")}),
    ],
)  # fmt: skip
def test_names_become_words_and_style_words(names, expected):
    members = captions_of(names.split())
    for name, value in expected.items():
        assert (members[name] if isinstance(value, tuple) else members[name][0]) == value


def test_rare_endings_are_words_of_the_name():
    names = [f"name-{chr(97 + i)}{chr(97 + j)}" for i in range(10) for j in range(10)]
    assert captions_of([*names, "name-aa-bold"])["name-aa-bold"] == ("name aa bold", "")  # 1 % of the names
    assert captions_of([*names[:30], "name-aa-bold"])["name-aa-bold"] == ("name aa", "bold")


def test_a_name_of_a_set_is_drawn_once_with_the_fewest_style_words():
    captions = captions_of(["0-plus", "plus-outline", "plus", "star-bold", "star-thin"])
    assert distinct(captions) == {"plus": ("plus", ""), "star-bold": ("star", "bold")}


def drawn(icon, size=8, **defaults):
    pytest.importorskip("resvg_py", reason="resvg-py, which renders the drawings, is not installed")
    return render(svg(Icon(**icon), IconSet("set", {}, **(dict(width=8, height=8) | defaults)), size))


def painted(rows, columns, colour=BLACK, size=8):
    pixels = np.full((size, size, 3), 255, np.uint8)
    pixels[rows, columns] = colour
    return pixels


@pytest.mark.parametrize(
    ("icon", "options", "expected"),
    [
        (rectangle(1, 2, 3, 4), {}, painted(slice(2, 6), slice(1, 4))),
        (rectangle(1, 2, 3, 4, "#f00"), {}, painted(slice(2, 6), slice(1, 4), RED)),
        (rectangle(11, 22, 3, 4), dict(left=10, top=20), painted(slice(2, 6), slice(1, 4))),
        (rectangle(11, 22, 3, 4) | dict(left=10, top=20), dict(left=-5), painted(slice(2, 6), slice(1, 4))),
        (rectangle(2, 4, 6, 8) | dict(width=16, height=16), {}, painted(slice(2, 6), slice(1, 4))),
        (rectangle(0, 0, 16, 8), dict(width=16), painted(slice(2, 6), slice(None))),  # wide ones are in the middle
        (rectangle(1, 2, 3, 4), dict(size=32), painted(slice(8, 24), slice(4, 16), size=32)),
    ],
)
def test_drawings_lie_where_the_svg_says(icon, options, expected):
    np.testing.assert_array_equal(drawn(icon, **options), expected)


@pytest.mark.parametrize("body", ["", "<path", '<path d="M0 0h8v8z" fill="#fff"/>', '<path d="M20 20h8v8z"/>'])
def test_a_drawing_that_fails_or_shows_nothing_is_none(body):
    assert drawn({"body": body}) is None


def test_records_have_images_labels_and_texts(tmp_path, raw, capsys):
    assert main(["icons", f"--data_dir={tmp_path}", f"--raw={raw}", "--size=8"]) == 0
    assert "4 train + 2 validation + 2 test + 2 marks records" in capsys.readouterr().out
    train, validation, test, marked = (
        open_source("icons", str(tmp_path), split) for split in ("train", "validation", "test", "marks")
    )
    assert train.class_names == listed_names("icons")

    def named(source):
        return {
            row["name"]: train.class_names[row["label"]] if row["label"] >= 0 else ""
            for row in source.metadata.to_pylist()
        }

    # The longest name is the class; a caption that names two has none.
    assert named(train) == {
        "star": "star",
        "arrow right circle": "arrow right circle",
        "star folder": "",
        "umbrella stand": "umbrella",
    }
    assert named(validation) == {"heart": "heart", "star spangled": ""}  # the class is the whole name
    assert named(test) == {"star": "star", "big star": ""}  # the arrow is a copy
    assert named(marked) == {"github": "", "anything": ""}
    assert train.metadata.to_pylist()[1] == {
        "label": train.class_names.index("arrow right circle"),
        **{"name": "arrow right circle", "style": "24", "set": "bold", "title": "BOLD", "license": "Apache-2.0"},
        **{"author": "bold", "palette": "one colour", "filename": "bold/arrow-right-circle-24.svg"},
    }
    with Image.open(io.BytesIO(train.encoded_images([0])[0])) as image:
        np.testing.assert_array_equal(np.asarray(image), painted(slice(1, 7), slice(1, 3)))
    folder = tmp_path / "icons" / "1.0.0"
    assert skipped_records(folder, "train") == {
        "drawings of a name that the set has already, in another style": 1,
        "drawings whose name has no word": 1,
        "drawings of logos and flags": 1,
        "drawings that cannot be rendered, or show nothing": 2,
        "drawings that the designer withdrew or renamed": 1,
        "drawings that are animated, whose first frame is often a part only": 1,
    }
    assert skipped_records(folder, "test") == {"drawings that another split has, too": 1}
    assert skipped_records(folder, "marks") == {}
    info = open_builder(folder).info
    assert "THIN by thin, https://example.org" in info.citation
    assert info.redistribution_info.license == "Apache-2.0, CC-BY-4.0, MIT"


def test_the_same_file_gives_the_same_bytes_also_in_processes(tmp_path, raw, monkeypatch):
    first = build("icons", str(tmp_path / "a"), raw=str(raw))
    monkeypatch.setattr(icons, "worker_processes", lambda _: worker_processes(1))
    second = build("icons", str(tmp_path / "b"), raw=str(raw))
    files = sorted(path.name for path in first.iterdir())
    assert any(name.startswith("icons-test") for name in files)
    assert all((first / name).read_bytes() == (second / name).read_bytes() for name in files if "array_record" in name)


def test_licenses_select_sets(tmp_path, raw):
    folder = build("icons/mit", str(tmp_path), raw=str(raw), licenses="MIT")
    assert list(open_builder(folder).info.splits) == ["validation", "test", "marks"]
    assert set(icons.licensed(families.read_families(), "Apache,CC-BY")) == {"bold", "gone"}


def test_a_broken_set_is_named_and_counted_and_the_others_are_built(tmp_path, raw, lists, capsys):
    lists("families.tsv", [*FAMILIES, ("torn", "torn", "train", "MIT", "", "", "")])
    write_iconify(raw, *SETS, icon_set("new", {}), **{"json/torn.json": '{"prefix": "torn", "icons": 3}'})
    folder = build("icons", str(tmp_path), raw=str(raw))
    assert "package/json/torn.json in" in (said := capsys.readouterr().err) and "the set new is not of version" in said
    counts = skipped_records(folder, "train")
    assert counts["icon sets that cannot be read"] == counts["icon sets that the list of families lacks"] == 1
    assert open_builder(folder).info.splits["train"].num_examples == 4


@pytest.mark.parametrize(
    ("damage", "options", "message"),
    [
        (None, dict(size="0"), "--size=0 is not a number of pixels from 1 to 1024$"),
        (None, dict(size="large"), "--size=large is not"),
        (None, dict(size="1025"), "--size=1025 is not"),
        (None, dict(licenses="MIT,GPL"), "no set has the license 'GPL'; there is Apache-2.0, CC-BY-4.0, MIT$"),
        (None, dict(raw="missing.tgz"), "there is no missing.tgz; --raw names iconify-json"),
        (lambda patch, _: patch.setitem(sys.modules, "resvg_py", None), {}, "resvg, which is not installed: pip install"),
        (lambda _, raw: raw.write_bytes(b"no archive"), {}, "is not Iconify's: .*; get it by npm pack @iconify/json$"),
        (lambda _, raw: write_iconify(raw, **{"readme.md": ""}), {}, "is not Iconify's"),
        (lambda _, raw: raw.write_bytes(raw.read_bytes()[:400]), {}, "iconify.tgz is damaged"),
    ],
)  # fmt: skip
def test_bad_raw_icons_or_options_are_an_error_in_one_line(tmp_path, raw, monkeypatch, damage, options, message):
    if damage:
        damage(monkeypatch, raw)
    with pytest.raises(UserError, match=message) as error:
        build("icons", str(tmp_path), **{"raw": str(raw)} | options)
    assert "\n" not in str(error.value)


def test_lists_keep_families_together_and_find_copies(tmp_path, lists, monkeypatch, capsys):
    pytest.importorskip("resvg_py", reason="resvg-py, which renders the drawings, is not installed")
    monkeypatch.setattr(make_icon_lists, "LARGE", 1.0)
    classes = tmp_path / "classes.txt"
    classes.write_text("# Classes.\nstar\nheart\n")
    monkeypatch.setattr(make_icon_lists, "CLASSES", classes)
    monkeypatch.setattr(make_icon_lists, "whole_names", lambda: {"star": 0, "heart": 1})
    shapes = [rectangle(x, y, 7 - x, 7 - y) for x, y in itertools.product(range(6), range(6))]
    words = [f"name-{chr(97 + i)}" for i in range(12)]

    def shaped(first, step=1):
        return {word: shapes[first + step * i] for i, word in enumerate(words)}

    moved = {word: {"body": shape["body"].replace("v", " v", 1)} for word, shape in shaped(0).items()}
    sets = [
        icon_set("one-solid", shaped(0)),
        icon_set("one-line", shaped(12)),
        icon_set("two", shaped(24), author="her"),
        icon_set("three", {"name-x": rectangle(0, 0, 1, 1)}, author="her"),
        icon_set("four", moved),  # the drawings of one-solid
        icon_set("five", {word: rectangle(0, i, 8, 1) for i, word in enumerate(words[:7])} | {"copy": shapes[0]}),
        icon_set("brand", {"name-y": rectangle(0, 0, 2, 2)}, category="Logos"),
    ]
    make_icon_lists.main(write_iconify(tmp_path / "iconify.tgz", *sets))
    members = families.read_families()
    assert {prefix: member.family for prefix, member in members.items()} == {
        **{"one-solid": "four", "one-line": "four", "four": "four", "two": "two", "three": "two", "five": "five"},
        "brand": "-",
    }
    assert members["brand"].split == "marks"
    splits = {family: {m.split for m in members.values() if m.family == family} for family in ("two", "four", "five")}
    assert sorted(map(len, splits.values())) == [1, 1, 1] and splits["four"] == {"train"}
    assert families.read_copies() == {"five": {"copy"}}
    assert classes.read_text() == "# Classes.\n"  # none is drawn often enough


def test_similar_drawings_are_those_with_a_cosine_above_the_threshold():
    rng = np.random.default_rng(0)
    pixels = rng.normal(size=(500, 256)).astype(np.float32)
    pixels[100:150] = 3 * pixels[:50] + 7 + rng.normal(size=(50, 256)) * np.linspace(0.1, 0.6, 50)[:, None]
    unit = pixels - pixels.mean(1, keepdims=True)
    unit /= np.linalg.norm(unit, axis=1, keepdims=True)
    expected = np.argwhere(np.triu(unit @ unit.T > make_icon_lists.SIMILAR, 1))
    assert 10 < len(expected) < 50
    np.testing.assert_array_equal(make_icon_lists.similar_pairs(pixels), expected)


def test_copies_are_removed_from_validation_first_and_never_from_train():
    splits = ["train", "test", "validation", "test", "test"]
    twins = np.array([(0, 1), (3, 2), (3, 4)])
    assert make_icon_lists.copies(splits, twins).tolist() == [False, True, True, False, False]


@pytest.mark.parametrize(
    ("words", "prefix", "category", "expected"),
    [
        ("github circle", "ui", "UI 24px", True),
        ("hub", "ui", "UI 24px", False),
        ("youtube logo", "ui", "UI 24px", True),
        ("brand anything", "ui", "UI 24px", True),
        ("star", "simple-icons", "Logos", True),
        ("star", "flag", "Flags / Maps", True),
        ("cafe", "maki", "Flags / Maps", False),
        ("flag for france", "emojis", "Emoji", True),
        ("france", "emojis", "Emoji", True),
        ("flag in hole", "emojis", "Emoji", False),
        ("flag checkered", "ui", "UI 24px", False),
        ("apple", "ui", "UI 24px", True),
        ("green apple", "emojis", "Emoji", False),
    ],
)
def test_marks_are_logos_and_flags(words, prefix, category, expected):
    assert marks.is_mark(words, prefix, Info(category=category)) == expected


def test_committed_lists_have_a_family_in_one_split_and_a_phrase_in_one_class():
    members = families.read_families()
    split_of = {member.family: member.split for member in members.values()}
    assert all(split_of[member.family] == member.split for member in members.values())
    assert {member.split for member in members.values()} == {"train", "validation", "test", "marks"}
    assert all(members[prefix].split in ("validation", "test") for prefix in families.read_copies())
    phrases = [phrase for concept in load_class_list("icons") for phrase in concept.synonyms or (concept.name,)]
    assert len(set(phrases)) == len(phrases)
