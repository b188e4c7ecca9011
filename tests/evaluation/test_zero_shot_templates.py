import pytest

from cliptail_jax.concepts.templates import templates
from cliptail_jax.errors import UserError
from cliptail_jax.evaluation.set_templates import PUBLISHED_TEMPLATES, published_templates
from cliptail_jax.evaluation.sets import SETS


def test_every_set_has_templates_with_one_place_for_the_name():
    assert set(SETS) == set(PUBLISHED_TEMPLATES)
    for name in PUBLISHED_TEMPLATES:
        found = published_templates(name)
        assert len(set(found)) == len(found)
        assert all(template.count("{}") == 1 for template in found)


def test_sets_have_as_many_templates_as_clip_publishes():
    counts = {name: len(published_templates(name)) for name in PUBLISHED_TEMPLATES}
    assert counts == {
        "imagenet": 80,
        "imagenet_v2": 80,
        "imagenet100": 80,
        "cub": 1,
        "food101": 1,
        "pets": 1,
        "flowers102": 1,
        "places365": 2,
        "eurosat": 3,
        "dtd": 8,
        "cifar10": 18,
        "cifar100": 18,
        "cars": 8,
        "aircraft": 2,
        "birdsnap": 1,
    }


def test_stand_ins_are_those_of_sets_of_the_same_kind():
    assert published_templates("imagenet") == templates("openai80")
    assert published_templates("cub") == published_templates("birdsnap")


def test_a_set_without_templates_is_an_error_that_names_the_sets():
    with pytest.raises(UserError, match="no published templates for the set 'glyphs'.*eurosat"):
        published_templates("glyphs")
