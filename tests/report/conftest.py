"""One study, its page, and the page in a browser, for all tests."""

import os
from pathlib import Path

import pytest

from tests.judged_pages import page_of
from tests.report.pictured_study import write_pictured_study
from tests.report.synthetic_pages import write_study
from tests.study_fixtures import pictures, results, trains  # noqa: F401

CHROMIUM = os.environ.get("CHROMIUM", "/usr/bin/chromium")


@pytest.fixture(scope="session")
def study_directory(made_once) -> Path:
    """A finished study of three kinds in a mirrored pair, which is not to be changed."""
    return made_once("synthetic", lambda folder: write_study(folder / "study")) / "study"


@pytest.fixture(scope="session")
def pictured_study(glyphs_dir, made_once) -> Path:
    """Runs whose training and test images are there, which are not to be changed, and their page."""

    def make(folder):
        write_pictured_study(folder / "study", glyphs_dir)
        page_of(folder / "study")

    return made_once("pictured", make) / "study"


@pytest.fixture(scope="session")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright, of the extra dev, drives the browser")
    if not Path(CHROMIUM).exists():
        pytest.skip(f"there is no Chromium: apt install chromium, or set CHROMIUM to its path (now {CHROMIUM})")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def open_page(browser):
    """Opens a file in the browser, and notes what the browser says and requests."""

    def open_page(path, address="", **options):
        page = browser.new_context(accept_downloads=True, **options).new_page()
        page.set_default_timeout(120_000)  # milliseconds, on a busy machine
        page.said, page.requested = [], []
        page.on("console", lambda message: page.said.append((message.type, message.text)))
        page.on("pageerror", lambda error: page.said.append(("error", str(error))))
        page.on("request", lambda request: page.requested.append(request.url))
        page.goto(path.as_uri() + address)
        page.wait_for_function("document.documentElement.dataset.ready === 'true'")
        return page

    return open_page


@pytest.fixture(scope="session")
def opened(open_page, study_directory):
    """The study's page in the browser."""
    return open_page(study_directory / "report.html")
