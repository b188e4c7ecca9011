"""The images of the page in a browser."""

import pytest

from cliptail_jax.report.__main__ import main
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


def test_all_wrong_images_of_a_class_are_shown_in_pages(open_page, pictured_study, tmp_path, capsys):
    output = tmp_path / "all.html"
    assert main([f"--workdir={pictured_study}", "--images=all", f"--output={output}"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert printed[0] == f"{output} with all test images: {output.stat().st_size / 1e6:.1f} MB"
    page = open_page(output, "#sl/digit-three")
    title = page.locator("#class-images h5").last.inner_text()
    assert title == "Test images that a run of sl gets wrong: 1 of 2"
    images = page.locator("#class-images .sprite")
    assert images.count() == 1 and "background-position" in images.get_attribute("style")
    assert images.locator("xpath=..").inner_text().strip() == "✗ taken for digit four: sl"
    loaded = "element => getComputedStyle(element).backgroundImage.startsWith('url(\"data:image/webp')"
    assert images.evaluate(loaded)
    output.write_text(output.read_text().replace("AT_ONCE = 24", "AT_ONCE = 1"))
    page = open_page(output, "#sl,clip/digit-three")
    assert page.locator("#class-images output").inner_text() == "1 to 1 of 2"
    first = images_shown(page)
    page.get_by_role("button", name="Next").click()
    assert page.locator("#class-images output").inner_text() == "2 to 2 of 2"
    assert len(first) == 1 and images_shown(page) != first
    assert page.get_by_role("button", name="Next").is_disabled()


def images_shown(page):
    return [image.get_attribute("aria-label") for image in page.locator("#class-images .sprite").all()]
