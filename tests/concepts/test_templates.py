import hashlib

import pytest

from cliptail_jax.concepts.templates import TEMPLATE_SETS, templates


@pytest.mark.parametrize(
    ("name", "caption"),
    [("cname", "pickup truck"), ("a+cname", "a pickup truck"), ("photo", "a photo of a pickup truck.")],
)
def test_single_templates_give_their_caption(name, caption):
    assert [template.format("pickup truck") for template in templates(name)] == [caption]


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
