"""Does the law forecast the bias of `batch` from that of SL and of adjusted logits, whatever the recipe?

    python configs/study/analyses/robustness_forecast.py > configs/study/results/robustness_forecast.md

Needs no logits: between adjusted logits, whose ψ is 0, and SL, whose ψ has the slope ln 10, bias is interpolated at the slope of
ψ of `batch` (configs/effective_prior.md). Prints mean absolute errors over the recipes of configs/study/robustness.py, grouped by the
top-1 of adjusted logits, and the difference of `counts` and adjusted logits, which is 0 by the law.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from cliptail_jax.config.files import find_results
from cliptail_jax.formats.frequency_tables import read_frequency
from cliptail_jax.host.files import read_json
from cliptail_jax.metrics.effective_prior import SL_PER_DECADE, batch_log_prior, per_decade
from cliptail_jax.report.layout import markdown, text_table
from cliptail_jax.report.run_tables import table_of_numbers
from configs.study.robustness import CELLS, CENTRE

FREQUENCY = Path(__file__).parents[1] / "results/forecasts/glyphs_16_adjusted_counts.tsv"
LOWER_BOUNDS = (60, 40, 5)  # of the top-1 of adjusted logits; below, runs are near chance
HEADER = ["top-1 of adjusted logits", "recipes", "bias of batch", "error of the interpolation", "counts − adjusted"]


class Recipe(NamedTuple):
    """A recipe's top-1 of adjusted logits, the bias of `batch`, the error of its interpolation, and `counts` − adjusted logits."""

    top1: float
    batch: float
    error: float
    excess: float


def main() -> None:
    _, frequency = read_frequency(FREQUENCY)
    numbers = {
        row.name.split(" ")[0]: row.cells for row in table_of_numbers(read_json(find_results("robustness"))).rows
    }
    recipes = []
    for name, cell in [*((str(cell), cell) for cell in CELLS), ("best", CENTRE)]:
        bias = {arm: numbers[f"{arm}-{name}"]["odds_acc"].value for arm in ("sl", "batch", "counts", "adjusted")}
        share = per_decade(batch_log_prior(frequency, cell.batch), frequency) / SL_PER_DECADE
        forecast = bias["adjusted"] + share * (bias["sl"] - bias["adjusted"])
        top1 = numbers[f"adjusted-{name}"]["top1"].value
        recipes.append(Recipe(top1, bias["batch"], forecast - bias["batch"], bias["counts"] - bias["adjusted"]))
    rows = []
    for upper, lower in zip((100, *LOWER_BOUNDS), LOWER_BOUNDS):
        group = [recipe for recipe in recipes if lower <= recipe.top1 < upper]
        batch, excess = ([getattr(recipe, field) for recipe in group] for field in ("batch", "excess"))
        errors = np.abs([recipe.error for recipe in group])
        rows.append(
            [
                f"from {lower} %" if upper == 100 else f"{lower} to {upper} %",
                str(len(group)),
                f"{min(batch):.2f} to {max(batch):.2f}",
                f"{errors.mean():.2f} (at most {errors.max():.2f})",
                f"{np.mean(excess):.2f} ± {np.std(excess, ddof=1):.2f}",
            ]
        )
    print("\n".join(markdown(text_table(HEADER, rows))))


if __name__ == "__main__":
    main()
