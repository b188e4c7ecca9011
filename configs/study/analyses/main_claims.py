"""The main claims: which verdicts pages have, by a rule.

    python configs/study/analyses/main_claims.py

Hundreds of claims of studies are kept with their intervals and verdicts (results/tables). Verdicts on pages are those of the main
claims alone, which are tested and corrected together (Holm, 1979). The rule:

1. There are five questions (configs/study/README.md). Each has one statistic: the mean accuracy over classes for what to do and
   which images to collect, and `odds_acc`, the bias, for the others.
2. A question compares the pairs of kinds that `QUESTIONS` lists: those that its page names in its answer.
3. Each pair is tested on all kinds of data (characters, photographs, icons) on which the study made for the question has both
   kinds, with results that are stored with counts by class.
4. A pair that the study states as a claim on this statistic is tested as stated, with its threshold and margin. Others are
   tested against 0, with the measure's margin.
5. A forecast of a recipe that learned (forecast_errors.py) is tested as the study states it: from the source of its own family.
6. "Under every recipe" is tested by the recipe with the lowest bound (an intersection–union test: Berger, 1982). That two kinds
   are equal is contradicted by the recipe farthest from it, with an interval at the level of all recipes (Bonferroni, 1936),
   because it can be contradicted by any of them; else it is tested by the recipe with the largest p-value.
7. On each kind of data, the accuracy of the tail of all recipes with a stored forecast is one claim: that each changes as forecast
   within three points, also tested by the recipe farthest from it. On icons, recipes with captions are included, which nobody
   forecast before, and which have CLIP's forecast.

The rule was written when all of these results were known and published (2026-12-02), and points 6 on equality and 7 a day later,
because without them the list left out what speaks against the law.

A claim is *open* if its corrected verdict is inconclusive. Then the number of pairs (or seeds) follows that would decide a
difference as large as the one found, at the level of the correction (Bonferroni, 1936) with a probability of 80 %, by the mean
variances of its study.

Writes results/tables/main_claims.tsv, results/main_claims_QUESTION.md for pages, and results/main_claims.md, which counts.
"""

import collections
import dataclasses
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from cliptail_jax.claims.judge import evaluate_study
from cliptail_jax.claims.power import variances_of
from cliptail_jax.claims.verdicts import (
    CONTRADICTED,
    INCONCLUSIVE,
    NO_EFFECT,
    SUPPORTED,
    ClaimResult,
    correct_for_number,
    read_claims,
)
from cliptail_jax.config.files import find_results, known_archives
from cliptail_jax.experiments import studies
from cliptail_jax.host.errors import command_line
from cliptail_jax.host.files import write_text
from cliptail_jax.host.text import tsv
from cliptail_jax.metrics.bootstrap import LEVEL, Estimate
from cliptail_jax.report.claim_tables import difference_of
from cliptail_jax.report.layout import Table, markdown, text_table
from cliptail_jax.results.archive import unpack
from cliptail_jax.results.claims import Claim
from cliptail_jax.results.directory import Contents, read_directory
from cliptail_jax.results.study import by_replicate
from configs.study.analyses.data_names import CHARACTERS, ICONS, PHOTOGRAPHS, data_of
from configs.study.analyses.forecast_errors import has_learned, is_own_family, nearest, points_of

BIAS, MEAN = "odds_acc", "mean_per_class"
OPEN = "open"
RESULTS = Path(__file__).parents[1] / "results"
PAIRS = (2, 4, 8, 16, 32, 64)
EVERY_RECIPE = "robustness"  # the study whose claims are tested under many recipes
FORECAST = "The bias of a recipe changes as forecast"
TAILS = "The tail of every recipe changes as forecast, within three points"
TAIL_MARGIN = 3.0


class Pair(NamedTuple):
    """Two kinds of runs that a question compares.

    Attributes:
        text: the claim, that `higher` exceeds `lower`, or that both are equal.
    """

    text: str
    higher: str
    lower: str
    is_equality: bool = False


class Question(NamedTuple):
    """A question with its statistic, and the pairs of kinds that are compared in some studies."""

    key: str
    title: str
    statistic: str
    pairs: dict[tuple[str, ...], Sequence[Pair]]


HEADLINES = (
    Pair("SL is more biased than CLIP on class names", "sl", "clip"),
    Pair("SL is more biased than `batch`", "sl", "batch"),
    Pair("`batch` is more biased than `counts`", "batch", "counts"),
    Pair("SL is more biased than with adjusted logits", "sl", "adjusted"),
)
EQUALITY = Pair("`counts` is as biased as CLIP on class names", "counts", "clip", True)
REMEDIES = {
    "adjusted": "Adjusted logits",
    "counts": "`counts`",
    "batch": "`batch`",
    "ldam": "LDAM",
    "balanced": "Balanced sampling",
    "clip": "CLIP on class names",
}
QUESTIONS = (
    Question("why", "Why is CLIP less biased?", BIAS, {
        ("forecast_glyphs_16", "forecast_cifar100", "natural"): (*HEADLINES, EQUALITY),
        ("doses",): (
            Pair("Larger batches leave CLIP more biased, at equal images", "images_512", "images_32"),
            Pair("Larger batches leave CLIP more biased, at equal steps", "steps_512", "steps_32"),
        ),
        ("optimizers",): [Pair(f"SGD leaves SL more biased than {name}", "sgd", name.lower())
                          for name in ("AdamW", "Lion", "Muon")],
    }),
    Question("do", "What should I do?", MEAN, {
        ("remedies_glyphs_lt", "remedies_cifar100_lt", "remedies_icons"): [
            Pair(f"{name}: more accurate than SL", run, "sl")
            for run, name in REMEDIES.items()
        ],
    }),
    Question("collect", "Which images should I collect?", MEAN, {
        ("collect_glyphs", "collect_cifar100"): [
            Pair(f"With {name}, a plan beats {other}", f"{run}_plan", f"{run}_{lower}")
            for run, name in (("sl", "SL"), ("adjusted", "adjusted logits"))
            for lower, other in (("proportional", "collection in proportion by 5 points"),
                                 ("rarest", "the rarest first by 1 point"))
        ],
    }),
    Question("trust", "Can I trust it?", BIAS, {(EVERY_RECIPE,): (*HEADLINES, EQUALITY)}),
    Question("paper", "What of the paper holds?", BIAS, {
        ("mechanism_glyphs_16", "natural"): (
            Pair("Class names leave CLIP more biased than captions", "clip", "clip_captions"),
        ),
        ("natural",): (Pair("Pairs with a class leave CLIP more biased than all pairs", "clip_captions", "clip_all"),),
        ("noise_glyphs_16",): (
            Pair("A tenth of wrong captions leaves CLIP more biased", "clip_uniform_10", "clip"),
        ),
    }),
)  # fmt: skip


class MainClaim(NamedTuple):
    """A main claim.

    Attributes:
        question: the question that it answers.
        text: the claim in words.
        study: the name of the study's results.
        result: its test.
        pairs: how many pairs or seeds would decide it, if it is open and this is known; else ''.
    """

    question: str
    text: str
    study: str
    result: ClaimResult
    pairs: str = ""

    @property
    def verdict(self) -> str:
        return OPEN if self.result.corrected == INCONCLUSIVE else self.result.corrected

    @property
    def data(self) -> str:
        return data_of(self.study)


@command_line
def main(arguments: Sequence[str]) -> None:
    if arguments:
        raise SystemExit(__doc__)
    studies_of_questions = {study for question in QUESTIONS for names in question.pairs for study in names}
    with tempfile.TemporaryDirectory() as folder:
        contents = {
            name: read_directory(unpack(known_archives()[name], Path(folder))) for name in sorted(studies_of_questions)
        }
        claims = [claim for question in QUESTIONS for claim in claims_of(question, contents)]
    results = correct_for_number([claim.result for claim in claims])
    claims = [claim._replace(result=result) for claim, result in zip(claims, results)]
    claims = [claim._replace(pairs=pairs_to_decide(claim, len(claims))) for claim in claims]
    write_text(RESULTS / "tables" / "main_claims.tsv", tsv(*rows_of_claims(claims)))
    for question in QUESTIONS:
        table = table_of([claim for claim in claims if claim.question == question.key])
        write_text(RESULTS / f"main_claims_{question.key}.md", "\n".join([*markdown(table), ""]))
    write_text(RESULTS / "main_claims.md", "\n".join([*markdown(counts_of(claims)), ""]))


def claims_of(question: Question, contents: dict[str, Contents]) -> Iterator[MainClaim]:
    """The tested main claims of a question, not yet corrected."""
    for names, pairs in question.pairs.items():
        for name in names:
            if name == EVERY_RECIPE:
                yield from under_every_recipe(question, pairs)
                continue
            claims_on_pairs = {pair.text: claim_of(question, pair, contents[name]) for pair in pairs}
            forecasts = question.key == "why" and name.startswith("forecast")
            stated_claims = stated_forecasts(name, contents[name]) if forecasts else {}
            for key, result in tests(contents[name], claims_on_pairs | stated_claims).items():
                yield MainClaim(question.key, FORECAST if key in stated_claims else key, name, result)
            if question.key == "why" and (tails := forecasts_of_tails(name, contents[name])):
                yield MainClaim(question.key, TAILS, name, weakest_equality(tests(contents[name], tails).values()))


def claim_of(question: Question, pair: Pair, contents: Contents) -> Claim:
    """The claim of a study on a pair of kinds, as it was stated, or else a new one."""
    for claim in contents.study.claims.values():
        is_same = (claim.statistic, claim.higher, claim.lower) == (question.statistic, pair.higher, pair.lower)
        if is_same and claim.equal == pair.is_equality and not (claim.condition or claim.reference or claim.set):
            return claim
    return Claim(**studies.claim(pair.text, question.statistic, pair.higher, pair.lower, equal=pair.is_equality))


def stated_forecasts(name: str, contents: Contents) -> dict[str, Claim]:
    """The claims of a study that the bias of recipes changes as forecast, from the source of their own family."""
    changes = {
        (point.run, point.source) for point in points_of(name, contents) if is_own_family(point) and has_learned(point)
    }
    return {
        key: claim
        for key, claim in contents.study.claims.items()
        if claim.statistic == BIAS and claim.text.endswith("is as forecast") and (claim.higher, claim.lower) in changes
    }


def forecasts_of_tails(name: str, contents: Contents) -> dict[str, Claim]:
    """The claims that the tail of a recipe that learned changes as forecast, from the source of its own family if there is one."""
    if not (name.startswith("forecast") or name == "natural"):
        return {}
    points = [point for point in nearest(points_of(name, contents)) if has_learned(point)]
    return {
        point.run: Claim(
            TAILS,
            "tail",
            point.run,
            point.source,
            TAIL_MARGIN,
            equal=True,
            reference=(point.forecast["tail"], point.origin["tail"]),
        )
        for point in points
    }


def weakest_equality(results: Iterable[ClaimResult]) -> ClaimResult:
    """The claim of equality that decides whether all of them hold.

    If one is contradicted at the level of all of them (Bonferroni, 1936), it is the one farthest outside of its margin, with this
    interval. Else all hold only if each does at the usual level (Berger, 1982), and it is the one with the largest p-value, or the
    one that reaches farthest, if not all do.
    """
    results = [result for result in results if result.difference]
    level = 1 - (1 - LEVEL) / len(results)
    simultaneous = []
    for result in results:
        value, *_, degrees = result.difference
        estimate = Estimate(value, *result.difference.interval(level), degrees)
        simultaneous.append(dataclasses.replace(result, difference=estimate))
    farthest = max(simultaneous, key=lambda result: max(result.difference.low, -result.difference.high))
    if farthest.verdict == CONTRADICTED:
        return farthest
    if all(result.verdict == SUPPORTED for result in results):
        return max(results, key=lambda result: result.p_value)
    return max(simultaneous, key=lambda result: max(result.difference.high, -result.difference.low))


def tests(contents: Contents, claims: dict[str, Claim]) -> dict[str, ClaimResult]:
    study = dataclasses.replace(contents.study, claims=claims)
    return evaluate_study(study, by_replicate(study, contents.runs))


def under_every_recipe(question: Question, pairs: Sequence[Pair]) -> Iterator[MainClaim]:
    """Each claim under the recipe with the lowest bound, of those under which it could be tested."""
    results = read_claims(find_results(EVERY_RECIPE)).values()
    results = [result for result in results if result.difference and result.statistic == question.statistic]
    results = [result for result in results if not result.reference]
    for pair in pairs:
        kinds = pair.higher, pair.lower, pair.is_equality
        recipes = [r for r in results if (r.higher.partition("-")[0], r.lower.partition("-")[0], r.equal) == kinds]
        if pair.is_equality:
            weakest = weakest_equality(recipes)
        else:
            weakest = min(recipes, key=lambda result: result.interval[1])
        yield MainClaim(question.key, f"{pair.text}, under every recipe", EVERY_RECIPE, weakest)


def pairs_to_decide(claim: MainClaim, claims: int) -> str:
    """How many pairs or seeds would decide an open claim at the corrected level; '' if it is not open, or this is not known."""
    result = claim.result
    if claim.verdict != OPEN or claim.study == EVERY_RECIPE:
        return ""
    variance = variances_of(claim.study, read_claims(find_results(claim.study))).get(result.statistic)
    if not variance:
        return ""
    value, level = result.difference.value, 1 - (1 - LEVEL) / claims
    distance = abs(result.margin - abs(value) if result.equal else value - result.threshold)
    more_pairs = (pairs for pairs in PAIRS if pairs > len(result.by_seed))
    enough = (pairs for pairs in more_pairs if variance.decidable(pairs, level) <= distance)
    return str(next(enough, f"more than {PAIRS[-1]}"))


def rows_of_claims(claims: Sequence[MainClaim]) -> tuple[list[str], list[list[str]]]:
    header = ["question", "claim", "data", "study", "comparison", "difference", "low", "high", "verdict", "before correction",
              "p-value", "pairs that would decide"]  # fmt: skip
    rows = []
    for claim in claims:
        result = claim.result
        p_value = f"{result.p_value:.2g}" if result.difference else ""
        texts = claim.question, claim.text, claim.data, claim.study, result.comparison
        numbers = [f"{number:.4f}" for number in result.interval or ()] or [""] * 3
        rows.append([*texts, *numbers, claim.verdict, result.verdict, p_value, claim.pairs])
    return header, rows


def table_of(claims: Sequence[MainClaim]) -> Table:
    """A row for each claim, with a column for each kind of data; the forecasts of all recipes share one."""
    data = [name for name in (CHARACTERS, PHOTOGRAPHS, ICONS) if any(claim.data == name for claim in claims)]
    rows = []
    for text in dict.fromkeys(claim.text for claim in claims):
        claims_by_data = [[claim for claim in claims if (claim.text, claim.data) == (text, name)] for name in data]
        rows.append([text, *map(cell_of, claims_by_data)])
    return text_table(["claim", *data], rows)


def cell_of(claims: Sequence[MainClaim]) -> str:
    """The verdict and the difference of a claim, or the number of claims by verdict."""
    if len(claims) > 1:
        counts = collections.Counter(claim.verdict for claim in claims)
        return ", ".join(f"{number} **{verdict}**" for verdict, number in counts.items())
    if not claims:
        return ""
    claim = claims[0]
    return f"**{claim.verdict}** {difference_of(claim.result).text}" + f" (pairs: {claim.pairs})" * bool(claim.pairs)


def counts_of(claims: Sequence[MainClaim]) -> Table:
    """The number of main claims of each question by verdict."""
    verdicts = SUPPORTED, NO_EFFECT, CONTRADICTED, OPEN
    rows = []
    for key, title in [*((question.key, question.title) for question in QUESTIONS), ("", "all")]:
        counts = collections.Counter(claim.verdict for claim in claims if key in ("", claim.question))
        rows.append([title, str(sum(counts.values())), *(str(counts[verdict]) for verdict in verdicts)])
    return text_table(["question", "main claims", *verdicts], rows)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
