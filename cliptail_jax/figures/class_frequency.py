"""The frequency of each class in several corpora, from the head of one of them to its tail (figure 1a).

    cliptail figures class_frequency --frequencies laion.tsv cc12m.tsv --rank_by laion.tsv --output frequency.png

Also prints the table below the curves: the imbalance of each corpus, and Spearman's correlations with the numbered corpora.
"""

from collections.abc import Sequence
from pathlib import Path

from matplotlib.figure import Figure

from cliptail_jax.formats.frequency_tables import frequency_of, read_frequency
from cliptail_jax.host.errors import UserError
from cliptail_jax.report.class_frequency import comparison, draw_class_frequency
from cliptail_jax.report.layout import text_lines

OPTIONS = {
    "--frequencies": {"nargs": "+", "type": "path", "required": True, "help": "tables of class name <TAB> count"},
    "--rank_by": {"type": "path", "help": "the table that ranks the classes (default: the first)"},
}


def draw(frequencies: Sequence[Path], rank_by: Path | None = None) -> Figure:
    names, ranking = read_frequency(rank_by or frequencies[0])
    corpora = {label: frequency_of(names, path) for label, path in zip(labels(frequencies), frequencies)}
    print("\n".join(text_lines(comparison(corpora))))
    return draw_class_frequency(corpora, ranking)


def labels(paths: Sequence[Path]) -> list[str]:
    """The names of the tables without their common first and last words."""
    stems = [path.stem for path in paths]
    if len(set(stems)) < len(stems):
        twice = next(stem for stem in stems if stems.count(stem) > 1)
        raise UserError(f"--frequencies has two tables named '{twice}': rename one, the figure labels them by name")
    if len(stems) == 1:
        return stems
    parts = [stem.split("_") for stem in stems]
    while len({p[0] for p in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [p[1:] for p in parts]
    while len({p[-1] for p in parts}) == 1 and min(map(len, parts)) > 1:
        parts = [p[:-1] for p in parts]
    return ["_".join(p) for p in parts]
