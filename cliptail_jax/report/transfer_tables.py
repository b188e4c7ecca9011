"""The tables of transfers: of a study or page, and of the report of a transfer."""

from collections.abc import Callable, Mapping, Sequence

from cliptail_jax.report.layout import Cell, Column, Row, Table, cell
from cliptail_jax.results.group import mean_of
from cliptail_jax.results.transfers import METHODS, Transfer


def transfer_table(transfers: Mapping[str, Sequence[Transfer]]) -> Table:
    """A row for each group of runs or model with results, and a column with scores for each set and method."""
    return results_table(transfers, lambda result: f"{result['set']}: {METHODS[result['method']].lower()} %", score)


def results_table(
    transfers: Mapping[str, Sequence[Transfer]],
    title_of: Callable[[Transfer], str],
    cell_of: Callable[[Sequence[Transfer]], Cell],
    titles: Sequence[str] = (),
) -> Table:
    """A row for each model with results, and a column for each title, beginning with `titles`; '–' for no results."""
    results_by_model: dict[str, dict[str, list[Transfer]]] = {}
    for model, results in transfers.items():
        for result in results:
            results_by_model.setdefault(model, {}).setdefault(title_of(result), []).append(result)
    all_titles = dict.fromkeys([*titles, *(title for results in results_by_model.values() for title in results)])
    rows = [
        Row(model, {title: cell_of(results[title]) if title in results else cell(None) for title in all_titles})
        for model, results in results_by_model.items()
    ]
    return Table("model", [Column(title, title) for title in all_titles], rows)


def score(results: Sequence[Transfer]) -> Cell:
    """The mean score over seeds; a single result has its margin, if any."""
    mean = cell(mean_of([result["score"] for result in results]), ".1f")
    margin = results[0].get("margin") if len(results) == 1 else None
    return mean if margin is None else mean._replace(number=f"{mean.number} ± {margin:.1f}")
