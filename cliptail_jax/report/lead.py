"""The lines above the tables of a report: the answer of its study, and notes on what its comparisons can show."""

import itertools
from collections.abc import Sequence
from typing import NamedTuple

from cliptail_jax.claims.best import BestRun
from cliptail_jax.claims.judged import JudgedContents
from cliptail_jax.report.answer import answer, bias_of_all
from cliptail_jax.report.close_priors import close_priors, own_prior, partly_without_prior
from cliptail_jax.report.comparison import ComparedRuns, prefixes
from cliptail_jax.report.confounded import compared_pairs, confounded
from cliptail_jax.results.group import groups_of
from cliptail_jax.results.study import Replicate, Study, by_replicate


class Lead(NamedTuple):
    """The lines above the tables: the sentences of `answer`, and the lines of `confounded` and `close_priors`."""

    answer: Sequence[str] = ()
    confounded: Sequence[str] = ()
    close_priors: Sequence[str] = ()

    @property
    def paragraphs(self) -> list[list[str]]:
        """The sentences of each paragraph; the first one is emphasized."""
        return [
            *([list(self.answer)] if self.answer else []),
            *([line] for line in (*self.confounded, *self.close_priors)),
        ]


def lead_of_study(study: Study, replicates: Sequence[Replicate], best: BestRun | None) -> Lead:
    """The lead of a study's report, from its finished runs and the best of them."""
    groups = [*groups_of(replicates).values()]
    lines = partly_without_prior(groups) + confounded(groups, compared_pairs(study))
    return Lead(answer(study, replicates, best), lines, close_priors(groups))


def lead_of(comparison: ComparedRuns, directories: Sequence[JudgedContents]) -> Lead:
    """The lead of a page, on the pairs that its studies compare, or without any on all pairs of kinds."""
    sentences, pairs = [], []
    for (contents, _, best), prefix in zip(directories, prefixes([directory.contents for directory in directories])):
        if study := contents.study:
            if study.baseline or study.next_command:
                sentences += answer(study, by_replicate(study, contents.runs), best)
            pairs += [tuple("/".join(filter(None, (prefix, name))) for name in pair) for pair in compared_pairs(study)]
    pairs = pairs or itertools.combinations([kind.name for kind in comparison.kinds], 2)
    kinds = comparison.kinds
    if not sentences:
        sentences = bias_of_all(kinds) + (own_prior(kinds[0]) if len(kinds) == 1 else [])
    return Lead(sentences, partly_without_prior(kinds) + confounded(kinds, pairs), close_priors(kinds))
