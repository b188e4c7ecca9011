"""The findings in words: a sentence for each group of claims, and their number by verdict."""

import collections
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from cliptail_jax.claims.verdicts import CONTRADICTED, INCONCLUSIVE, NO_EFFECT, NOT_TESTED, SUPPORTED
from cliptail_jax.report.forest import ClaimRow

ORDER = (SUPPORTED, CONTRADICTED, NO_EFFECT, INCONCLUSIVE, NOT_TESTED)


class Finding(NamedTuple):
    """A sentence on the claims that compare the same runs.

    Attributes:
        subject: the claim, or the runs if there are several claims on them.
        pair: the first two runs.
        verdicts: by verdict, with the corrected one where that differs, the measures or the claims that have it.
    """

    subject: str
    pair: Sequence[str]
    verdicts: Sequence[tuple[str, str]]

    @property
    def is_tested(self) -> bool:
        return any(verdict != NOT_TESTED for verdict, _ in self.verdicts)


def findings(rows: Sequence[ClaimRow]) -> list[Finding]:
    """A sentence for each set of runs that claims compare, in the order of the claims.

    The same claim on several sets of runs is followed by the runs.
    """
    by_runs: dict[tuple, list[ClaimRow]] = {}
    for row in sorted(rows, key=lambda row: row.number):
        claim = row.claim
        subtracted_runs = frozenset(name for name in claim.reference if isinstance(name, str))
        runs = frozenset((claim.higher, claim.lower)), subtracted_runs, claim.study
        by_runs.setdefault((row.study, *runs), []).append(row)
    sentences = [finding(run_rows) for run_rows in by_runs.values()]
    counts = collections.Counter(sentence.subject for sentence in sentences)
    return [
        sentence._replace(subject=f"{sentence.subject} ({run_rows[0].claim.comparison})")
        if counts[sentence.subject] > 1
        else sentence
        for sentence, run_rows in zip(sentences, by_runs.values())
    ]


def finding(rows: Sequence[ClaimRow]) -> Finding:
    texts = dict.fromkeys(row.claim.text for row in rows)
    verdicts = []
    for verdict in in_order(row.claim.verdict_text for row in rows):
        statistics_by_text: dict[str, list[str]] = {}
        for row in rows:
            if row.claim.verdict_text == verdict:
                statistics_by_text.setdefault(row.claim.text, []).append(row.claim.quantity)
        if len(texts) == 1:
            verdicts.append((verdict, "in " + and_list(statistics_by_text[next(iter(texts))])))
        else:
            parts = [
                f"{text} ({and_list(statistics)})" if len(statistics) > 1 else text
                for text, statistics in statistics_by_text.items()
            ]
            verdicts.append((verdict, "; ".join(parts)))
    first = rows[0]
    subject = next(iter(texts)) if len(texts) == 1 else " and ".join(first.pair)
    return Finding(f"{first.study}: {subject}" if first.study else subject, first.pair, verdicts)


def verdict_counts(rows: Sequence[ClaimRow]) -> str:
    """The number of claims with each verdict, in the words of the findings and of the table of claims.

    For example 'Of 3 claims, 1 is supported and 2 are supported (inconclusive when corrected for the number of claims).'
    """
    verdicts = [row.claim.verdict_text for row in rows]
    if len(verdicts) == 1:
        return f"The only claim {verb(verdicts[0], 1)} {verdicts[0]}."
    counts = []
    for verdict in in_order(verdicts):
        number = verdicts.count(verdict)
        counts.append(f"{number} {verb(verdict, number)} {verdict}")
    text = f"Of {len(verdicts)} claims, {and_list(counts)}."
    return text.replace("when corrected)", "when corrected for the number of claims)", 1)


def in_order(verdicts: Iterable[str]) -> list[str]:
    """The different verdicts in order; those that the correction does not change come before those that it changes."""
    return sorted(set(verdicts), key=lambda verdict: (ORDER.index(verdict.partition(" (")[0]), verdict))


def verb(verdict: str, claims: int) -> str:
    singular, plural = ("has", "have") if verdict.startswith(NO_EFFECT) else ("is", "are")
    return singular if claims == 1 else plural


def and_list(names: Sequence[str]) -> str:
    """The names with commas, and 'and' before the last."""
    return ", ".join(names[:-1]) + " and " + names[-1] if len(names) > 1 else names[0]
