"""The tables of measures and differences, as text and for pandas."""

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from cliptail_jax.claims.verdicts import CONTRADICTED, NO_EFFECT, SUPPORTED, ClaimResult
from cliptail_jax.host.errors import UserError
from cliptail_jax.host.text import UNDEFINED
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.metrics.measures import GROUPS, MEASURES, MORE_ACCURATE, MORE_BIASED, prediction_measures
from cliptail_jax.report.layout import Cell, Column, Table, cell, table_of, text_lines, width_of

if TYPE_CHECKING:
    import pandas

MAIN_MEASURES = {"mean_per_class": "mean accuracy %", "odds_acc": "bias (odds_acc)", "tail": "tail accuracy %"}
SHOWN_TAUS = (0.0, 0.5, 1.0, 1.5, 2.0)
NO_ESTIMATE = Estimate(math.nan)


def cell_of(key: str, estimate: Estimate) -> Cell:
    """A measure or difference with its interval, if that is known. Its bounds are '<' or '>' far outside of the data."""
    value, *bounds = estimate[:3]
    return cell(value, MEASURES[key].format, bounds)


def difference_cell(key: str, claim: ClaimResult | None) -> Cell:
    """The difference in a measure, or '–' if it could not be tested."""
    return cell_of(key, claim and claim.difference or NO_ESTIMATE)


def no_adjustment_text(name: str, tau: float) -> str:
    return f"{name}: do not adjust the logits; τ = {tau:g} is best."


def no_scale_text(name: str, are_probabilities: bool, confidence: float, accuracy: float) -> str:
    """`confidence` and `accuracy` are in percent."""
    numbers = "logarithms of the probabilities" if are_probabilities else "logits"
    return (
        f"{name}: the {numbers} lack their scale: the mean confidence is {confidence:.0f} %, and {accuracy:.0f} % are right. Multiply "
        "them by the scale of the training, such as 1 / 0.07 for cosines, and measure again, or choose τ."
    )


def overconfidence_text(confidence: float, accuracy: float) -> str:
    """Why the best τ is large; `confidence` and `accuracy` are in percent. The best τ does not tell the two causes apart."""
    return (
        f"This τ is large because the logits are overconfident: the mean confidence is {confidence:.0f} %, and {accuracy:.0f} % are "
        "right. Those of an overfitted model are, and so are logits multiplied by a number above 1."
    )


def recipe_text(recipe: str, tau: float, is_far: bool) -> str:
    """The τ that removes the log-prior of a recipe; `is_far` is whether the best τ is far from it."""
    end = ", far from the best one: is this the recipe, and are these the logits of its softmax?" if is_far else "."
    return f"τ = {tau:.2f} removes the log-prior of {recipe}{end}"


def adjustment_advice(
    name: str,
    tau: float,
    is_given: bool,
    plain_measures: Mapping[str, Estimate],
    adjusted_measures: Mapping[str, Estimate],
    gain: ClaimResult,
) -> str:
    """Whether to adjust logits by τ, and what changes.

    Args:
        is_given: whether the user chose τ. Otherwise, `adjusted_measures` are on held-out halves.
        plain_measures, adjusted_measures: those without and with adjustment.
        gain: the test of the difference in mean accuracy.
    """
    answers = {
        SUPPORTED: f"adjust by τ = {tau:g}",
        CONTRADICTED: f"do not adjust by τ = {tau:g}",
        NO_EFFECT: f"adjusting by τ = {tau:g} hardly changes mean accuracy",
    }
    answer = answers.get(
        gain.verdict, f"adjust by τ = {tau:g} if the tail matters most; whether mean accuracy gains is undecided"
    )
    start = f"adjusted by τ = {tau:g} as given:" if is_given else f"{answer}. On held-out halves:"
    changes = {
        key: f"{title} {plain_measures[key].value:.1f} → {adjusted_measures[key].value:.1f}"
        for key, title in {"mean_per_class": "mean accuracy", "tail": "tail", "head": "head"}.items()
    }
    changes["mean_per_class"] += " %"
    if difference := gain.difference:
        changes["mean_per_class"] += f" ({'+' * (difference.value >= 0)}{cell_of('mean_per_class', difference).text})"
    return f"{name}: {start} {', '.join(changes.values())}."


def code_text(tau: float, are_probabilities: bool = False) -> str:
    """The lines of NumPy and of PyTorch that adjust logits."""
    factor = "" if tau == 1 else f"{tau:g} * "
    array, tensor = ("np.log(probabilities)", "probabilities.log()") if are_probabilities else ("logits", "logits")
    return (
        f"NumPy:    logits = {array} - {factor}np.log(np.maximum(n, 1))  # n: training images of each column's class\n"
        f"PyTorch:  logits = {tensor} - {factor}n.clamp(min=1).log()  # n: a tensor of them"
    )


def forecast_text(name: str, trained_with: str, recipe: str, measures: Mapping[str, Estimate] | str) -> str:
    """What another recipe would give, as a sentence; `measures` may be the name of a row that has them."""
    if isinstance(measures, str):
        return f"{name}: trained with {recipe} in place of {trained_with}, it would have the measures of {measures} (forecast)."
    accuracy, bias, tail = (cell_of(key, Estimate(measures[key].value)).text for key in MAIN_MEASURES)
    return (
        f"{name}: trained with {recipe} in place of {trained_with}, it would have a mean accuracy of {accuracy} %, a bias of {bias} "
        f"and a tail accuracy of {tail} % (forecast)."
    )


def main_measures_text(files: Mapping[str, Mapping[str, Estimate]]) -> str:
    """A row for each file, with its mean accuracy, bias and tail accuracy."""
    columns = [
        Column(key, title, value=lambda name, key=key: cell_of(key, files[name].get(key, NO_ESTIMATE)))
        for key, title in MAIN_MEASURES.items()
    ]
    return "\n".join(text_lines(table_of("", columns, files)))


def main_differences_text(pairs: Mapping[str, Mapping[str, ClaimResult]]) -> str:
    """A row for each pair of files: its differences in the main measures, and what the first one is."""
    main_claims = {name: {key: claims[key] for key in MAIN_MEASURES if key in claims} for name, claims in pairs.items()}
    columns = [
        *(
            Column(key, title, value=lambda name, key=key: difference_cell(key, main_claims[name].get(key)))
            for key, title in MAIN_MEASURES.items()
        ),
        Column("words", "the first is", value=lambda name: comparison_words(main_claims[name])),
    ]
    return "\n".join(text_lines(table_of("difference [95 %]", columns, pairs)))


def comparison_words(claims: Mapping[str, ClaimResult]) -> str:
    """The decided verdicts, as in 'more accurate, less biased'; or that none is."""
    words = []
    for claim in claims.values():
        higher, lower = outcomes(claim)
        if claim.verdict == SUPPORTED:
            words.append(higher)
        elif claim.verdict == CONTRADICTED:
            words.append(lower)
    if words:
        return ", ".join(dict.fromkeys(words))
    return "as good" if all(claim.verdict == NO_EFFECT for claim in claims.values()) else "undecided"


def outcomes(claim: ClaimResult) -> tuple[str, str]:
    """What the model with the higher value of a claim's measure is, and the one with the lower: ('more biased', 'less biased').

    Bias is the distance from 0. So of two models that favour rare classes, the one with the higher value is less biased; and if one
    favours frequent and the other rare classes, that is stated instead, because their difference does not show which is closer to 0.
    """
    measure = MEASURES[claim.statistic]
    if measure.larger == MORE_ACCURATE:
        place = f" in the {GROUPS[measure.group]}" if measure.group else ""
        return f"more accurate{place}", f"less accurate{place}"
    if measure.larger != MORE_BIASED:
        return "higher", "lower"
    lower, higher = sorted(sum(values) / len(values) for values in zip(*claim.by_seed))
    if lower >= 0:
        return "more biased", "less biased"
    if higher <= 0:
        return "less biased", "more biased"
    return "biased towards frequent classes", "biased towards rare classes"


def measures_text(files: Mapping[str, Mapping[str, Estimate]], width: int | None = None) -> str:
    """A column for each file and a row for each measure that any of them has, divided into blocks that fit the width.

    `files` are their estimates, by their names and the keys of measures.
    """
    width = width or shutil.get_terminal_size((100, 24)).columns
    columns = [
        Column(name, name, value=lambda key, estimates=estimates: cell_of(key, estimates.get(key, NO_ESTIMATE)))
        for name, estimates in files.items()
    ]
    measures = table_of("", columns, prediction_measures(), lambda key: MEASURES[key].title)
    rows = [row for row in measures.rows if any(cell.number != UNDEFINED for cell in row.cells.values())]
    blocks: list[list[Column]] = []
    for column in columns:
        block = [*(blocks[-1] if blocks else []), column]
        lines = text_lines(Table("", block, rows))
        if len(block) > 1 and max(map(width_of, lines)) > width:
            blocks.append([column])
        else:
            blocks[-1:] = [block]
    return "\n\n".join("\n".join(text_lines(Table("", block, rows))) for block in blocks)


def difference_text(name: str, rows: Mapping[str, tuple[Estimate | None, float, str]]) -> str:
    """A row for each measure by its key: its difference, if it could be tested, its margin and its verdict."""
    columns = [
        Column("difference", "difference [95 %]", value=lambda key: cell_of(key, rows[key][0] or NO_ESTIMATE)),
        Column("margin", "margin", "", "g", lambda key: rows[key][1] or None),
        Column("verdict", "verdict", value=lambda key: rows[key][2]),
    ]
    return "\n".join(text_lines(table_of(name, columns, rows, lambda key: MEASURES[key].title)))


def adjustment_text(name: str, by_tau: Mapping[float, Mapping[str, float]]) -> str:
    """A row for some of the τ, with the measures of logits − τ log n on all examples. `by_tau` has them by their keys."""
    columns = [
        Column(key, MEASURES[key].title, "", MEASURES[key].format, lambda tau, key=key: by_tau[tau][key])
        for key in next(iter(by_tau.values()))
    ]
    taus = [tau for tau in by_tau if tau in SHOWN_TAUS]
    table = table_of(f"{name}, logits − τ log n on all examples", columns, taus, lambda tau: f"τ = {tau:g}")
    return "\n".join(text_lines(table, "<>"))


def frame(rows: Mapping[str, Sequence[object]], columns: Sequence[str]) -> "pandas.DataFrame":
    """A data frame with a row for each measure. Raises UserError without pandas."""
    try:
        import pandas
    except ImportError:
        raise UserError(
            "to_pandas needs pandas, which is not installed: pip install pandas, or cliptail_jax with the extra frames"
        ) from None
    return pandas.DataFrame.from_dict(dict(rows), orient="index", columns=list(columns)).rename_axis("measure")
