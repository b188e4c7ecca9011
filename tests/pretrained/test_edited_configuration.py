"""A published model's configuration that was edited: each wrong value is one line that names it, before weights are read."""

import functools
import json

import pytest
from tiny_models import write_model

from cliptail_jax.errors import UserError
from cliptail_jax.pretrained.published_clip import open_published


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    return write_model(tmp_path_factory.mktemp("published"), "vit")


def message_of(published, content: str) -> str:
    (published / "open_clip_config.json").write_text(content)
    with pytest.raises(UserError) as error:
        _ = open_published(published).model
    assert "\n" not in str(error.value) and len(str(error.value)) < 400
    return str(error.value)


def edited(published, *path_and_value) -> str:
    *path, key, value = path_and_value
    document = json.loads((write_model(published, "vit") / "open_clip_config.json").read_text())
    functools.reduce(dict.__getitem__, path, document)[key] = value
    return json.dumps(document)


THREE = "or three, one for each channel"
PIXELS = "it takes a number of pixels from 1 to 4096"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("preprocess_cfg", "mean", "abc"), f'preprocess_cfg.mean="abc"; it takes a number, {THREE}'),
        (("preprocess_cfg", "mean", [1, 2]), f"preprocess_cfg.mean=[1, 2]; it takes a number, {THREE}"),
        (("preprocess_cfg", "mean", [[1], [2], [3]]), "preprocess_cfg.mean=[[1], [2], [3]]"),
        (("preprocess_cfg", "std", [-1, 1, 1]), f"std=[-1, 1, 1]; it takes a positive number, {THREE}"),
        (("preprocess_cfg", "std", 1e-300), "preprocess_cfg.std=1e-300"),
        (("preprocess_cfg", "size", [32, 32, 3]), f"preprocess_cfg.size=[32, 32, 3]; {PIXELS}, or a pair"),
        (("preprocess_cfg", "interpolation", ["bicubic"]), 'preprocess_cfg.interpolation=["bicubic"]'),
        (("preprocess_cfg", "mode", "L"), 'preprocess_cfg.mode="L"'),
        (("preprocess_cfg", "short_side", -1), "preprocess_cfg.short_side=-1; it takes 0 or a number of pixels"),
        (("preprocess_cfg", [1]), "open_clip_config.json is damaged (Expected `object | null`, got `array`"),
        (("model_cfg", None), "open_clip_config.json is damaged (Expected `object`, got `null`"),
        (("model_cfg", "vision_cfg", "image_size", 1_000_000), f"vision_cfg.image_size=1000000; {PIXELS}"),
        (("model_cfg", "vision_cfg", "image_size", [32] * 1000), "vision_cfg.image_size=[32, 32, "),
        (("model_cfg", "vision_cfg", "head_width", 1000), "the model's configuration: 0 heads do not divide 32"),
        (("model_cfg", "text_cfg", "heads", 5), "the model's configuration: 5 heads do not divide 32 channels"),
        (("model_cfg", "vision_cfg", "a\nb", 1), r"has 'vision_cfg.a\nb', which is not supported"),
        (("model_cfg", "text_cfg", "cliptail_encoder", [1]), "text_cfg.cliptail_encoder=[1]; it takes an object"),
    ],
)
def test_an_edited_value_is_named_in_one_line(published, change, expected):
    assert expected in message_of(published, edited(published, *change))


@pytest.mark.parametrize("nested", ["[" * 200_000, '{"model_cfg": ' * 200_000])
def test_deep_nesting_is_named_in_one_line(published, nested):
    assert "open_clip_config.json is damaged (maximum recursion depth" in message_of(published, nested)


def test_a_model_is_not_opened_for_images_that_are_too_large(published):
    write_model(published, "vit")
    with pytest.raises(UserError, match="image_size: 1000000 is not a number of pixels from 1 to 4096"):
        open_published(published).at_size(1_000_000)
