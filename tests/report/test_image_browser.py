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


def test_the_images_are_there_and_small_ones_keep_their_pixels(pictured):
    choose(pictured, "digit four")
    pictured.wait_for_function("[...document.querySelectorAll('#class-images img')].every(image => image.complete)")
    sizes = pictured.evaluate(
        "[...document.querySelectorAll('#class-images img')].map(image => [image.naturalWidth, image.className])"
    )
    assert len(sizes) > 2 and set(map(tuple, sizes)) == {(32, "pixelated")}


def test_a_hidden_kind_is_not_marked(pictured):
    choose(pictured, "digit three")
    pictured.locator("#runs input[data-kind=sl]").uncheck()
    assert ["✓ right: clip"] in rows(pictured, 1).values()
    pictured.locator("#runs input[data-kind=sl]").check()


def test_kinds_that_are_not_compared_are_folded(pictured):
    choose(pictured, "digit three")
    pictured.locator("#kind-b").select_option("sl")
    image = pictured.get_by_role("img", name="Test image 2 of digit three").locator("..")
    assert image.locator("figcaption > p").all_inner_texts() == ["✓ right: sl"]
    assert image.locator("summary").inner_text() == "clip: 1 of 2 runs right"
    image.locator("summary").click()
    folded = image.locator("details p").all_inner_texts()
    assert folded == ["✓ right: clip (seed_0)", "✗ taken for digit four: clip (seed_1)"]
    pictured.locator("#kind-b").select_option("clip")


def test_captions_and_names_with_html_are_shown_and_do_nothing(pictured):
    choose(pictured, SCRIPT)
    assert rows(pictured, 0)[f"Training image 1 of {SCRIPT}"] == [SCRIPT]
    assert any(f"✗ taken for {IMAGE}: sl" in marks for marks in rows(pictured, 1).values())
    choose(pictured, IMAGE)
    assert rows(pictured, 0)[f"Training image 1 of {IMAGE}"] == [IMAGE]
    assert pictured.evaluate("window.hacked") is None


def test_a_class_that_is_pointed_at_shows_its_training_images(pictured):
    choose(pictured, "digit three")
    source = pictured.locator("#class-images img").first.get_attribute("src")
    pictured.locator("#clear").click()
    place = pictured.evaluate(
        """() => {
          const data = JSON.parse(document.getElementById("data").textContent), doc = Bokeh.documents[0];
          const points = doc.get_model_by_id(data.points), i = points.data.class.indexOf(3);
          const view = Object.values(Bokeh.index.roots ?? Bokeh.index).find(v => v.model.id === data.figures.accuracy);
          view.el.scrollIntoView();
          const box = view.el.getBoundingClientRect();
          const [x, y] = [view.frame.x_scale.compute(points.data.x[i]), view.frame.y_scale.compute(points.data.accuracy[i])];
          return [box.left + x, box.top + y];
        }"""
    )
    pictured.mouse.move(place[0] - 3, place[1])
    pictured.mouse.move(*place)
    shown = pictured.locator(".bk-Tooltip img")
    shown.first.wait_for()
    assert source in [image.get_attribute("src") for image in shown.all()]


def test_nothing_is_requested_and_nothing_goes_wrong(pictured):
    assert [kind for kind, _ in pictured.said if kind in ("error", "warning")] == []
    assert [url for url in pictured.requested[1:] if not url.startswith(("blob:null/", "data:"))] == []


def test_a_phone_is_wide_enough(pictured):
    pictured.set_viewport_size({"width": 390, "height": 800})
    choose(pictured, SCRIPT)
    assert pictured.evaluate("document.documentElement.scrollWidth") == 390
