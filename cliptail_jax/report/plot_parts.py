"""The plots of the page as Bokeh has them, and what they show of each kind of runs."""

from typing import Any

from bokeh.models import (
    ColumnDataSource,
    CustomJS,
    FactorRange,
    Glyph,
    GlyphRenderer,
    Model,
)
from bokeh.plotting import figure

from cliptail_jax.report.comparison import ComparedGroup, ComparedRuns
from cliptail_jax.report.previews import Preview

MOVING = "pan,box_zoom,wheel_zoom,reset,save"


class Plots:
    """The plots of a comparison, by a short name of each.

    Attributes:
        figures: the plots; those for which there are no numbers are left out.
        previews: some of them, as SVG.
        descriptions: those of the plots, for those who do not see them.
        by_kind: the objects that show a kind, each with the names of its properties that are the kind's colour.
        points: the source of classes and runs, whose selection chooses classes; None without evaluations.
        confusions: the sources of the two plots of confusion, which the page fills.
        rows: the axis of kinds, from which a hidden one is removed.
        has_paths: whether the plot of bias by accuracy shows the paths of the runs during their training.
    """

    def __init__(self, comparison: ComparedRuns, shows_images: bool = False):
        """With `shows_images`, the page's script `images.js` has training images, which are shown with a class."""
        self.figures: dict[str, Model] = {}
        self.previews: dict[str, Preview] = {}
        self.descriptions: dict[str, str] = {}
        self.by_kind: dict[str, list[tuple[Model, list[str]]]] = {kind.name: [] for kind in comparison.kinds}
        self.points: ColumnDataSource | None = None
        self.confusions: list[ColumnDataSource] = []
        self.rows: FactorRange | None = None
        self.has_paths = False
        self.comparison, self.shows_images = comparison, shows_images
        self._shapes: dict[str, CustomJS] = {}

    def add_figure(self, name: str, description: str, tools: str = MOVING, **options) -> figure:
        plot = figure(
            height=options.pop("height", 380),
            sizing_mode="stretch_width",
            tools=tools,
            toolbar_location="above",
            name=name,
            background_fill_color=None,  # the page's background shows through, light or dark
            border_fill_color=None,
            **options,
        )
        plot.toolbar.logo = None
        plot.toolbar.autohide = False
        plot.min_border_right = 12
        self.figures[name], self.descriptions[name] = plot, description
        return plot

    def note_kind(self, kind: ComparedGroup, *renderers: Model) -> None:
        """Note that renderers and their glyphs show a kind, in its colour."""
        for renderer in renderers:
            self.by_kind[kind.name].append((renderer, []))
            self.note_colour(kind, renderer.glyph)

    def note_colour(self, kind: ComparedGroup, glyph: Model) -> None:
        """Note that a glyph has the colour of a kind."""
        colours = [name for name in ("fill_color", "line_color") if name in glyph.properties()]
        self.by_kind[kind.name].append((glyph, colours))

    def marker(self, kind: ComparedGroup) -> dict:
        """The marker of a kind as options of a scatter plot: its path, scaled to the marker's size."""
        if kind.name not in self._shapes:
            code = (
                f"const shape = new Path2D({kind.look.path!r}), paths = new Map(); export default (args, obj, {{r}}) => {{ "
                "if (!paths.has(r)) { const path = new Path2D(); path.addPath(shape, new DOMMatrix([2 * r, 0, 0, 2 * r, 0, "
                "0])); paths.set(r, path) } return paths.get(r) }"
            )
            self._shapes[kind.name] = CustomJS(code=code, module=True)
        return {"marker": {"value": "@kind"}, "defs": {"@kind": self._shapes[kind.name]}}


def draw(plot: figure, glyph: type[Glyph], data: ColumnDataSource | dict, **look: Any) -> GlyphRenderer:
    """Add glyphs of a type, whose coordinates are by default the columns `x` and `y`, or `x0` to `y1`.

    `plot.line` and its like would also add glyphs for selected, other, muted and hovered ones, which takes three times as long.
    """
    return plot.add_glyph(data if isinstance(data, ColumnDataSource) else ColumnDataSource(data), glyph(**look))


def filled(kind: ComparedGroup) -> dict[str, str]:
    """The colours of a kind's markers."""
    return {"fill_color": kind.look.colour, "line_color": kind.look.colour}
