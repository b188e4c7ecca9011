"""Findings: a sentence for the claims on the same runs."""

import math

from cliptail_jax.claims.verdicts import ClaimResult
from cliptail_jax.metrics.bootstrap import Estimate
from cliptail_jax.report import pairs
from cliptail_jax.report.findings import findings, verdict_counts
from cliptail_jax.report.forest import ClaimRow

INTERVALS = {"supported": (1.0, 0.5, 1.5), "no effect": (0.0, -0.1, 0.1), "inconclusive": (0.0, -0.5, 0.5)}


def row(number, text, statistic, higher, lower, verdict, corrected=""):
    compared = dict(text=text, statistic=statistic, higher=higher, lower=lower, by_seed=[(2, 1)], margin=0.2)
    claim = ClaimResult(**compared, difference=Estimate(*INTERVALS[verdict], 10.0), corrected=corrected or verdict)
    return ClaimRow(number, claim, "")


ROWS = [
    row(1, "SL is more biased", "odds_acc", "a_sl", "a_clip", "supported"),
    row(2, "SL is more biased", "slope_pred", "a_sl", "a_clip", "no effect"),
    row(3, "SL is more biased", "odds_acc", "b_sl", "b_clip", "supported"),
    row(4, "A sample helps", "tail", "a_sampled", "a_sl", "supported"),
    row(5, "A sample leaves less bias", "odds_acc", "a_sl", "a_sampled", "inconclusive"),
]


def test_claims_on_the_same_runs_are_one_sentence_and_a_repeated_claim_names_its_runs():
    first, other, two = findings(ROWS)
    assert first.subject == "SL is more biased (a_sl − a_clip)" and first.pair == ["a_sl", "a_clip"]
    assert first.verdicts == [("supported", "in odds_acc"), ("no effect", "in slope_pred")]
    assert other.subject == "SL is more biased (b_sl − b_clip)"
    assert two.subject == "a_sampled and a_sl"
    assert two.verdicts == [("supported", "A sample helps"), ("inconclusive", "A sample leaves less bias")]
    assert findings(ROWS[:2])[0].subject == "SL is more biased"


def test_verdicts_are_counted_in_a_sentence():
    assert verdict_counts(ROWS) == ("Of 5 claims, 3 are supported, 1 has no effect and 1 is inconclusive.")
    assert verdict_counts(ROWS[1:2]) == "The only claim has no effect."


def test_the_sentences_have_the_verdicts_of_the_table_with_the_corrected_ones():
    rows = [
        *ROWS[1:3],
        row(6, "SL is more biased", "odds_acc", "a_sl", "a_clip", "supported", "inconclusive"),
        row(7, "Tails gain", "tail", "b_clip", "b_sl", "no effect", "inconclusive"),
    ]
    assert verdict_counts(rows) == (
        "Of 4 claims, 1 is supported, 1 is supported (inconclusive when corrected for the number of claims), 1 has no effect "
        "and 1 has no effect (inconclusive when corrected)."
    )
    assert findings(rows)[0].verdicts == [
        ("supported (inconclusive when corrected)", "in odds_acc"),
        ("no effect", "in slope_pred"),
    ]


def test_differences_are_shown_in_both_directions_also_without_an_interval():
    titles = [measure.title for measure in pairs.pair_measures()]
    rows = [["a", "b", titles[0], 0.42, 0.1, 0.7], ["a", "b", titles[1], 0.42, math.nan, math.nan]]
    texts = pairs.texts_of(rows)
    assert texts["a"]["b"][:3] == ["0.4 [0.1, 0.7]", "0.42", "–"]
    assert texts["b"]["a"][:3] == ["-0.4 [-0.7, -0.1]", "-0.42", "–"]
    assert "b" not in texts["b"]
