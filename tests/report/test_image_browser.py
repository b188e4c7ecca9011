"""The images of the page in a browser."""

import pytest

from tests.report.synthetic_pages import IMAGE, SCRIPT


@pytest.fixture(scope="module")
def pictured(open_page, pictured_study):
    return open_page(pictured_study / "report.html")


def choose(page, *names):
    page.locator("#clear").click()
    for name in names:
        page.get_by_role("button", name=name, exact=True).click()


def rows(page, part):
    """The images of a chosen class, by their alternative texts, and what stands beside them."""
    figures = page.locator("#class-images .image-row").nth(part).locator("figure")
    return {
        figure.get_by_role("img").get_attribute("alt"): figure.locator("figcaption p").all_inner_texts()
        for figure in figures.all()
    }


def test_a_chosen_class_has_training_images_with_captions_and_test_images_with_marks(pictured):
    assert "Choose a class" in pictured.locator("#images-note").inner_text()
    assert pictured.locator("#class-images img").count() == 0
    choose(pictured, "digit three")
    assert pictured.locator("#class-images h4").all_inner_texts() == ["digit three"]
    titles = pictured.locator("#class-images h5").all_inner_texts()
    assert titles == ["Training images of clip seed_0, from glyphs:train", "Test images, from glyphs:test"]
    training, test = rows(pictured, 0), rows(pictured, 1)
    assert list(training) == [f"Training image {i} of digit three" for i in range(1, len(training) + 1)]
    assert set(map(tuple, training.values())) == {("digit three",)}  # quotation marks are the style's
    assert test == {
        "Test image 1 of digit three": ["✓ right: clip", "✗ taken for digit four: sl"],
        "Test image 2 of digit three": [
            "✓ right: clip (seed_0), sl",
            "✗ taken for digit four: clip (seed_1)",
        ],
    }


def test_captions_and_names_with_html_are_shown_and_do_nothing(pictured):
    choose(pictured, SCRIPT)
    assert rows(pictured, 0)[f"Training image 1 of {SCRIPT}"] == [SCRIPT]
    assert any(f"✗ taken for {IMAGE}: sl" in marks for marks in rows(pictured, 1).values())
    choose(pictured, IMAGE)
    assert rows(pictured, 0)[f"Training image 1 of {IMAGE}"] == [IMAGE]
    assert pictured.evaluate("window.hacked") is None


def test_nothing_is_requested_and_nothing_goes_wrong(pictured):
    assert [kind for kind, _ in pictured.said if kind in ("error", "warning")] == []
    assert [url for url in pictured.requested[1:] if not url.startswith(("blob:null/", "data:"))] == []
