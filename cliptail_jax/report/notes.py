"""Notes below tables: what claims' intervals cover, their looks and changes, and the classes that slopes leave out."""

from collections.abc import Iterable, Sequence

from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.metrics.measures import CLASSES, MEASURES
from cliptail_jax.results.claims import CLAIM, RECIPE
from cliptail_jax.results.group import RunGroup

LARGE_SHARE = 0.1  # of the classes


def one_replicate_notes(claims: Iterable[ClaimResult]) -> list[str]:
    """Notes on claims that are tested on one seed or pair, by whether their intervals include how much repeated trainings differ."""
    tested_claims = [claim for claim in claims if claim.difference]
    single_claims = [claim for claim in tested_claims if len(claim.by_seed) == 1]
    notes = []
    if narrow_claims := [claim for claim in single_claims if not claim.covers_seeds]:
        notes.append(
            f"The intervals{number_of(narrow_claims, tested_claims)} come from one seed or pair, and cover the choice of classes or queries, but "
            "not how much repeated trainings differ: another seed, or another processor, which rounds differently, can change a "
            "verdict. Several seeds or pairs cover both."
        )
    for origin in dict.fromkeys(claim.borrowed for claim in single_claims if claim.covers_seeds):
        origin_claims = [claim for claim in single_claims if claim.covers_seeds and claim.borrowed == origin]
        notes.append(
            f"The intervals{number_of(origin_claims, tested_claims)} come from one seed or pair. The variance between repeated trainings that "
            f"they include is that of {f'the published results of {origin}' if origin else 'other runs of this study'}."
        )
    return notes


def number_of(claims: Sequence[ClaimResult], tested_claims: Sequence[ClaimResult]) -> str:
    return "" if len(claims) == len(tested_claims) else f" of {len(claims)} of the {len(tested_claims)} tested claims"


def looks_note(claims: Iterable[ClaimResult]) -> list[str]:
    """A note on the levels of claims that are tested again with each further pair."""
    looks = sorted({claim.look for claim in claims if claim.look})
    if not looks:
        return []
    levels = ", ".join(f"{100 * look.level():.1f} % after {look.pairs}" for look in looks)
    return [
        f"Pairs (or seeds) were added until claims were decided, at most {looks[0].max_pairs}, with a look after each from the second "
        "one on. Each claim has the numbers of the look that decided it, or else of the last one. Intervals and verdicts are at "
        f"the level of that look, {levels}, so that the verdicts of all looks on a claim are wrong with a probability of at most "
        "5 % (Lan & DeMets, 1983, with Pocock's spending function)."
    ]


def change_notes(claims: Iterable[ClaimResult]) -> list[str]:
    """A note for each mark of claims that changed after the first run, with the changes."""
    changes = [claim.change for claim in claims]
    notes = []
    for mark, subject in ((CLAIM, "claims that were"), (RECIPE, "claims on runs whose recipes were")):
        if texts := dict.fromkeys(change.text for change in changes if change.mark == mark):
            notes.append(
                f"{mark} marks {subject} {'added or ' * (mark == CLAIM)}changed after the first run: {'; '.join(texts)}."
            )
    return notes


def left_out_note(groups: Iterable[RunGroup], has_claims: bool) -> list[str]:
    """A paragraph on the slopes that leave out classes of these groups of runs; none if no slope does.

    `has_claims` is whether there are claims on them.
    """
    groups = [group for group in groups if group.evaluations]
    classes = {group.name: max(len(e.class_names) for e in group.evaluations) for group in groups}
    notes, slopes_of = [], {}  # slopes that leave out the same classes
    for slope, measure in MEASURES.items():
        if measure.exclusion and measure.population == CLASSES:
            exclusions = tuple((group.name, number) for group in groups if (number := group.left_out(slope)))
            slopes_of.setdefault((measure.exclusion, exclusions), []).append(slope)
    for (why, numbers), slopes in slopes_of.items():
        if not numbers:
            continue
        names, (leave, do) = " and ".join(slopes), ("leave", "do") if len(slopes) > 1 else ("leaves", "does")
        large_counts = {kind: number for kind, number in numbers if number > LARGE_SHARE * classes[kind]}
        small_counts = [number for kind, number in numbers if kind not in large_counts]
        phrases = []
        if large_counts:
            kinds = ", ".join(f"{kind} ({number:,} of {classes[kind]:,})" for kind, number in large_counts.items())
            phrases.append(f"more than a tenth in {kinds}, which {names} {do} not describe")
        if small_counts:
            phrases.append(f"at most {max(small_counts):,} in {'others' if large_counts else 'each kind of runs'}")
        qualifier = " (the largest over seeds or pairs)" if any(len(group.runs) > 1 for group in groups) else ""
        notes.append(
            f"{names} {leave} out classes with {why}, which have no logarithm: {'; '.join(phrases)}{qualifier}."
        )
    if notes and has_claims:
        notes.append(
            "A claim compares its two runs on the classes that have a logarithm in both, so that its slopes can differ from "
            "those of the table of runs."
        )
    return [" ".join(notes)] if notes else []
