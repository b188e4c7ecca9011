"""Notes on the claims of a study: what their intervals cover, their looks, and what has changed since the first run."""

from collections.abc import Iterable, Sequence

from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.results.claims import CLAIM, RECIPE


def one_replicate_notes(claims: Iterable[ClaimResult]) -> list[str]:
    """Notes on claims that are tested on one seed or pair: whether their intervals include how much repeated trainings differ."""
    tested = [claim for claim in claims if claim.difference]
    single = [claim for claim in tested if len(claim.by_seed) == 1]
    notes = []
    if bare := [claim for claim in single if not claim.covers_seeds]:
        notes.append(
            f"The intervals{number_of(bare, tested)} come from one seed or pair, and cover the choice of classes or queries, but "
            "not how much repeated trainings differ: another seed, or another processor, which rounds differently, can change a "
            "verdict. Several seeds or pairs cover both."
        )
    for origin in dict.fromkeys(claim.borrowed for claim in single if claim.covers_seeds):
        found = [claim for claim in single if claim.covers_seeds and claim.borrowed == origin]
        notes.append(
            f"The intervals{number_of(found, tested)} come from one seed or pair. The variance between repeated trainings that "
            f"they include is that of {f'the published results of {origin}' if origin else 'other runs of this study'}."
        )
    return notes


def number_of(claims: Sequence[ClaimResult], tested: Sequence[ClaimResult]) -> str:
    return "" if len(claims) == len(tested) else f" of {len(claims)} of the {len(tested)} tested claims"


def looks_note(claims: Iterable[ClaimResult]) -> list[str]:
    """A note on the levels of claims that are tested again with each further pair."""
    looks = sorted({claim.look for claim in claims if claim.look})
    if not looks:
        return []
    levels = ", ".join(f"{100 * look.level():.1f} % after {look.pairs}" for look in looks)
    return [
        f"Pairs (or seeds) were added until claims were decided, at most {looks[0].most}, with a look after each from the second "
        "one on. Each claim has the numbers of the look that decided it, or else of the last one. Intervals and verdicts are at "
        f"the level of that look, {levels}, so that the verdicts of all looks on a claim are wrong with a probability of at most "
        "5 % (Lan & DeMets, 1983, with Pocock's spending function)."
    ]


def change_notes(claims: Iterable[ClaimResult]) -> list[str]:
    """A note for each mark of claims that changed after the first run, with the changes."""
    changes = [claim.change for claim in claims]
    notes = []
    for mark, what in ((CLAIM, "claims that were"), (RECIPE, "claims on runs whose recipes were")):
        if texts := dict.fromkeys(change.text for change in changes if change.mark == mark):
            notes.append(
                f"{mark} marks {what} {'added or ' * (mark == CLAIM)}changed after the first run: {'; '.join(texts)}."
            )
    return notes
