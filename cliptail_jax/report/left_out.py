"""Notes on the classes without a logarithm, which slopes leave out."""

from collections.abc import Mapping

from cliptail_jax.metrics.measures import MEASURES

MANY = 0.1  # of the classes


def left_out_notes(
    left_out: Mapping[str, Mapping[str, int]], classes: Mapping[str, int], several: bool, has_claims: bool
) -> list[str]:
    """Sentences on the slopes that leave out classes; none if no slope does.

    Args:
        left_out: by slope and kind of runs, the number of classes that are left out.
        classes: by kind of runs, the number of all its classes.
        several: whether kinds have several runs; the note then gives their largest number.
        has_claims: whether there are claims on them.
    """
    notes, alike = [], {}  # slopes that leave out the same classes
    for slope, numbers in left_out.items():
        if numbers := tuple((kind, number) for kind, number in numbers.items() if number):
            alike.setdefault((MEASURES[slope].left_out, numbers), []).append(slope)
    for (why, numbers), slopes in alike.items():
        which = ", ".join(f"{kind} {number:,} of {classes[kind]:,}" for kind, number in numbers)
        most = " (the largest number of any seed or pair)" if several else ""
        names, ending = " and ".join(slopes), "" if len(slopes) > 1 else "s"
        notes.append(f"{names} leave{ending} out classes with {why}, which have no logarithm: {which}{most}.")
        if many := [kind for kind, number in numbers if number > MANY * classes[kind]]:
            do = "do not" if len(slopes) > 1 else "does not"
            notes.append(
                f"These are more than a tenth of the classes of {', '.join(many)}, and {names} {do} describe them."
            )
    if notes and has_claims:
        notes.append(
            "A claim compares its two runs on the classes that have a logarithm in both, so that its slopes can differ from "
            "those of the table of runs."
        )
    return notes
