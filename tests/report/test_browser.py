"""The page in a browser: it is silent, asks for nothing, and does what its buttons say."""

import json
import re
import shutil
import subprocess

import pytest

from cliptail_jax.report.frequency_plots import LOG_TICKS
from cliptail_jax.results.directory import read_directory
from tests.commands import report as main
from tests.report.synthetic_pages import IMAGE, SCRIPT

pytestmark = pytest.mark.program

# Of the page's data and Bokeh's models.
SHOWN = """name => {
  const data = JSON.parse(document.getElementById('data').textContent), doc = Bokeh.documents[0];
  const models = data.kinds.find(kind => kind.name === name).shows.map(([id]) => doc.get_model_by_id(id));
  const renderers = models.filter(model => 'visible' in model.properties);
  return [renderers.length, renderers.filter(model => model.visible).length,
          data.rows && doc.get_model_by_id(data.rows).factors.includes(name)];
}"""
SELECT = """indices => {
  const data = JSON.parse(document.getElementById('data').textContent);
  Bokeh.documents[0].get_model_by_id(data.points).selected.indices = indices;
}"""
SELECTED = """() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  const points = Bokeh.documents[0].get_model_by_id(data.points);
  return points.selected.indices.map(index => points.data.class[index]);
}"""
CONFUSED = """() => {
  const data = JSON.parse(document.getElementById('data').textContent);
  return Bokeh.documents[0].get_model_by_id(data.confusions[0]).data.true;
}"""


def listed(page) -> list[str]:
    """The classes in the table, in which each has a row for each run of the mirrored pair."""
    return [*dict.fromkeys(page.locator("#classes tbody th button").all_inner_texts())]


def chosen(page) -> list[str]:
    return [*dict.fromkeys(page.locator("#classes tbody tr.chosen th button").all_inner_texts())]


def compare(page, first, second):
    page.locator("#kind-a").select_option(first)
    page.locator("#kind-b").select_option(second)


def address(page) -> str:
    return page.url.partition("#")[2]


def column(page, table: str, title: str) -> list[str]:
    titles = page.locator(f"#{table} thead th").all_inner_texts()
    place = next(i for i, text in enumerate(titles) if text.startswith(title)) + 1
    return page.locator(f"#{table} tbody tr > :nth-child({place})").all_inner_texts()


def test_names_with_html_are_shown_and_do_nothing(opened):
    assert opened.evaluate("window.hacked") is None
    assert {SCRIPT, IMAGE} <= {*listed(opened)}
    assert opened.title() == "Made up <em>study</em>" and opened.locator("main img").count() == 0


def test_a_switch_hides_a_kind_everywhere(opened):
    number, visible, has_row = opened.evaluate(SHOWN, "clip")
    assert number == visible > 5 and has_row
    switch = opened.locator("#runs input[data-kind=clip]")
    switch.uncheck()
    assert opened.evaluate(SHOWN, "clip") == [number, 0, False]
    assert opened.evaluate(SHOWN, "sl") == [number, number, True]
    assert "clip %" not in opened.locator("#classes thead").inner_text()
    switch.focus()
    opened.keyboard.press("Space")
    assert opened.evaluate(SHOWN, "clip") == [number, number, True]
    assert "clip %" in opened.locator("#classes thead").inner_text()


def test_a_header_sorts_by_its_numbers_in_either_direction(opened):
    button = opened.locator("#runs thead th", has_text="slope_acc").locator("button")
    for direction, order in (("descending", ["sl", "sl_sampled", "clip"]), ("ascending", ["clip", "sl_sampled", "sl"])):
        button.press("Enter")
        assert [text.split()[0] for text in column(opened, "runs", "run")] == order
        assert opened.locator("#runs thead th[aria-sort=" + direction + "]").count() == 1
    opened.locator("#classes thead th", has_text="sl %").locator("button").first.click()
    accuracies = [float(text) for text in column(opened, "classes", "sl %")]
    assert accuracies == sorted(accuracies, reverse=True) and len(accuracies) == 120
    opened.locator("#classes thead th").first.locator("button").click()
    names = [name for name in listed(opened) if name in ("class 2", "class 3", "class 4")]
    assert names == sorted(names) and len(names) == 3
    opened.locator("#runs thead th").first.locator("button").click()
    assert [text.split()[0] for text in column(opened, "runs", "run")] == ["clip", "sl", "sl_sampled"]


def test_classes_begin_with_the_rarest_and_no_row_is_cut(open_page, study_directory):
    page = open_page(study_directory / "report.html", viewport={"width": 390, "height": 844})
    images = [int(text) for text in column(page, "classes", "images")]
    assert images == sorted(images) and len(images) == 120
    assert page.locator("#classes tbody tr:visible").count() == 20
    assert page.evaluate("(({scrollHeight, clientHeight}) => scrollHeight - clientHeight)(classes.parentNode)") == 0
    difference = page.locator("#classes thead th", has_text="−").bounding_box()
    assert difference["x"] + difference["width"] < 390
    page.locator("#list-all").click()
    assert page.locator("#classes tbody tr:visible").count() == 120


@pytest.mark.parametrize(
    ("low", "high", "ticks"),
    [
        (4.2, 530, [5, 10, 20, 50, 100, 200, 500]),
        (0.011, 6, [0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5]),
        (0.4, 2e6, [1, 10, 100, 1000, 10_000, 100_000, 1_000_000]),
        (1, 2e8, [1, 100, 10_000, 1_000_000, 100_000_000]),
        (390, 610, [400, 500, 600]),
        (2.5, 9, [4, 6, 8]),
    ],
)
def test_ticks_of_a_logarithmic_axis_are_few_round_numbers(opened, low, high, ticks):
    for start, end in ((low, high), (high, low)):
        code = "range => { const cb_data = {range};" + LOG_TICKS + "}"
        found = opened.evaluate(code, {"start": start, "end": end})
        assert found == ticks


def test_both_plots_of_classes_share_their_class_frequencies(opened):
    shared = """() => {
      const {figures} = JSON.parse(document.getElementById('data').textContent);
      const [a, b] = ['accuracy', 'predictions'].map(name => Bokeh.documents[0].get_model_by_id(figures[name]).x_range);
      return a === b && [a.start, a.end];
    }"""
    start, end = opened.evaluate(shared)
    assert 0 < start < 5 < 500 < end


def test_two_chosen_runs_that_differ_in_several_factors_are_confounded(open_page, study_directory, tmp_path):
    written = (study_directory / "report.html").read_text(encoding="utf-8")
    page = tmp_path / "page.html"
    page.write_text(written.replace('"confounded":[]', '"confounded":[["sl","clip","batch_size and objective"]]'))
    opened = open_page(page, "#clip,sl")
    note = opened.locator("#pair-confounded")
    assert note.inner_text().startswith("Confounded: clip and sl differ in batch_size and objective, so")
    compare(opened, "sl", "sl_sampled")
    assert note.is_hidden()


def test_a_selection_in_a_plot_is_one_of_classes_everywhere(opened):
    opened.evaluate(SELECT, [4, 9])  # of the first run: classes 4 and 9
    assert sorted(listed(opened)[:2]) == sorted(chosen(opened)) == ["class 4", "class 9"] and len(listed(opened)) == 60
    selected = opened.evaluate(SELECTED)
    assert set(selected) == {4, 9} and len(selected) == 2 * 6  # in each of six runs
    rows = {f"class {number} ({seed})" for number in (4, 9) for seed in ("seed_3", "seed_3_mirrored")}
    assert set(opened.evaluate(CONFUSED)) == rows
    assert opened.locator("#chosen").inner_text() == "60 classes, 2 chosen"
    opened.locator("#classes tbody button", has_text="class 9").first.press("Enter")  # by the keyboard
    assert chosen(opened) == listed(opened)[:1] == ["class 4"]
    opened.locator("#clear").click()
    assert chosen(opened) == [] and opened.evaluate(SELECTED) == []


def test_the_difference_is_of_the_two_kinds_that_are_chosen(opened):
    compare(opened, "sl", "clip")
    opened.locator("#key [data-all=true]").click()
    differences = [float(text) for text in column(opened, "classes", "sl − clip")]
    numbers = (map(float, column(opened, "classes", kind)) for kind in ("sl %", "clip %"))
    assert differences == pytest.approx([a - b for a, b in zip(*numbers)], abs=0.11)
    assert opened.locator("#classes thead th").all_inner_texts() == [
        "class", "sl %", "clip %", "sl − clip", "images", "run", "mostly taken for by sl",
        "mostly taken for by clip", "sl_sampled %",
    ]  # fmt: skip


def test_a_row_has_the_accuracy_of_a_class_with_its_number_of_images(opened, study_directory):
    """In each run of a mirrored pair, and not the mean over both."""
    compare(opened, "sl", "clip")
    names = opened.locator("#classes tbody th button").all_inner_texts()
    shown = [
        *zip(
            names,
            column(opened, "classes", "run"),
            column(opened, "classes", "images"),
            column(opened, "classes", "sl %"),
        )
    ]
    for run in (run for run in read_directory(study_directory).runs if run.name == "sl"):
        evaluation = run.evaluation
        for name, images, accuracy in zip(evaluation.class_names, evaluation.frequency, evaluation.accuracy):
            assert (name, run.seed, f"{images:,}", f"{100 * accuracy:.1f}") in shown


def test_the_copied_command_is_the_studys(opened):
    opened.context.grant_permissions(["clipboard-read", "clipboard-write"])
    command = opened.locator(".command", has_text="the study").first
    command.locator("button").click()
    copied = opened.evaluate("navigator.clipboard.readText()")
    assert copied == "cliptail study synthetic '--workdir=runs/made up'"


def test_the_downloads_are_the_tables(opened, study_directory):
    with opened.expect_download() as download:
        opened.locator("button[data-tsv=runs]").click()
    header, *rows = (line.split("\t") for line in download.value.path().read_text().splitlines())
    report = json.loads((study_directory / "report.json").read_text())
    places = [header.index(f"slope_acc{part}") for part in ("", "_low", "_high")]
    expected = {
        kind: [of["slope_acc"][part] for part in ("value", "low", "high")] for kind, of in report["bias"].items()
    }
    assert {row[0]: [float(row[place]) for place in places] for row in rows} == expected
    assert {row[header.index("n")] for row in rows} == {"2"}
    with opened.expect_download() as download:
        opened.locator("#download-tables").click()
    tables = json.loads(download.value.path().read_text())
    assert tables.keys() == {"claims", "differences", "runs", "measures", "classes"} and len(tables["classes"]) == 120
    assert [claim["difference"] for claim in tables["claims"]] == [c["difference"]["value"] for c in report["claims"]]
    assert [claim["lower"] for claim in tables["claims"]] == ["sl_sampled", "clip", "sl"]


def test_a_claim_chooses_its_runs_on_the_whole_page_and_a_link_keeps_the_choice(open_page, study_directory):
    page = open_page(study_directory / "report.html")
    page.locator("#claims tr", has_text="sl − sl_sampled").locator(".axis").click()
    page.locator("input[data-filter=classes]").fill("class 4")
    page.get_by_role("button", name="class 4", exact=True).first.click()
    assert address(page) == "sl,sl_sampled/class-4"
    again = open_page(study_directory / "report.html", "#sl,sl_sampled/class-4")
    for opened in (page, again):
        assert opened.locator("#claims [aria-current=true]").all_inner_texts() == ["sl − sl_sampled"]
        assert opened.locator("#pair thead th").all_inner_texts()[1:3] == ["sl", "sl_sampled"]
        assert opened.evaluate(SHOWN, "clip")[1:] == [0, False] and opened.evaluate(SHOWN, "sl")[1] > 5
        assert opened.locator("#classes thead th").all_inner_texts()[1:4] == ["sl %", "sl_sampled %", "sl − sl_sampled"]
        assert chosen(opened) == ["class 4"] and address(opened) == "sl,sl_sampled/class-4"
    again.locator("nav a", has_text="Origin").click()
    assert address(again) == "sl,sl_sampled/class-4"
    again.locator("#key [data-all=true]").click()
    assert again.evaluate(SHOWN, "clip")[1] > 5 and address(again) == "/class-4"
    again.evaluate("location.hash = '%E0%A4%A/nonsense'")  # is not one of the page's
    assert chosen(again) == ["class 4"]


def test_the_numbers_of_compared_runs_are_rounded_as_in_the_table_of_runs(opened):
    """Also halves: the head of sl is right in 68.25 %."""
    compare(opened, "sl", "clip")
    for place, run in enumerate(("sl", "clip"), 2):
        row = opened.locator(f'#runs tr[data-kind="{run}"] td').all_inner_texts()
        titles = opened.locator("#runs thead th").all_inner_texts()[1:]
        shown = {title.removesuffix(" [95 %]"): text.partition(" [")[0] for title, text in zip(titles, row)}
        compared = opened.locator(f"#pair tbody tr > :nth-child({place})").all_inner_texts()
        assert compared == [shown[title] for title in opened.locator("#pair tbody th").all_inner_texts()]
    assert shown["head"] and column(opened, "pair", "sl")[4] == "68.2"


def test_differences_of_any_two_runs_are_those_of_claims_in_either_direction(opened, study_directory):
    report = json.loads((study_directory / "report.json").read_text())
    claim = next(claim for claim in report["claims"] if claim["key"] == "clip")["difference"]
    value, low, high = (f"{claim[part]:.1f}" for part in ("value", "low", "high"))
    for pair, shown in [
        (("sl", "clip"), f"{value} [{low}, {high}]"),
        (("clip", "sl"), f"-{value} [-{high}, -{low}]"),
        (("clip", "clip"), "–"),
    ]:
        compare(opened, *pair)
        rows = opened.locator("#pair tbody tr", has_text="slope_acc")
        assert rows.locator("td").last.inner_text() == shown
    opened.locator("#key [data-all=true]").click()


def test_the_filter_counts_the_classes_that_match(opened):
    opened.locator("input[data-filter=classes]").fill("class 1")
    assert opened.locator("#chosen").inner_text() == f"{len(listed(opened))} of 60 classes match, none chosen"
    opened.locator("input[data-filter=classes]").fill("")
    assert opened.locator("#chosen").inner_text() == "60 classes, none chosen"


def test_the_keyboard_passes_plots(opened):
    opened.locator("button[data-tsv=runs]").focus()
    places = []
    for _ in range(3):
        opened.keyboard.press("Tab")
        places.append(opened.evaluate("document.activeElement.closest('.plot') === null"))
    assert all(places)
    assert opened.evaluate("document.activeElement.closest('#classes-part, #runs-part details') !== null")


def test_a_long_name_leaves_the_page_and_its_table_of_classes_as_wide_as_a_screen(open_page, pictured_study):
    page = open_page(pictured_study / "report.html", "#sl/digit-three")
    lengthen = """table => {
      table.querySelector("tbody th button").textContent = "x".repeat(10000);
      table.querySelector("tbody td.text").textContent = "w w".repeat(5000);
      document.querySelector("#class-images h4").textContent = "x".repeat(10000);
      return Math.max(table.scrollWidth, document.documentElement.scrollWidth);
    }"""
    assert page.locator("#classes").evaluate(lengthen) < 2000


@pytest.fixture(scope="module")
def axe(tmp_path_factory) -> str:
    """The script of axe-core."""
    folder = tmp_path_factory.mktemp("axe")
    if not shutil.which("npm"):
        pytest.skip("there is no npm, which installs axe-core")
    command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--prefix", str(folder), "axe-core@4"]
    try:
        subprocess.run(command, check=True, capture_output=True, timeout=120)
    except (subprocess.SubprocessError, OSError) as error:
        pytest.skip(f"npm does not install axe-core: {error}")
    return (folder / "node_modules/axe-core/axe.min.js").read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [390, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_pages_have_no_serious_violation_of_accessibility(scheme, width, axe, open_page, pictured_study):
    viewport = {"width": width, "height": 900}
    options = {"color_scheme": scheme, "viewport": viewport, "bypass_csp": True}
    page = open_page(pictured_study / "report.html", "#sl/digit-three", **options)
    assert page.locator("#class-images img").count() and page.locator("tr.off").count()
    page.evaluate(axe)
    violations = page.evaluate("axe.run()")["violations"]
    serious = [
        (v["id"], node["html"]) for v in violations if v["impact"] in ("serious", "critical") for node in v["nodes"]
    ]
    assert serious == []


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
        "Test image 2 of digit three": ["✓ right: clip (seed_0), sl", "✗ taken for digit four: clip (seed_1)"],
    }


def test_captions_and_names_with_html_are_shown_and_do_nothing(pictured):
    choose(pictured, SCRIPT)
    assert rows(pictured, 0)[f"Training image 1 of {SCRIPT}"] == [SCRIPT]
    assert any(f"✗ taken for {IMAGE}: sl" in marks for marks in rows(pictured, 1).values())
    choose(pictured, IMAGE)
    assert rows(pictured, 0)[f"Training image 1 of {IMAGE}"] == [IMAGE]
    assert pictured.evaluate("window.hacked") is None


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
    write_each_test_image_again(output, times=13)
    page = open_page(output, "#sl,clip/digit-three")
    assert page.locator("#class-images output").inner_text() == "1 to 24 of 26"
    first = images_shown(page)
    page.get_by_role("button", name="Next").click()
    assert page.locator("#class-images output").inner_text() == "25 to 26 of 26"
    assert len(first) == 24 and len(second := images_shown(page)) == 2 and not {*first} & {*second}
    assert page.get_by_role("button", name="Next").is_disabled()


def write_each_test_image_again(output, times):
    """Gives each class so many times as many test images, by the page's data."""
    before, images, after = re.split(r'(?<=id="images">)(.*?)(?=</script>)', output.read_text(), maxsplit=1)
    images = json.loads(images)
    for image in images["test"]["every"]:
        image[2] *= times  # the predictions, one for each image
    output.write_text(before + json.dumps(images).replace("</", r"<\/") + after)


def images_shown(page):
    return [image.get_attribute("aria-label") for image in page.locator("#class-images .sprite").all()]


@pytest.mark.parametrize("name", ["opened", "pictured"])
def test_pages_request_nothing_and_log_no_error(name, request):
    """After all that the tests above have done with the pages."""
    page = request.getfixturevalue(name)
    assert [kind for kind, _ in page.said if kind in ("error", "warning")] == []
    # Bokeh makes the markers' code a module of the page's own.
    assert [url for url in page.requested[1:] if not url.startswith(("blob:null/", "data:"))] == []
