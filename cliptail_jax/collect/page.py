"""The page on a collection: one file that a browser opens without a network."""

from importlib.resources import files
from pathlib import Path

import jinja2
from matplotlib.figure import Figure

from cliptail_jax.host.outputs import first_bytes
from cliptail_jax.metrics.collection import Collection
from cliptail_jax.report import collection as tables
from cliptail_jax.report.collection_pictures import draw_classes, draw_curve
from cliptail_jax.report.style import rendered

MARK = '<meta name="generator" content="cliptail_jax collect">'


def is_page(path: Path) -> bool:
    """Whether a file is such a page."""
    return MARK.encode() in first_bytes(path)


def render(found: Collection, title: str, command: str) -> str:
    """The text of the page."""
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string((files("cliptail_jax.collect") / "page.html").read_text(encoding="utf-8"))
    css = (files("cliptail_jax.report") / "page.css").read_text(encoding="utf-8")
    return template.render(
        mark=MARK,
        title=title,
        css=css,
        summary=tables.summary(found),
        curve=svg(draw_curve(found)),
        classes=svg(draw_classes(found)),
        tables=[tables.rule_table(found), tables.class_table(found)],
        command=command,
    )


def svg(figure: Figure) -> str:
    """The picture as an element of a page."""
    text = rendered(figure, "svg").decode()
    return text[text.index("<svg") :]
