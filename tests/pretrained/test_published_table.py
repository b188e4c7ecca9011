"""The table of published models, and the lists that are made of it."""

import collections

import pytest

from cliptail_jax.input.preprocess import CLIP_MEAN, CLIP_STD, Preprocess, read_preprocess
from cliptail_jax.models.open_clip import architecture_names, image_size, named_architecture
from cliptail_jax.pretrained.published import (
    CORPORA,
    LISTS,
    NOT_IN_FIGURES,
    family_and_size,
    listed_models,
    listed_preprocess,
    published_models,
)


def test_each_model_is_one_row_with_an_architecture_of_open_clips():
    models = published_models()
    assert len({model.name for model in models}) == len(models)
    for model in models:
        name = model.name.split("/")[0]
        assert name in architecture_names() and model.repository.startswith("hf-hub:")
        assert model.image_size == image_size(named_architecture(name)["vision_cfg"])
        assert model.corpus is None or model.corpus in CORPORA and "study" in model.lists
        assert set(model.lists) <= set(LISTS) and 60e6 < model.parameters < 6e9
        assert read_preprocess(model.preprocess, model.image_size).size == model.image_size
        # Parameters are float32.
        assert model.memory in ("", "refused") or int(model.memory) > 4 * model.parameters


def test_the_study_has_49_models_of_six_corpora():
    models = listed_models("study")
    corpora = {"cc12m": 2, "yfcc15m": 4, "laion400m": 12, "laion2b": 24, "metaclip_400m": 3, "metaclip_fullcc": 4}
    assert list(collections.Counter(model.corpus for model in models).items()) == list(corpora.items())
    assert [model.name for model in models if model.name.startswith("EVA")] == list(NOT_IN_FIGURES)
    times = collections.Counter(model.repository for model in models)
    assert len(times) == 44  # those that are there twice are there with both activations
    other = [model for model in models if model.architecture]
    assert {model.repository for model in other} == {repository for repository, count in times.items() if count == 2}
    for model in other:
        assert model.name.startswith(f"{model.architecture}/")
        assert not named_architecture(model.architecture).get("quick_gelu")


def test_today_has_one_model_of_each_family_and_size():
    models = listed_models("today")
    assert len({model.repository for model in models}) == len(models) == 61
    families = collections.Counter(family_and_size(model.name) for model in models)
    assert set(families.values()) == {1}
    assert {family_and_size(model.name) for model in listed_models("study")} <= families.keys()
    for model in models:
        named = [corpus for corpus in CORPORA if f"/{corpus}_" in f"{model.name}_"]
        assert named == [corpus for corpus in [model.corpus] if corpus], model.name


HALVES, CLIPS = ((0.5,) * 3, (0.5,) * 3), (CLIP_MEAN, CLIP_STD)
IMAGENETS = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


@pytest.mark.parametrize(
    "name, statistics, interpolation, resize_mode",
    [
        ("ViT-L-14", CLIPS, "bicubic", "shortest"),  # of its first weights, not those of laion2b
        ("mt5-base-ViT-B-32", CLIPS, "bicubic", "shortest"),  # without published weights
        ("nllb-clip-base-siglip", HALVES, "bicubic", "squash"),
        ("ViT-L-14-CLIPA", IMAGENETS, "bilinear", "squash"),
        ("MobileCLIP-S1", ((0.0,) * 3, (1.0,) * 3), "bilinear", "shortest"),
    ],
)
def test_an_architecture_has_the_preprocessing_of_its_published_weights(name, statistics, interpolation, resize_mode):
    expected = Preprocess(224, *statistics, interpolation, resize_mode)
    assert read_preprocess(listed_preprocess(name), 224) == expected
