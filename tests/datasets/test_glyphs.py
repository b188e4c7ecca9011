import dataclasses
import io
import unicodedata
import unittest.mock

import numpy as np
import pytest
from fontTools.ttLib import TTFont
from PIL import Image

from cliptail_jax.concepts.class_lists import listed_names
from cliptail_jax.datasets.build import build
from cliptail_jax.datasets.glyphs import composed, drawing
from cliptail_jax.datasets.glyphs.characters import CHARACTERS, class_name, script
from cliptail_jax.datasets.glyphs.composed import COMPOSED
from cliptail_jax.datasets.glyphs.drawing import Style
from cliptail_jax.datasets.glyphs.faces import FACES, SLANTS, WEIGHTS, Face
from cliptail_jax.datasets.glyphs.glyphs import EXTENT, SEED, make_example
from cliptail_jax.datasets.glyphs.words import description, tags
from cliptail_jax.datasets.source import open_source
from tests.datasets import lookalikes

PLAIN = Style(Face("DejaVu Serif", "bold", "oblique"), "white", "black", size=20, shift=(0, 0), rotation=0, noise=0)


def draw_evenly(character, style):
    """A picture whose ink and ground have the colours that the words name."""
    with unittest.mock.patch.object(drawing, "COLOUR_JITTER", 0):
        return drawing.draw_picture(np.random.default_rng(0), character, style)


def ink_of(character, **changes):
    """Where a noiseless picture has ink: the bounding box as (left, top, right, bottom), and the mask."""
    style = dataclasses.replace(PLAIN, **changes)
    pixels = draw_evenly(character, style)
    mask = pixels[:, :, 0] > 60
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1), mask


def test_faces_are_twelve_font_files_that_match_their_names():
    assert len({face.font_file() for face in FACES}) == 12
    for face in FACES:
        names = TTFont(face.font_file())["name"]
        style = names.getDebugName(2)
        assert names.getDebugName(1) == face.family
        assert ("Bold" in style) == (face.weight == "bold")
        assert ("Oblique" in style or "Italic" in style) == (face.slant == "oblique")


def test_characters_are_those_that_look_different_enough():
    assert lookalikes.choose_characters(100) == CHARACTERS


def test_scripts_follow_from_the_unicode_names():
    assert [script(character) for character in "0AαЖԲ♪"] == [
        "digit",
        "latin",
        "greek",
        "cyrillic",
        "armenian",
        "symbol",
    ]


def test_same_seed_draws_the_same_bytes_in_any_order():
    places = [("train", 7, 3), ("test", 7, 3), ("train", 8, 3), ("train", 7, 4)]
    first = [make_example(0, *place) for place in places]
    assert [make_example(0, *place) for place in reversed(places)] == first[::-1]
    assert len({example["image"] for example in first}) == len(places)
    assert make_example(1, *places[0])["image"] != first[0]["image"]


def test_training_and_test_images_share_no_family():
    families = {
        split: {drawing.draw_style(np.random.default_rng(seed), split, EXTENT).face.family for seed in range(50)}
        for split in ("train", "test")
    }
    assert families["train"] == {"DejaVu Sans Mono", "DejaVu Serif"}
    assert families["test"] == {"DejaVu Sans"}


def test_styles_vary_over_their_whole_range_and_stay_inside():
    styles = [drawing.draw_style(np.random.default_rng(seed), "train", EXTENT) for seed in range(500)]
    assert {(style.face.weight, style.face.slant) for style in styles} == {
        (weight, slant) for weight in ("regular", "bold") for slant in ("upright", "oblique")
    }
    ranges = {
        "size": ([style.size for style in styles], EXTENT.smallest, EXTENT.largest),
        "shift": (np.ravel([style.shift for style in styles]), -EXTENT.most_shift, EXTENT.most_shift),
        "rotation": ([style.rotation for style in styles], -drawing.MAX_ROTATION, drawing.MAX_ROTATION),
        "noise": ([style.noise for style in styles], 0, drawing.MAX_NOISE),
    }
    for values, low, high in ranges.values():
        assert low <= min(values) < low + 0.05 * (high - low)
        assert high - 0.05 * (high - low) < max(values) <= high


def test_drawn_size_is_the_longer_side_of_the_ink():
    for size in (12, 24):
        (left, top, right, bottom), _ = ink_of("H", size=size)
        assert max(right - left, bottom - top) == pytest.approx(size, abs=1.5)


def test_shift_moves_right_and_down():
    (left, top, *_), _ = ink_of("H")
    (moved_left, moved_top, *_), _ = ink_of("H", shift=(3, -2))
    assert (moved_left - left, moved_top - top) == (3, -2)


def test_positive_rotation_is_counter_clockwise():
    _, mask = ink_of("■", size=16, rotation=15)
    _, expected = ink_of("■", size=16)
    turned = np.asarray(Image.fromarray((expected * 255).astype(np.uint8)).rotate(15, Image.Resampling.BILINEAR)) > 127
    assert (mask != turned).mean() < 0.04
    _, unsymmetric = ink_of("L", rotation=90)
    _, upright = ink_of("L")
    assert (unsymmetric != np.rot90(upright)).mean() < 0.04


def test_colours_are_those_that_the_words_name():
    style = dataclasses.replace(PLAIN, ink="yellow", ground="navy")
    pixels = draw_evenly("■", style)
    assert tuple(pixels[16, 16]) == drawing.COLOURS["yellow"]
    assert tuple(pixels[0, 0]) == drawing.COLOURS["navy"]


def test_noise_has_the_styles_standard_deviation():
    style = dataclasses.replace(PLAIN, ink="grey", ground="grey", noise=20)
    pixels = draw_evenly("A", style)
    assert pixels.std() == pytest.approx(20, rel=0.05)


def test_texts_have_one_or_two_attributes_of_the_style():
    style = Style(Face("DejaVu Serif", "bold", "oblique"), "yellow", "navy", 24, (3, -3), -12.4, drawing.MAX_NOISE)
    samples = [tags("α", style, np.random.default_rng(seed)).split(", ") for seed in range(100)]
    assert {len(sample) for sample in samples} == {1, 2}
    assert all(set(sample) <= {"greek", "bold", "oblique", "yellow"} for sample in samples)
    assert len({sample[0] for sample in samples}) == 4
    assert said_of(style) == {
        "large",
        "yellow",
        "set in bold oblique DejaVu Serif",
        "turned to the right",
        "towards the top right",
        "on a grainy navy ground",
    }
    plain = dataclasses.replace(style, size=13, shift=(0, 0.5), rotation=4.9, noise=0)
    assert said_of(plain) >= {"small", "upright", "in the centre", "on a smooth navy ground"}


def said_of(style):
    """What of a style many descriptions say, each one or two things."""
    sentences = [
        description("greek small letter alpha", style, EXTENT, np.random.default_rng(seed)) for seed in range(100)
    ]
    name, end = "The greek small letter alpha is ", "."
    assert all(sentence.startswith(name) and sentence.endswith(end) for sentence in sentences)
    attributes = [sentence.removeprefix(name).removesuffix(end).split(" and ") for sentence in sentences]
    assert {len(sample) for sample in attributes} == {1, 2}
    return {words for sample in attributes for words in sample}


def test_built_records_are_the_pictures_in_balanced_order(glyphs_dir):
    train, test = (open_source("glyphs", str(glyphs_dir), split) for split in ("train", "test"))
    assert (len(train), len(test)) == (300, 100)
    assert train.metadata["label"].to_pylist() == 3 * list(range(100))
    first, other = (make_example(SEED, "train", label, index)["image"] for label, index in ((0, 0), (7, 1)))
    assert train.encoded_images([107, 0, 107]) == [other, first, other] and train.encoded_images([]) == []
    assert test.encoded_images([42]) == [make_example(SEED, "test", 42, 0)["image"]]
    assert all(np.asarray(Image.open(io.BytesIO(png))).shape == (32, 32, 3) for png in test.encoded_images(range(100)))


def test_built_records_have_their_texts(glyphs_dir):
    source = open_source("glyphs", str(glyphs_dir), "train")
    assert source.class_names == tuple(class_name(character) for character in CHARACTERS)
    for row in source.metadata.slice(100, 100).to_pylist():
        character = CHARACTERS[row["label"]]
        assert row["title"] == unicodedata.name(character)
        row_tags = set(row["tags"].split(", "))
        assert 0 <= row["similarity"] <= 1
        assert row["description"].startswith(f"The {row['title'].lower()} is ")
        assert row_tags <= {script(character), *WEIGHTS, *SLANTS, *drawing.COLOURS}


def test_similarity_is_one_of_the_plainest_picture_and_falls_to_zero():
    smallest, largest = EXTENT.smallest, EXTENT.largest
    plain = dataclasses.replace(PLAIN, size=(smallest + largest) / 2)
    assert drawing.similarity(plain, EXTENT) == 1
    edge = EXTENT.most_shift
    for size, sign in ((smallest, 1), (largest, -1)):
        extremes = dict(
            shift=(sign * edge, -sign * edge), rotation=sign * drawing.MAX_ROTATION, noise=drawing.MAX_NOISE
        )
        assert drawing.similarity(dataclasses.replace(PLAIN, size=size, **extremes), EXTENT) == pytest.approx(0)
    noisy = dataclasses.replace(plain, noise=drawing.MAX_NOISE / 2)
    assert drawing.similarity(noisy, EXTENT) == pytest.approx(7 / 8)


def test_composed_characters_are_a_base_with_a_mark_by_unicodes_decomposition():
    assert len(set(COMPOSED)) == len(COMPOSED) == 189
    for character in COMPOSED:
        base, title = composed.base(character), unicodedata.name(character)
        assert title.startswith(f"{unicodedata.name(base)} WITH ")
        if "STROKE" not in title:
            parts = unicodedata.normalize("NFD", character)
            assert len(parts) == 2 and parts[0] == base and unicodedata.combining(parts[1])


def test_words_name_the_parts_of_a_composed_character():
    said = {c: (composed.base_words(c), composed.mark_words(c), script(c)) for c in "éάὙᾳӣłḌ"}
    assert said == {
        "é": ("small e", "acute", "latin"),
        "ά": ("small alpha", "acute", "greek"),
        "Ὑ": ("capital upsilon", "reversed comma above", "greek"),
        "ᾳ": ("small alpha", "ypogegrammeni", "greek"),
        "ӣ": ("small i", "macron", "cyrillic"),
        "ł": ("small l", "stroke", "latin"),
        "Ḍ": ("capital d", "dot below", "latin"),
    }
    assert len({(composed.base(c), composed.mark_words(c)) for c in COMPOSED}) == 189


def test_names_of_composed_characters_are_code_points_with_or_without_the_words_of_parts():
    points = [composed.codepoint(c) for c in COMPOSED]
    with_mark = [f"{point} {composed.mark_words(c)}" for point, c in zip(points, COMPOSED)]
    with_parts = [f"{name} {composed.base_words(c)}" for name, c in zip(with_mark, COMPOSED)]
    assert list(listed_names("composed_codepoints")) == points and "U+00E9" in points
    assert list(listed_names("composed_marks")) == with_mark and "U+00E9 acute" in with_mark
    assert list(listed_names("composed_parts")) == with_parts and "U+00E9 acute small e" in with_parts


def test_built_composed_set_is_beside_glyphs_and_has_texts_of_the_parts(glyphs_dir):
    folder = build("glyphs/composed", str(glyphs_dir))
    assert folder.parent == glyphs_dir / "glyphs" / "composed"
    train = open_source("glyphs/composed", str(glyphs_dir), "train")
    assert train.class_names == tuple(map(class_name, COMPOSED))
    assert train.metadata["label"].to_pylist() == 3 * list(range(189))
    assert train.encoded_images([189 + 7]) == [make_example(SEED, "train", 7, 1, is_composed=True)["image"]]
    row = train.metadata.slice(COMPOSED.index("ý"), 1).to_pylist()[0]
    parts = {"codepoint": "U+00FD", "base": "small y", "mark": "acute", "script": "latin"}
    assert row.items() >= parts.items()
    assert row["title"] == "LATIN SMALL LETTER Y WITH ACUTE"
    assert row["description"].startswith("The latin small y with acute is ")
    assert open_source("glyphs", str(glyphs_dir), "train").class_names[0] == "digit zero"
    renamed = open_source("glyphs/composed", str(glyphs_dir), "test", "composed_codepoints")
    assert renamed.class_names[0] == "U+00C0" and len(renamed) == 189
