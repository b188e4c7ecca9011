"""A plan of collection: its tables by rule and by class, its file, its sentences, and its picture."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import StrMethodFormatter

from cliptail_jax.host.text import format_number, tsv
from cliptail_jax.metrics.collection import NOBODY, PERCENTS, PLAN, Collection
from cliptail_jax.metrics.law import has_maximum
from cliptail_jax.report.layout import Column, Row, Table, cell
from cliptail_jax.report.style import add_grid, style

# The header of the file, a table for programs.
HEADER = ("class", "images", "collect", "accuracy", "predicted", *(f"images_for_{percent}" for percent in PERCENTS))
NO_MAXIMUM = (
    "note: no law fits best, as all examples are right or wrong, or a class frequency separates those that are right from the "
    "others: the plan depends on where the fit stopped. Evaluate the run on more examples, or on harder ones."
)


def rule_table(result: Collection) -> Table:
    """The predicted accuracies after each rule."""
    rows = [Row(rule, {key: cell(value, ".1f") for key, value in result.means(rule).items()}) for rule in result.rules]
    columns = [Column(key, f"{key} %", "predicted accuracy in percent") for key in rows[0].cells]
    return Table(f"{budget_of(result)} given to", columns, rows)


def budget_of(result: Collection) -> str:
    """The budget in words."""
    return f"{result.budget:,.0f} more images" if result.cost is None else f"more images for {result.budget:,.0f}"


def class_table(result: Collection) -> Table:
    """A row for each class, those with most images to collect first."""
    columns = [
        Column("images", "images", "training images now"),
        Column("collect", "collect", "further images by the plan"),
        Column("accuracy", "now %", "accuracy by the law and the examples"),
        Column("predicted", "then %", "predicted accuracy"),
        *(Column(f"for_{p}", f"for {p} %", f"images in all for an accuracy of {p} % (< or > far outside of the data)") for p in PERCENTS),
    ]  # fmt: skip
    rows, needed_images = [], [result.needed(percent) for percent in PERCENTS]
    accuracies, predictions = (100 * result.accuracy(rule) for rule in (NOBODY, PLAN))
    for c in np.argsort(-result.plan, kind="stable"):
        cells = {
            "images": cell(int(result.counts.frequency[c]), ","),
            "collect": cell(int(result.plan[c]), ","),
        }
        cells |= {"accuracy": cell(accuracies[c], ".1f"), "predicted": cell(predictions[c], ".1f")}
        cells |= {f"for_{p}": cell(float(np.ceil(images[c])), ",.0f") for p, images in zip(PERCENTS, needed_images)}
        rows.append(Row(result.counts.names[c], cells))
    return Table("class", columns, rows)


def plan_text(result: Collection) -> str:
    """The content of the plan's file: a header, and a line for each class in label order."""
    accuracies, predictions = (result.accuracy(rule) for rule in (NOBODY, PLAN))
    rows, needed_images = [], [np.ceil(result.needed(percent)) for percent in PERCENTS]
    for c, name in enumerate(result.counts.names):
        cells = [format_number(float(images[c]), ".0f") for images in needed_images]
        numbers = result.counts.frequency[c], result.plan[c]
        rows.append([name, *numbers, f"{accuracies[c]:.4f}", f"{predictions[c]:.4f}", *cells])
    return tsv(HEADER, rows)


def reason_of_rest(result: Collection) -> str:
    """The reason why a part of the budget is left."""
    if result.cost is None:
        return f"images are left: no more of them help {result.target}"
    return f"of the budget are left: the images that it can buy do not help {result.target}"


def summary(result: Collection) -> list[str]:
    """Sentences on the plan and on what it assumes."""
    law, plan = result.posterior.law, result.plan
    results = result.counts.frequency, result.counts.correct, result.counts.examples
    mean, gain = (cell(number.value, ".1f", (number.low, number.high)).text for number in (result.mean, result.gain))
    classes = int(np.sum(result.counts.examples == 0))
    number = int(np.sum((plan > 0) & (result.counts.frequency + plan > result.counts.frequency.max())))
    cost = "" if result.cost is None else f" for {plan @ result.cost:,.0f} in all"
    return [
        f"By the plan, {result.target} becomes {mean} %, a gain of {gain} points; {np.sum(plan > 0):,} of {len(plan):,} classes "
        f"get {plan.sum():,} images{cost}.",
        f"The law: log-odds of being right are {law.at_one:.2f} + {law.per_decade:.2f} log10(images), and vary between "
        f"classes with a standard deviation of {law.sd:.2f}. [95 %]: bootstrap intervals over classes, with a law for each "
        "resample; they are for other classes like these, and do not cover other trainings. If new images of a class are "
        "harder than those it has, the prediction is an upper bound.",
        *([] if has_maximum(*results) else [NO_MAXIMUM]),
        *([f"{number:,} classes get more images than any class has: the law is extrapolated."] if number else []),
        *([f"{result.remainder:,.0f} {reason_of_rest(result)}."] if result.remainder else []),
        *([f"{classes:,} classes have no example in the evaluation, and get no images."] if classes else []),
    ]


def draw_classes(result: Collection) -> Figure:
    """A line for each class from its images and accuracy to those after the plan."""
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes, frequency = figure.subplots(), result.counts.frequency
    planned_frequency = frequency + result.plan
    accuracy = [100 * result.accuracy(rule) for rule in (NOBODY, PLAN)]
    x = [np.maximum(images, 0.5) for images in (frequency, planned_frequency)]
    has_more = result.plan > 0
    axes.plot(np.stack(x)[:, has_more], np.stack(accuracy)[:, has_more], color="#999999", linewidth=0.7, zorder=1)
    axes.plot(x[0], accuracy[0], **style(0) | {"linestyle": ""}, markersize=4, label="now")
    axes.plot(
        x[1][has_more], accuracy[1][has_more], **style(1) | {"linestyle": ""}, markersize=4, label="after the plan"
    )
    axes.set(xscale="log", ylim=(-2, 102), xlabel="training images of the class", ylabel="predicted accuracy (%)")
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,.4g}"))
    axes.set_title(f"{budget_of(result)}, by class", fontsize=10)
    axes.legend(loc="lower right")
    add_grid(axes)
    return figure
