"""The answer with which a report begins: the best run against the baseline, or how biased the runs are."""

import math
from collections.abc import Mapping, Sequence

from cliptail_jax.claims.best import CRITERION, BestRun
from cliptail_jax.claims.verdicts import SUPPORTED, ClaimResult
from cliptail_jax.experiments.kinds import labels_of
from cliptail_jax.host.text import UNDEFINED, format_number
from cliptail_jax.metrics.measures import MEASURES, format_of
from cliptail_jax.report.layout import cell
from cliptail_jax.results.group import RunGroup, groups_of
from cliptail_jax.results.study import BEST, Replicate, Study

CRITERION_NAME = "mean accuracy over classes"


def answer(study: Study, replicates: Sequence[Replicate], best: BestRun | None) -> list[str]:
    """The sentences with which the report of a study begins; none without results.

    The best run has the largest mean accuracy over classes. It counts as better than the baseline if that claim is supported,
    corrected for the number of compared runs. Without `baseline` and `next_command`, the sentences are those of `bias_of_all`.
    """
    groups = groups_of(replicates, labels_of(study.runs, study.names))
    if study.baseline in groups and len(groups) > 1:
        return against_baseline(groups[study.baseline], groups, best)
    return next_step(study, groups) if study.next_command else bias_of_all([*groups.values()])


def against_baseline(baseline: RunGroup, groups: Mapping[str, RunGroup], best: BestRun | None) -> list[str]:
    """The sentences on the best run against the baseline, or on why no run is compared with it."""
    if best is None:
        at_chance = [label_of(group) for group in groups.values() if group.chance_note()]
        clause = f"{', '.join(at_chance)} {'are' if len(at_chance) > 1 else 'is'} at chance"
        return [f"No run is compared with {label_of(baseline)}, since {clause}: train longer."] if at_chance else []
    group, result = groups[best.name], best.over_baseline[best.name]
    number = f" of {len(best.over_baseline)}" if len(best.over_baseline) > 1 else ""
    runs = f"({number_of_runs(len(result.by_seed), group.size)})"
    variation = "test examples and of trainings" if result.covers_seeds else "test examples"
    scope = f"Intervals are for the choice of {variation}, with these classes."
    changes = ", ".join(
        filter(None, (change("top1", "top-1", baseline, group), change("tail", "tail", baseline, group)))
    )
    if result.corrected != SUPPORTED:
        return [
            f"No run is measurably better than {label_of(baseline)} in {CRITERION_NAME} {runs}.",
            f"The largest difference{number} is that of {label_of(group)}: {points(result)} ({changes}).",
            scope,
        ]
    sentences = [f"{capitalized(label_of(group))}: {changes} {runs}."]
    sentences.append(f"It has the largest {CRITERION_NAME}{number}: {points(result)} against {label_of(baseline)}.")
    if ties := [label_of(groups[name]) for name, tie in best.over_others.items() if tie.corrected != SUPPORTED]:
        sentences.append(f"Not measurably worse: {', '.join(ties)}.")
    if best.head:
        costs = "It costs accuracy" if best.head.verdict == SUPPORTED else "It costs no measurable accuracy"
        sentences.append(f"{costs} in the head: {change('head', '', baseline, group)}, {points(best.head, -1)}.")
    return [*sentences, scope]


def next_step(study: Study, groups: Mapping[str, RunGroup]) -> list[str]:
    """The run with the largest mean accuracy over classes and, when all runs have ended, the command that continues with it."""
    means = {name: mean_of_classes(group) for name, group in groups.items() if group.evaluations}
    if not means:
        return []
    best = max(means, key=means.__getitem__)
    edge = " It is at the end of those tried: one beyond it may be better." * (best in (study.runs[0], study.runs[-1]))
    means_of_others = ", ".join(f"{name} {mean:.1f}" for name, mean in means.items() if name != best)
    sentence = f"{best} has the largest {CRITERION_NAME}: {means[best]:.1f} % ({means_of_others})."
    if names := [name for name in study.runs if name not in means and name not in study.failures]:
        return [f"So far, {sentence} Not finished: {', '.join(names)}."]
    return [f"{sentence}{edge}", f"Continue with: {study.next_command.replace(BEST, best)}"]


def bias_of_all(groups: Sequence[RunGroup]) -> list[str]:
    """A sentence on the only group, or on the most and the least biased one above chance, by odds_acc."""
    if len(groups) < 2:
        at_chance = [f"At chance: {note}." for group in groups if (note := group.chance_note())]
        return at_chance or [f"{capitalized(text)}." for group in groups if (text := bias_of(group))]
    order = [group for group in groups if bias_of(group) and not group.chance_note()]
    order = [group for group in order if math.isfinite(group.value("odds_acc"))]
    order.sort(key=lambda group: abs(group.value("odds_acc")), reverse=True)  # favouring rare classes is a bias, too
    words = ("most", "least") if len(order) > 2 else ("more", "less")
    ends = [*zip(words, (order[0], order[-1]))] if len(order) > 1 else []
    return [
        f"The {word} biased by the estimate of odds_acc is {label_of(group)}: {bias_of(group)}." for word, group in ends
    ]


def bias_of(group: RunGroup) -> str:
    """Accuracy by frequency in words: 'tail 62 %, head 97 %; with ten times as many images a class gains 22 points'.

    The last number is slope_acc. '' if one of them is undefined, as without class frequencies.
    """
    tail, head, gain = map(group.value, ("tail", "head", "slope_acc"))
    if not all(map(math.isfinite, (tail, head, gain))):
        return ""
    change = f"{'gains' if gain >= 0 else 'loses'} {abs(gain):.0f} point{'' if round(abs(gain)) == 1 else 's'}"
    interval = group.interval("odds_acc")
    direction = ", so it favours rare classes" if interval and interval.high < 0 else ""
    return f"tail {tail:.0f} %, head {head:.0f} %; with ten times as many images a class {change}{direction}"


def mean_of_classes(group: RunGroup) -> float:
    values = [MEASURES[CRITERION].point([evaluation.results]) for evaluation in group.evaluations]
    return sum(values) / len(values)


def change(key: str, name: str, baseline: RunGroup, best: RunGroup) -> str:
    """A measure of the baseline and of the best run, such as 'tail 16.2 → 56.0'; '' if it is undefined."""
    numbers = [format_number(group.value(key), format_of(key)) for group in (baseline, best)]
    return "" if UNDEFINED in numbers else f"{name} {' → '.join(numbers)}".lstrip()


def points(result: ClaimResult, sign: int = 1) -> str:
    """The difference with its interval, or with `sign` −1 the opposite one."""
    value, *bounds = (sign * number for number in result.interval)
    return f"{cell(value, '+.1f', sorted(bounds)).text} points"


def number_of_runs(replicates: int, size: int) -> str:
    unit = "mirrored pair" if size > 1 else "seed"
    return f"{replicates} {unit}{'' if replicates == 1 else 's'}"


def capitalized(text: str) -> str:
    """The text with a capital letter, to begin a sentence."""
    return text[:1].upper() + text[1:]


def label_of(group: RunGroup) -> str:
    """The label of runs in a sentence: 'adjusted logits' for 'adjusted_logits'."""
    return group.label.replace("_", " ")
