"""The tables of a plan of collection, by rule and by class, and the plan's file."""

import numpy as np

from cliptail_jax.host.text import format_interval, format_number
from cliptail_jax.metrics.collection import NEEDED, NOBODY, PLAN, Collection
from cliptail_jax.metrics.law import has_maximum
from cliptail_jax.report.layout import Column, Row, Table, cell

# Of the file, which is a table for programs.
HEADER = ("class", "images", "collect", "accuracy", "predicted", *(f"images_for_{percent}" for percent in NEEDED))
NO_MAXIMUM = (
    "note: no law fits best, as all examples are right or wrong, or a class frequency separates those that are right from the "
    "others: the plan depends on where the fit stopped. Evaluate the run on more examples, or on harder ones."
)


def rule_table(found: Collection) -> Table:
    """The predicted accuracies after each rule."""
    rows = [Row(rule, {key: cell(value, ".1f") for key, value in found.means(rule).items()}) for rule in found.rules]
    columns = [Column(key, f"{key} %", "predicted accuracy in percent") for key in rows[0].cells]
    return Table(f"{budget_of(found)} given to", columns, rows)


def budget_of(found: Collection) -> str:
    """The budget in words."""
    return f"{found.budget:,.0f} more images" if found.cost is None else f"more images for {found.budget:,.0f}"


def class_table(found: Collection) -> Table:
    """The classes, those with most images to collect first."""
    columns = [
        Column("images", "images", "training images now"),
        Column("collect", "collect", "further images by the plan"),
        Column("accuracy", "now %", "accuracy by the law and the examples"),
        Column("predicted", "then %", "predicted accuracy"),
        *(Column(f"for_{p}", f"for {p} %", f"images in all for an accuracy of {p} % (< or > far outside of all)") for p in NEEDED),
    ]  # fmt: skip
    rows, needed = [], [found.needed(percent) for percent in NEEDED]
    now, then = (100 * found.accuracy(rule) for rule in (NOBODY, PLAN))
    for c in np.argsort(-found.plan, kind="stable"):
        cells = {"images": cell(int(found.counts.frequency[c]), ","), "collect": cell(int(found.plan[c]), ",")}
        cells |= {"accuracy": cell(now[c], ".1f"), "predicted": cell(then[c], ".1f")}
        cells |= {f"for_{p}": cell(float(np.ceil(of[c])), ",.0f") for p, of in zip(NEEDED, needed)}
        rows.append(Row(found.counts.names[c], cells))
    return Table("class", columns, rows)


def plan_text(found: Collection) -> str:
    """The content of the plan's file: a header, and a line for each class in label order."""
    now, then = (found.accuracy(rule) for rule in (NOBODY, PLAN))
    lines, of_classes = ["\t".join(HEADER)], [np.ceil(found.needed(percent)) for percent in NEEDED]
    for c, name in enumerate(found.counts.names):
        needed = [format_number(float(of[c]), ".0f") for of in of_classes]
        numbers = found.counts.frequency[c], found.plan[c]
        lines.append("\t".join([name, *map(str, numbers), f"{now[c]:.4f}", f"{then[c]:.4f}", *needed]))
    return "\n".join(lines) + "\n"


def left_over(found: Collection) -> str:
    """Why some of the budget is left."""
    if found.cost is None:
        return f"images are left: no more of them help {found.target}"
    return f"of the budget are left: the images that it can buy do not help {found.target}"


def summary(found: Collection) -> list[str]:
    """Sentences on the plan and on what it assumes."""
    law, plan = found.fitted.law, found.plan
    results = found.counts.frequency, found.counts.correct, found.counts.examples
    mean, gain = (format_interval(of.value, (of.low, of.high), ".1f") for of in (found.mean, found.gain))
    untested = int(np.sum(found.counts.examples == 0))
    beyond = int(np.sum((plan > 0) & (found.counts.frequency + plan > found.counts.frequency.max())))
    cost = "" if found.cost is None else f" for {plan @ found.cost:,.0f} in all"
    return [
        f"By the plan, {found.target} becomes {mean} %, a gain of {gain} points; {np.sum(plan > 0):,} of {len(plan):,} classes "
        f"get {plan.sum():,} images{cost}.",
        f"The law: log-odds of being right are {law.at_one:.2f} + {law.per_decade:.2f} log10(images), and vary between "
        f"classes with a standard deviation of {law.sd:.2f}. [95 %]: bootstrap intervals over classes, with a law for each "
        "resample; they are for other classes like these, and do not cover other trainings. If new images of a class are "
        "harder than those it has, the prediction is an upper bound.",
        *([] if has_maximum(*results) else [NO_MAXIMUM]),
        *([f"{beyond:,} classes get more images than any class has: the law is extrapolated."] if beyond else []),
        *([f"{found.left:,.0f} {left_over(found)}."] if found.left else []),
        *([f"{untested:,} classes have no example in the evaluation, and get no images."] if untested else []),
    ]
