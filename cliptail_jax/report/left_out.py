"""Notes on the classes without a logarithm, which slopes leave out."""

from collections.abc import Iterable

from cliptail_jax.metrics.measures import CLASSES, MEASURES
from cliptail_jax.results.group import RunGroup

MANY = 0.1  # of the classes


def left_out_note(groups: Iterable[RunGroup], has_claims: bool) -> list[str]:
    """A paragraph on the slopes that leave out classes of these groups of runs; none if no slope does.

    `has_claims` is whether there are claims on them.
    """
    groups = [group for group in groups if group.evaluations]
    classes = {group.name: max(len(e.class_names) for e in group.evaluations) for group in groups}
    notes, alike = [], {}  # slopes that leave out the same classes
    for slope, measure in MEASURES.items():
        if measure.left_out and measure.over == CLASSES:
            left_out = tuple((group.name, number) for group in groups if (number := group.left_out(slope)))
            alike.setdefault((measure.left_out, left_out), []).append(slope)
    for (why, numbers), slopes in alike.items():
        if not numbers:
            continue
        names, (leave, do) = " and ".join(slopes), ("leave", "do") if len(slopes) > 1 else ("leaves", "does")
        many = {kind: number for kind, number in numbers if number > MANY * classes[kind]}
        few = [number for kind, number in numbers if kind not in many]
        where = []
        if many:
            which = ", ".join(f"{kind} ({number:,} of {classes[kind]:,})" for kind, number in many.items())
            where.append(f"more than a tenth in {which}, which {names} {do} not describe")
        if few:
            where.append(f"at most {max(few):,} in {'others' if many else 'each kind of runs'}")
        most = " (the largest over seeds or pairs)" if any(len(group.runs) > 1 for group in groups) else ""
        notes.append(f"{names} {leave} out classes with {why}, which have no logarithm: {'; '.join(where)}{most}.")
    if notes and has_claims:
        notes.append(
            "A claim compares its two runs on the classes that have a logarithm in both, so that its slopes can differ from "
            "those of the table of runs."
        )
    return [" ".join(notes)] if notes else []
