import pkgutil

import pytest

from cliptail_jax.concepts.class_lists import BUILT_IN
from cliptail_jax.concepts.templates import templates
from cliptail_jax.datasets.known_sources import BUILDERS, EVALUATION_SETS, KNOWN_SOURCES, PRESETS, TRANSFER_SETS
from cliptail_jax.datasets.options import OPTIONS


def test_short_names_are_unique():
    for kind, by_name in (("presets", PRESETS), ("evaluation_sets", EVALUATION_SETS), ("transfer_sets", TRANSFER_SETS)):
        assert len(by_name) == sum(len(getattr(source, kind)) for source in KNOWN_SOURCES)


@pytest.mark.parametrize("source", KNOWN_SOURCES, ids=lambda source: source.name)
def test_an_entry_names_a_builder_and_a_class_list_that_exist(source):
    assert source.classes in ("", *BUILT_IN)
    if source.builder:
        builder = pkgutil.resolve_name(f"cliptail_jax.datasets.{source.builder}")
        assert builder.name == source.name.partition("/")[0]
        assert BUILDERS[builder.name] == source.builder and builder.name in OPTIONS


@pytest.mark.parametrize("name", EVALUATION_SETS)
def test_every_template_is_different_and_has_one_place_for_the_name(name):
    of_set = EVALUATION_SETS[name].templates
    assert len(set(of_set)) == len(of_set) > 0
    assert all(template.count("{}") == 1 for template in of_set)


def test_sets_have_as_many_templates_as_clip_publishes():
    template_counts = {"food101": 1, "pets": 1, "flowers102": 1, "eurosat": 3, "dtd": 8, "cifar10": 18, "cifar100": 18}
    template_counts |= {"cars": 8, "aircraft": 2, "birdsnap": 1, "cub": 1, "places365": 2}
    assert {name: len(EVALUATION_SETS[name].templates) for name in template_counts} == template_counts
    for name in ("imagenet", "imagenet_v2", "imagenet100"):
        assert EVALUATION_SETS[name].templates == templates("openai80")
